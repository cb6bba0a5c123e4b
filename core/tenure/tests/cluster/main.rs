//! Several nodes in one process, as one cluster.

#[path = "../common/mod.rs"]
mod common;

mod actors;
mod asks;
mod bad_input;
mod builds;
mod changes;
mod contexts;
mod ends;
mod lanes;
mod leases;
mod moves;
mod nodes;
mod overload;
mod places;
mod refusals;
mod rejoin;
mod restart;
#[cfg(feature = "nats")]
mod servers;
#[cfg(feature = "nats")]
mod streams;
