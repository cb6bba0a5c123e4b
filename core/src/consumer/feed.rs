//! One event stream: where it is read, and what of it is not handled (C1, C7).

use super::queue::Item;
use crate::format::{Position, Witness};
use crate::id::{Partition, Sequence};
use crate::port::{self, StreamName, Subject};
use crate::step::Time;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// One event stream.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Feed {
    pub(super) partition: Partition,
    pub(super) stream: StreamName,
    pub(super) filters: Vec<Subject>,
    /// Where it begins, when that is not a position yet.
    pub(super) from: Option<port::Start>,
    /// Up to here all is handled.
    pub(super) position: Position,
    /// Everything that matches up to here was fetched.
    pub(super) taken: Sequence,
    /// A commit at or before the position, the last one as far as is known (C7).
    pub(super) witness: Option<Witness>,
    /// One that came after it, and takes its place when the position has passed it.
    next_witness: Option<Witness>,
    /// The last one that came.
    came: Option<Witness>,
    /// Where the stream ended when it was looked at last.
    pub(super) head: Sequence,
    /// Its reader may be at a server that does not have all that its leader has.
    pub(super) replicated: bool,
    /// It was looked at after the last fetch ended, so that one which brings nothing tells that nothing more
    /// was there up to its end; on a replicated stream it does not.
    pub(super) looked: bool,
    /// Up to here nothing more came that matches. It is what callers who wait are told, and nothing else: a
    /// store promises no more than to send what matches at some time.
    pub(super) quiet: Sequence,
    /// What comes after it is live (C6).
    pub(super) live_after: Option<Sequence>,
    pub(super) way: Way,
    /// How many times it was opened.
    pub(super) openings: u32,
    /// Since it was opened a fetch waited and brought nothing.
    pub(super) dry: bool,
    /// Fetched and not handled.
    pub(super) items: BTreeMap<Sequence, Item>,
    /// Their bytes.
    pub(super) bytes: u64,
    /// What matches and was not fetched, as of the last answer that said how much.
    pub(super) pending: u64,
    /// Where the stream ended when it was looked at first after that.
    counted_at: Option<Sequence>,
    /// When it was fetched from, or looked at for its lag, last.
    pub(super) told_at: Time,
    /// Commits that are to come until all has that was there when it was opened, or fell behind.
    pub(super) behind: u64,
    /// The last one that came of them.
    pub(super) mark: Sequence,
    /// Since when it ends before what was read.
    pub(super) short_since: Option<Time>,
    /// Since when a server says that there is no such stream.
    pub(super) absent_since: Option<Time>,
}

/// How a stream is being read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Way {
    /// Not at all: nothing of it is wanted.
    Unwanted,
    /// Not at all yet.
    Closed,
    /// Its end is looked at.
    Looking,
    /// A consumer of the store is opened.
    Opening(port::ConsumerName),
    /// By a consumer of the store.
    Open {
        consumer: port::ConsumerName,
        /// The number that its next message must have.
        number: u64,
        /// When it is fetched from at the earliest.
        fetch_at: Time,
        /// When the fetch that is under way began.
        asked: Option<Time>,
        /// Its end is looked at before the next fetch, because the last one brought nothing.
        look: bool,
    },
}

impl Feed {
    pub(super) fn new(partition: Partition, stream: StreamName, filters: Vec<Subject>) -> Self {
        let way = match filters.is_empty() {
            true => Way::Unwanted,
            false => Way::Closed,
        };
        Self {
            partition,
            stream,
            filters,
            from: None,
            position: Position::START,
            taken: Sequence::NONE,
            witness: None,
            next_witness: None,
            came: None,
            head: Sequence::NONE,
            replicated: false,
            looked: false,
            quiet: Sequence::NONE,
            live_after: None,
            way,
            openings: 0,
            dry: false,
            items: BTreeMap::new(),
            bytes: 0,
            pending: 0,
            counted_at: None,
            told_at: Time::ZERO,
            behind: 0,
            mark: Sequence::NONE,
            short_since: None,
            absent_since: None,
        }
    }

    /// Begins at a place; what was fetched is forgotten.
    pub(super) fn begin(&mut self, place: Result<Position, port::Start>) {
        self.items.clear();
        self.bytes = 0;
        (self.witness, self.next_witness, self.came) = (None, None, None);
        self.live_after = None;
        self.count(0);
        self.behind = 0;
        self.mark = Sequence::NONE;
        self.looked = false;
        self.quiet = Sequence::NONE;
        match place {
            Ok(position) => {
                self.from = None;
                self.stand(position);
            }
            Err(from) => self.from = self.is_wanted().then_some(from),
        }
    }

    /// It stands at a position, and nothing after it is fetched.
    pub(super) fn stand(&mut self, position: Position) {
        self.position = position;
        self.taken = Sequence(position.next().0.saturating_sub(1));
    }

    /// Whether it has a position.
    pub(super) fn stands(&self) -> bool {
        self.from.is_none()
    }

    /// Whether it is read as far as it is to be.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.way, Way::Open { .. } | Way::Unwanted)
    }

    /// Whether any of its events are wanted.
    pub(super) fn is_wanted(&self) -> bool {
        self.way != Way::Unwanted
    }

    /// Whether all has come that was there when it was opened. A server of a replicated stream may count too
    /// little there, so it has to have sent the last one, or nothing for a while.
    fn has_come(&self) -> bool {
        !self.replicated || self.dry || self.live_after.is_some_and(|end| self.taken >= end)
    }

    /// The last sequence that is known to have been there (S13).
    pub(super) fn known(&self) -> Sequence {
        match self.from {
            Some(_) => Sequence::NONE,
            None => self.position.sequence.max(self.taken).max(self.quiet),
        }
    }

    /// Moves the position up to the first event that is not handled (C1).
    pub(super) fn settle(&mut self) {
        let reached = match self.items.first_key_value() {
            None => Position::whole(self.taken),
            Some((sequence, item)) if item.next == 0 && item.base == 0 => {
                Position::whole(Sequence(sequence.0.saturating_sub(1)))
            }
            Some((sequence, item)) => Position {
                sequence: *sequence,
                events: match item.next {
                    0 => item.base,
                    _ => item.index(),
                },
            },
        };
        self.position = self.position.max(reached);
        let end = self.position.sequence;
        let passed = |it: &Option<Witness>| it.is_some_and(|it| it.sequence <= end);
        if passed(&self.came) {
            (self.witness, self.next_witness) = (self.came, None);
        } else if passed(&self.next_witness) {
            self.witness = self.next_witness.take();
        }
    }

    /// A commit was read.
    pub(super) fn witnessed(&mut self, witness: Witness) {
        self.came = Some(witness);
        self.next_witness.get_or_insert(witness);
    }

    /// The last commit that this run, or the checkpoint that it began with, knows to have been there.
    pub(super) fn last_known(&self) -> Option<Witness> {
        self.came.or(self.witness)
    }

    /// Up to where there is nothing that matches and is not handled.
    pub(super) fn seen(&self) -> Position {
        let first = self.items.keys().next();
        match first.is_none_or(|first| *first > self.quiet) {
            true => self.position.max(Position::whole(self.quiet)),
            false => self.position,
        }
    }

    /// The store said how much matches and was not fetched.
    pub(super) fn count(&mut self, pending: u64) {
        self.pending = pending;
        self.counted_at = None;
    }

    /// It was looked at while nothing is fetched: what came meanwhile is not in the store's count.
    pub(super) fn count_on(&mut self) {
        self.counted_at.get_or_insert(self.head);
    }

    /// Whether it was looked at since the store counted.
    pub(super) fn is_counted_on(&self) -> bool {
        self.counted_at.is_some()
    }

    /// What was not fetched: the store's count, and the places of what came since that was looked at.
    pub(super) fn lag(&self) -> u64 {
        let came = self
            .counted_at
            .map_or(0, |at| self.head.0.saturating_sub(at.0));
        self.pending.saturating_add(came)
    }

    /// What is there now is to be handled before it has caught up.
    pub(super) fn falls_behind(&mut self) {
        self.behind = self.pending;
        self.mark = self.taken;
    }

    /// A commit came.
    pub(super) fn came(&mut self, sequence: Sequence) {
        self.taken = self.taken.max(sequence);
        if self.behind > 0 {
            self.behind -= 1;
            self.mark = self.mark.max(sequence);
        }
    }

    /// Whether all is handled that was there when it was opened, or fell behind; what came since may be
    /// handled before it, that of another entity.
    pub(super) fn has_caught_up(&self) -> bool {
        let mut waiting = self.items.keys();
        let handled = waiting.next().is_none_or(|first| *first > self.mark);
        self.is_open() && self.behind == 0 && self.has_come() && handled
    }
}
