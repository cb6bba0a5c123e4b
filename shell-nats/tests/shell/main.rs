//! The shell against real servers: every test starts its own.
#![allow(
    clippy::disallowed_methods,
    reason = "deadlines of waits for a real server"
)]

mod requests;
mod scene;
