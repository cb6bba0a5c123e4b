//! What a run came to, for people and as one line of JSON.

use crate::options::Options;
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
    /// What the node that asks counted over the measured operations.
    pub(crate) frames: Frames,
    /// How often an operation was sent again.
    pub(crate) repeated: u64,
    pub(crate) memory: Memory,
    /// How many operations were answered, those before the measurement among them.
    pub(crate) answered: u64,
    /// What all counters came to.
    pub(crate) read_back: u64,
}

/// How requests went on their way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frames {
    pub(crate) sent: u64,
    pub(crate) entries: u64,
    /// Requests that went to another node, each attempt.
    pub(crate) forwarded: u64,
}

impl Frames {
    pub(crate) fn between(before: &Counters, after: &Counters) -> Self {
        Self {
            sent: after.frames_sent - before.frames_sent,
            entries: after.entries_sent - before.entries_sent,
            forwarded: after.forwarded - before.forwarded,
        }
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "it is rounded for people anyway"
    )]
    fn entries_per_frame(self) -> f64 {
        self.entries as f64 / self.sent.max(1) as f64
    }
}

impl Report<'_> {
    /// How many operations ran on the node that asked, and crossed no wire.
    fn local(&self) -> u64 {
        self.ours.ops.saturating_sub(self.frames.forwarded)
    }

    /// Our median time of an operation by the raw peer's.
    fn latency_ratio(&self) -> Option<f64> {
        let micros = |tally: &Tally| {
            let nanos = tally.latencies().value_at_percentile(50.0);
            std::time::Duration::from_nanos(nanos).as_secs_f64()
        };
        self.raw.map(|raw| micros(self.ours) / micros(raw))
    }

    pub(crate) fn print(&self) {
        self.ours.print("Tenure");
        if let Some(raw) = self.raw {
            raw.print("raw");
            let (ratio, median) = ratios(self.ours, raw);
            println!("ratio {ratio:.3}, median of the blocks' {median:.3}");
        }
        if let Some(ratio) = self.latency_ratio() {
            println!("median time {ratio:.3} of the raw one's");
        }
        println!(
            "{} frames for {} requests, {:.1} in each; {} operations sent again, {} local",
            self.frames.sent,
            self.frames.entries,
            self.frames.entries_per_frame(),
            self.repeated,
            self.local(),
        );
        println!(
            "{} operations answered, the counters come to {}",
            self.answered, self.read_back
        );
    }

    pub(crate) fn json(&self) -> Value {
        let mut fields = Map::new();
        self.ours.tell(&mut fields, "");
        if let Some(raw) = self.raw {
            raw.tell(&mut fields, "raw_");
            let (ratio, median) = ratios(self.ours, raw);
            fields.insert("ratio".into(), json!(round(ratio, 4)));
            fields.insert("ratio_median".into(), json!(round(median, 4)));
        }
        if let Some(ratio) = self.latency_ratio() {
            fields.insert("latency_ratio".into(), json!(round(ratio, 4)));
        }
        let more = json!({
            "ops": self.ours.ops,
            "nodes": self.options.nodes,
            "shards": self.options.shards,
            "keys": self.options.keys,
            "zipf": self.options.zipf,
            "outstanding": self.options.outstanding,
            "rate": self.options.rate,
            "entity": self.options.entity,
            "threads": self.options.threads(),
            "lanes": self.options.lanes(),
            "seed": self.seed,
            "frames": self.frames.sent,
            "entries_per_frame": round(self.frames.entries_per_frame(), 2),
            "repeated": self.repeated,
            "local": self.local(),
            "rss_bytes": self.memory.now,
            "rss_peak_bytes": self.memory.peak,
            "acknowledged": self.answered,
            "read_back": self.read_back,
        });
        if let Value::Object(more) = more {
            fields.extend(more);
        }
        Value::Object(fields)
    }

    /// Whether the counters come to what was answered.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        let (answered, read_back) = (self.answered, self.read_back);
        if answered == read_back {
            return Ok(());
        }
        Err(format!("{answered} answered operations are {read_back} in the counters").into())
    }
}
