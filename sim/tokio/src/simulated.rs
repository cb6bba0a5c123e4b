//! What the shells that run in madsim take from tokio. What of it draws or waits is madsim's.

pub use madsim::task::spawn;
pub use real::sync;

/// `tokio::select!` that polls in the order of its branches; the other form draws from a counter of the
/// process, so there is none.
#[macro_export]
macro_rules! select {
    (biased; $($branches:tt)*) => { $crate::real_select!(biased; $($branches)*) };
}

#[doc(hidden)]
pub use real::select as real_select;

/// Tasks of madsim.
pub mod task {
    pub use madsim::task::{AbortHandle, JoinError, JoinHandle, spawn};
}

/// Madsim's clock.
pub mod time {
    pub use madsim::time::{Duration, Instant, Sleep, sleep, sleep_until};
}
