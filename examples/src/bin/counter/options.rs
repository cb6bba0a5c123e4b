//! What the example is told, and what is refused of it, each with the remedy.

use clap::{Args, Parser, ValueEnum};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU64, NonZeroUsize};
use tenure_examples::counters::Kind;
use tenure_examples::load::Place;

/// As many nodes as one run of the example starts.
const NODES_MAX: usize = 64;

/// As many shards as a namespace can have.
const SHARDS_MAX: u16 = 4_096;

/// Counters over HTTP, kept by a cluster of nodes: each counter is owned by one of them.
///
/// `POST /counter/{id}/increment` with nothing or `{"amount":n}` adds to a counter, `GET
/// /counter/{id}` reads it. What is answered 503 was not done, and may be sent again. The metrics are
/// at /metrics of a port of their own.
///
/// The nodes are in this process, or with --processes one in each of as many. Further ones may join
/// from elsewhere: --name starts one, with --http for an address of its own, and with the --nats and
/// --namespace of those that run. Any of them may be killed. SIGTERM and SIGINT end a process when it
/// has answered what it was asked and handed over what it owned.
#[derive(Clone, Debug, Parser)]
#[command(name = "counter")]
pub(crate) struct Options {
    /// How many nodes own counters
    #[arg(long, default_value_t = 7)]
    pub(crate) nodes: usize,
    /// How many shards a new namespace gets; one that is there keeps its own
    #[arg(long, default_value_t = 64)]
    pub(crate) shards: u16,
    /// Whether a counter is state in memory, which ends with its node, or an entity whose events are
    /// stored
    #[arg(long, value_enum, default_value_t = Kind::Memory)]
    pub(crate) kind: Kind,
    /// Where the nodes meet, and where events are stored: in memory, or on NATS; without --nats on a
    /// server of this run alone
    #[arg(long, value_enum, default_value_t = Place::Mem)]
    pub(crate) shell: Place,
    /// A running nats-server with JetStream, such as nats://localhost:4222
    #[arg(long, value_name = "URL")]
    pub(crate) nats: Option<String>,
    /// The namespace of the cluster; those who name the same one on the same servers are one cluster
    #[arg(long, default_value = "counter")]
    pub(crate) namespace: String,
    /// Each node in a process of its own, for --shell nats
    #[arg(long)]
    pub(crate) processes: bool,
    /// Start one node of this name, which joins the others
    #[arg(long, conflicts_with_all = ["nodes", "processes"])]
    pub(crate) name: Option<String>,
    /// Where requests are taken, an address or a port; 0 is any that is free, off is none
    #[arg(long, value_name = "ADDRESS", default_value = "8181", value_parser = address)]
    pub(crate) http: Listen,
    /// Where metrics are told
    #[arg(long, value_name = "ADDRESS", default_value = "2121", value_parser = address)]
    pub(crate) metrics: Listen,
    /// How many requests wait for one counter at most; one more is answered 503, with when to send it
    /// again
    #[arg(long, value_name = "REQUESTS")]
    pub(crate) queue: Option<NonZeroUsize>,
    /// How long a counter in memory is kept that nobody asks for, in milliseconds; 10 minutes when it is
    /// not set
    #[arg(long, value_name = "MS")]
    pub(crate) idle_after_ms: Option<NonZeroU64>,
    /// Worker threads; 1 is tokio's current-thread runtime
    #[arg(long, default_value_t = NonZeroUsize::MIN)]
    pub(crate) threads: NonZeroUsize,
    /// Keep the counters in a map of this process, without Tenure: what HTTP costs by itself
    #[arg(long, conflicts_with_all = ["nodes", "kind", "shell", "nats", "processes", "name", "queue", "idle_after_ms"])]
    pub(crate) bare: bool,
    /// Run the same routes with and without Tenure, in processes of their own, have the program `wrk`
    /// ask them in turns, and tell how they compare
    #[arg(long, conflicts_with_all = ["bare", "processes", "name", "queue", "http", "metrics"])]
    pub(crate) compare: bool,
    #[command(flatten)]
    pub(crate) comparison: Compare,
    /// End as soon as standard input does: a process that was started by another one ends with it
    #[arg(long, hide = true)]
    pub(crate) until_input_ends: bool,
}

/// How the two are compared.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Compare {
    /// How many connections ask at once
    #[arg(long, default_value_t = 200, requires = "compare")]
    pub(crate) connections: usize,
    /// How often each is asked
    #[arg(long, default_value_t = 5, requires = "compare")]
    pub(crate) turns: usize,
    /// How long each time
    #[arg(long, default_value_t = 3, requires = "compare")]
    pub(crate) seconds: u64,
    /// Print one line of JSON at the end
    #[arg(long, requires = "compare")]
    pub(crate) json: bool,
}

/// Where to listen, if at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listen(pub(crate) Option<SocketAddr>);

/// A choice as it is written.
fn written(choice: impl ValueEnum) -> String {
    let value = choice.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

fn address(text: &str) -> Result<Listen, String> {
    if text == "off" {
        return Ok(Listen(None));
    }
    if let Ok(port) = text.parse::<u16>() {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        return Ok(Listen(Some(SocketAddr::new(local, port))));
    }
    match text.parse() {
        Ok(address) => Ok(Listen(Some(address))),
        Err(_) => Err("give a port, an address as 127.0.0.1:8181, or off".into()),
    }
}

impl Options {
    /// The kind as it is written.
    pub(crate) fn kind_name(&self) -> String {
        written(self.kind)
    }

    /// The shell as it is written.
    pub(crate) fn shell_name(&self) -> String {
        written(self.shell)
    }

    /// How many nodes own counters at least, before requests are taken.
    pub(crate) fn owners_min(&self) -> usize {
        match self.name {
            // With how many others it shares them is theirs to know.
            Some(_) => 1,
            None => self.nodes.min(usize::from(self.shards)),
        }
    }

    /// Refuses what cannot be run.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.nodes == 0 {
            return Err("--nodes 0 leaves nobody to own a counter: give 1 or more".into());
        }
        if self.nodes > NODES_MAX {
            let nodes = self.nodes;
            return Err(format!(
                "--nodes {nodes} is too many for one run: give {NODES_MAX} or fewer"
            ));
        }
        if self.shards == 0 || self.shards > SHARDS_MAX {
            let shards = self.shards;
            return Err(format!("--shards {shards}: give 1 to {SHARDS_MAX}"));
        }
        let Compare {
            connections,
            turns,
            seconds,
            ..
        } = self.comparison;
        if connections == 0 || turns == 0 || seconds == 0 {
            return Err("--connections, --turns and --seconds: give 1 or more".into());
        }
        let on_nats = self.shell == Place::Nats;
        if self.nats.is_some() && !on_nats {
            return Err("--nats names a server: add --shell nats, or leave it out".into());
        }
        if self.processes && !on_nats {
            return Err("--processes meet on a server: add --shell nats".into());
        }
        if self.name.is_some() && self.nats.is_none() {
            return Err("--name joins others on a server: add --shell nats and --nats URL".into());
        }
        if self.idle_after_ms.is_some() && self.kind == Kind::Entity {
            return Err(
                "--idle-after-ms is for counters in memory: leave --kind entity out".into(),
            );
        }
        if self.http.0.is_none() && self.name.is_none() {
            return Err("--http off leaves nobody who asks: add --name, or give a port".into());
        }
        Ok(())
    }
}
