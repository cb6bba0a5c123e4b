//! Tenure in memory: the model of a JetStream store as a pure machine.
//!
//! [`store::Store`] answers the requests of [`tenure_core::port`] as a nats-server does, numbers of
//! refusals included. Three things stand on it: the in-memory shell, the simulation and the
//! contract test that compares it with a real server.
//!
//! # Features
//!
//! - `shell` (default) adds the in-memory shell, which needs an asynchronous runtime.
//! - `nats` adds [`nats`]: a server that speaks the NATS protocol, as a machine without I/O.
//! - `listen` adds that server on TCP, and the program `nats_front`.
//!
//! Without `shell` and `listen` the crate is `no_std` with `alloc`.
#![cfg_attr(not(any(feature = "shell", feature = "listen")), no_std)]

extern crate alloc;

#[cfg(feature = "nats")]
pub mod nats;
pub mod store;

#[cfg(feature = "shell")]
mod net;
#[cfg(feature = "shell")]
mod shell;

#[cfg(feature = "shell")]
pub use shell::MemShell;
