//! What a run is told, and what is refused of it, each with the remedy.

use clap::Parser;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use tenure_examples::load::{OPS_MAX, Place, at_most, none_is_zero};

/// So often a process is killed at most.
const KILLS_MAX: usize = 1_000;

/// Projects the sums of counters while they are added to, and kills the process that does it again and
/// again; in the end the sums are held against a replay of the log by the bare client.
///
/// The process keeps two projections: one in memory, with snapshots in the namespace, and one in SQLite.
/// After that it is measured how fast a projection is built from the first event beside the bare client's
/// ordered consumer, how long after its commit an event is in the state, and what memory an event costs that
/// fails again and again.
#[derive(Clone, Debug, Parser)]
#[command(name = "projection")]
pub(crate) struct Options {
    /// Where the log is: in memory, where nothing can be killed, or on NATS; without --nats on a server of
    /// this run alone
    #[arg(long, value_enum, default_value_t = Place::Nats)]
    pub(crate) shell: Place,
    /// A running nats-server with JetStream, such as nats://localhost:4222; the streams of this run are
    /// removed from it afterwards
    #[arg(long, value_name = "URL")]
    pub(crate) nats: Option<String>,
    /// How many events are stored
    #[arg(long, default_value_t = 100_000)]
    pub(crate) events: u64,
    /// How often the process is killed while they arrive
    #[arg(long, default_value_t = 10)]
    pub(crate) kill: usize,
    /// How many counters there are
    #[arg(long, default_value_t = 1_000)]
    pub(crate) keys: usize,
    /// How many commands are under way at once
    #[arg(long, default_value_t = 256)]
    pub(crate) outstanding: usize,
    /// Commands per second while the delay is measured
    #[arg(long, default_value_t = 5_000)]
    pub(crate) rate: u32,
    /// For how many seconds it is
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u32,
    /// How often the event is tried that fails
    #[arg(long, default_value_t = 10_000)]
    pub(crate) retries: u32,
    /// Worker threads; 1 is tokio's current-thread runtime
    #[arg(long, default_value = "2")]
    pub(crate) threads: NonZeroUsize,
    /// The seed of the names; drawn when it is not given
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Print one line of JSON at the end
    #[arg(long)]
    pub(crate) json: bool,
    /// Be the process that is killed, with its database in this folder
    #[arg(long, hide = true, value_name = "FOLDER")]
    pub(crate) victim: Option<PathBuf>,
    /// The namespace of the process that is killed
    #[arg(long, hide = true, requires = "victim", default_value = "")]
    pub(crate) namespace: String,
}

impl Options {
    /// Refuses what cannot be run.
    pub(crate) fn check(&self) -> Result<(), String> {
        none_is_zero(&[
            ("keys", self.keys, "leaves nothing to add to"),
            ("outstanding", self.outstanding, "does nothing"),
            ("rate", self.rate as usize, "commits nothing"),
            ("seconds", self.seconds as usize, "measures nothing"),
            ("retries", self.retries as usize, "measures nothing"),
        ])?;
        at_most("kill", self.kill, KILLS_MAX)?;
        if !(1..=OPS_MAX).contains(&self.events) {
            return Err(format!("--events is 1 to {OPS_MAX}"));
        }
        if self.shell == Place::Mem {
            return Err(
                "a log in memory ends with its process, so nothing can be killed and go on: add --shell nats"
                    .into(),
            );
        }
        Ok(())
    }
}
