//! What is known of one consumer, in the order in which it came about: one thread runs all nodes, so that
//! is the true one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tenure_core::api::consumer::{ConsumerError, EventPlace, Fault, Position};
use tenure_core::id::Sequence;

/// Something that came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// A run is to begin; `ends`: the last message of each stream just before.
    Begins {
        run: u64,
        ends: Vec<Sequence>,
        /// From nothing, whatever its checkpoint says.
        reset: bool,
    },
    /// The handler has an event.
    Handed {
        run: u64,
        place: EventPlace,
        live: bool,
    },
    /// An event is handled.
    Handled { run: u64, place: EventPlace },
    /// The consumer is told that it is.
    Told { run: u64, place: EventPlace },
    /// The consumer is told that it is not.
    Failed { run: u64, place: EventPlace },
    /// Somebody wants it to go back.
    Rewinds {
        run: u64,
        ends: Vec<Sequence>,
        generation: u64,
    },
    /// It says that it did.
    Rewound {
        run: u64,
        to: Vec<Position>,
        generation: u64,
    },
    /// It says that it did not.
    NotRewound { run: u64 },
    /// It says that this checkpoint is stored.
    Saved { run: u64, positions: Vec<Position> },
    /// It says that it is live.
    Live { run: u64 },
    /// Somebody wants a dead letter to be replayed, or removed.
    Letter { run: u64, place: EventPlace },
    /// A run has ended.
    Ended { run: u64, why: Why },
}

impl Act {
    /// The run that it is of.
    pub(super) fn run(&self) -> u64 {
        match self {
            Self::Begins { run, .. }
            | Self::Handed { run, .. }
            | Self::Handled { run, .. }
            | Self::Told { run, .. }
            | Self::Failed { run, .. }
            | Self::Rewinds { run, .. }
            | Self::Rewound { run, .. }
            | Self::NotRewound { run }
            | Self::Saved { run, .. }
            | Self::Live { run }
            | Self::Letter { run, .. }
            | Self::Ended { run, .. } => *run,
        }
    }
}

/// Why a run has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It was told to, its node is gone, or it never began.
    Stopped,
    Superseded,
    TailLost,
    Poison,
    /// What a store may say, or does not say.
    Store,
    Other(String),
}

impl Why {
    /// Why a run has ended with an error.
    pub(super) fn of(error: &ConsumerError) -> Self {
        let stopped = matches!(
            error,
            ConsumerError::Stopped
                | ConsumerError::NodeStopped
                | ConsumerError::Overloaded
                | ConsumerError::Timeout { .. }
                | ConsumerError::Kind(_)
        );
        if stopped {
            return Self::Stopped;
        }
        let ConsumerError::Fault(fault) = error else {
            return Self::Other(error.to_string());
        };
        if matches!(fault, Fault::Superseded { .. }) {
            Self::Superseded
        } else if matches!(fault, Fault::TailLost { .. } | Fault::TailReplaced { .. }) {
            Self::TailLost
        } else if matches!(fault, Fault::Poison { .. }) {
            Self::Poison
        } else if matches!(fault, Fault::RunsHere { .. }) {
            // The one before it on its node has not ended yet.
            Self::Stopped
        } else if matches!(fault, Fault::Store { .. } | Fault::Space(_)) {
            Self::Store
        } else {
            Self::Other(error.to_string())
        }
    }
}

/// An event that the handler was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) place: EventPlace,
    /// The how manieth time.
    pub(super) nth: u64,
    pub(super) poison: bool,
    /// Nothing befalls the handler any more.
    pub(super) well: bool,
}

/// What is known of one consumer.
#[derive(Clone)]
pub(super) struct Book {
    page: Arc<Mutex<Page>>,
    clock: Arc<dyn Fn() -> u64 + Send + Sync>,
}

#[derive(Debug, Default)]
struct Page {
    acts: Vec<(u64, Act)>,
    runs: u64,
    tries: BTreeMap<EventPlace, u64>,
    mended: BTreeSet<EventPlace>,
    well: bool,
    in_hand: BTreeMap<(u64, String), EventPlace>,
    together: Option<String>,
}

/// An event that the handler has; until it is dropped, be it with its node.
pub(super) struct InHand {
    book: Book,
    key: (u64, String),
}

impl Book {
    pub(super) fn new(clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self {
            page: Arc::default(),
            clock: Arc::new(clock),
        }
    }

    fn page(&self) -> MutexGuard<'_, Page> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, act: Act) {
        let at = (self.clock)();
        self.page().acts.push((at, act));
    }

    /// A number for a run.
    pub(super) fn next_run(&self) -> u64 {
        let mut page = self.page();
        page.runs += 1;
        page.runs
    }

    /// The handler of a run has an event of a key.
    pub(super) fn hands(&self, run: u64, key: String, place: EventPlace, live: bool) -> InHand {
        let mut page = self.page();
        let key = (run, key);
        if let Some(other) = page.in_hand.insert(key.clone(), place) {
            let what = format!("run {run} hands {place} over while the handler has {other} of it");
            page.together.get_or_insert(what);
        }
        drop(page);
        self.note(Act::Handed { run, place, live });
        let book = self.clone();
        InHand { book, key }
    }

    /// One more try of an event.
    pub(super) fn tries(&self, place: EventPlace, poison: bool) -> Given {
        let mut page = self.page();
        let nth = page.tries.entry(place).or_default();
        *nth += 1;
        let nth = *nth;
        Given {
            place,
            nth,
            poison: poison && !page.well && !page.mended.contains(&place),
            well: page.well,
        }
    }

    /// From now on nothing befalls the handler, and it takes no longer than most of its tries do.
    pub(super) fn heals(&self) {
        self.page().well = true;
    }

    /// Whatever was tried can be handled.
    pub(super) fn mends_all(&self) {
        let mut page = self.page();
        let Page { tries, mended, .. } = &mut *page;
        mended.extend(tries.keys().copied());
    }

    pub(super) fn is_mended(&self, place: EventPlace) -> bool {
        self.page().mended.contains(&place)
    }

    /// What could not be handled can be.
    pub(super) fn mends(&self, place: EventPlace) {
        self.page().mended.insert(place);
    }

    /// All of it, with when it was.
    pub(super) fn acts(&self) -> Vec<(u64, Act)> {
        self.page().acts.clone()
    }

    /// Two events of one key that the handler had at once.
    pub(super) fn together(&self) -> Option<String> {
        self.page().together.clone()
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.book.page().in_hand.remove(&self.key);
    }
}
