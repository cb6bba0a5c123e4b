//! What a consumer says of itself.

use crate::format::{EventPlace, Position};
use crate::id::WallTime;
use crate::port::Refused;
use crate::step::{Span, Time};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// How a consumer stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Status {
    /// What it does.
    pub state: State,
    /// Who paused it.
    pub paused: Option<String>,
    /// Up to where events were handled, for each stream; empty until it has started.
    pub positions: Vec<Position>,
    /// Up to where nothing is left that it would be told, for each stream: at least its position, and on an
    /// unreplicated stream up to the end after a while without anything.
    pub seen: Vec<Position>,
    /// Up to where its stored checkpoint is.
    pub saved: Vec<Position>,
    /// The how manieth life of it this is.
    pub generation: u64,
    /// What is not handled.
    pub lag: Lag,
    /// Why there is no progress.
    pub stalled: Option<Stall>,
    /// What it waits for at this moment, while it starts.
    pub waits_for: Option<StallReason>,
    /// Batches that the handler has.
    pub running: u32,
    /// Events that were handled since it started.
    pub handled: u64,
    /// Tries that failed since it started.
    pub failures: u64,
    /// Events that were passed over since it started.
    pub skipped: u64,
    /// Events that were put aside since it started.
    pub dead_lettered: u64,
    /// Checkpoints that were stored since it started.
    pub checkpoints: u64,
    /// How often a stream was read anew since it started.
    pub reopened: u64,
    /// How many places of the bus's stream, of all topics, expired before they were read.
    pub expired: u64,
    /// Nothing that is in the log comes through its filter, as far as it has read it from the first event on:
    /// perhaps a name in it is misspelt.
    pub matches_nothing: bool,
}

impl Status {
    /// That of a consumer that was not stepped yet, over so many streams.
    pub fn starting(streams: u16) -> Self {
        Self {
            state: State::Starting,
            paused: None,
            positions: alloc::vec![Position::START; usize::from(streams)],
            seen: alloc::vec![Position::START; usize::from(streams)],
            saved: Vec::new(),
            generation: 1,
            lag: Lag::default(),
            stalled: None,
            waits_for: Some(StallReason::unconnected()),
            running: 0,
            handled: 0,
            failures: 0,
            skipped: 0,
            dead_lettered: 0,
            checkpoints: 0,
            reopened: 0,
            expired: 0,
            matches_nothing: false,
        }
    }
}

/// What a consumer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum State {
    /// It reads its checkpoint and opens the streams.
    Starting,
    /// It hands over what was in the log before.
    CatchingUp,
    /// It hands over what comes.
    Live,
    /// It goes to another place.
    Rewinding,
    /// It lets the handler end what it has.
    Stopping,
    /// It has ended.
    Over,
}

/// What a consumer has not handled, against the real end of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Lag {
    /// Commits that match and were not fetched: as the store counted them at the last fetch, and while nothing is
    /// fetched with what came since, which is looked at every [`Pace::look_every`](super::Pace::look_every) and
    /// counts whether it matches or not.
    pub commits: u64,
    /// Events that were fetched and not handled.
    pub events: u64,
    /// When the store took the oldest of those.
    pub oldest: Option<WallTime>,
    /// For how long that one has waited, between the store's clock and this node's; zero without one.
    pub age: Span,
}

impl Lag {
    /// Whether everything is handled.
    pub fn is_none(&self) -> bool {
        self.commits == 0 && self.events == 0
    }
}

/// No progress.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Stall {
    /// Since when, on the node's clock.
    pub since: Time,
    /// Why.
    pub reason: StallReason,
}

/// Why there is no progress.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum StallReason {
    /// It is paused.
    Paused {
        /// Who wanted it.
        by: String,
    },
    /// The handler does not end.
    Handler {
        /// The first event of the batch that it has for longest; `None` for that of a dead letter.
        place: Option<EventPlace>,
        /// Since when.
        since: Time,
    },
    /// An event fails again and again.
    Retrying {
        /// The event.
        place: EventPlace,
        /// How often it was tried.
        tries: u32,
    },
    /// The store does not answer, or not for good.
    Store {
        /// What is asked of it.
        what: String,
        /// How often that was tried in vain.
        tries: u32,
        /// What it said, when it refused.
        refused: Option<Refused>,
    },
}

impl StallReason {
    /// Nothing could be asked of the store.
    pub(crate) fn unconnected() -> Self {
        Self::Store {
            what: String::from("say what it is"),
            tries: 0,
            refused: Some(Refused::NotConnected),
        }
    }
}

impl fmt::Display for StallReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paused { by } => write!(f, "it is paused by {by}"),
            Self::Handler {
                place: Some(place),
                since,
            } => write!(f, "the handler runs event {place} since {since}"),
            Self::Handler { place: None, since } => {
                write!(f, "the handler runs a dead letter since {since}")
            }
            Self::Retrying { place, tries } => {
                write!(f, "event {place} failed {tries} times and is tried again")
            }
            Self::Store {
                what,
                tries,
                refused: None,
            } => write!(f, "the store does not {what} (tried {tries} times)"),
            Self::Store {
                what,
                tries,
                refused: Some(refused),
            } => write!(
                f,
                "the store does not {what} (tried {tries} times): {refused}"
            ),
        }
    }
}

/// For how long something has been so.
pub(super) fn longer_than(since: Time, now: Time, span: Span) -> bool {
    now.since(since) >= span
}
