//! Several nodes in one process, as one cluster.

#[path = "../common/mod.rs"]
mod common;

mod actors;
mod asks;
mod contexts;
mod leases;
mod moves;
mod nodes;
mod refusals;
