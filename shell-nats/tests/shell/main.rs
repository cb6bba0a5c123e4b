//! The shell against real servers: every test starts its own.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test fails on whatever it does not expect"
)]

mod consumers;
mod credentials;
mod lent;
mod limits;
mod link;
mod net;
mod operator;
mod requests;
mod rights;
mod scene;
mod tls;
mod truth;
