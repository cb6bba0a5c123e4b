//! A history as it is in its file: one object of JSON on a line, the run's first and its end's last.

use serde::Deserialize;
use std::fs;
use std::path::Path;

/// How a shard is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Class {
    Fenced,
    Leased,
}

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Op {
    Add,
    Look,
}

/// What came of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub(crate) enum Outcome {
    Ok(Done),
    Rejected {},
    Refused {},
    Unknown {},
}

/// An answer.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Done {
    /// What the counter is at.
    pub(crate) value: u64,
    /// Of an entity how many adds it holds, of an actor how many messages it has had.
    pub(crate) version: u64,
    /// Where the commit is in the stream.
    pub(crate) sequence: Option<u64>,
    pub(crate) node: Option<String>,
    pub(crate) epoch: Option<u64>,
    /// Which life of the actor it was.
    pub(crate) activation: Option<String>,
    /// It may be old.
    pub(crate) local: bool,
    /// It is the answer of an earlier attempt.
    pub(crate) duplicate: bool,
}

/// One attempt; times are microseconds since the run began.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Ask {
    pub(crate) class: Class,
    pub(crate) key: String,
    pub(crate) shard: u16,
    pub(crate) op: Op,
    /// Attempts of one command have the same.
    pub(crate) id: Option<String>,
    pub(crate) amount: u64,
    /// It was made when all had ended.
    #[serde(rename = "final")]
    pub(crate) is_final: bool,
    pub(crate) start_us: u64,
    pub(crate) end_us: u64,
    pub(crate) deadline_us: u64,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
    /// Its line in the file, from 1.
    #[serde(skip)]
    pub(crate) line: usize,
}

impl Ask {
    /// The answer, if there is one.
    pub(crate) fn done(&self) -> Option<&Done> {
        match &self.outcome {
            Outcome::Ok(done) => Some(done),
            Outcome::Rejected {} | Outcome::Refused {} | Outcome::Unknown {} => None,
        }
    }

    /// How a reason names it.
    pub(crate) fn named(&self) -> String {
        format!("line {} ({} of {})", self.line, self.op.name(), self.key)
    }
}

impl Op {
    fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Look => "look",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(tag = "line", rename_all = "lowercase")]
enum Line {
    Run { format: u32 },
    Ask(Ask),
    Fault {},
    End { asks: u64 },
}

/// A whole history.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) asks: Vec<Ask>,
    pub(crate) faults: usize,
    /// How many asks its end says that it has.
    pub(crate) asks_said: Option<u64>,
}

impl History {
    /// The asks of one class.
    pub(crate) fn of(&self, class: Class) -> Vec<&Ask> {
        self.asks.iter().filter(|ask| ask.class == class).collect()
    }
}

/// The only version of the format so far.
const FORMAT: u32 = 1;

/// Reads a file.
pub(crate) fn history(file: &Path) -> Result<History, String> {
    let text = fs::read_to_string(file);
    let text = text.map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let mut history = History::default();
    let mut begun = false;
    for (at, line) in text.lines().enumerate() {
        let number = at + 1;
        let line = serde_json::from_str(line);
        let line = line.map_err(|error| format!("line {number} is of no history: {error}"))?;
        match line {
            Line::Run { format: FORMAT } if number == 1 => begun = true,
            Line::Run { format } => {
                return Err(format!(
                    "line {number} begins a history of format {format}; this program reads format {FORMAT}, on line 1"
                ));
            }
            Line::Ask(ask) => history.asks.push(Ask {
                line: number,
                ..ask
            }),
            Line::Fault {} => history.faults += 1,
            Line::End { asks } => history.asks_said = Some(asks),
        }
    }
    if begun {
        Ok(history)
    } else {
        Err(format!("{} is no history: it is empty", file.display()))
    }
}
