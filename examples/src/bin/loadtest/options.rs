//! What a run is told, and what is refused of it, each with the remedy.

use clap::{Parser, ValueEnum};
use std::num::NonZeroUsize;
use tenure::WriteMode;
use tenure_examples::load::{Asked, KEYS_MAX, Load, Pick, Place, Skew, at_most, none_is_zero};

/// As many shards as a namespace has by default.
pub(crate) const SHARDS: usize = 256;

/// Among so many users there are some of each shard, but in one run of 25,000.
const USERS_OF_ALL_SHARDS: usize = 4_000;

/// Loads, changes and saves entities through the user API, and says how fast that is.
///
/// Each operation is one command on the entity of one user: the state is loaded if the node does not
/// hold it, the command is decided on it, and its event is stored by a commit that is acknowledged.
/// Users are drawn at random, from a seed. At the end a second node reads all entities back and
/// compares their versions with what was acknowledged.
///
/// With --raw the bare client (on NATS), or a bare channel loop (in memory), does the same number of
/// operations in alternating blocks of the same run.
#[derive(Clone, Debug, Parser)]
#[command(name = "loadtest")]
pub(crate) struct Options {
    /// Where the events are kept: in memory, or on NATS; without --nats on servers of its own
    #[arg(long, value_enum, default_value_t = Place::Mem)]
    pub(crate) shell: Place,
    /// A running nats-server with JetStream, such as nats://localhost:4222; the streams of this run
    /// are removed from it afterwards
    #[arg(long, value_name = "URL")]
    pub(crate) nats: Option<String>,
    /// How many servers hold each stream; with 3 a cluster of three servers is started on loopback
    #[arg(long, value_name = "N")]
    pub(crate) replicas: Option<u32>,
    /// How many operations are measured
    #[arg(long, default_value_t = 20_000)]
    pub(crate) ops: u64,
    /// How many entities there are
    #[arg(long, default_value_t = 1_000)]
    pub(crate) users: usize,
    /// How many operations are under way at once
    #[arg(long, default_value_t = 64)]
    pub(crate) concurrency: usize,
    /// How many entities the node keeps in memory: its default number (on), none (off), or so many
    #[arg(long, value_name = "on|off|N", default_value = "on", value_parser = cache)]
    pub(crate) cache: Cache,
    /// After how many commits of an entity a snapshot is taken, or off
    #[arg(long, value_name = "N|off", default_value = "off", value_parser = every)]
    pub(crate) snapshots: Every,
    /// Whether every writer checks the entity's own version, or the owner of its shard writes
    #[arg(long, value_enum, default_value_t = Mode::Direct)]
    pub(crate) kind: Mode,
    /// Worker threads, and as many loops of the node. 1 is tokio's current-thread runtime, which is
    /// what the examples use and the fastest for one connection; the raw peer runs in the same one
    #[arg(long, default_value_t = NonZeroUsize::MIN)]
    pub(crate) threads: NonZeroUsize,
    /// How many operations of a hundred go to the first user; the others are drawn evenly
    #[arg(long, value_name = "PERCENT", default_value_t = 0)]
    pub(crate) hot: u64,
    /// Operations before the measurement, on both sides; by default one for each user in turn
    #[arg(long, value_name = "OPS")]
    pub(crate) warmup: Option<u64>,
    /// The seed of the draws; drawn and printed when it is not given
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Measure the raw peer, too
    #[arg(long)]
    pub(crate) raw: bool,
    /// The raw peer on NATS publishes once for all that wait for one subject, which is more than a
    /// bare client does
    #[arg(long, requires = "raw")]
    pub(crate) raw_fold: bool,
    /// How many blocks the operations are done in; with --raw the two sides take turns
    #[arg(long, default_value_t = 10)]
    pub(crate) blocks: u64,
    /// Kill the leader of the first event stream after half of the operations, as kill -9 does, and
    /// start it again after three quarters; for a cluster of the run's own, and for so many users that
    /// all shards are at work
    #[arg(long, conflicts_with_all = ["raw", "nats"])]
    pub(crate) kill_leader: bool,
    /// Print one line of JSON at the end
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    Direct,
    Owned,
}

impl Mode {
    pub(crate) fn write_mode(self) -> WriteMode {
        match self {
            Self::Direct => WriteMode::Direct,
            Self::Owned => WriteMode::Owned,
        }
    }
}

/// How many entities stay in memory; `None` is as many as the node keeps by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cache(pub(crate) Option<usize>);

fn cache(text: &str) -> Result<Cache, String> {
    match text {
        "on" => Ok(Cache(None)),
        "off" => Ok(Cache(Some(0))),
        number => match number.parse() {
            Ok(entities) => Ok(Cache(Some(entities))),
            Err(_) => Err("give on, off, or a number of entities".into()),
        },
    }
}

/// After how many commits; `None` is never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Every(pub(crate) Option<u32>);

fn every(text: &str) -> Result<Every, String> {
    match text.parse() {
        Ok(0) | Err(_) if text != "off" => {
            Err("give a number of commits, 1 or more, or off".into())
        }
        Ok(commits) => Ok(Every(Some(commits))),
        Err(_) => Ok(Every(None)),
    }
}

impl Options {
    /// Refuses what cannot be run.
    pub(crate) fn check(&self) -> Result<(), String> {
        none_is_zero(&[
            ("users", self.users, "leaves nobody to draw"),
            ("concurrency", self.concurrency, "does nothing"),
        ])?;
        if self.hot > 100 {
            return Err("--hot is a part of a hundred: give 0 to 100".into());
        }
        at_most("users", self.users, KEYS_MAX)?;
        let asked = Asked {
            ops: self.ops,
            warmup: self.warmup,
            blocks: self.blocks,
            shell: self.shell,
            nats: self.nats.as_deref(),
        };
        asked.check()?;
        let on_nats = self.shell == Place::Nats;
        if self.kill_leader && self.replicas.is_none_or(|replicas| replicas < 3) {
            return Err("--kill-leader is for a cluster: add --shell nats --replicas 3".into());
        }
        if self.kill_leader && self.users < USERS_OF_ALL_SHARDS {
            let users = self.users;
            return Err(format!(
                "--kill-leader is for all {SHARDS} shards at work, which --users {users} are too few \
                 for: give {USERS_OF_ALL_SHARDS} or more"
            ));
        }
        if self.raw_fold && !on_nats {
            return Err("--raw-fold is for publishes: add --shell nats, or leave it out".into());
        }
        match self.replicas {
            Some(_) if !on_nats => {
                Err("--replicas is for streams on servers: add --shell nats".into())
            }
            Some(1 | 3 | 5) | None => Ok(()),
            Some(other) => Err(format!(
                "--replicas {other} is no cluster's size: give 1, 3 or 5"
            )),
        }
    }

    /// What all blocks have in common.
    pub(crate) fn load(&self) -> Load {
        let skew = match self.hot {
            0 => Skew::Even,
            hot => Skew::Hot(hot),
        };
        Load {
            outstanding: self.concurrency,
            pick: Pick::new(self.users, skew),
            rate: None,
        }
    }
}
