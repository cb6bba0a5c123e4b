//! Asks of the shards that a fault concerns, one after the other on each: they tell how long callers
//! had to wait.

use crate::asks::{Asks, What};
use crate::history::{Class, Done, Outcome};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// From the fault to the end of the first ask that another epoch's owner answered.
    TakeOver,
    /// From the end of the last ask that the old owner answered to the end of the first one that the
    /// new owner answered.
    HandOver,
    /// From the fault to the end of the first ask that was answered well of those begun after it.
    Return,
}

/// A shard that a fault concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Concerned {
    pub(crate) class: Class,
    pub(crate) shard: u16,
    /// Its epoch before the fault.
    pub(crate) epoch: u64,
}

/// What came of one shard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) concerned: Concerned,
    /// `None` when it did not come so far in time.
    pub(crate) took_us: Option<u64>,
}

/// Asks that go on until each shard is measured, or their time is up.
#[derive(Debug)]
pub(crate) struct Probes {
    tasks: JoinSet<Measured>,
    /// When the fault was; `None` before it.
    fault: watch::Sender<Option<u64>>,
    /// Whether it is not worth waiting for what has not come so far.
    over: watch::Sender<bool>,
}

struct Probe {
    asks: Arc<Asks>,
    concerned: Concerned,
    key: usize,
    measure: Measure,
    pause: Duration,
    patience: Duration,
    fault: watch::Receiver<Option<u64>>,
    over: watch::Receiver<bool>,
}

impl Probes {
    /// Begins to ask.
    pub(crate) fn start(
        asks: &Arc<Asks>,
        concerned: &[Concerned],
        measure: Measure,
        pause: Duration,
        patience: Duration,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let (fault, faulted) = watch::channel(None);
        let (over, is_over) = watch::channel(false);
        for &concerned in concerned {
            // The last of its keys: the first ones have half of the load.
            let key = asks
                .shards
                .iter()
                .rposition(|shard| *shard == concerned.shard);
            let Some(key) = key else { continue };
            let probe = Probe {
                asks: Arc::clone(asks),
                concerned,
                key,
                measure,
                pause,
                patience,
                fault: faulted.clone(),
                over: is_over.clone(),
            };
            tasks.spawn(probe.run());
        }
        Self { tasks, fault, over }
    }

    /// Says when the fault was.
    pub(crate) fn faulted(&self, at_us: u64) {
        self.fault.send_replace(Some(at_us));
    }

    /// Waits for all.
    pub(crate) async fn all(mut self) -> Vec<Measured> {
        let mut measured = Vec::new();
        while let Some(one) = self.tasks.join_next().await {
            measured.extend(one);
        }
        measured
    }

    /// Ends all.
    pub(crate) async fn end(self) -> Vec<Measured> {
        self.over.send_replace(true);
        self.all().await
    }
}

impl Probe {
    async fn run(self) -> Measured {
        let late = Instant::now() + self.patience;
        let mut last_old_us = None;
        let mut took_us = None;
        while took_us.is_none() && Instant::now() < late && !*self.over.borrow() {
            let id = self.asks.id();
            let what = What::Add { id, amount: 1 };
            let ask = self.asks.ask(self.concerned.class, self.key, what).await;
            let fault_us = *self.fault.borrow();
            if let Outcome::Ok(Done {
                epoch: Some(epoch), ..
            }) = ask.outcome
            {
                let is_new = epoch != self.concerned.epoch;
                took_us = match self.measure {
                    Measure::TakeOver if is_new => {
                        fault_us.map(|at| ask.end_us - at.min(ask.end_us))
                    }
                    Measure::HandOver if is_new => {
                        // One that was handed over before it could be asked has kept nobody waiting.
                        let last = last_old_us.unwrap_or(ask.start_us);
                        fault_us.map(|_| ask.end_us - last)
                    }
                    Measure::Return => {
                        let at = fault_us.filter(|at| *at <= ask.start_us);
                        at.map(|at| ask.end_us - at)
                    }
                    Measure::TakeOver | Measure::HandOver => None,
                };
                if !is_new {
                    last_old_us = Some(ask.end_us);
                }
            }
            sleep(self.pause).await;
        }
        Measured {
            concerned: self.concerned,
            took_us,
        }
    }
}
