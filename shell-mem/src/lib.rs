//! Tenure in memory: the model of a JetStream store as a pure machine.
//!
//! [`store::Store`] answers the requests of [`tenure_core::port`] as a nats-server does, numbers of
//! refusals included. Three things stand on it: the in-memory shell, the simulation and the
//! contract test that compares it with a real server.
//!
//! # Features
//!
//! `shell` (default) adds what needs an asynchronous runtime; without it the crate is `no_std` with
//! `alloc`.
#![cfg_attr(not(feature = "shell"), no_std)]

extern crate alloc;

pub mod store;

#[cfg(feature = "shell")]
mod net;
#[cfg(feature = "shell")]
mod shell;

#[cfg(feature = "shell")]
pub use shell::MemShell;
