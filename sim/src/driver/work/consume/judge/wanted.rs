//! What a consumer is to be given, by the log.

use super::super::shape::Shape;
use super::super::table::Folded;
use crate::driver::log::Log;
use std::collections::BTreeMap;
use tenure_core::api::consumer::EventPlace;
use tenure_core::id::Partition;
use tenure_core::port::{Message, Subject};

/// The events that a consumer reads.
#[derive(Debug, Default)]
pub(in super::super) struct Wanted {
    /// Each with its entity, and the how manieth of that it is.
    pub(in super::super) places: BTreeMap<EventPlace, (usize, usize)>,
    /// Those of each entity, in their order.
    pub(in super::super) entities: Vec<Vec<EventPlace>>,
    /// The shard of each entity.
    pub(in super::super) shards: Vec<u16>,
    /// What comes of a replay of them from nothing.
    pub(in super::super) folded: Folded,
}

impl Wanted {
    /// What is published on the bus: each topic in the place of an entity.
    pub(in super::super) fn published(all: &[Message]) -> Self {
        let mut topics: BTreeMap<&Subject, Vec<EventPlace>> = BTreeMap::new();
        for message in all {
            let places = topics.entry(&message.subject).or_default();
            places.push(EventPlace {
                partition: Partition(0),
                sequence: message.sequence,
                index: 0,
            });
        }
        let mut wanted = Self::default();
        for (of, places) in topics.into_values().enumerate() {
            let numbered = places.iter().enumerate();
            wanted
                .places
                .extend(numbered.map(|(nth, place)| (*place, (of, nth))));
            wanted.entities.push(places);
        }
        wanted
    }

    pub(in super::super) fn of(shape: &Shape, log: &Log) -> Self {
        let mut wanted = Self::default();
        for (partition, subject, commits) in log.placed() {
            let mut tokens = subject.split('.').skip(2);
            let shard = tokens.next().and_then(|shard| shard.parse().ok());
            let kind = tokens.next().unwrap_or_default();
            let mut entity = Vec::new();
            for (sequence, commit) in commits {
                for (index, event) in (0_u32..).zip(&commit.events) {
                    if !shape.wants(kind, &event.name) {
                        continue;
                    }
                    entity.push(EventPlace {
                        partition,
                        sequence: *sequence,
                        index,
                    });
                    let key = (kind.to_owned(), commit.entity.to_string());
                    let sum = wanted.folded.entry(key).or_default();
                    sum.add(event.version, &event.name, &event.data);
                }
            }
            let of = wanted.entities.len();
            let places = entity.iter().enumerate();
            wanted
                .places
                .extend(places.map(|(nth, place)| (*place, (of, nth))));
            wanted.entities.push(entity);
            wanted.shards.push(shard.unwrap_or_default());
        }
        wanted
    }
}
