//! The load: so many asks begin in a second, whatever became of those before.

use crate::asks::{Asks, What};
use crate::history::{Class, Outcome};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tenure_examples::load::{Draw, Pick, Skew};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// So many of the keys have half of the load, so that asks of one key meet.
const HOT: usize = 100;

/// So many asks are under way at most; one that is due beyond is not made, which thins the load.
const OUTSTANDING_MAX: usize = 8_192;

/// A command that may have taken effect is sent again under its id so often at most.
const ATTEMPTS_MAX: u32 = 20;

/// How long after.
const AGAIN: Duration = Duration::from_millis(250);

/// How the load is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) rate: u64,
    pub(crate) seed: u64,
}

/// What it was.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Loaded {
    /// How many asks were due.
    pub(crate) due: u64,
    /// How many of them were answered well, if need be at a further attempt.
    pub(crate) ok: u64,
}

/// One ask that is due.
#[derive(Clone, Copy, Debug)]
struct Due {
    class: Class,
    key: usize,
    what: What,
    /// Whether its caller sends it again when it is unknown what became of it.
    insists: bool,
    /// Whether its caller sends it again although it was answered.
    doubts: bool,
}

impl Load {
    /// Runs until it is over, and all asks have ended.
    pub(crate) async fn run(self, asks: Arc<Asks>, over: watch::Receiver<bool>) -> Loaded {
        let pick = Pick::new(asks.shards.len(), Skew::Even);
        let mut draw = Draw::new(self.seed, 1, &pick);
        let under_way = Arc::new(Semaphore::new(OUTSTANDING_MAX));
        let ok = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        let begin = Instant::now();
        let mut due = 0;
        while !*over.borrow() {
            sleep_until(begin + Duration::from_nanos(1_000_000_000 * due / self.rate)).await;
            due += 1;
            let next = Due::draw(&mut draw, &asks);
            while tasks.try_join_next().is_some() {}
            let Ok(permit) = Arc::clone(&under_way).try_acquire_owned() else {
                continue;
            };
            let (asks, ok) = (Arc::clone(&asks), Arc::clone(&ok));
            tasks.spawn(async move {
                if next.run(&asks).await {
                    ok.fetch_add(1, Ordering::Relaxed);
                }
                drop(permit);
            });
        }
        while tasks.join_next().await.is_some() {}
        Loaded {
            due,
            ok: ok.load(Ordering::Relaxed),
        }
    }
}

impl Due {
    fn draw(draw: &mut Draw, asks: &Asks) -> Self {
        let key = match draw.below(2) {
            0 => draw.key() % HOT,
            _ => draw.key(),
        };
        let class = Class::ALL[usize::from(draw.below(2) == 0)];
        let what = if draw.below(10) == 0 {
            What::Look {
                local: class == Class::Fenced && draw.below(3) == 0,
                is_final: false,
            }
        } else {
            What::Add {
                id: asks.id(),
                amount: 1 + draw.below(5),
            }
        };
        Self {
            class,
            key,
            what,
            insists: draw.below(4) > 0,
            doubts: draw.below(50) == 0,
        }
    }

    /// Whether it was answered well.
    async fn run(self, asks: &Asks) -> bool {
        // Only a command of an entity has an id under which it takes effect at most once.
        let by_id = self.class == Class::Fenced && matches!(self.what, What::Add { .. });
        let mut unknown = false;
        for _ in 0..ATTEMPTS_MAX {
            match asks.ask(self.class, self.key, self.what).await.outcome {
                Outcome::Ok(_) => {
                    if by_id && self.doubts {
                        asks.ask(self.class, self.key, self.what).await;
                    }
                    return true;
                }
                Outcome::Unknown { .. } => unknown = true,
                // What came of the earlier attempt is still unknown.
                Outcome::Rejected { .. } | Outcome::Refused { .. } if unknown => {}
                Outcome::Rejected { .. } | Outcome::Refused { .. } => return false,
            }
            if !by_id || !self.insists {
                return false;
            }
            sleep(AGAIN).await;
        }
        false
    }
}
