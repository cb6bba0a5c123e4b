//! The story of a run: what was seen of it, line by line, and what led to what.

use super::World;
use super::event::Place;
use std::fmt;

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

/// Where the story goes.
pub(super) enum Story {
    Untold,
    Kept(Vec<Line>),
    Printed,
}

impl World {
    /// Keeps the story for the report.
    #[must_use]
    pub fn traced(mut self) -> Self {
        self.story = Story::Kept(Vec::new());
        self
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
            Story::Kept(lines) => lines.push(line),
            Story::Printed => println!("{line}"),
        }
    }
}
