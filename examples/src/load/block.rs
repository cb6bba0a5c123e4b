//! One block of operations, timed: the same for Tenure and for the raw peer.

use super::pace::Pace;
use super::{Draw, Pick, Progress};
use crate::Failure;
use hdrhistogram::Histogram;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// So many times each worker keeps for itself before it counts them where all do, and so long at most: what
/// many threads write costs each of them a good part of what an operation does.
const KEPT_MAX: usize = 64;
const KEPT_FOR: Duration = Duration::from_millis(100);

/// Who does operations.
pub trait Side: Send + Sync + 'static {
    /// Does one operation on what the key with this number has; returns when it is acknowledged.
    fn operate(&self, key: usize) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// What the blocks of one side came to.
#[derive(Debug)]
pub struct Tally {
    /// How many operations.
    pub ops: u64,
    /// How long they took.
    pub(crate) time: Duration,
    /// What this process computed in that time, where the system tells.
    pub(crate) cpu: Option<Duration>,
    /// Operations per second of each block.
    pub rates: Vec<f64>,
    /// Nanoseconds from when an operation was to begin to its acknowledgement. One for each thread, so that they seldom
    /// wait for each other.
    latencies: Arc<[Mutex<Histogram<u64>>]>,
}

impl Tally {
    /// No block yet.
    pub fn new(threads: usize) -> Self {
        Self {
            ops: 0,
            time: Duration::ZERO,
            cpu: Some(Duration::ZERO),
            rates: Vec::new(),
            latencies: (0..threads).map(|_| Mutex::new(histogram())).collect(),
        }
    }

    /// Operations per second over all blocks.
    pub fn ops_per_s(&self) -> f64 {
        rate(self.ops, self.time)
    }

    /// Microseconds of computing for each operation.
    pub fn cpu_us(&self) -> Option<f64> {
        self.cpu.map(|cpu| 1e6 / rate(self.ops, cpu))
    }

    /// The time of each operation, in nanoseconds.
    ///
    /// # Panics
    ///
    /// Never: all histograms have the same bounds.
    pub fn latencies(&self) -> Histogram<u64> {
        let mut all = histogram();
        for one in &*self.latencies {
            let one = one.lock().unwrap_or_else(PoisonError::into_inner);
            all.add(&*one).expect("they have the same bounds");
        }
        all
    }
}

/// Nanoseconds up to ten minutes, in three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000_000, 3).expect("bounds that a histogram can have")
}

/// What all blocks of a run have in common.
#[derive(Clone, Debug)]
pub struct Load {
    /// How many operations are under way at once, at most.
    pub outstanding: usize,
    /// Which keys there are, and how they are drawn.
    pub pick: Pick,
    /// How many operations are due in a second; without it each begins when one ends.
    pub rate: Option<f64>,
}

/// How a block is to be.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// How many operations it has.
    pub ops: u64,
    /// The seed of its draws.
    pub seed: u64,
    /// Every key in turn instead of drawn ones, as far as the operations go.
    pub in_turn: bool,
}

/// Which side's block comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// Tenure's.
    Ours,
    /// The raw peer's.
    Raw,
}

/// The measured blocks: operations split as evenly as may be, each block with draws of its own. Who is
/// first takes turns, too, so that neither side is always after the other.
pub fn turns(ops: u64, blocks: u64, seed: u64) -> impl Iterator<Item = (Block, First)> {
    (0..blocks).map(move |number| {
        let block = Block {
            ops: ops / blocks + u64::from(number < ops % blocks),
            seed: seed.wrapping_add(number + 1),
            in_turn: false,
        };
        let first = if number % 2 == 0 {
            First::Ours
        } else {
            First::Raw
        };
        (block, first)
    })
}

/// Does one block's operations and adds them to the tally.
///
/// # Errors
///
/// Of the first operation that failed.
///
/// # Panics
///
/// Never: a worker's number is one of a `usize`.
pub async fn run<S: Side>(
    side: &Arc<S>,
    block: Block,
    load: &Load,
    progress: &Progress,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let taken = Arc::new(AtomicU64::new(0));
    let mut workers = JoinSet::new();
    let count = (load.outstanding as u64).min(block.ops);
    let cpu = cpu();
    let begin = Instant::now();
    // Every key in turn is no measurement, and as quick as may be.
    let due = load.rate.filter(|_| !block.in_turn);
    let pace = Pace::start(due, block.ops, count)?;
    for number in 0..count {
        let worker = Worker {
            side: Arc::clone(side),
            taken: Arc::clone(&taken),
            block,
            draw: Draw::new(block.seed, number, &load.pick),
            keys: load.pick.keys as u64,
            pace: pace.clone(),
            progress: progress.clone(),
            latencies: Arc::clone(&tally.latencies),
            slot: usize::try_from(number).expect("of a usize") % tally.latencies.len(),
            kept: Vec::with_capacity(KEPT_MAX),
            counted: begin,
        };
        workers.spawn(worker.work());
    }
    while let Some(ended) = workers.join_next().await {
        ended??;
    }
    let time = begin.elapsed();
    tally.ops += block.ops;
    tally.time += time;
    let spent = self::cpu().zip(cpu).map(|(now, before)| now - before);
    tally.cpu = tally.cpu.zip(spent).map(|(sum, spent)| sum + spent);
    tally.rates.push(rate(block.ops, time));
    Ok(())
}

/// What all threads of this process have computed so far, where the system tells (Linux). It says
/// more than the time that passed when others use the machine as well.
fn cpu() -> Option<Duration> {
    let threads = std::fs::read_dir("/proc/self/task").ok()?;
    let of_one = |thread: std::io::Result<std::fs::DirEntry>| {
        let told = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        told.split(' ').next()?.parse::<u64>().ok()
    };
    let nanos: Option<u64> = threads.map(of_one).sum();
    nanos.map(Duration::from_nanos)
}

struct Worker<S> {
    side: Arc<S>,
    taken: Arc<AtomicU64>,
    block: Block,
    draw: Draw,
    keys: u64,
    pace: Pace,
    progress: Progress,
    latencies: Arc<[Mutex<Histogram<u64>>]>,
    slot: usize,
    /// The times that are not counted yet.
    kept: Vec<u64>,
    /// When it counted last.
    counted: Instant,
}

impl<S: Side> Worker<S> {
    async fn work(mut self) -> Result<(), Failure> {
        loop {
            self.pace.turn().await;
            let number = self.taken.fetch_add(1, Ordering::Relaxed);
            if number >= self.block.ops {
                self.count();
                return Ok(());
            }
            let key = if self.block.in_turn && number < self.keys {
                usize::try_from(number)?
            } else {
                self.draw.key()
            };
            let begin = self.pace.begin(number);
            self.side.operate(key).await?;
            self.kept.push(u64::try_from(begin.elapsed().as_nanos())?);
            if self.kept.len() == KEPT_MAX || begin.duration_since(self.counted) > KEPT_FOR {
                self.counted = begin;
                self.count();
            }
        }
    }

    /// Counts the times that are kept.
    fn count(&mut self) {
        self.progress.add(self.kept.len() as u64);
        let latencies = self.latencies[self.slot].lock();
        let mut latencies = latencies.unwrap_or_else(PoisonError::into_inner);
        for nanos in self.kept.drain(..) {
            latencies.saturating_record(nanos);
        }
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a rate is rounded for people anyway"
)]
fn rate(ops: u64, time: Duration) -> f64 {
    ops as f64 / time.as_secs_f64()
}
