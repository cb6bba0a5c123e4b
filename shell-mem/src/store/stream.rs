//! One stream: its messages, the index by subject, and what was removed from it.

use super::consumer::Consumers;
use super::filter::{FilterSet, Republished};
use super::messages::Messages;
use super::proposal::InFlight;
use super::publish::DedupWindow;
use super::room::Room;
#[cfg(feature = "nats")]
use super::subjects::SubjectIndex;
use super::subjects::{SubjectAt, Subjects};
#[cfg(feature = "nats")]
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
#[cfg(feature = "nats")]
use alloc::vec::Vec;
#[cfg(feature = "nats")]
use bytes::Bytes;
use tenure_core::id::{Sequence, WallTime};
#[cfg(feature = "nats")]
use tenure_core::port::Subject;
use tenure_core::port::{Message, StreamInfo, StreamSettings};

/// A message with what the stream itself needs to know of it.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) message: Message,
    /// What it counts for in the stream's size.
    pub(super) bytes: u64,
    /// When its own time to live is over.
    pub(super) expires: Option<WallTime>,
    /// It says that what was there is gone, as a key that is purged: no marker follows when it goes.
    pub(super) says_gone: bool,
    /// The block of headers that a client sent it with; none where the port's requests say it all.
    #[cfg(feature = "nats")]
    pub(super) headers: Option<Box<Bytes>>,
}

/// A message that is gone, and the write that removed it.
#[derive(Clone, Debug)]
struct Removed {
    stored: Stored,
    by: u64,
}

/// One stream. Sequences are plain numbers in here.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) settings: StreamSettings,
    pub(super) created: WallTime,
    pub(super) dedup: DedupWindow,
    pub(super) in_flight: InFlight,
    /// When each open batch that nobody finished was begun.
    pub(super) open_batches: VecDeque<WallTime>,
    pub(super) consumers: Consumers,
    pub(super) filters: FilterSet,
    pub(super) republished: Option<Republished>,
    last: u64,
    bytes: u64,
    messages: Messages,
    pub(super) room: Room,
    subjects: Subjects,
    expiries: BTreeSet<(WallTime, u64)>,
    removed: BTreeMap<u64, Removed>,
    removed_order: VecDeque<u64>,
    removed_max: usize,
    /// What was removed since somebody who wants to know it asked last.
    #[cfg(feature = "nats")]
    pub(super) gone: Option<Vec<(u64, Subject)>>,
}

impl Stream {
    pub(super) fn new(settings: StreamSettings, created: WallTime, removed_max: usize) -> Self {
        Self {
            filters: FilterSet::new(settings.subjects.iter().map(String::as_str)),
            republished: settings
                .republish
                .as_ref()
                .map(|it| Republished::new(&it.source, &it.destination)),
            settings,
            created,
            dedup: DedupWindow::default(),
            in_flight: InFlight::default(),
            open_batches: VecDeque::new(),
            consumers: Consumers::default(),
            last: 0,
            bytes: 0,
            messages: Messages::default(),
            room: Room::default(),
            subjects: Subjects::default(),
            expiries: BTreeSet::new(),
            removed: BTreeMap::new(),
            removed_order: VecDeque::new(),
            removed_max,
            #[cfg(feature = "nats")]
            gone: None,
        }
    }

    /// The subjects of which it has messages, or had.
    #[cfg(feature = "nats")]
    pub(super) fn subjects(&self) -> impl Iterator<Item = (&Subject, &SubjectIndex)> {
        self.subjects.iter()
    }

    /// Where a subject is of which it has messages, or had: it takes the subject in, which is literal.
    pub(super) fn known(&self, subject: &str) -> Option<SubjectAt> {
        self.subjects.find(subject)
    }

    pub(super) fn takes_in(&self, subject: &str) -> bool {
        // What it knows it takes in; that is found sooner.
        self.known(subject).is_some() || self.filters.takes_in(subject)
    }

    /// Where a known subject ends; [`Sequence::NONE`] when its messages are gone.
    pub(super) fn end_of(&self, at: SubjectAt) -> Sequence {
        let last = self.subjects.at(at).live.last();
        last.map_or(Sequence::NONE, Sequence)
    }

    pub(super) fn replicated(&self) -> bool {
        self.settings.replicas > 1
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn count(&self) -> u64 {
        self.messages.len() as u64
    }

    pub(super) fn count_of(&self, subject: &str) -> u64 {
        self.subjects
            .get(subject)
            .map_or(0, |index| index.live.len() as u64)
    }

    pub(super) fn messages(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.messages.iter().map(|stored| &stored.message)
    }

    /// The state as it is.
    pub(super) fn now(&self) -> View<'_> {
        View {
            stream: self,
            up_to: None,
        }
    }

    /// The state when the stream's last sequence was `up_to`.
    pub(super) fn as_of(&self, up_to: u64) -> View<'_> {
        View {
            stream: self,
            up_to: (up_to < self.last).then_some(up_to),
        }
    }

    /// Adds a message at the end; its sequence is the next one.
    pub(super) fn push(&mut self, stored: Stored) {
        let at = self.subjects.find_or_add(&stored.message.subject);
        self.push_at(at, stored);
    }

    /// The same for a message of a subject that was found.
    pub(super) fn push_at(&mut self, at: SubjectAt, stored: Stored) {
        let sequence = stored.message.sequence.0;
        assert_eq!(
            sequence,
            self.last + 1,
            "a stream gives its sequences one by one"
        );
        self.last = sequence;
        self.bytes += stored.bytes;
        if let Some(expires) = stored.expires {
            self.expiries.insert((expires, sequence));
        }
        self.subjects.at_mut(at).live.push(sequence);
        self.messages.insert(sequence, stored);
    }

    /// Removes the messages of a subject below a sequence, which is what a rollup at it does.
    pub(super) fn roll_up(&mut self, subject: &str, at: u64) {
        while let Some(oldest) = self.oldest_of(subject).filter(|oldest| *oldest < at) {
            self.remove(oldest, at);
        }
    }

    pub(super) fn oldest_of(&self, subject: &str) -> Option<u64> {
        self.subjects.get(subject)?.live.front().copied()
    }

    pub(super) fn oldest(&self) -> Option<&Stored> {
        self.messages.iter().next()
    }

    /// The message whose own time to live is over first.
    pub(super) fn first_expiry(&self) -> Option<(WallTime, u64)> {
        self.expiries.first().copied()
    }

    /// Says when a message's time is over.
    pub(super) fn set_expiry(&mut self, sequence: u64, expires: Option<WallTime>) {
        let Some(stored) = self.messages.get_mut(sequence) else {
            return;
        };
        if let Some(before) = core::mem::replace(&mut stored.expires, expires) {
            self.expiries.remove(&(before, sequence));
        }
        if let Some(expires) = expires {
            self.expiries.insert((expires, sequence));
        }
    }

    /// Removes one message. `by` is the first state of the stream that lacks it.
    pub(super) fn remove(&mut self, sequence: u64, by: u64) -> Option<Stored> {
        let stored = self.messages.remove(sequence)?;
        self.bytes -= stored.bytes;
        if let Some(expires) = stored.expires {
            self.expiries.remove(&(expires, sequence));
        }
        let subject = &stored.message.subject;
        let index = self
            .subjects
            .get_mut(subject)
            .expect("a stored message is in the index");
        let place = index
            .live
            .binary_search(&sequence)
            .expect("a stored message is in the index");
        index.live.remove(place);
        self.consumers.removed(sequence, subject);
        #[cfg(feature = "nats")]
        if let Some(gone) = &mut self.gone {
            gone.push((sequence, subject.clone()));
        }
        if self.removed_max > 0 {
            index.removed.insert(sequence);
            self.removed.insert(
                sequence,
                Removed {
                    stored: stored.clone(),
                    by,
                },
            );
            self.removed_order.push_back(sequence);
            self.forget_removed();
        } else if index.live.is_empty() {
            self.subjects.remove(subject);
        }
        Some(stored)
    }

    /// Takes everything after a sequence away, as if it had never been: sequences are used again.
    pub(super) fn cut(&mut self, keep_up_to: u64) {
        for (sequence, stored) in self.messages.split_off(keep_up_to + 1) {
            self.bytes -= stored.bytes;
            if let Some(expires) = stored.expires {
                self.expiries.remove(&(expires, sequence));
            }
        }
        for index in self.subjects.values_mut() {
            index
                .live
                .truncate(index.live.partition_point(|live| *live <= keep_up_to));
            index.removed.split_off(&(keep_up_to + 1));
        }
        let undone: BTreeMap<u64, Removed> = core::mem::take(&mut self.removed);
        self.removed_order.clear();
        self.last = self.last.min(keep_up_to);
        for (sequence, removed) in undone {
            if sequence > keep_up_to {
                continue;
            }
            if removed.by > keep_up_to {
                self.restore(sequence, removed.stored);
            } else {
                self.removed_order.push_back(sequence);
                self.removed.insert(sequence, removed);
            }
        }
        self.subjects
            .retain(|index| !index.live.is_empty() || !index.removed.is_empty());
        self.dedup.cut(keep_up_to);
    }

    /// Puts back a message whose removal is undone.
    fn restore(&mut self, sequence: u64, stored: Stored) {
        let index = self.subjects.get_or_default(&stored.message.subject);
        index.removed.remove(&sequence);
        let place = index.live.partition_point(|live| *live < sequence);
        index.live.insert(place, sequence);
        self.bytes += stored.bytes;
        if let Some(expires) = stored.expires {
            self.expiries.insert((expires, sequence));
        }
        self.messages.insert(sequence, stored);
    }

    fn forget_removed(&mut self) {
        while self.removed.len() > self.removed_max {
            let Some(sequence) = self.removed_order.pop_front() else {
                return;
            };
            let Some(removed) = self.removed.remove(&sequence) else {
                continue;
            };
            let subject = &removed.stored.message.subject;
            let index = self
                .subjects
                .get_mut(subject)
                .expect("a removed message is in the index");
            index.removed.remove(&sequence);
            if index.live.is_empty() && index.removed.is_empty() {
                self.subjects.remove(subject);
            }
        }
    }
}

/// A stream as of one point: what reads and checks look at.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    stream: &'a Stream,
    /// The last sequence that counts; `None` is the present.
    up_to: Option<u64>,
}

impl<'a> View<'a> {
    pub(super) fn settings(&self) -> &'a StreamSettings {
        &self.stream.settings
    }

    pub(super) fn stream(&self) -> &'a Stream {
        self.stream
    }

    pub(super) fn last(&self) -> u64 {
        self.up_to.unwrap_or(self.stream.last)
    }

    /// The sequence of the first message; where there is none that of the next, or 0 where there never
    /// was one.
    pub(super) fn first(&self) -> u64 {
        match self.from(1).next() {
            Some(first) => first.message.sequence.0,
            None if self.last() == 0 => 0,
            None => self.last() + 1,
        }
    }

    pub(super) fn info(&self) -> StreamInfo {
        let last = self.last();
        let messages = match self.up_to {
            None => self.stream.count(),
            Some(_) => self.from(1).count() as u64,
        };
        StreamInfo {
            settings: self.stream.settings.clone().into(),
            created: self.stream.created,
            first: Sequence(self.first()),
            last: Sequence(last),
            messages,
        }
    }

    pub(super) fn at(&self, sequence: u64) -> Option<&'a Stored> {
        let Some(up_to) = self.up_to else {
            return self.stream.messages.get(sequence);
        };
        if sequence > up_to {
            return None;
        }
        self.stream
            .messages
            .get(sequence)
            .or_else(|| self.removed_at(sequence, up_to))
    }

    /// Where a subject ends; [`Sequence::NONE`] when it has no message.
    pub(super) fn last_sequence_of(&self, subject: &str) -> Sequence {
        if self.up_to.is_some() {
            let last = self.last_of(subject);
            return last.map_or(Sequence::NONE, |stored| stored.message.sequence);
        }
        let at = self.stream.known(subject);
        at.map_or(Sequence::NONE, |at| self.stream.end_of(at))
    }

    pub(super) fn last_of(&self, subject: &str) -> Option<&'a Stored> {
        let index = self.stream.subjects.get(subject)?;
        let Some(up_to) = self.up_to else {
            return self.stream.messages.get(index.live.last()?);
        };
        let live = index.live.partition_point(|live| *live <= up_to);
        let live = live.checked_sub(1).and_then(|n| index.live.get(n)).copied();
        let removed = index.removed.range(..=up_to).next_back().copied();
        let removed = removed.and_then(|sequence| self.removed_at(sequence, up_to));
        match (live, removed) {
            (Some(live), Some(removed)) if removed.message.sequence.0 > live => Some(removed),
            (Some(live), _) => self.stream.messages.get(live),
            (None, removed) => removed,
        }
    }

    /// The messages of a literal subject from a sequence on, in order.
    pub(super) fn of_subject(
        self,
        subject: &str,
        from: u64,
    ) -> impl Iterator<Item = &'a Stored> + use<'a> {
        let view = self;
        let index = self.stream.subjects.get(subject);
        let live = index.into_iter().flat_map(move |index| {
            index
                .live
                .range(index.live.partition_point(|live| *live < from)..)
                .copied()
        });
        let removed = self
            .up_to
            .and(index)
            .into_iter()
            .flat_map(move |index| index.removed.range(from..).copied());
        merge(live, removed).filter_map(move |sequence| view.at(sequence))
    }

    /// All messages from a sequence on, in order.
    pub(super) fn from(self, from: u64) -> impl Iterator<Item = &'a Stored> + use<'a> {
        let view = self;
        let live = self.stream.messages.sequences_from(from);
        let removed = self.up_to.map(|_| self.stream.removed.range(from..));
        let removed = removed.into_iter().flatten().map(|(sequence, _)| *sequence);
        merge(live, removed).filter_map(move |sequence| view.at(sequence))
    }

    fn removed_at(&self, sequence: u64, up_to: u64) -> Option<&'a Stored> {
        let removed = self.stream.removed.get(&sequence)?;
        (removed.by > up_to).then_some(&removed.stored)
    }
}

/// Two ascending lists without a common element as one.
fn merge(a: impl Iterator<Item = u64>, b: impl Iterator<Item = u64>) -> impl Iterator<Item = u64> {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    core::iter::from_fn(move || match (a.peek(), b.peek()) {
        (Some(left), Some(right)) if right < left => b.next(),
        (Some(_), _) => a.next(),
        (None, _) => b.next(),
    })
}
