//! One block of operations at a concurrency, timed: the same for Tenure and for the raw peer.

use crate::draw::Draw;
use crate::options::Options;
use crate::progress::Progress;
use hdrhistogram::Histogram;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tenure_examples::Failure;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Who does operations.
pub(crate) trait Side: Send + Sync + 'static {
    /// Loads, changes and saves what the user with this number has; returns when it is
    /// acknowledged.
    fn operate(&self, user: usize) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// What the blocks of one side came to.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) ops: u64,
    pub(crate) time: Duration,
    /// What this process computed in that time, where the system tells.
    pub(crate) cpu: Option<Duration>,
    /// Operations per second of each block.
    pub(crate) rates: Vec<f64>,
    /// Nanoseconds from a call to its acknowledgement. One for each thread, so that they seldom
    /// wait for each other.
    latencies: Arc<[Mutex<Histogram<u64>>]>,
}

impl Tally {
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            ops: 0,
            time: Duration::ZERO,
            cpu: Some(Duration::ZERO),
            rates: Vec::new(),
            latencies: (0..threads).map(|_| Mutex::new(histogram())).collect(),
        }
    }

    pub(crate) fn ops_per_s(&self) -> f64 {
        rate(self.ops, self.time)
    }

    /// Microseconds of computing for each operation.
    pub(crate) fn cpu_us(&self) -> Option<f64> {
        self.cpu.map(|cpu| 1e6 / rate(self.ops, cpu))
    }

    pub(crate) fn latencies(&self) -> Histogram<u64> {
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

/// How a block is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub(crate) ops: u64,
    pub(crate) seed: u64,
    /// Every user in turn instead of drawn ones, as far as the operations go.
    pub(crate) in_turn: bool,
}

/// Does one block's operations and adds them to the tally.
pub(crate) async fn run<S: Side>(
    side: &Arc<S>,
    block: Block,
    options: &Options,
    progress: &Progress,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let taken = Arc::new(AtomicU64::new(0));
    let mut workers = JoinSet::new();
    let count = (options.concurrency as u64).min(block.ops);
    let cpu = cpu();
    let begin = Instant::now();
    for number in 0..count {
        let worker = Worker {
            side: Arc::clone(side),
            taken: Arc::clone(&taken),
            block,
            draw: Draw::new(block.seed, number, options.users, options.hot),
            users: options.users as u64,
            progress: progress.clone(),
            latencies: Arc::clone(&tally.latencies),
            slot: usize::try_from(number).expect("of a usize") % tally.latencies.len(),
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
    users: u64,
    progress: Progress,
    latencies: Arc<[Mutex<Histogram<u64>>]>,
    slot: usize,
}

impl<S: Side> Worker<S> {
    async fn work(mut self) -> Result<(), Failure> {
        loop {
            let number = self.taken.fetch_add(1, Ordering::Relaxed);
            if number >= self.block.ops {
                return Ok(());
            }
            let user = if self.block.in_turn && number < self.users {
                usize::try_from(number)?
            } else {
                self.draw.user()
            };
            let begin = Instant::now();
            self.side.operate(user).await?;
            let nanos = u64::try_from(begin.elapsed().as_nanos())?;
            let mut latencies = self.latencies[self.slot]
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            latencies.saturating_record(nanos);
            drop(latencies);
            self.progress.one();
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
