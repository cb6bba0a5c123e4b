//! From stored events to a state.

use super::KindFacts;
use crate::api::{Aggregate, Event, UnknownEvents};
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
    let Some(event) = decode_event::<A::Event>(facts, record)? else {
        return Ok(state);
    };
    caught(|| {
        state.evolve(&event);
        state
    })
    .map_err(|cause| FoldError::Panicked {
        version: record.version,
        cause,
    })
}

/// Decodes a stored event; `None` when the policy leaves it out.
pub(crate) fn decode_event<E: Event>(
    facts: &KindFacts,
    record: &EventRecord,
) -> Result<Option<E>, FoldError> {
    let decoded = caught(|| E::decode(&record.name, record.schema, facts.codec, &record.data))
        .and_then(|decoded| decoded.map_err(|e| e.to_string()));
    match (decoded, facts.unknown_events) {
        (Ok(Some(event)), _) => Ok(Some(event)),
        (Ok(None), UnknownEvents::Skip) => {
            facts.skipped.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                kind = %facts.kind,
                event = record.name,
                schema = record.schema,
                version = record.version.0,
                "event_skipped"
            );
            Ok(None)
        }
        (Ok(None), UnknownEvents::Fail) => Err(FoldError::UnknownEvent {
            name: record.name.clone(),
            schema: record.schema,
            version: record.version,
        }),
        (Err(cause), _) => Err(FoldError::Undecodable {
            name: record.name.clone(),
            schema: record.schema,
            version: record.version,
            cause,
        }),
    }
}
