//! The crate itself, without `--cfg madsim`; with it, its source compiled against the simulated tokio
//! (`recompile.rs`).
#![allow(warnings, clippy::all)]

#[cfg(madsim)]
include!(concat!(env!("OUT_DIR"), "/src/lib.rs"));

#[cfg(not(madsim))]
pub use real::*;
