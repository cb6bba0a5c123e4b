//! What a projection of a run makes of events: of each entity the places of those that were folded, in the
//! order in which they were. So a state says itself what is in it twice, in another order or not at all.

use super::super::super::log::Log;
use super::super::counter::Counter;
use super::super::purse::Purse;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tenure_core::api::Aggregate as _;
use tenure_core::api::consumer::{Consumed, EventPlace, Position};
use tenure_core::id::{Partition, Sequence};

/// The kinds that are folded.
const KINDS: [&str; 2] = [Counter::KIND, Purse::KIND];

/// Where an event is: its stream, its commit, and its place there.
pub(super) type Place = (u16, u64, u32);

/// The places of the events of each entity, by its kind and id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    entities: BTreeMap<String, Vec<Place>>,
    /// What makes it too large for one message, in some runs.
    ballast: String,
}

impl Tally {
    /// What a replay of the log from nothing comes to.
    pub(super) fn of(log: &Log) -> Self {
        let mut tally = Self::default();
        for (partition, subject, commits) in log.placed() {
            let kind = subject.split('.').nth(3).unwrap_or_default();
            if !KINDS.contains(&kind) {
                continue;
            }
            for (sequence, commit) in commits {
                let key = format!("{kind} {}", commit.entity);
                let places = tally.entities.entry(key).or_default();
                let indexes = (0..).zip(&commit.events);
                places.extend(indexes.map(|(index, _)| (partition.0, sequence.0, index)));
            }
        }
        tally.entities.retain(|_, places| !places.is_empty());
        tally
    }

    /// Folds an event.
    pub(super) fn take<E>(&mut self, event: &Consumed<E>, ballast: usize) {
        let EventPlace {
            partition,
            sequence,
            index,
        } = event.place();
        let key = format!("{} {}", event.kind(), event.id());
        let places = self.entities.entry(key).or_default();
        places.push((partition.0, sequence.0, index));
        if self.ballast.len() < ballast {
            self.ballast = "x".repeat(ballast);
        }
    }

    /// What of it stands behind positions.
    pub(super) fn up_to(mut self, positions: &[Position]) -> Self {
        let is_behind = |(partition, sequence, index): &Place| {
            let at = positions.get(usize::from(*partition));
            at.is_some_and(|at| at.takes_in(Sequence(*sequence), *index))
        };
        for places in self.entities.values_mut() {
            places.retain(is_behind);
        }
        self.entities.retain(|_, places| !places.is_empty());
        self
    }

    /// Whether another one has all of it first, of each entity: what is wrong, if it has not.
    pub(super) fn is_begin_of(&self, other: &Self) -> Result<(), String> {
        for (key, places) in &self.entities {
            let others = other.entities.get(key).map_or(&[][..], Vec::as_slice);
            if !others.starts_with(places) {
                return Err(format!("of {key} one has {places:?}, and one {others:?}"));
            }
        }
        Ok(())
    }

    /// One of one entity.
    #[cfg(test)]
    pub(super) fn with(key: &str, places: Vec<Place>) -> Self {
        Self {
            entities: [(key.to_owned(), places)].into(),
            ballast: String::new(),
        }
    }

    /// The places of each entity's events.
    pub(super) fn places(&self) -> impl Iterator<Item = (&str, &[Place])> {
        let entities = self.entities.iter();
        entities.map(|(key, places)| (key.as_str(), places.as_slice()))
    }

    /// How many events are in it.
    pub(super) fn events(&self) -> usize {
        self.entities.values().map(Vec::len).sum()
    }

    /// One of its entities with the place of its last event.
    pub(super) fn last_of(&self, nth: u64) -> Option<(&str, Partition, Sequence)> {
        let nth = usize::try_from(nth).ok()?;
        let (key, places) = self.entities.iter().nth(nth)?;
        let (partition, sequence, _) = places.last()?;
        Some((key, Partition(*partition), Sequence(*sequence)))
    }

    /// How many entities it has.
    pub(super) fn entities(&self) -> u64 {
        self.entities.len() as u64
    }

    /// The same of one entity alone.
    pub(super) fn only(&self, key: &str) -> Self {
        let found = self.entities.get_key_value(key);
        let found = found.map(|(key, places)| (key.clone(), places.clone()));
        Self {
            entities: found.into_iter().collect(),
            ballast: String::new(),
        }
    }
}
