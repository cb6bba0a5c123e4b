//! Several nodes in one process, as one cluster.

mod actors;
mod asks;
mod bad_input;
mod builds;
mod changes;
mod contexts;
mod cycles;
mod ends;
mod gap;
mod held;
mod lanes;
mod later;
mod leases;
mod moves;
pub(crate) mod nodes;
mod overload;
mod places;
mod refusals;
mod rejoin;
mod restart;
mod same_errors;
#[cfg(feature = "nats")]
mod servers;
#[cfg(feature = "nats")]
mod streams;
mod turns;
