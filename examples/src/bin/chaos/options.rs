//! What a run is told, and what is refused of it, each with the remedy.

use crate::bounds::Bounds;
use crate::schedule::{Asked, Fault};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;
use tenure_examples::load::Place;

/// Breaks a cluster of real processes over a real nats-server, under constant load, and holds the
/// history of every answer against what Tenure promises.
///
/// Stored counters (fenced class) and counters in memory (leased class) are added to. Meanwhile nodes
/// are killed, stopped, drained and started, and the server is restarted. The program `check`, which
/// shares no code with this one, judges the history.
#[derive(Clone, Debug, Parser)]
#[command(name = "chaos")]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) hidden: Option<Hidden>,
    /// Where the nodes meet: processes need a server, so only nats can be
    #[arg(long, value_enum, default_value_t = Place::Nats)]
    pub(crate) shell: Place,
    /// How many nodes there are at first
    #[arg(long, default_value_t = 7)]
    pub(crate) nodes: usize,
    /// For how long there is load, in seconds; longer if the faults take longer
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
    /// How many counters there are of each class
    #[arg(long, default_value_t = 10_000)]
    pub(crate) keys: usize,
    /// How many shards there are of each class
    #[arg(long, default_value_t = 64)]
    pub(crate) shards: u16,
    /// How many asks begin in a second, whatever becomes of those before
    #[arg(long, default_value_t = 400)]
    pub(crate) rate: u64,
    /// How long an ask waits for its answer
    #[arg(long, default_value_t = 5_000)]
    pub(crate) timeout_ms: u64,
    /// What is done to the cluster, each at least once
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "kill,stop,drain,join,nats"
    )]
    pub(crate) faults: Vec<Fault>,
    /// For how long a node is stopped (SIGSTOP), in seconds
    #[arg(long, default_value_t = 20)]
    pub(crate) stop_seconds: u64,
    /// How many faults come before the cluster has got over another one
    #[arg(long, default_value_t = 1)]
    pub(crate) overlaps: u64,
    /// What part of the load has to be answered well, in hundredths; below it the run shows nothing
    #[arg(long, default_value_t = 50, value_name = "PERCENT")]
    pub(crate) floor: u64,
    #[command(flatten)]
    pub(crate) bounds: Bounds,
    /// What the order of the faults, their victims and the load are drawn from; drawn and printed when
    /// it is not given
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Where the history is written
    #[arg(long, default_value = "chaos.jsonl")]
    pub(crate) history: PathBuf,
    /// End with one object of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Hidden {
    /// One node, as this program starts it
    #[command(hide = true)]
    Node(NodeOptions),
}

/// How a node's process is started.
#[derive(Clone, Debug, Args)]
pub(crate) struct NodeOptions {
    #[arg(long = "name")]
    pub(crate) name: String,
    #[arg(long = "server")]
    pub(crate) nats: String,
    #[arg(long = "namespace")]
    pub(crate) namespace: String,
    #[arg(long = "space-shards")]
    pub(crate) shards: u16,
}

impl Options {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// What the faults are planned from.
    pub(crate) fn asked(&self) -> Asked<'_> {
        Asked {
            faults: &self.faults,
            seconds: self.seconds,
            stop_seconds: self.stop_seconds,
            overlaps: self.overlaps,
        }
    }

    /// Refuses a load of which most counters would get nothing.
    pub(crate) fn check_load(&self) -> Result<(), String> {
        if self.rate * self.seconds < 2 * self.keys as u64 {
            let Self {
                rate,
                seconds,
                keys,
                ..
            } = self;
            return Err(format!(
                "--rate {rate} for --seconds {seconds} is less than an ask for each of {keys} counters of two classes: give a higher rate, or fewer --keys"
            ));
        }
        Ok(())
    }

    /// Refuses what cannot be run.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.shell == Place::Mem {
            return Err("--shell mem: memory is not shared by processes; give nats".into());
        }
        if !(2..=64).contains(&self.nodes) {
            let nodes = self.nodes;
            return Err(format!(
                "--nodes {nodes}: give 2 to 64, so that one can take over"
            ));
        }
        if self.faults.is_empty() {
            return Err("--faults names none: give some of kill,stop,drain,join,nats".into());
        }
        if !(1..=4_096).contains(&self.shards) {
            return Err(format!("--shards {}: give 1 to 4096", self.shards));
        }
        let keys_min = usize::from(self.shards) * 8;
        if !(keys_min..=1_000_000).contains(&self.keys) {
            let keys = self.keys;
            return Err(format!(
                "--keys {keys}: give {keys_min} (8 for each shard, so that none is without) to 1000000"
            ));
        }
        if !(1..=100_000).contains(&self.rate) {
            return Err(format!("--rate {}: give 1 to 100000", self.rate));
        }
        if !(1..=100).contains(&self.floor) {
            return Err(format!("--floor {}: give 1 to 100", self.floor));
        }
        if !(100..=60_000).contains(&self.timeout_ms) {
            let timeout = self.timeout_ms;
            return Err(format!("--timeout-ms {timeout}: give 100 to 60000"));
        }
        if !(1..=600).contains(&self.stop_seconds) {
            let stop = self.stop_seconds;
            return Err(format!("--stop-seconds {stop}: give 1 to 600"));
        }
        if self.overlaps > 1_000 {
            let overlaps = self.overlaps;
            return Err(format!("--overlaps {overlaps}: give 1000 or fewer"));
        }
        if self.overlaps > 0 && self.nodes < 3 {
            let nodes = self.nodes;
            return Err(format!(
                "--nodes {nodes} leaves none where two faults meet: give 3 or more, or --overlaps 0"
            ));
        }
        if self.seconds > 86_400 {
            return Err(format!("--seconds {}: give 86400 or fewer", self.seconds));
        }
        Ok(())
    }
}
