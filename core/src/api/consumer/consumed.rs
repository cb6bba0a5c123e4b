//! An event as a handler gets it.

use crate::api::{Past, RawEvent};
use crate::consumer::Given;
use crate::format::{EventPlace, EventSubject, Position};
use crate::id::Partition;
use crate::name::{EntityId, KindName};
use std::ops::Deref;
use std::sync::Arc;

/// An event that is handed over: what a history tells of it ([`Past`], by deref), whose it is, and how it
/// comes.
#[derive(Clone, Debug)]
pub struct Consumed<E> {
    past: Past<E>,
    subject: Arc<EventSubject>,
    place: EventPlace,
    live: bool,
    attempt: u32,
    /// The how manieth of the events that one stored event is now.
    part: u32,
}

impl<E> Consumed<E> {
    /// The entity.
    pub fn id(&self) -> &EntityId {
        &self.subject.id
    }

    /// Its kind.
    pub fn kind(&self) -> &KindName {
        &self.subject.kind
    }

    /// The event stream that it is in.
    pub fn partition(&self) -> Partition {
        self.place.partition
    }

    /// Where it is: the same each time it comes, and of no other event of the namespace. A key for what
    /// must be done once.
    pub fn place(&self) -> EventPlace {
        self.place
    }

    /// Whether it is new: it was not in the log yet when this run of the consumer, or its last rewind,
    /// began. What is replayed is never live.
    pub fn live(&self) -> bool {
        self.live
    }

    /// The how manieth try of this run it is, from 1. More than 1: it failed before.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The event with what a history tells of it.
    pub fn into_past(self) -> Past<E> {
        self.past
    }

    pub(in crate::api) fn new(given: &Given, event: E) -> Option<Self> {
        let index = usize::try_from(given.place.index).ok()?;
        let record = given.commit.events.get(index)?;
        let (sequence, stored) = (given.place.sequence, given.stored);
        let past = Past::of(&given.commit, (index, record), sequence, stored);
        Some(Self {
            past: past.with(event),
            subject: Arc::clone(&given.subject),
            place: given.place,
            live: given.live,
            attempt: given.attempt,
            part: 0,
        })
    }

    pub(super) fn with_part(self, part: u32) -> Self {
        Self { part, ..self }
    }

    pub(super) fn part(&self) -> u32 {
        self.part
    }
}

impl Consumed<RawEvent> {
    /// The event as it is stored.
    pub(super) fn raw(given: &Given) -> Option<Self> {
        let record = given.commit.events.get(given.place.index as usize)?;
        let event = RawEvent::new(record.name.clone(), record.schema, record.data.clone());
        Self::new(given, event.at(record.version))
    }
}

impl<E> Deref for Consumed<E> {
    type Target = Past<E>;

    fn deref(&self) -> &Past<E> {
        &self.past
    }
}

/// Events that are handled together, in the log's order.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EventBatch {
    /// The events as they are stored.
    pub events: Vec<Consumed<RawEvent>>,
    /// Where the consumer will stand when all of them are handled, for each event stream: what is to be
    /// stored together with what the handler makes of them. Empty where the checkpoint is in the
    /// namespace.
    pub upto: Vec<Position>,
    /// The life of the consumer that they belong to: a rewind begins the next one.
    pub generation: u64,
}
