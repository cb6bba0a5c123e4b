//! One run from the start of its nodes to the verdict on what their counters hold.

use crate::options::Options;
use crate::ours::Ours;
use crate::raw::Raw;
use crate::report::{Frames, Report};
use std::sync::Arc;
use tenure_examples::Failure;
use tenure_examples::counters::Plan;
use tenure_examples::load::{
    self, Block, First, Load, Memory, Progress, Side, Tally, Where, Wish, turns,
};

struct Run {
    options: Options,
    load: Load,
    seed: u64,
    ours: Arc<Ours>,
    raw: Option<Arc<Raw>>,
    progress: Progress,
}

/// Measures, prints what it came to, and reads all counters.
pub(crate) async fn run(options: Options, seed: u64) -> Result<(), Failure> {
    println!(
        "{} operations on {} keys of {} nodes, {} outstanding, seed {seed}",
        options.ops, options.keys, options.nodes, options.outstanding
    );
    let place = Where::prepare(Wish {
        place: options.shell,
        nats: options.nats.as_deref(),
        replicas: None,
        prefix: "bench",
        seed,
    })
    .await?;
    let ended = at(&place, options, seed).await;
    // Also after an error, which is what is told then.
    let cleaned = place.clean().await;
    ended.and(cleaned)
}

async fn at(place: &Where, options: Options, seed: u64) -> Result<(), Failure> {
    let plan = Plan {
        place: place.url.clone(),
        namespace: place.namespace.clone(),
        shards: options.shards,
        kind: options.kind(),
        lanes: options.lanes(),
        queue_max: None,
        idle_after: None,
    };
    let ids = (0..options.keys)
        .map(|key| format!("key-{key:06}"))
        .collect();
    let ours = Arc::new(Ours::start(&plan, options.nodes, ids).await?);
    let ended = with(&ours, place, options, seed).await;
    // Nothing is written any more when the streams are removed.
    ours.stop().await;
    ended
}

async fn with(ours: &Arc<Ours>, place: &Where, options: Options, seed: u64) -> Result<(), Failure> {
    let raw = if options.raw {
        let raw = Raw::new(&place.url, place.raw_namespace(), options.nodes, ours.ids()).await?;
        Some(Arc::new(raw))
    } else {
        None
    };
    let sides = 1 + u64::from(options.raw);
    let run = Run {
        progress: Progress::new((options.ops + options.warmup()) * sides),
        load: options.load(),
        options,
        seed,
        ours: Arc::clone(ours),
        raw,
    };
    run.measure().await
}

impl Run {
    async fn measure(self) -> Result<(), Failure> {
        let threads = self.options.threads().get();
        let warmup = self.options.warmup();
        if warmup > 0 {
            let block = Block {
                ops: warmup,
                seed: self.seed,
                in_turn: true,
            };
            self.block(&self.ours, block, &mut Tally::new(threads))
                .await?;
            self.raw_block(block, &mut Tally::new(threads)).await?;
        }
        let before = self.ours.counted().await;
        let (mut ours, mut raw) = (Tally::new(threads), Tally::new(threads));
        for (block, first) in turns(self.options.ops, self.options.blocks, self.seed) {
            match first {
                First::Ours => {
                    self.block(&self.ours, block, &mut ours).await?;
                    self.raw_block(block, &mut raw).await?;
                }
                First::Raw => {
                    self.raw_block(block, &mut raw).await?;
                    self.block(&self.ours, block, &mut ours).await?;
                }
            }
        }
        let memory = Memory::read();
        let frames = Frames::between(&before, &self.ours.counted().await);
        self.progress.end();
        let report = Report {
            options: &self.options,
            seed: self.seed,
            ours: &ours,
            raw: self.raw.is_some().then_some(&raw),
            frames,
            repeated: self.ours.repeated(),
            memory,
            // A block ends well when each of its operations was answered.
            answered: warmup + ours.ops,
            read_back: self.ours.sum().await?,
        };
        report.print();
        if self.options.json {
            println!("{}", report.json());
        }
        report.verdict()
    }

    async fn raw_block(&self, block: Block, tally: &mut Tally) -> Result<(), Failure> {
        match &self.raw {
            None => Ok(()),
            Some(raw) => self.block(raw, block, tally).await,
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
