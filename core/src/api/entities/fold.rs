//! From stored events to a state.

use super::KindFacts;
use crate::api::upcast::{Decoded, Reading, StoredEvent};
use crate::api::{Aggregate, Event, EventType, UnknownEvents};
use crate::driver::host::caught;
use crate::format::EventRecord;
use crate::log::{FoldError, StoredCommit};
use std::sync::atomic::Ordering;

/// Folds stored commits, oldest first, onto a state. A tombstone resets it.
pub(crate) fn fold_commits<A: Aggregate>(
    facts: &KindFacts,
    mut state: A,
    commits: &[StoredCommit],
) -> Result<A, FoldError> {
    for stored in commits {
        for record in &stored.commit.events {
            state = fold_event(facts, state, record)?;
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
    record: &EventRecord,
) -> Result<A, FoldError> {
    let events = decode_event::<A::Event>(facts, record)?;
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

/// The current events that a stored one is, in order: none when it was dropped, or when the policy
/// leaves it out.
pub(crate) fn decode_event<E: Event>(
    facts: &KindFacts,
    record: &EventRecord,
) -> Result<Decoded<E>, FoldError> {
    let stored = StoredEvent {
        name: &record.name,
        schema: record.schema,
        version: record.version,
        data: &record.data,
    };
    match (facts.steps.read(facts.codec, stored)?, facts.unknown_events) {
        (Reading::Known(events), _) => Ok(events),
        (Reading::Unknown(_), UnknownEvents::Skip) => {
            facts.skipped.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                kind = %facts.kind,
                event = &*record.name,
                schema = record.schema,
                version = record.version.0,
                "event_skipped"
            );
            Ok(Decoded::none())
        }
        (Reading::Unknown(EventType { name, schema }), UnknownEvents::Fail) => {
            Err(FoldError::UnknownEvent {
                name,
                schema,
                version: record.version,
            })
        }
    }
}
