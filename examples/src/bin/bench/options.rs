//! What a run is told, and what is refused of it, each with the remedy.

use clap::Parser;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;
use tenure_examples::counters::Kind;
use tenure_examples::load::{Asked, KEYS_MAX, Load, Pick, Place, Skew, at_most, none_is_zero};

/// As many nodes as one run starts.
const NODES_MAX: usize = 64;

/// As many keys as are drawn by Zipf's law: each has its place in a table.
const ZIPF_KEYS_MAX: usize = 1_000_000;

/// Asks counters of a cluster through a node that owns none, and says how fast that is.
///
/// All nodes are in this process, each with a connection of its own. An operation adds 1 to the
/// counter of one key, and ends with its answer; at the end all counters are read, and have to come
/// to what was answered. Keys are drawn from a seed.
///
/// By default a next operation begins when one ends (closed loop). With --rate operations are due at
/// fixed times, and an operation's time counts from when it was due, so that what a stall keeps
/// waiting is seen (open loop without coordinated omission).
#[derive(Clone, Debug, Parser)]
#[command(name = "bench")]
pub(crate) struct Options {
    /// Where the nodes meet: in memory, or on NATS; without --nats on a server of this run alone
    #[arg(long, value_enum, default_value_t = Place::Mem)]
    pub(crate) shell: Place,
    /// A running nats-server with JetStream, such as nats://localhost:4222; the streams of this run
    /// are removed from it afterwards
    #[arg(long, value_name = "URL")]
    pub(crate) nats: Option<String>,
    /// How many nodes own counters
    #[arg(long, default_value_t = 3)]
    pub(crate) nodes: usize,
    /// How many shards there are
    #[arg(long, default_value_t = 64)]
    pub(crate) shards: u16,
    /// How many counters there are
    #[arg(long, default_value_t = 1)]
    pub(crate) keys: usize,
    /// Draw the n-th key as often as 1/n to this power says, such as 0.99; without it all are drawn
    /// evenly
    #[arg(long, value_name = "POWER")]
    pub(crate) zipf: Option<f64>,
    /// How many operations are under way at once; with --rate at most
    #[arg(long, default_value_t = 64)]
    pub(crate) outstanding: usize,
    /// How many operations are due in a second
    #[arg(long, value_name = "PER_SECOND")]
    pub(crate) rate: Option<f64>,
    /// Counters are entities whose events are stored, instead of state in memory
    #[arg(long)]
    pub(crate) entity: bool,
    /// Measure the bare client, too: a request of its own for each operation, at the same number
    /// outstanding, in alternating blocks; those who answer it keep their counters in memory and
    /// store nothing
    #[arg(long)]
    pub(crate) raw: bool,
    /// How many operations are measured on each side
    #[arg(long, default_value_t = 100_000)]
    pub(crate) ops: u64,
    /// How many blocks the operations are done in; with --raw the two sides take turns
    #[arg(long, default_value_t = 10)]
    pub(crate) blocks: u64,
    /// Operations before the measurement, on both sides; by default one for each key in turn, and
    /// 1,000 at least
    #[arg(long, value_name = "OPS")]
    pub(crate) warmup: Option<u64>,
    /// Worker threads, of both sides; by default as many as there are cores, and no more than operations
    /// are under way at once. 1 is tokio's current-thread runtime
    #[arg(long)]
    pub(crate) threads: Option<NonZeroUsize>,
    /// How many loops each node has; by default the nodes share the worker threads out among them
    #[arg(long)]
    pub(crate) lanes: Option<NonZeroUsize>,
    /// The seed of the draws; drawn and printed when it is not given
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Print one line of JSON at the end
    #[arg(long)]
    pub(crate) json: bool,
}

impl Options {
    /// Refuses what cannot be run.
    pub(crate) fn check(&self) -> Result<(), String> {
        none_is_zero(&[
            ("keys", self.keys, "leaves nothing to draw"),
            ("nodes", self.nodes, "leaves nobody to ask"),
            ("shards", usize::from(self.shards), "leaves nothing to own"),
            ("outstanding", self.outstanding, "does nothing"),
        ])?;
        at_most("nodes", self.nodes, NODES_MAX)?;
        let keys_max = if self.zipf.is_some() {
            ZIPF_KEYS_MAX
        } else {
            KEYS_MAX
        };
        at_most("keys", self.keys, keys_max)?;
        let asked = Asked {
            ops: self.ops,
            warmup: self.warmup,
            blocks: self.blocks,
            shell: self.shell,
            nats: self.nats.as_deref(),
        };
        asked.check()?;
        if let Some(rate) = self.rate.filter(|rate| !(0.001..=1e9).contains(rate)) {
            return Err(format!(
                "--rate {rate} is no rate: give operations per second"
            ));
        }
        if let Some(power) = self.zipf.filter(|power| !(0.0..=10.0).contains(power)) {
            return Err(format!(
                "--zipf {power} is no power: give 0 to 10, such as 0.99"
            ));
        }
        if self.raw && self.shell != Place::Nats {
            return Err("--raw is a client of NATS: add --shell nats, or leave it out".into());
        }
        Ok(())
    }

    /// What counters are.
    pub(crate) fn kind(&self) -> Kind {
        if self.entity {
            Kind::Entity
        } else {
            Kind::Memory
        }
    }

    /// Worker threads.
    pub(crate) fn threads(&self) -> NonZeroUsize {
        self.threads.unwrap_or_else(|| {
            let cores = available_parallelism().unwrap_or(NonZeroUsize::MIN);
            let outstanding = NonZeroUsize::new(self.outstanding);
            cores.min(outstanding.unwrap_or(NonZeroUsize::MIN))
        })
    }

    /// How many loops each node has.
    pub(crate) fn lanes(&self) -> NonZeroUsize {
        let shared = self.threads().get().div_ceil(self.nodes.max(1));
        let shared = NonZeroUsize::new(shared).unwrap_or(NonZeroUsize::MIN);
        self.lanes.unwrap_or(shared)
    }

    /// Operations before the measurement.
    pub(crate) fn warmup(&self) -> u64 {
        self.warmup.unwrap_or_else(|| (self.keys as u64).max(1_000))
    }

    /// What all blocks have in common.
    pub(crate) fn load(&self) -> Load {
        Load {
            outstanding: self.outstanding,
            pick: Pick::new(self.keys, self.zipf.map_or(Skew::Even, Skew::Zipf)),
            rate: self.rate,
        }
    }
}
