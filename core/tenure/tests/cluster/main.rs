//! Several nodes in one process, as one cluster.

#[path = "../common/mod.rs"]
mod common;

mod actors;
mod asks;
mod builds;
mod contexts;
mod ends;
mod leases;
mod moves;
mod nodes;
mod overload;
mod places;
mod refusals;
mod restart;
#[cfg(feature = "nats")]
mod streams;
