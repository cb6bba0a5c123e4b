//! `tokio` for simulation builds: those parts of tokio that need no runtime, with madsim's executor, clock
//! and network. Without `--cfg madsim` (an editor, clippy over the whole workspace) it is plain tokio.

#[cfg(not(madsim))]
pub use real::*;

#[cfg(madsim)]
mod simulated;
#[cfg(madsim)]
pub use simulated::*;
