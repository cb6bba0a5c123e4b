//! The messages of a shard's commits that are not done.

use super::{ByOp, ByTime, take_due};
use crate::format::{Intent, IntentPlace};
use crate::id::{OpId, Sequence};
use crate::log::Dispatch;
use crate::name::{EntityId, KindName};
use crate::step::Time;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
struct Undone {
    dispatch: Box<Dispatch>,
    tries: u32,
}

/// A message that could not be delivered as things were.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
struct Failed {
    cause: String,
    /// Whose it is; `None` when its commit cannot be read.
    sender: Option<(KindName, EntityId)>,
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
    flying: ByOp<IntentPlace>,
    /// Those that could not be delivered as things were.
    failed: BTreeMap<IntentPlace, Failed>,
    /// Those of the index that are read anew, by their commits.
    wanted: BTreeMap<Sequence, BTreeSet<u32>>,
    /// The read in flight, and since when its commit is absent.
    pub(super) reading: Option<(OpId, Sequence)>,
    pub(super) absent_since: Option<Time>,
}

impl Intents {
    /// How many are held in memory.
    pub(super) fn held(&self) -> usize {
        self.undone.len()
    }

    /// How many are not done, those included that are to be read anew.
    pub(super) fn undone(&self) -> usize {
        let wanted = self.wanted.values().map(BTreeSet::len);
        self.undone.len() + wanted.sum::<usize>()
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

    /// A message of a commit that is stored.
    pub(super) fn add(&mut self, place: IntentPlace, dispatch: Dispatch) {
        if self.undone.contains_key(&place) || self.failed.contains_key(&place) {
            return;
        }
        let dispatch = dispatch.into();
        self.undone.insert(place, Undone { dispatch, tries: 0 });
        self.ready.insert(place);
    }

    /// The index has it; its commit is to be read.
    pub(super) fn want(&mut self, place: IntentPlace) {
        let IntentPlace { sequence, index } = place;
        self.wanted.entry(sequence).or_default().insert(index);
    }

    /// The commit to be read next, if there is room for its messages.
    pub(super) fn next_wanted(&self, undone_max: usize) -> Option<Sequence> {
        if self.reading.is_some() || self.undone.len() >= undone_max {
            return None;
        }
        self.wanted.first_key_value().map(|(at, _)| *at)
    }

    /// Its commit was read, or cannot be.
    pub(super) fn take_wanted(&mut self, sequence: Sequence) -> BTreeSet<u32> {
        self.absent_since = None;
        self.wanted.remove(&sequence).unwrap_or_default()
    }

    /// The next one that may be sent.
    pub(super) fn next_ready(&mut self) -> Option<(IntentPlace, Box<Dispatch>)> {
        let place = self.ready.pop_first()?;
        let undone = self.undone.get(&place)?;
        let mut dispatch = undone.dispatch.clone();
        dispatch.tries = undone.tries;
        Some((place, dispatch))
    }

    pub(super) fn fly(&mut self, op: OpId, place: IntentPlace) {
        self.flying.insert(op, place);
    }

    pub(super) fn land(&mut self, op: OpId) -> Option<IntentPlace> {
        self.flying.remove(&op)
    }

    /// It is done, or will not be.
    pub(super) fn remove(&mut self, place: IntentPlace) -> Option<Box<Dispatch>> {
        Some(self.undone.remove(&place)?.dispatch)
    }

    /// It cannot be delivered as things are.
    pub(super) fn fail(&mut self, place: IntentPlace, dispatch: Dispatch, cause: String) {
        let sender = Some((dispatch.kind, dispatch.sender));
        self.failed.insert(place, Failed { cause, sender });
    }

    /// Its commit cannot be read.
    pub(super) fn lose(&mut self, place: IntentPlace, cause: String) {
        let sender = None;
        self.failed.insert(place, Failed { cause, sender });
    }

    /// Whether all is delivered that an entity sent to others. What failed is not, and neither is what it
    /// sent to itself; both go with it.
    pub(super) fn is_done_with(&self, kind: &KindName, entity: &EntityId) -> bool {
        let mut waiting = self.undone.values().filter(|undone| {
            let Intent {
                kind: to_kind,
                entity: to,
                ..
            } = &undone.dispatch.intent;
            undone.dispatch.is_of(kind, entity) && (to_kind, to) != (kind, entity)
        });
        self.wanted.is_empty() && waiting.next().is_none()
    }

    /// The entity was deleted by the commit at a sequence: what is left of its messages before goes.
    pub(super) fn forget_of(&mut self, kind: &KindName, entity: &EntityId, tombstone: Sequence) {
        let stays = |place: &IntentPlace, of: bool| !of || place.sequence >= tombstone;
        self.undone
            .retain(|place, undone| stays(place, undone.dispatch.is_of(kind, entity)));
        let undone = &self.undone;
        self.ready.retain(|place| undone.contains_key(place));
        self.failed.retain(|place, failed| {
            let of = failed.sender.as_ref();
            stays(place, of.is_some_and(|of| (&of.0, &of.1) == (kind, entity)))
        });
    }

    /// How often it was sent; one more now.
    pub(super) fn try_again(&mut self, place: IntentPlace) -> Option<u32> {
        let undone = self.undone.get_mut(&place)?;
        undone.tries = undone.tries.saturating_add(1);
        Some(undone.tries - 1)
    }

    pub(super) fn wait(&mut self, place: IntentPlace, at: Time) {
        self.again.insert((at, place));
    }

    /// Those that waited until now may be sent.
    pub(super) fn wake(&mut self, now: Time) {
        for place in take_due(&mut self.again, now) {
            if self.undone.contains_key(&place) {
                self.ready.insert(place);
            }
        }
    }

    /// All up to a sequence that are not done and not failed.
    pub(super) fn undone_up_to(&self, watermark: Sequence) -> Vec<IntentPlace> {
        let wanted = self.wanted.iter().flat_map(|(sequence, indexes)| {
            let sequence = *sequence;
            indexes.iter().map(move |index| IntentPlace {
                sequence,
                index: *index,
            })
        });
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
}

impl Dispatch {
    /// Whether it is of an entity.
    fn is_of(&self, kind: &KindName, entity: &EntityId) -> bool {
        self.kind == *kind && self.sender == *entity
    }
}
