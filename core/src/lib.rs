//! The sans-IO core of Tenure: every decision of the protocol as a pure step function.
//!
//! A machine takes one input and pushes effects; a driver runs the effects and feeds the answers
//! back as inputs. Time, randomness, identities and limits come in as values, so a run is a
//! function of its inputs: it can be simulated, shrunk, recorded and replayed.
//!
//! - [`step`]: the contract of a machine ([`Machine`], [`Cx`], [`Effects`], [`Outcome`]).
//! - [`port`]: what machines ask of a store and every class of its answers, as data.
//! - [`format`](mod@format): what is stored and sent, byte for byte.
//! - [`space`]: opens a namespace: layout, streams, kinds.
//! - [`log`]: the event log of one shard: load, decide, commit, resolve.
//! - [`lease`], [`node`]: the algebra of leases, and who is in the cluster.
//! - [`shard`]: which node owns which shard.
//! - [`route`]: where a request goes.
//! - [`actor`]: which actor runs which message when.
//! - [`consumer`]: reads the events of a namespace and hands them over, up to a stored checkpoint.
//! - [`bus`]: topics, what waits for who listens, and the storing of what is published durably.
//! - [`projection`]: the state of a projection in the namespace, with its mark.
//! - [`cache`]: which entity is forgotten when too many are in memory.
//! - [`flow`]: how much a node takes in and sends out at once.
//!
//! # Features
//!
//! None by default: the crate is then `no_std` with `alloc`. `driver` adds the asynchronous loop
//! and the API that users write against.
#![cfg_attr(not(feature = "driver"), no_std)]

extern crate alloc;

pub mod actor;
#[cfg(feature = "driver")]
pub mod api;
mod asks;
pub mod bus;
pub mod cache;
pub mod consumer;
#[cfg(feature = "driver")]
pub mod driver;
pub mod flow;
pub mod format;
pub mod id;
mod index;
pub mod lease;
pub mod log;
pub mod name;
pub mod node;
mod places;
pub mod port;
pub mod projection;
mod rising;
pub mod route;
pub mod shard;
#[cfg(test)]
mod slot_model;
#[cfg_attr(
    not(feature = "driver"),
    allow(dead_code, reason = "the driver uses all of it")
)]
mod slots;
pub mod space;
pub mod step;
mod table;
mod text;
#[cfg_attr(
    not(feature = "driver"),
    allow(dead_code, reason = "the driver uses all of it")
)]
mod tickets;
pub mod transfer;

pub use step::{
    Cx, Deadline, Dice, Effects, HaltReason, Limits, Machine, Outcome, Probe, Purpose, Site,
    SiteKind, Span, Time,
};
