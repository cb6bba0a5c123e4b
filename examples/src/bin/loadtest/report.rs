//! What a run came to, for people and as one line of JSON.

use crate::checker::Log;
use crate::options::{Options, SHARDS};
use serde_json::{Map, Value, json};
use tenure::Counters;
use tenure_examples::Failure;
use tenure_examples::load::{Memory, Tally, ratios, round};

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) options: &'a Options,
    pub(crate) seed: u64,
    pub(crate) ours: &'a Tally,
    pub(crate) raw: Option<&'a Tally>,
    /// The node's counters over the measured operations.
    pub(crate) counters: Counters,
    /// How often an operation was sent again.
    pub(crate) repeated: u64,
    /// Messages in the event streams, and the mean payload of a commit in bytes, on NATS.
    pub(crate) stored: Option<(u64, usize)>,
    /// Messages that the raw peer stored.
    pub(crate) raw_stored: Option<u64>,
    pub(crate) memory: Memory,
}

/// What was found after the run.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) acknowledged: u64,
    /// The sum of all versions, as a second node reads them.
    pub(crate) read_back: u64,
    /// The streams' commits, on NATS.
    pub(crate) log: Option<Log>,
    /// The server that was killed.
    pub(crate) leader_killed: Option<String>,
}

impl Verified {
    pub(crate) fn print(&self) {
        let (acknowledged, read_back) = (self.acknowledged, self.read_back);
        println!("{acknowledged} operations acknowledged, {read_back} read back by a second node");
        if let Some(server) = &self.leader_killed {
            println!(
                "server {server}, the leader of an event stream, was killed and started again"
            );
        }
        if let Some(log) = &self.log {
            println!(
                "{} commits on {} shards in the streams, with {} events",
                log.commits,
                log.shards(),
                log.versions(),
            );
        }
    }

    /// Whether what was acknowledged is in the log once, in order; and that on all shards where a
    /// leader was killed.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        let acknowledged = self.acknowledged;
        if self.read_back != acknowledged {
            let read_back = self.read_back;
            return Err(format!(
                "{acknowledged} acknowledged operations are {read_back} in the log"
            )
            .into());
        }
        let Some(log) = &self.log else { return Ok(()) };
        log.verdict()?;
        let shards = log.shards();
        if self.leader_killed.is_some() && shards != SHARDS {
            return Err(format!(
                "a leader was killed with {shards} of {SHARDS} shards at work: give more --users"
            )
            .into());
        }
        Ok(())
    }
}

impl Report<'_> {
    fn ratios(&self) -> Option<(f64, f64)> {
        self.raw.map(|raw| ratios(self.ours, raw))
    }

    pub(crate) fn print(&self) {
        self.ours.print("Tenure");
        if let Some(raw) = self.raw {
            raw.print("raw");
        }
        if let Some((ratio, median)) = self.ratios() {
            println!("ratio {ratio:.3}, median of the blocks' {median:.3}");
        }
        let Counters {
            store_requests,
            store_unknown,
            conflicts,
            ..
        } = &self.counters;
        println!(
            "{store_requests} requests to the store for {} operations, {store_unknown} without an \
             answer, {conflicts} conflicts, {} operations sent again",
            self.ours.ops, self.repeated
        );
        if let Some((messages, bytes)) = self.stored {
            println!("{messages} messages stored, {bytes} bytes in a commit");
        }
        if let Some(messages) = self.raw_stored {
            println!("{messages} messages stored by the raw peer");
        }
        if let Memory {
            now: Some(now),
            peak: Some(peak),
        } = self.memory
        {
            println!("memory {} MiB, at most {} MiB", now >> 20, peak >> 20);
        }
    }

    pub(crate) fn json(&self, verified: &Verified) -> Value {
        let mut fields = Map::new();
        self.ours.tell(&mut fields, "");
        if let Some(raw) = self.raw {
            raw.tell(&mut fields, "raw_");
        }
        if let Some((ratio, median)) = self.ratios() {
            fields.insert("ratio".into(), json!(round(ratio, 4)));
            fields.insert("ratio_median".into(), json!(round(median, 4)));
        }
        let more = json!({
            "ops": self.ours.ops,
            "users": self.options.users,
            "concurrency": self.options.concurrency,
            "threads": self.options.threads,
            "seed": self.seed,
            "store_requests": self.counters.store_requests,
            "store_unknown": self.counters.store_unknown,
            "conflicts": self.counters.conflicts,
            "lost_tails": self.counters.lost_tails,
            "halts": self.counters.halts,
            "repeated": self.repeated,
            "messages": self.stored.map(|(messages, _)| messages),
            "commit_bytes": self.stored.map(|(_, bytes)| bytes),
            "raw_messages": self.raw_stored,
            "rss_bytes": self.memory.now,
            "rss_peak_bytes": self.memory.peak,
            "acknowledged": verified.acknowledged,
            "read_back": verified.read_back,
            "commits": verified.log.as_ref().map(|log| log.commits),
            "shards": verified.log.as_ref().map(Log::shards),
            "leader_killed": verified.leader_killed,
        });
        if let Value::Object(more) = more {
            fields.extend(more);
        }
        Value::Object(fields)
    }
}
