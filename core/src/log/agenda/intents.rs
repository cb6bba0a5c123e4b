//! The messages of a shard's commits that are not done.

use super::lines::{Lines, TakeOff};
use super::{ByOp, ByTime, backed_off, take_due};
use crate::format::{IntentPlace, Receiver, ShelvedReceiver};
use crate::id::{OpId, Sequence};
use crate::log::Dispatch;
use crate::name::{EntityId, KindName};
use crate::step::{Limits, Time};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
struct Undone {
    dispatch: Box<Dispatch>,
    receiver: Receiver,
    tries: u32,
    /// It failed by itself, and waits by itself.
    alone: bool,
    /// Its receiver is to be deleted by it, and waits for messages of its own (V7).
    crossed: bool,
}

/// A message that could not be delivered as things were.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
struct Failed {
    cause: String,
    /// Whose it is; `None` when its commit cannot be read.
    sender: Option<(KindName, EntityId)>,
}

/// A message that is to be read.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Wanted {
    /// How often it was sent.
    pub(super) tries: u32,
    /// Of whose messages that were put aside it is one.
    aside: Option<Receiver>,
}

/// Messages that are not done.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Intents {
    /// Those in memory.
    undone: BTreeMap<IntentPlace, Undone>,
    /// Of those, the ones that may be sent.
    ready: BTreeSet<IntentPlace>,
    again: ByTime<IntentPlace>,
    flying: ByOp<(IntentPlace, Receiver)>,
    /// Those that could not be delivered as things were.
    failed: BTreeMap<IntentPlace, Failed>,
    /// Those of the index, and those that were put aside, that are read anew by their commits.
    wanted: BTreeMap<Sequence, BTreeMap<u32, Wanted>>,
    /// What is known of their receivers.
    pub(super) lines: Lines,
    /// The read in flight, and since when its commit is absent.
    pub(super) reading: Option<(OpId, Sequence)>,
    pub(super) absent_since: Option<Time>,
}

/// What the kinds of effects begin with.
const OUTSIDE: &str = "effect-";

/// How much of a reason is kept, in bytes.
const CAUSE_BYTES_MAX: usize = 512;

impl Intents {
    /// How many are held in memory.
    fn held(&self) -> usize {
        self.undone.len()
    }

    /// How many are known to be not done, those included that are to be read anew.
    pub(super) fn undone(&self) -> usize {
        let wanted = self.wanted.values().map(BTreeMap::len);
        self.undone.len() + wanted.sum::<usize>() + self.lines.aside()
    }

    pub(super) fn next_again(&self) -> Option<Time> {
        self.again.first().map(|(at, _)| *at)
    }

    pub(super) fn flying(&self) -> usize {
        self.flying.len()
    }

    pub(super) fn failed(&self) -> usize {
        self.failed.len()
    }

    /// Whether so many more have room, by putting aside what was sent in vain.
    pub(super) fn has_room(&self, more: usize, (held_max, undone_max): (usize, usize)) -> bool {
        let busy = self.held() - self.again.len();
        self.undone() + more <= undone_max.max(more) && busy + more <= held_max.max(more)
    }

    /// Makes room in memory for so many more, by putting aside what was sent in vain and waits the
    /// longest; whether there is room now. With nothing in memory there is.
    pub(super) fn make_room(&mut self, now: Time, more: usize, held_max: usize) -> bool {
        while self.held() > 0 && self.held() + more > held_max {
            let Some(place) = self.take_last() else {
                return false;
            };
            if let Some(undone) = self.undone.remove(&place) {
                let Undone {
                    receiver, tries, ..
                } = undone;
                self.lines.put_aside(now, receiver, place, tries);
            }
        }
        true
    }

    /// Takes out what waits the longest; of its receiver's the last one, so that none passes it.
    fn take_last(&mut self) -> Option<IntentPlace> {
        let (_, place) = *self.again.last()?;
        let of = |place: &IntentPlace| self.undone.get(place).map(|undone| undone.receiver);
        let receiver = of(&place);
        let same = self.again.iter().filter(|(_, it)| of(it) == receiver);
        let last = *same.max_by_key(|(_, place)| *place)?;
        self.again.remove(&last);
        Some(last.1)
    }

    /// A message of a commit that is stored.
    pub(super) fn add(
        &mut self,
        place: IntentPlace,
        receiver: Receiver,
        dispatch: Dispatch,
        tries: u32,
    ) {
        if self.undone.contains_key(&place)
            || self.failed.contains_key(&place)
            || self.lines.has_aside(receiver, place)
        {
            return;
        }
        let outside = is_outside(&dispatch);
        let undone = Undone {
            dispatch: dispatch.into(),
            receiver,
            tries,
            alone: false,
            crossed: false,
        };
        self.lines.add(receiver, place, outside);
        self.undone.insert(place, undone);
        self.ready.insert(place);
    }

    /// A message of a commit that follows all that is known of its receiver: where some of that is put
    /// aside it does not pass it.
    pub(super) fn add_next(
        &mut self,
        now: Time,
        place: IntentPlace,
        receiver: Receiver,
        dispatch: Dispatch,
    ) {
        if !self.lines.follows_aside(receiver, place) {
            return self.add(place, receiver, dispatch, 0);
        }
        let IntentPlace { sequence, index } = place;
        let wanted = self.wanted.get(&sequence);
        let is_wanted = wanted.is_some_and(|wanted| wanted.contains_key(&index));
        let is_known = self.undone.contains_key(&place) || self.failed.contains_key(&place);
        if !is_wanted && !is_known {
            self.lines.add(receiver, place, is_outside(&dispatch));
            self.lines.put_aside(now, receiver, place, 0);
        }
    }

    /// The index has it; its commit is to be read.
    pub(super) fn want(&mut self, place: IntentPlace) {
        self.read_anew(place, Wanted::default());
    }

    fn read_anew(&mut self, place: IntentPlace, wanted: Wanted) {
        let IntentPlace { sequence, index } = place;
        self.wanted
            .entry(sequence)
            .or_default()
            .insert(index, wanted);
    }

    /// Has what was put aside of a receiver read again, as its time has come.
    pub(super) fn bring_back(&mut self, now: Time, limits: &Limits) {
        for (receiver, place, tries) in self.lines.come_back(now, limits) {
            let aside = Some(receiver);
            self.read_anew(place, Wanted { tries, aside });
        }
    }

    /// Whether messages of the index are to be read still, of whose receivers nothing is known.
    pub(super) fn is_catching_up(&self) -> bool {
        let mut wanted = self.wanted.values().flat_map(BTreeMap::values);
        wanted.any(|wanted| wanted.aside.is_none())
    }

    /// Whether there is a commit to be read for its messages.
    pub(super) fn wants(&self) -> bool {
        self.reading.is_none() && !self.wanted.is_empty()
    }

    /// The commit to be read next.
    pub(super) fn next_wanted(&self) -> Option<Sequence> {
        self.wanted.first_key_value().map(|(at, _)| *at)
    }

    /// Its commit was read, or cannot be.
    pub(super) fn take_wanted(&mut self, sequence: Sequence) -> BTreeMap<u32, Wanted> {
        self.absent_since = None;
        self.wanted.remove(&sequence).unwrap_or_default()
    }

    /// It is in memory again, or will not be.
    pub(super) fn came(&mut self, now: Time, wanted: Wanted) {
        if let Some(receiver) = wanted.aside {
            self.lines.came(now, receiver);
        }
    }

    /// Sends the next one that may be sent.
    pub(super) fn next_ready(
        &mut self,
        now: Time,
        limits: &Limits,
    ) -> Option<(IntentPlace, Receiver, Box<Dispatch>)> {
        while let Some(place) = self.ready.pop_first() {
            let Some(undone) = self.undone.get(&place) else {
                continue;
            };
            let ways = limits.dispatches_max;
            let wait = match self.lines.take_off(undone.receiver, place, ways) {
                TakeOff::Goes => None,
                TakeOff::Stalls => continue,
                TakeOff::Waits => Some(limits.later_delay_max),
                TakeOff::Later => Some(limits.retry_delay_max),
            };
            if let Some(wait) = wait {
                self.again.insert((now + wait, place));
                continue;
            }
            let mut dispatch = undone.dispatch.clone();
            dispatch.tries = undone.tries;
            return Some((place, undone.receiver, dispatch));
        }
        None
    }

    pub(super) fn fly(&mut self, op: OpId, place: (IntentPlace, Receiver)) {
        self.flying.insert(op, place);
    }

    pub(super) fn land(&mut self, now: Time, op: OpId, limits: &Limits) -> Option<IntentPlace> {
        let (place, receiver) = self.flying.remove(&op)?;
        self.ready
            .extend(self.lines.land(now, receiver, limits.dispatches_max));
        Some(place)
    }

    /// It is done, or will not be: its receiver can be reached.
    pub(super) fn remove(
        &mut self,
        now: Time,
        place: IntentPlace,
        limits: &Limits,
    ) -> Option<Box<Dispatch>> {
        let Undone {
            dispatch, receiver, ..
        } = self.undone.remove(&place)?;
        let ways = limits.dispatches_max;
        let (was_away, next) = self.lines.reached(now, (receiver, place), ways);
        self.ready.extend(next);
        if was_away {
            self.wake_all_to(receiver);
        }
        Some(dispatch)
    }

    /// It cannot be delivered as things are.
    pub(super) fn fail(&mut self, place: IntentPlace, dispatch: Dispatch, mut cause: String) {
        crate::text::cut(&mut cause, CAUSE_BYTES_MAX);
        let sender = Some((dispatch.kind, dispatch.sender));
        self.failed.insert(place, Failed { cause, sender });
    }

    /// Its commit cannot be read.
    pub(super) fn lose(&mut self, place: IntentPlace, cause: String) {
        let sender = None;
        self.failed.insert(place, Failed { cause, sender });
    }

    /// Takes out what failed: one, or all.
    pub(super) fn take_failed(&mut self, of: Option<IntentPlace>) -> Vec<IntentPlace> {
        let wanted = |place: &IntentPlace| of.is_none_or(|of| of == *place);
        let taken: Vec<_> = self.failed.keys().copied().filter(wanted).collect();
        self.failed.retain(|place, _| !wanted(place));
        taken
    }

    /// What is in memory of an entity's messages that are not done.
    pub(super) fn of(
        &self,
        kind: &KindName,
        entity: &EntityId,
    ) -> impl Iterator<Item = (IntentPlace, &Dispatch)> {
        let undone = self.undone.iter();
        let undone = undone.map(|(place, undone)| (*place, &*undone.dispatch));
        undone.filter(move |(_, dispatch)| dispatch.is_of(kind, entity))
    }

    /// Its receiver waits as well; whose it is.
    pub(super) fn cross(&mut self, place: IntentPlace) -> Option<(KindName, EntityId)> {
        let undone = self.undone.get_mut(&place)?;
        undone.crossed = true;
        let Dispatch { kind, sender, .. } = &*undone.dispatch;
        Some((kind.clone(), sender.clone()))
    }

    pub(super) fn is_crossed(&self, place: IntentPlace) -> bool {
        self.undone.get(&place).is_some_and(|undone| undone.crossed)
    }

    /// The first commit that may have a message which is not done and not in memory.
    pub(super) fn first_unread(&self) -> Option<Sequence> {
        let wanted = self.next_wanted();
        wanted.into_iter().chain(self.lines.first_unread()).min()
    }

    /// Whether a message of a commit is not done and not in memory.
    pub(super) fn is_unread(&self, receiver: Receiver, place: IntentPlace) -> bool {
        let IntentPlace { sequence, index } = place;
        let wanted = self.wanted.get(&sequence);
        wanted.is_some_and(|wanted| wanted.contains_key(&index))
            || self.lines.is_left(receiver, place)
    }

    /// Whether a deletion of its sender waits for a message of a commit.
    pub(super) fn is_left(&self, receiver: Receiver, place: IntentPlace) -> bool {
        let undone = self.undone.get(&place);
        undone.is_some_and(|it| !it.is_excused()) || self.is_unread(receiver, place)
    }

    /// Whether a message of a commit is not done, and no deletion waits for it while it is in memory.
    pub(super) fn is_excused(&self, place: IntentPlace) -> bool {
        self.undone.get(&place).is_some_and(Undone::is_excused)
    }

    /// The entity was deleted by the commit at a sequence: what is left of its messages before goes.
    pub(super) fn forget_of(
        &mut self,
        now: Time,
        (kind, entity): (&KindName, &EntityId),
        tombstone: Sequence,
    ) {
        let stays = |place: &IntentPlace, of: bool| !of || place.sequence >= tombstone;
        let lines = &mut self.lines;
        self.undone.retain(|place, undone| {
            let stays = stays(place, undone.dispatch.is_of(kind, entity));
            if !stays {
                lines.forget(now, undone.receiver, *place);
            }
            stays
        });
        let undone = &self.undone;
        self.ready.retain(|place| undone.contains_key(place));
        self.again.retain(|(_, place)| undone.contains_key(place));
        self.failed.retain(|place, failed| {
            let of = failed.sender.as_ref();
            stays(place, of.is_some_and(|of| (&of.0, &of.1) == (kind, entity)))
        });
    }

    /// It was sent in vain, and waits: by itself if it failed by itself, else with its receiver.
    pub(super) fn try_again(
        &mut self,
        now: Time,
        place: IntentPlace,
        alone: bool,
        limits: &Limits,
    ) {
        let Some(undone) = self.undone.get_mut(&place) else {
            return;
        };
        let (min, max) = (limits.retry_delay_min, limits.later_delay_max);
        let by_itself = now + backed_off(undone.tries, min, max);
        undone.tries = undone.tries.saturating_add(1);
        undone.alone = alone;
        let (receiver, ways) = (undone.receiver, limits.dispatches_max);
        if !alone {
            let (until, stalled) = self.lines.missed(now, receiver, limits);
            let waiting = stalled.into_iter().chain([place]);
            return self.again.extend(waiting.map(|place| (until, place)));
        }
        self.again.insert((by_itself, place));
        if is_outside(&undone.dispatch) {
            // Whether others of its name can be done is not known.
            self.lines.missed(now, receiver, limits);
            return;
        }
        let (was_away, next) = self.lines.there(now, receiver, ways);
        self.ready.extend(next);
        if was_away {
            self.wake_all_to(receiver);
        }
    }

    /// A receiver is there again: what waited for it goes in its order.
    fn wake_all_to(&mut self, receiver: Receiver) {
        let (undone, ready) = (&self.undone, &mut self.ready);
        self.again.retain(|(_, place)| {
            let waits = |it: &Undone| it.receiver == receiver && !it.alone;
            let goes = undone.get(place).is_some_and(waits);
            if goes {
                ready.insert(*place);
            }
            !goes
        });
    }

    /// Those that waited until now may be sent.
    pub(super) fn wake(&mut self, now: Time) {
        self.ready.extend(take_due(&mut self.again, now));
    }

    /// All up to a sequence that are listed: not done, not failed, and of no shelved receiver's rest.
    pub(super) fn undone_up_to(&self, watermark: Sequence) -> Vec<IntentPlace> {
        let wanted = self.wanted.iter().flat_map(|(sequence, indexes)| {
            let sequence = *sequence;
            indexes.keys().map(move |index| IntentPlace {
                sequence,
                index: *index,
            })
        });
        let wanted = wanted.chain(self.lines.places_aside());
        let all: BTreeSet<_> = self.undone.keys().copied().chain(wanted).collect();
        let up_to = all.into_iter().take_while(|it| it.sequence <= watermark);
        up_to
            .filter(|place| !self.failed.contains_key(place))
            .collect()
    }

    pub(super) fn failed_up_to(&self, watermark: Sequence) -> Vec<(IntentPlace, String)> {
        let up_to = self.failed.iter();
        let up_to = up_to.take_while(|(place, _)| place.sequence <= watermark);
        up_to
            .map(|(place, failed)| (*place, failed.cause.clone()))
            .collect()
    }

    /// The receivers of which later messages are not taken in.
    pub(super) fn shelved(&self) -> Vec<ShelvedReceiver> {
        self.lines.shelved().collect()
    }
}

impl Undone {
    /// Its sender sent it to itself, so that it goes with it; or its receiver waits as well, so that it goes
    /// on.
    fn is_excused(&self) -> bool {
        self.crossed || self.dispatch.is_to_itself()
    }
}

/// Whether a message is an effect: those of a name stand for themselves, in no order.
fn is_outside(dispatch: &Dispatch) -> bool {
    dispatch.intent.kind.as_str().starts_with(OUTSIDE)
}

impl Dispatch {
    /// Whether it is of an entity.
    fn is_of(&self, kind: &KindName, entity: &EntityId) -> bool {
        self.kind == *kind && self.sender == *entity
    }

    /// Whether its sender is its receiver.
    pub(super) fn is_to_itself(&self) -> bool {
        self.is_of(&self.intent.kind, &self.intent.entity)
    }
}
