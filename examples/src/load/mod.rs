//! How load is made and measured, for the load test and the bench: where a run takes place, who is
//! asked next, blocks of operations that are timed, what they came to, and what cannot be run.

mod block;
mod check;
mod draw;
mod figures;
mod pace;
mod place;
mod progress;

pub use block::{Block, First, Load, Side, Tally, run, turns};
pub use check::{Asked, at_most, none_is_zero};
pub use draw::{Draw, Pick, Skew};
pub use figures::{Memory, ratios, round};
pub use place::{Place, Where, Wish};
pub use progress::Progress;

use tokio::runtime::Runtime;

/// As many keys as one process can keep an id for.
pub const KEYS_MAX: usize = 10_000_000;

/// So many operations that nobody waits for them, and that all of a run can be counted.
pub const OPS_MAX: u64 = 1 << 40;

/// A seed that no other run has.
#[allow(
    clippy::disallowed_types,
    reason = "the standard library's only source of random bits; nothing iterates"
)]
pub fn drawn_seed() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}

/// A runtime of so many threads; of one it is tokio's current-thread runtime.
///
/// # Errors
///
/// When the system gives no threads or timers.
pub fn runtime(threads: usize) -> std::io::Result<Runtime> {
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    builder.enable_all().build()
}
