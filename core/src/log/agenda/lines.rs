//! The receivers of a shard's messages: one that is away holds up nobody else.
//!
//! While it is away only the first of its messages is tried, now and then, so that later ones do not pass
//! it. What waits is put aside when memory is short: its place stays, and its commit is read again when its
//! time comes. When many messages of one receiver are not done, it is shelved: later ones
//! are left in the log, and only the commit after which they are is kept. They are read from there once
//! the receiver takes what came before them.

use super::{ByTime, backed_off, take_due};
use crate::format::{IntentPlace, Receiver, ShelvedReceiver};
use crate::id::Sequence;
use crate::step::{Limits, Time};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// What is not done of one receiver.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
struct Line {
    /// Its messages are effects, in no order: each that fails waits by itself, and others pass it.
    outside: bool,
    /// Those in memory.
    held: BTreeSet<IntentPlace>,
    /// Of those, how many are on their way; and whether the one that is tells whether it is there again.
    flying: usize,
    probed: bool,
    /// Of those, the ones that may be sent when fewer are on their way.
    stalled: BTreeSet<IntentPlace>,
    /// Those that are put aside, each with how often it was sent.
    aside: BTreeMap<IntentPlace, u32>,
    /// How many were put aside and are read again now.
    coming: usize,
    /// The last commit that was taken in with messages to it.
    top: Sequence,
    shelf: Option<Shelf>,
    /// How often in a row it was not reached, and until when it is left alone therefore.
    missed: u32,
    until: Time,
    /// When it is looked at whether more of it is read.
    due: Option<Time>,
}

/// Messages that are left in the log.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
struct Shelf {
    /// Messages of commits after this one are not taken in.
    after: Sequence,
    /// There are none after this one.
    up_to: Sequence,
    /// Since when reads end before what must be there.
    short_since: Option<Time>,
}

/// The receivers that have messages which are not done.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Lines {
    lines: BTreeMap<Receiver, Line>,
    due: ByTime<Receiver>,
    /// How many messages are put aside.
    aside: usize,
    /// The receivers that are shelved.
    shelved: BTreeSet<Receiver>,
    /// Of those, the ones that have room for more.
    hungry: BTreeSet<Receiver>,
    /// How many receivers are probed.
    probes: usize,
}

/// Whether a message may be on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TakeOff {
    Goes,
    /// When another one of its receiver has ended.
    Stalls,
    /// Its receiver is away, and an earlier one tells when it is there again.
    Waits,
    /// Its receiver is away, and so many are that it is not asked now.
    Later,
}

impl Lines {
    /// How many messages are put aside.
    pub(super) fn aside(&self) -> usize {
        self.aside
    }

    pub(super) fn shelved_count(&self) -> usize {
        self.shelved.len()
    }

    pub(super) fn places_aside(&self) -> impl Iterator<Item = IntentPlace> {
        let aside = self.lines.values().map(|line| line.aside.keys());
        aside.flatten().copied()
    }

    pub(super) fn has_aside(&self, receiver: Receiver, place: IntentPlace) -> bool {
        let line = self.lines.get(&receiver);
        line.is_some_and(|line| line.aside.contains_key(&place))
    }

    /// Whether earlier ones of its receiver are put aside, or on their way back.
    pub(super) fn follows_aside(&self, receiver: Receiver, place: IntentPlace) -> bool {
        self.lines.get(&receiver).is_some_and(|line| {
            let first = line.aside.first_key_value();
            line.coming > 0 || first.is_some_and(|(first, _)| *first < place)
        })
    }

    pub(super) fn shelved(&self) -> impl Iterator<Item = ShelvedReceiver> {
        self.shelved.iter().filter_map(|receiver| {
            let shelf = self.lines.get(receiver)?.shelf.as_ref()?;
            let (receiver, after) = (*receiver, shelf.after);
            Some(ShelvedReceiver { receiver, after })
        })
    }

    pub(super) fn next_due(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Whether a message of a commit is left in the log: it is noted then. So many to a receiver that was
    /// not reached shelve it.
    pub(super) fn leaves(
        &mut self,
        receiver: Receiver,
        sequence: Sequence,
        limits: &Limits,
    ) -> bool {
        let Some(line) = self.lines.get_mut(&receiver) else {
            return false;
        };
        let many = line.missed > 0 && line.undone() >= limits.receiver_undone_max;
        if many && line.shelf.is_none() && self.shelved.len() < limits.receivers_shelved_max {
            let after = line.top.max(Sequence(sequence.0.saturating_sub(1)));
            line.shelf = Some(Shelf {
                after,
                up_to: after,
                short_since: None,
            });
            self.shelved.insert(receiver);
        }
        match &mut line.shelf {
            Some(shelf) if sequence > shelf.after => {
                shelf.up_to = shelf.up_to.max(sequence);
                true
            }
            Some(_) | None => false,
        }
    }

    /// The index has it as shelved; commits up to `known` may have messages to it.
    pub(super) fn shelve(&mut self, now: Time, shelved: ShelvedReceiver, known: Sequence) {
        let ShelvedReceiver { receiver, after } = shelved;
        let line = self.lines.entry(receiver).or_default();
        line.top = after;
        line.shelf = Some(Shelf {
            after,
            up_to: after.max(known),
            short_since: None,
        });
        self.shelved.insert(receiver);
        self.look(now, receiver);
    }

    /// A message of it is in memory.
    pub(super) fn add(&mut self, receiver: Receiver, place: IntentPlace, outside: bool) {
        let line = self.lines.entry(receiver).or_default();
        line.outside = outside;
        line.held.insert(place);
        line.top = line.top.max(place.sequence);
    }

    /// What was put aside of it was read, or cannot be.
    pub(super) fn came(&mut self, now: Time, receiver: Receiver) {
        if let Some(line) = self.lines.get_mut(&receiver) {
            line.coming -= 1;
            self.rest(now, receiver);
        }
    }

    /// A message of it is in memory no more, and not done.
    pub(super) fn put_aside(
        &mut self,
        now: Time,
        receiver: Receiver,
        place: IntentPlace,
        tries: u32,
    ) {
        let Some(line) = self.lines.get_mut(&receiver) else {
            return;
        };
        line.held.remove(&place);
        self.aside += usize::from(line.aside.insert(place, tries).is_none());
        self.rest(now, receiver);
    }

    /// What of it is in memory has it looked at when that has come to an end. With nothing there it is
    /// looked at when its time comes, or forgotten when all of it is done.
    fn rest(&mut self, now: Time, receiver: Receiver) {
        let Some(line) = self.lines.get(&receiver) else {
            return;
        };
        if !line.held.is_empty() || line.coming > 0 || line.flying > 0 {
            return;
        }
        let until = now.max(line.until);
        if line.has_more() {
            self.look(until, receiver);
        } else {
            self.lines.remove(&receiver);
        }
    }

    /// Whether one of it may be on its way. A receiver that answers leaves a quarter of the ways to others;
    /// all that do not have half of them together, one each. Effects of a name that fail have an eighth.
    pub(super) fn take_off(
        &mut self,
        receiver: Receiver,
        place: IntentPlace,
        dispatches_max: usize,
    ) -> TakeOff {
        let Some(line) = self.lines.get_mut(&receiver) else {
            return TakeOff::Goes;
        };
        if line.missed > 0 && !line.outside {
            if line.flying > 0 || line.held.first() != Some(&place) {
                return TakeOff::Waits;
            }
            if self.probes >= dispatches_max.div_ceil(2) {
                return TakeOff::Later;
            }
            self.probes += 1;
            line.probed = true;
        } else if line.flying >= line.ways(dispatches_max) {
            line.stalled.insert(place);
            return TakeOff::Stalls;
        }
        line.flying += 1;
        TakeOff::Goes
    }

    /// One of it has come back, whatever came of it; those that may be sent instead.
    pub(super) fn land(
        &mut self,
        now: Time,
        receiver: Receiver,
        dispatches_max: usize,
    ) -> Vec<IntentPlace> {
        let Some(line) = self.lines.get_mut(&receiver) else {
            return Vec::new();
        };
        line.flying -= 1;
        self.probes -= usize::from(core::mem::take(&mut line.probed));
        let next = line.next(dispatches_max);
        self.rest(now, receiver);
        next
    }

    /// A message of it went with its sender.
    pub(super) fn forget(&mut self, now: Time, receiver: Receiver, place: IntentPlace) {
        if let Some(line) = self.lines.get_mut(&receiver) {
            line.held.remove(&place);
            line.stalled.remove(&place);
            self.rest(now, receiver);
        }
    }

    /// The first commit that may have a message which is put aside or left in the log.
    pub(super) fn first_unread(&self) -> Option<Sequence> {
        if self.aside == 0 && self.shelved.is_empty() {
            return None;
        }
        let first = self.lines.values().filter_map(Line::first_unread);
        first.min()
    }

    /// Whether a message of a commit is put aside or left in the log.
    pub(super) fn is_left(&self, receiver: Receiver, place: IntentPlace) -> bool {
        self.lines.get(&receiver).is_some_and(|line| {
            let shelf = line.shelf.as_ref();
            line.aside.contains_key(&place) || shelf.is_some_and(|it| place.sequence > it.after)
        })
    }

    /// It was there. Whether it was away before, and those that stalled and may be sent now.
    pub(super) fn there(
        &mut self,
        now: Time,
        receiver: Receiver,
        dispatches_max: usize,
    ) -> (bool, Vec<IntentPlace>) {
        let Some(line) = self.lines.get_mut(&receiver) else {
            return (false, Vec::new());
        };
        let was_away = core::mem::take(&mut line.missed) > 0;
        line.until = now;
        let next = line.next(dispatches_max);
        self.look(now, receiver);
        (was_away, next)
    }

    /// A message of it came to its end. Whether it was away, and those that stalled and may be sent now.
    pub(super) fn reached(
        &mut self,
        now: Time,
        (receiver, place): (Receiver, IntentPlace),
        dispatches_max: usize,
    ) -> (bool, Vec<IntentPlace>) {
        if let Some(line) = self.lines.get_mut(&receiver) {
            line.held.remove(&place);
        }
        let there = self.there(now, receiver, dispatches_max);
        self.rest(now, receiver);
        there
    }

    /// It was not reached: until when it is left alone, and those that wait for that with it. Those that
    /// were on their way together count once.
    pub(super) fn missed(
        &mut self,
        now: Time,
        receiver: Receiver,
        limits: &Limits,
    ) -> (Time, BTreeSet<IntentPlace>) {
        let Some(line) = self.lines.get_mut(&receiver) else {
            return (now, BTreeSet::new());
        };
        if line.missed == 0 || now >= line.until {
            let wait = backed_off(line.missed, limits.retry_delay_min, limits.later_delay_max);
            line.missed = line.missed.saturating_add(1);
            line.until = now + wait;
        }
        let until = line.until;
        let stalled = match line.outside {
            true => BTreeSet::new(),
            false => core::mem::take(&mut line.stalled),
        };
        self.look(until, receiver);
        (until, stalled)
    }

    /// Those that were put aside and are to be read again.
    pub(super) fn come_back(
        &mut self,
        now: Time,
        limits: &Limits,
    ) -> Vec<(Receiver, IntentPlace, u32)> {
        let mut back = Vec::new();
        for receiver in take_due(&mut self.due, now) {
            let Some(line) = self.lines.get_mut(&receiver) else {
                continue;
            };
            line.due = None;
            // One tells whether a receiver that was away is there.
            let most = match line.missed {
                0 => (limits.receiver_undone_max / 2).max(1),
                _ => 1,
            };
            while line.held.len() + line.coming < most
                && let Some((place, tries)) = line.aside.pop_first()
            {
                line.coming += 1;
                self.aside -= 1;
                back.push((receiver, place, tries));
            }
            if line.shelf.is_some() && line.held.len() + line.coming < most {
                self.hungry.insert(receiver);
            }
        }
        back
    }

    /// A shelved receiver that has room, and the commit after which its messages are.
    pub(super) fn next_hungry(&mut self) -> Option<(Receiver, Sequence)> {
        while let Some(receiver) = self.hungry.pop_first() {
            let line = self.lines.get(&receiver);
            if let Some(shelf) = line.and_then(|line| line.shelf.as_ref()) {
                return Some((receiver, shelf.after));
            }
        }
        None
    }

    /// Whether so many more of a receiver have room.
    pub(super) fn has_room(&self, receiver: Receiver, more: usize, limits: &Limits) -> bool {
        let line = self.lines.get(&receiver);
        let undone = line.map_or(0, Line::undone);
        undone == 0 || undone + more <= limits.receiver_undone_max
    }

    /// Messages to a shelved receiver of commits up to here are taken in: with the last of them it is
    /// shelved no more, else it is looked at again then.
    pub(super) fn read_up_to(
        &mut self,
        (now, again): (Time, Time),
        receiver: Receiver,
        sequence: Sequence,
    ) {
        let Some(line) = self.lines.get_mut(&receiver) else {
            return;
        };
        let Some(shelf) = &mut line.shelf else {
            return;
        };
        if sequence > shelf.after {
            shelf.after = sequence;
            shelf.short_since = None;
        }
        line.top = line.top.max(shelf.after);
        if shelf.after >= shelf.up_to {
            line.shelf = None;
            self.shelved.remove(&receiver);
            return self.rest(now, receiver);
        }
        self.look(again, receiver);
    }

    /// Since when reads for it end before what must be there.
    pub(super) fn short_since(&mut self, now: Time, receiver: Receiver) -> Time {
        let line = self.lines.get_mut(&receiver);
        let shelf = line.and_then(|line| line.shelf.as_mut());
        shelf.map_or(now, |shelf| *shelf.short_since.get_or_insert(now))
    }

    /// Looks then whether more of a receiver is to be read, unless that is to be sooner.
    pub(super) fn look(&mut self, at: Time, receiver: Receiver) {
        let Some(line) = self.lines.get_mut(&receiver) else {
            return;
        };
        if !line.has_more() || line.due.is_some_and(|due| due <= at) {
            return;
        }
        if let Some(before) = line.due.replace(at) {
            self.due.remove(&(before, receiver));
        }
        self.due.insert((at, receiver));
    }
}

impl Line {
    /// How many of it are known to be not done.
    fn undone(&self) -> usize {
        self.held.len() + self.aside.len() + self.coming
    }

    /// The first commit that may have one of it which is not in memory, those left out that are on their
    /// way back.
    fn first_unread(&self) -> Option<Sequence> {
        let aside = self
            .aside
            .first_key_value()
            .map(|(place, _)| place.sequence);
        let shelf = self.shelf.as_ref().map(|it| Sequence(it.after.0 + 1));
        aside.into_iter().chain(shelf).min()
    }

    /// Whether there is something of it that is not in memory.
    fn has_more(&self) -> bool {
        !self.aside.is_empty() || self.shelf.is_some()
    }

    /// How many of it may be on their way at once, of one that answers or of effects.
    fn ways(&self, dispatches_max: usize) -> usize {
        match self.missed {
            0 => dispatches_max - dispatches_max / 4,
            _ => dispatches_max.div_ceil(8),
        }
    }

    /// Those that have waited for others of it, and may be sent now.
    fn next(&mut self, dispatches_max: usize) -> Vec<IntentPlace> {
        let free = self.ways(dispatches_max).saturating_sub(self.flying);
        let next = core::iter::from_fn(|| self.stalled.pop_first());
        next.take(free).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Lines, TakeOff};
    use crate::format::{IntentPlace, Receiver};
    use crate::id::Sequence;
    use crate::step::{Limits, Time};

    #[test]
    fn a_receiver_of_which_nothing_is_left_is_forgotten() {
        let (limits, now, bob) = (Limits::default(), Time::ZERO, Receiver(7));
        let ways = limits.dispatches_max;
        let place = |sequence| IntentPlace {
            sequence: Sequence(sequence),
            index: 0,
        };
        let mut lines = Lines::default();
        lines.add(bob, place(1), false);
        lines.add(bob, place(2), false);
        lines.put_aside(now, bob, place(2), 1);
        assert_eq!(lines.take_off(bob, place(1), ways), TakeOff::Goes);
        lines.land(now, bob, ways);
        lines.reached(now, (bob, place(1)), ways);
        assert_eq!(lines.come_back(now, &limits), [(bob, place(2), 1)]);
        lines.came(now, bob);
        assert!(lines.lines.is_empty());
        assert_eq!((lines.aside(), lines.next_due()), (0, None));
    }
}
