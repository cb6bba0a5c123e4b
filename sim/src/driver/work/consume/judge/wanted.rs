//! What a consumer is to be given, by the log.

use super::super::shape::Shape;
use super::super::table::Folded;
use crate::driver::log::Log;
use std::collections::BTreeMap;
use tenure_core::api::consumer::EventPlace;

/// The events that a consumer reads.
#[derive(Debug, Default)]
pub(in super::super) struct Wanted {
    /// Each with its entity, and the how manieth of that it is.
    pub(super) places: BTreeMap<EventPlace, (usize, usize)>,
    /// Those of each entity, in their order.
    pub(super) entities: Vec<Vec<EventPlace>>,
    /// What comes of a replay of them from nothing.
    pub(super) folded: Folded,
}

impl Wanted {
    pub(in super::super) fn of(shape: &Shape, log: &Log) -> Self {
        let mut wanted = Self::default();
        for (partition, subject, commits) in log.placed() {
            let kind = subject.split('.').nth(3).unwrap_or_default();
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
        }
        wanted
    }
}
