//! The history of a run: one object of JSON on a line, written as it happens. `check` reads it.

use serde::Serialize;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use tenure::TakeOver;

/// The version of the format: `check` refuses one that it does not know.
const FORMAT: u32 = 1;

/// How a shard is taken over, as the history names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Class {
    Fenced,
    Leased,
}

impl Class {
    pub(crate) const ALL: [Self; 2] = [Self::Fenced, Self::Leased];

    pub(crate) fn of(self) -> TakeOver {
        match self {
            Self::Fenced => TakeOver::Fenced,
            Self::Leased => TakeOver::Leased,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fenced => "fenced",
            Self::Leased => "leased",
        }
    }
}

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Op {
    Add,
    Look,
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// It was answered.
    Ok(Done),
    /// The counter said no, which no counter does.
    Rejected { error: String },
    /// It surely did nothing.
    Refused { error: String },
    /// It may have been done.
    Unknown { error: String },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Done {
    pub(crate) value: u64,
    /// Of an entity its version, of an actor how many messages its life has had.
    pub(crate) version: u64,
    pub(crate) sequence: Option<u64>,
    pub(crate) node: Option<String>,
    pub(crate) epoch: Option<u64>,
    pub(crate) activation: Option<String>,
    pub(crate) local: bool,
    pub(crate) duplicate: bool,
}

/// One attempt; times are microseconds since the run began.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Ask {
    pub(crate) class: Class,
    pub(crate) key: String,
    pub(crate) shard: u16,
    pub(crate) op: Op,
    pub(crate) id: Option<String>,
    pub(crate) amount: u64,
    #[serde(rename = "final")]
    pub(crate) is_final: bool,
    pub(crate) start_us: u64,
    pub(crate) end_us: u64,
    pub(crate) deadline_us: u64,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

/// A line.
#[derive(Debug, Serialize)]
#[serde(tag = "line", rename_all = "lowercase")]
enum Line<'a> {
    Run {
        format: u32,
        seed: u64,
        nodes: usize,
        shards: u16,
        keys: usize,
    },
    Ask(&'a Ask),
    Fault {
        fault: &'a str,
        whom: &'a str,
        at_us: u64,
    },
    End {
        asks: u64,
    },
}

/// How many asks came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub(crate) asks: u64,
    pub(crate) ok: u64,
    pub(crate) rejected: u64,
    pub(crate) refused: u64,
    pub(crate) unknown: u64,
}

/// The file, and what is in it.
#[derive(Debug)]
pub(crate) struct History(Mutex<Written>);

#[derive(Debug)]
struct Written {
    file: BufWriter<File>,
    counts: Counts,
    /// A disk that is full is told at the end.
    failed: Option<std::io::Error>,
}

impl History {
    /// Begins a history; what was in the file is gone.
    pub(crate) fn begin(
        path: &Path,
        seed: u64,
        nodes: usize,
        shards: u16,
        keys: usize,
    ) -> std::io::Result<Self> {
        let this = Self(Mutex::new(Written {
            file: BufWriter::new(File::create(path)?),
            counts: Counts::default(),
            failed: None,
        }));
        this.write(&Line::Run {
            format: FORMAT,
            seed,
            nodes,
            shards,
            keys,
        });
        Ok(this)
    }

    fn written(&self) -> std::sync::MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, line: &Line<'_>) {
        let text = serde_json::to_string(line);
        let mut written = self.written();
        let done = text.map_err(std::io::Error::from);
        let done = done.and_then(|text| writeln!(written.file, "{text}"));
        if let Err(error) = done {
            written.failed.get_or_insert(error);
        }
    }

    pub(crate) fn ask(&self, ask: &Ask) {
        self.write(&Line::Ask(ask));
        let mut written = self.written();
        let counts = &mut written.counts;
        counts.asks += 1;
        *match ask.outcome {
            Outcome::Ok(_) => &mut counts.ok,
            Outcome::Rejected { .. } => &mut counts.rejected,
            Outcome::Refused { .. } => &mut counts.refused,
            Outcome::Unknown { .. } => &mut counts.unknown,
        } += 1;
    }

    pub(crate) fn fault(&self, fault: &str, whom: &str, at_us: u64) {
        self.write(&Line::Fault { fault, whom, at_us });
    }

    pub(crate) fn counts(&self) -> Counts {
        self.written().counts
    }

    /// Writes the last line, without which `check` takes the history for cut.
    pub(crate) fn end(&self) -> std::io::Result<()> {
        let asks = self.counts().asks;
        self.write(&Line::End { asks });
        let mut written = self.written();
        written.failed.take().map_or(Ok(()), Err)?;
        written.file.flush()
    }
}
