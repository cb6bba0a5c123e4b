//! A load test: load, change and save at a concurrency, in memory and on NATS, beside a raw peer.

mod block;
mod counter;
mod draw;
mod options;
mod ours;
mod progress;
mod raw_mem;
mod raw_nats;
mod report;
mod servers;
mod stored;

use block::{Block, Failure, Side, Tally};
use clap::Parser;
use counter::SETTINGS;
use options::{Options, Place};
use ours::Ours;
use progress::Progress;
use raw_mem::RawMem;
use raw_nats::{Names, RawNats};
use report::{Memory, Report};
use servers::Where;
use std::process::ExitCode;
use std::sync::Arc;
use stored::Stored;
use tenure::{Counters, KindSettings, SnapshotPolicy};
use tokio::runtime::Runtime;

/// The raw peer of the run, if there is one.
enum Raw {
    None,
    Mem(Arc<RawMem>),
    Nats(Arc<RawNats>),
}

struct Run {
    options: Options,
    seed: u64,
    place: Where,
    ours: Arc<Ours>,
    raw: Raw,
    stored: Option<Stored>,
    progress: Progress,
}

async fn run(options: Options) -> Result<(), Failure> {
    let seed = match options.seed {
        Some(seed) => seed,
        None => drawn_seed(),
    };
    println!(
        "{} operations on {} users at concurrency {}, seed {seed}",
        options.ops, options.users, options.concurrency
    );
    let place = Where::prepare(&options, seed).await?;
    let tenure = ours::start(&place, options.threads).await?;
    let ours = Arc::new(Ours::new(tenure, options.users).await?);
    let stored = match options.shell {
        Place::Mem => None,
        Place::Nats => Some(Stored::open(&place.url, &place.namespace).await?),
    };
    let raw = match (options.raw, options.shell) {
        (false, _) => Raw::None,
        (true, Place::Mem) => Raw::Mem(Arc::new(RawMem::new())),
        (true, Place::Nats) => {
            let names = Names {
                model: &place.namespace,
                own: &place.raw_namespace(),
            };
            let raw = RawNats::new(&place.url, names, ours.ids(), options.raw_fold).await?;
            Raw::Nats(Arc::new(raw))
        }
    };
    let sides = 1 + u64::from(options.raw);
    let warmup = options.warmup.unwrap_or(options.users as u64);
    let run = Run {
        progress: Progress::new((options.ops + warmup) * sides),
        options,
        seed,
        place,
        ours,
        raw,
        stored,
    };
    run.measure(warmup).await
}

impl Run {
    async fn measure(mut self, warmup: u64) -> Result<(), Failure> {
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
        let before = self.ours.tenure.counters().await;
        let (mut ours, mut raw) = (Tally::new(threads), Tally::new(threads));
        let blocks: Vec<u64> = self.options.blocks().collect();
        for (number, ops) in (1..).zip(blocks) {
            let block = Block {
                ops,
                seed: self.seed.wrapping_add(number),
                in_turn: false,
            };
            // Who is first takes turns, too, so that neither is always after the other.
            if number % 2 == 1 {
                self.ours_block(block, &mut ours).await?;
                self.raw_block(block, &mut raw).await?;
            } else {
                self.raw_block(block, &mut raw).await?;
                self.ours_block(block, &mut ours).await?;
            }
        }
        let memory = Memory::read();
        let counters = since(&before, self.ours.tenure.counters().await);
        let stored = match &mut self.stored {
            Some(stored) => Some((stored.messages().await?, stored.payload_bytes().await?)),
            None => None,
        };
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
        drop(self.progress);
        report.print();
        let acknowledged = self.ours.acknowledged();
        self.ours.tenure.stop().await;
        let read_back = read_back(&self.place, &self.options).await?;
        println!("{acknowledged} operations acknowledged, {read_back} read back by a second node");
        if self.options.json {
            println!("{}", report.json(read_back));
        }
        self.place.clean().await?;
        if read_back == acknowledged {
            Ok(())
        } else {
            Err(format!("{acknowledged} acknowledged operations are {read_back} in the log").into())
        }
    }

    async fn ours_block(&mut self, block: Block, tally: &mut Tally) -> Result<(), Failure> {
        self.block(&self.ours, block, tally).await?;
        if let (Raw::Nats(raw), Some(stored)) = (&self.raw, &mut self.stored) {
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
        block::run(side, block, &self.options, &self.progress, tally).await
    }
}

/// The sum of all versions, as a node reads it that has nothing in memory.
async fn read_back(place: &Where, options: &Options) -> Result<u64, Failure> {
    let tenure = ours::start(place, options.threads).await?;
    let second = Ours::new(tenure, options.users).await?;
    let sum = second.versions().await?;
    second.tenure.stop().await;
    Ok(sum)
}

fn since(before: &Counters, mut now: Counters) -> Counters {
    now.store_requests -= before.store_requests;
    now.store_unknown -= before.store_unknown;
    now.conflicts -= before.conflicts;
    now
}

#[allow(
    clippy::disallowed_types,
    reason = "the standard library's only source of random bits; nothing iterates"
)]
fn drawn_seed() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}

fn runtime(threads: usize) -> std::io::Result<Runtime> {
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    builder.enable_all().build()
}

fn started(options: Options) -> Result<(), Failure> {
    options.check()?;
    let mut settings = KindSettings::default();
    settings.mode = options.kind.write_mode();
    if let Some(commits) = options.snapshots.0 {
        settings = settings.snapshots(SnapshotPolicy::every(commits));
    }
    SETTINGS
        .set(settings)
        .map_err(|_| "settings are set once")?;
    runtime(options.threads.get())?.block_on(run(options))
}

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        // `--help` is among them, and is no error.
        Err(told) if !told.use_stderr() => told.exit(),
        Err(told) => return failed(&first_paragraph(&told.to_string())),
    };
    match started(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&format!("error: {error}")),
    }
}

fn failed(line: &str) -> ExitCode {
    eprintln!("{line}");
    ExitCode::FAILURE
}

/// The error itself on one line, without the hints at usage that follow it.
fn first_paragraph(told: &str) -> String {
    let lines = told.lines().take_while(|line| !line.is_empty());
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}
