//! The story of a run: what was seen of it, line by line, and what led to what.

use super::World;
use super::bars::Bar;
use super::event::{Part, Place};
use crate::oracle::Violation;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When, in true nanoseconds.
    pub at: u64,
    /// The event that it is part of, and the event in which that one was caused; 0: the beginning.
    pub event: u64,
    /// See `event`.
    pub cause: u64,
    /// Whose it is.
    pub lane: Lane,
    /// What sort of line it is.
    pub kind: Kind,
    /// What happened.
    pub text: String,
}

/// Where something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Nowhere in particular.
    World,
    /// Those who ask.
    Callers,
    /// A node, by its index.
    Node(usize),
    /// The store.
    Store,
}

/// What sort of line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A machine takes something in, or a caller is told something.
    Takes,
    /// A machine, the store or a caller does something.
    Does,
    /// A fault.
    Fault,
    /// A broken promise.
    Violation,
    /// What else is worth knowing.
    Note,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.at / 1_000;
        let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
        write!(f, "{seconds:3}.{rest:06} #{:<6} {}", self.event, self.text)
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::World => f.write_str("world"),
            Self::Callers => f.write_str("callers"),
            Self::Node(node) => write!(f, "n{node}"),
            Self::Store => f.write_str("store"),
        }
    }
}

impl From<Place> for Lane {
    fn from(place: Place) -> Self {
        Self::Node(place.node)
    }
}

/// A story that was kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// What happened, in order.
    pub lines: Vec<Line>,
    /// What caused each event, those of which nothing is told among them.
    pub causes: BTreeMap<u64, u64>,
    /// What lasted.
    pub bars: Vec<Bar>,
    /// How a machine's state changed at a line, by the line's index, for the events that it was asked
    /// for.
    pub changes: BTreeMap<usize, String>,
    /// The events whose changes of state are kept.
    changes_of: BTreeSet<u64>,
    /// The events in which a test of a user went on.
    pub(crate) tested: BTreeSet<u64>,
    /// How many shards a class has, where bars are of two classes by one number after another.
    pub(crate) per_class: usize,
}

impl Kept {
    /// A story that was kept ends with a promise that was broken, where its test went on last.
    pub(crate) fn ends_with(&mut self, at: u64, violation: &Violation) {
        let Some(last) = self.lines.last().map(|line| line.event) else {
            return;
        };
        let event = self.tested.last().copied().unwrap_or(last);
        self.lines.push(Line {
            at,
            event,
            cause: self.causes.get(&event).copied().unwrap_or_default(),
            lane: Lane::World,
            kind: Kind::Violation,
            text: format!("VIOLATION {violation}"),
        });
    }
}

/// Where the story goes.
pub(super) enum Story {
    Untold,
    Kept(Box<Kept>),
    Printed,
}

impl World {
    /// Keeps the story for the report.
    #[must_use]
    pub fn traced(mut self) -> Self {
        self.story = Story::Kept(Box::default());
        self
    }

    /// Keeps the story, and how states changed in some events.
    #[must_use]
    pub fn traced_with_changes(mut self, events: BTreeSet<u64>) -> Self {
        let kept = Kept {
            changes_of: events,
            ..Kept::default()
        };
        self.story = Story::Kept(Box::new(kept));
        self
    }

    /// An event begins.
    pub(super) fn begins(&mut self) {
        if let Story::Kept(story) = &mut self.story {
            story.causes.insert(self.event, self.cause);
        }
    }

    /// The state of a machine, where its change is kept.
    pub(super) fn state_of(&self, place: Place) -> Option<String> {
        let Story::Kept(story) = &self.story else {
            return None;
        };
        if !story.changes_of.contains(&self.event) {
            return None;
        }
        let node = self.nodes.get(place.node).filter(|it| it.alive)?;
        let seats = node.seats.as_ref();
        Some(match place.part {
            Part::Log(shard) => format!("{:#?}", node.shards.get(shard)?.seat.machine),
            Part::Member => format!("{:#?}", seats?.member.machine),
            Part::Owners => format!("{:#?}", seats?.owners.machine),
            Part::Router(lane) => {
                format!("{:#?}", seats?.routers.get(usize::from(lane))?.machine)
            }
        })
    }

    /// How many lines there are.
    pub(super) fn lines(&self) -> usize {
        match &self.story {
            Story::Kept(story) => story.lines.len(),
            Story::Untold | Story::Printed => 0,
        }
    }

    /// Keeps how a machine's state changed at a line.
    pub(super) fn changed(&mut self, place: Place, before: Option<String>, line: usize) {
        let (Some(before), Some(after)) = (before, self.state_of(place)) else {
            return;
        };
        if let Story::Kept(story) = &mut self.story {
            story.changes.insert(line, difference(&before, &after));
        }
    }

    /// Prints the story as it goes.
    #[must_use]
    pub fn printing(mut self) -> Self {
        self.story = Story::Printed;
        self
    }

    pub(super) fn tell(
        &mut self,
        lane: impl Into<Lane>,
        kind: Kind,
        text: impl FnOnce() -> String,
    ) {
        if let Story::Untold = self.story {
            return;
        }
        let line = Line {
            at: self.now,
            event: self.event,
            cause: self.cause,
            lane: lane.into(),
            kind,
            text: text(),
        };
        match &mut self.story {
            Story::Untold => {}
            Story::Kept(story) => story.lines.push(line),
            Story::Printed => println!("{line}"),
        }
    }
}

/// The lines that differ, each with what it is part of.
pub(crate) fn difference(before: &str, after: &str) -> String {
    let diff = similar::TextDiff::from_lines(before, after);
    let mut text = String::new();
    for hunk in diff.unified_diff().context_radius(2).iter_hunks() {
        for change in hunk.iter_changes() {
            let sign = match change.tag() {
                similar::ChangeTag::Delete => '-',
                similar::ChangeTag::Insert => '+',
                similar::ChangeTag::Equal => ' ',
            };
            // Writing to a text does not fail.
            let _ = write!(text, "{sign} {change}");
        }
        text.push_str("\u{22ef}\n");
    }
    text
}
