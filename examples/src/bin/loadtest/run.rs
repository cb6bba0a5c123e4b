//! One run from the start of its servers to the verdict on what they hold.

use crate::checker;
use crate::leader::{self, Plan};
use crate::options::Options;
use crate::ours::{self, Ours};
use crate::raw_mem::RawMem;
use crate::raw_nats::{Names, RawNats};
use crate::report::{Report, Verified};
use crate::stored::Stored;
use std::sync::Arc;
use tenure::{Counters, Tenure};
use tenure_examples::Failure;
use tenure_examples::load::{
    self, Block, First, Load, Memory, Place, Progress, Side, Tally, Where, Wish, turns,
};
use tokio::task::JoinHandle;

/// The raw peer of the run, if there is one.
enum Raw {
    None,
    Mem(Arc<RawMem>),
    Nats(Arc<RawNats>),
}

struct Run<'a> {
    options: Options,
    load: Load,
    seed: u64,
    place: &'a Where,
    ours: Arc<Ours>,
    raw: Raw,
    stored: Option<Stored>,
    progress: Progress,
}

/// Measures, prints what it came to, and reads everything back.
pub(crate) async fn run(options: Options, seed: u64) -> Result<(), Failure> {
    println!(
        "{} operations on {} users at concurrency {}, seed {seed}",
        options.ops, options.users, options.concurrency
    );
    let place = Where::prepare(Wish {
        place: options.shell,
        nats: options.nats.as_deref(),
        replicas: options.replicas,
        prefix: "load",
        seed,
    })
    .await?;
    let ended = at(&place, options, seed).await;
    // Also after an error, which is what is told then.
    let cleaned = place.clean().await;
    ended.and(cleaned)
}

async fn at(place: &Where, options: Options, seed: u64) -> Result<(), Failure> {
    let tenure = ours::start(place, &options).await?;
    let ended = with(&tenure, place, options, seed).await;
    // Nothing is written any more when the streams are removed.
    tenure.stop().await;
    ended
}

async fn with(tenure: &Tenure, place: &Where, options: Options, seed: u64) -> Result<(), Failure> {
    let on_nats = options.shell == Place::Nats;
    let ours = Arc::new(Ours::new(tenure.clone(), options.users, on_nats).await?);
    let stored = if on_nats {
        Some(Stored::open(&place.url, &place.namespace).await?)
    } else {
        None
    };
    let raw = match (options.raw, options.shell) {
        (false, _) => Raw::None,
        (true, Place::Mem) => Raw::Mem(Arc::new(RawMem::new())),
        (true, Place::Nats) => {
            let names = Names {
                model: &place.namespace,
                own: place.raw_namespace(),
            };
            let raw = RawNats::new(&place.url, names, ours.ids(), options.raw_fold).await?;
            Raw::Nats(Arc::new(raw))
        }
    };
    let sides = 1 + u64::from(options.raw);
    let warmup = options.warmup.unwrap_or(options.users as u64);
    let run = Run {
        progress: Progress::new((options.ops + warmup) * sides),
        load: options.load(),
        options,
        seed,
        place,
        ours,
        raw,
        stored,
    };
    run.measure(warmup).await
}

impl Run<'_> {
    async fn measure(self, warmup: u64) -> Result<(), Failure> {
        let threads = self.options.threads.get();
        if warmup > 0 {
            let block = Block {
                ops: warmup,
                seed: self.seed,
                in_turn: true,
            };
            self.ours_block(block, &mut Tally::new(threads)).await?;
            self.raw_block(block, &mut Tally::new(threads)).await?;
        }
        let killed = self.kill_leader(warmup);
        let before = self.ours.tenure.counters().await;
        let (mut ours, mut raw) = (Tally::new(threads), Tally::new(threads));
        for (block, first) in turns(self.options.ops, self.options.blocks, self.seed) {
            match first {
                First::Ours => {
                    self.ours_block(block, &mut ours).await?;
                    self.raw_block(block, &mut raw).await?;
                }
                First::Raw => {
                    self.raw_block(block, &mut raw).await?;
                    self.ours_block(block, &mut ours).await?;
                }
            }
        }
        let memory = Memory::read();
        let counters = since(&before, self.ours.tenure.counters().await);
        let leader_killed = match killed {
            Some(task) => Some(task.await??),
            None => None,
        };
        let stored = match &self.stored {
            Some(stored) => Some((stored.messages().await?, stored.payload_bytes().await?)),
            None => None,
        };
        // An unharmed store keeps what it acknowledged, and no machine finds its own state wrong.
        let healthy = counters.halts == 0 && (counters.lost_tails == 0 || self.options.kill_leader);
        let harm = format!(
            "the node counted {} halts and {} lost tails of streams, of which there were none",
            counters.halts, counters.lost_tails
        );
        let report = Report {
            options: &self.options,
            seed: self.seed,
            ours: &ours,
            raw: self.options.raw.then_some(&raw),
            counters,
            repeated: self.ours.repeated(),
            stored,
            raw_stored: match &self.raw {
                Raw::None | Raw::Mem(_) => None,
                Raw::Nats(raw) => Some(raw.published()),
            },
            memory,
        };
        self.progress.end();
        report.print();
        self.ours.tenure.stop().await;
        let verified = self.verify(leader_killed).await?;
        verified.print();
        if self.options.json {
            println!("{}", report.json(&verified));
        }
        if !healthy {
            return Err(harm.into());
        }
        verified.verdict()
    }

    /// What a node reads that has nothing in memory, and what the bare client finds in the streams.
    async fn verify(&self, leader_killed: Option<String>) -> Result<Verified, Failure> {
        let tenure = ours::start(self.place, &self.options).await?;
        let second = Ours::new(tenure, self.options.users, false).await?;
        let read_back = second.versions().await?;
        second.tenure.stop().await;
        let log = match self.options.shell {
            Place::Mem => None,
            Place::Nats => {
                let mut log = checker::read(&self.place.url, &self.place.namespace).await?;
                log.compare(self.ours.told());
                Some(log)
            }
        };
        Ok(Verified {
            acknowledged: self.ours.acknowledged(),
            read_back,
            log,
            leader_killed,
        })
    }

    /// Begins to wait for the moment at which the first event stream's leader is killed.
    fn kill_leader(&self, warmup: u64) -> Option<JoinHandle<Result<String, Failure>>> {
        let cluster = self.options.kill_leader.then(|| self.place.cluster())??;
        let plan = Plan {
            kill_at: warmup + self.options.ops / 2,
            restart_at: warmup + self.options.ops / 4 * 3,
        };
        let stream = format!("{}_ev_0", self.place.namespace);
        let ours = Arc::clone(&self.ours);
        Some(tokio::spawn(leader::kill(cluster, stream, ours, plan)))
    }

    async fn ours_block(&self, block: Block, tally: &mut Tally) -> Result<(), Failure> {
        self.block(&self.ours, block, tally).await?;
        if let (Raw::Nats(raw), Some(stored)) = (&self.raw, &self.stored) {
            raw.payload_bytes(stored.payload_bytes().await?);
        }
        Ok(())
    }

    async fn raw_block(&self, block: Block, tally: &mut Tally) -> Result<(), Failure> {
        match &self.raw {
            Raw::None => Ok(()),
            Raw::Mem(raw) => self.block(raw, block, tally).await,
            Raw::Nats(raw) => self.block(raw, block, tally).await,
        }
    }

    async fn block<S: Side>(
        &self,
        side: &Arc<S>,
        block: Block,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        load::run(side, block, &self.load, &self.progress, tally).await
    }
}

fn since(before: &Counters, mut now: Counters) -> Counters {
    now.store_requests -= before.store_requests;
    now.store_unknown -= before.store_unknown;
    now.conflicts -= before.conflicts;
    now
}
