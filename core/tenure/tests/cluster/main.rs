//! Several nodes in one process, as one cluster.

#[path = "../common/mod.rs"]
mod common;

mod actors;
mod asks;
mod moves;
mod nodes;
