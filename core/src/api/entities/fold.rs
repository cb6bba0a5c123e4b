//! From stored events to a state.

use super::KindFacts;
use crate::api::cipher::SHREDDED_VERSION;
use crate::api::upcast::{Decoded, Reading, StoredEvent};
use crate::api::{
    Aggregate, Decrypted, Event, EventType, PayloadPart, SHREDDED, UnknownEvents, deletion,
};
use crate::driver::host::caught;
use crate::format::EventRecord;
use crate::log::{FoldError, StoredCommit};
use crate::name::EntityId;
use std::sync::atomic::Ordering;

/// Folds stored commits, oldest first, onto a state. A tombstone resets it.
pub(crate) fn fold_commits<A: Aggregate>(
    facts: &KindFacts,
    mut state: A,
    commits: &[StoredCommit],
) -> Result<A, FoldError> {
    for stored in commits {
        for record in &stored.commit.events {
            state = fold_event(facts, state, (&stored.commit.entity, record))?;
        }
        if stored.commit.tombstone {
            state = A::default();
        }
    }
    Ok(state)
}

/// Folds one stored event onto a state.
pub(crate) fn fold_event<A: Aggregate>(
    facts: &KindFacts,
    mut state: A,
    (entity, record): (&EntityId, &EventRecord),
) -> Result<A, FoldError> {
    let events = decode_event::<A::Event>(facts, entity, record)?;
    caught(|| {
        for event in events {
            state.evolve(&event);
        }
        state
    })
    .map_err(|cause| FoldError::Panicked {
        version: record.version,
        cause,
    })
}

/// Why an event is not told.
#[derive(Debug)]
pub(crate) enum Untold {
    /// Its cipher cannot say now: it may be asked again.
    NotNow(FoldError),
    /// It stays so with this build.
    Never(FoldError),
}

impl From<FoldError> for Untold {
    fn from(error: FoldError) -> Self {
        Self::Never(error)
    }
}

impl From<Untold> for FoldError {
    fn from(untold: Untold) -> Self {
        match untold {
            Untold::NotNow(error) | Untold::Never(error) => error,
        }
    }
}

/// The current events that a stored one is, in order: none when it was dropped, or when the policy
/// leaves it out. One whose key is gone is an error, unless the kind names [`SHREDDED`].
pub(crate) fn decode_event<E: Event>(
    facts: &KindFacts,
    entity: &EntityId,
    record: &EventRecord,
) -> Result<Decoded<E>, FoldError> {
    let read = read_event(facts, entity, record)?;
    current(facts, record, read)
}

fn current<E: Event>(
    facts: &KindFacts,
    record: &EventRecord,
    read: Read<E>,
) -> Result<Decoded<E>, FoldError> {
    let version = record.version;
    match (read, facts.unknown_events) {
        (Read::Shredded(Some(events)) | Read::Plain(Reading::Known(events)), _) => Ok(events),
        (Read::Shredded(None), _) => Err(FoldError::Shredded {
            name: record.name.clone().into_owned(),
            schema: record.schema,
            version,
        }),
        (Read::Plain(Reading::Unknown(_)), UnknownEvents::Skip) => {
            facts.skipped.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                kind = %facts.kind,
                event = &*record.name,
                schema = record.schema,
                version = version.0,
                "event_skipped"
            );
            Ok(Decoded::none())
        }
        (Read::Plain(Reading::Unknown(EventType { name, schema })), UnknownEvents::Fail) => {
            Err(FoldError::UnknownEvent {
                name,
                schema,
                version,
            })
        }
    }
}

/// The same for who is told of events and decides nothing: one whose key is gone is left out where the
/// kind does not name [`SHREDDED`].
pub(crate) fn tell_event<E: Event>(
    facts: &KindFacts,
    entity: &EntityId,
    record: &EventRecord,
) -> Result<Decoded<E>, Untold> {
    let read = read_event(facts, entity, record)?;
    match current(facts, record, read) {
        Err(FoldError::Shredded { .. }) => Ok(Decoded::none()),
        told => Ok(told?),
    }
}

/// What a stored event is to this build.
enum Read<E> {
    Plain(Reading<E>),
    /// Its key is gone; these are told in its place, if the kind names one.
    Shredded(Option<Decoded<E>>),
}

fn read_event<E: Event>(
    facts: &KindFacts,
    entity: &EntityId,
    record: &EventRecord,
) -> Result<Read<E>, Untold> {
    let (name, schema, version) = (&*record.name, record.schema, record.version);
    let read = |name, schema, data: &[u8]| {
        let stored = StoredEvent {
            name,
            schema,
            version,
            data,
        };
        facts.steps.read(facts.codec, stored)
    };
    if deletion::is_told(name, schema) {
        // It says nothing of the entity but that it is gone, so that is told whoever has the key.
        return Ok(Read::Plain(read(name, schema, &record.data)?));
    }
    let part = PayloadPart::Event(name, schema);
    let undecodable = |cause: String| FoldError::Undecodable {
        name: name.to_owned(),
        schema,
        version,
        cause,
    };
    match facts
        .cipher
        .decrypt((&facts.kind, entity), part, &record.data)
    {
        Ok(Decrypted::Plain(data)) => Ok(Read::Plain(read(name, schema, &data)?)),
        Ok(Decrypted::Shredded) => {
            let nothing = facts.codec.encode(&());
            let nothing = nothing.map_err(|error| undecodable(error.to_string()))?;
            Ok(Read::Shredded(
                match read(SHREDDED, SHREDDED_VERSION, &nothing)? {
                    Reading::Known(events) => Some(events),
                    Reading::Unknown(_) => None,
                },
            ))
        }
        Ok(Decrypted::Damaged(cause)) => Err(Untold::Never(undecodable(cause))),
        Err(error) => Err(Untold::NotNow(undecodable(error.to_string()))),
    }
}
