//! What must be true of values in a bucket: each that was stored follows the one before it, with each event of
//! its entity once and in the log's order (P6, J5); in the end all have all.

use super::super::tally::{Place, Tally};
use super::{GONE_AT, NAME, Recent, key_of};
use crate::oracle::{Class, Violation};
use crate::stage::Record;
use std::collections::BTreeMap;
use tenure_core::api::projection::kv_key;
use tenure_core::port::Message;

/// Asks of each value, in the order in which they were stored.
pub(super) fn judge(log: &Tally, records: &[Record]) -> Result<(), Violation> {
    let all: BTreeMap<String, &[Place]> = of_keys(log).collect();
    // How many events of its entity each had at least.
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for Record { at, message } in records {
        let Some(key) = key(message) else { continue };
        let wrong = |what: String| Violation {
            class: Class::Safety,
            oracle: "values",
            what: format!("the value of {key} at {at} ns {what} (P6)"),
        };
        let recent = recent(message).map_err(wrong)?;
        let places = all.get(key).copied().unwrap_or_default();
        let before = counts.entry(key).or_default();
        let next = match recent.is_empty() {
            // Of those that it may have the first one.
            true => Some((*before / GONE_AT + 1) * GONE_AT).filter(|next| *next <= places.len()),
            false => count_of(places, &recent),
        };
        match next {
            Some(next) if next > *before => *before = next,
            Some(_) | None => {
                let before = *before;
                let what = format!(
                    "is {recent:?}, after one with {before} events; its entity has {places:?}"
                );
                return Err(wrong(what));
            }
        }
    }
    Ok(())
}

/// Whether each value is that of a replay from nothing.
pub(super) fn stored(log: &Tally, messages: &[Message]) -> Result<(), String> {
    let mut values = BTreeMap::new();
    for message in messages {
        if let Some(key) = key(message) {
            values.insert(key, recent(message)?);
        }
    }
    for (key, places) in of_keys(log) {
        let wanted = &places[places.len() - places.len() % GONE_AT..];
        let found = values.remove(key.as_str()).unwrap_or_default();
        if found != wanted {
            return Err(format!("{key} is {found:?} and is to be {wanted:?}"));
        }
    }
    match values.pop_first() {
        Some((key, found)) => Err(format!("{key} is {found:?} and is of nobody")),
        None => Ok(()),
    }
}

/// How many events of an entity lead to a value; none do to one that it never has.
pub(super) fn count_of(places: &[Place], recent: &[Place]) -> Option<usize> {
    let last = recent.last()?;
    let count = 1 + places.iter().position(|place| place == last)?;
    let wanted = &places[count - count % GONE_AT..count];
    (wanted == recent).then_some(count)
}

fn of_keys(log: &Tally) -> impl Iterator<Item = (String, &[Place])> {
    log.places().map(|(entity, places)| {
        let key = kv_key(&key_of(entity)).expect("an entity's name");
        (key, places)
    })
}

/// The key that a message is the value of, where it is one of this projection.
fn key(message: &Message) -> Option<&str> {
    let mut tokens = message.subject.splitn(4, '.');
    let (family, name) = (tokens.next(), tokens.nth(1));
    tokens
        .next()
        .filter(|_| (family, name) == (Some("$KV"), Some(NAME)))
}

/// What a value says; empty for a key that is gone.
fn recent(message: &Message) -> Result<Recent, String> {
    let read: Result<serde_json::Value, _> = serde_json::from_slice(&message.payload);
    let value = read.map_err(|error| format!("cannot be read: {error}"))?;
    let recent: Result<Option<Recent>, _> = serde_json::from_value(value["value"].clone());
    let recent = recent.map_err(|error| format!("cannot be read: {error}"))?;
    Ok(recent.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::super::tally::{Place, Tally};
    use super::{Record, judge, stored};
    use bytes::Bytes;
    use tenure_core::id::{Sequence, WallTime};
    use tenure_core::port::Message;

    fn places(sequences: &[u64]) -> Vec<Place> {
        sequences.iter().map(|at| (0, *at, 0)).collect()
    }

    fn value(at: u64, recent: &[u64]) -> Record {
        let value = match recent {
            [] => serde_json::Value::Null,
            recent => serde_json::json!(places(recent)),
        };
        let payload = serde_json::json!({ "value": value }).to_string();
        Record {
            at,
            message: Message {
                subject: "$KV.sim.values.counter.one".into(),
                sequence: Sequence(at),
                stored: WallTime(1),
                expired_marker: false,
                payload: Bytes::from(payload),
            },
        }
    }

    /// Of an entity with five events.
    fn said(recents: &[&[u64]]) -> Result<(), String> {
        let log = Tally::with("counter one", places(&[2, 4, 6, 8, 10]));
        let records: Vec<_> = (1..)
            .zip(recents)
            .map(|(at, recent)| value(at, recent))
            .collect();
        judge(&log, &records).map_err(|violation| violation.what)?;
        let messages: Vec<_> = records.into_iter().map(|record| record.message).collect();
        stored(&log, &messages)
    }

    #[test]
    fn values_that_go_on_to_the_last_event_are_fine() {
        assert_eq!(said(&[&[2], &[2, 4, 6], &[], &[10]]), Ok(()));
        assert_eq!(said(&[&[2, 4], &[10]]), Ok(()));
    }

    #[test]
    fn what_is_twice_or_missing_or_goes_back_is_seen() {
        for wrong in [
            &[&[2, 2][..]][..],
            &[&[2, 6]],
            &[&[2, 4, 6], &[2, 4]],
            &[&[2], &[], &[], &[10]],
            &[&[2, 4, 6, 8]],
            &[&[2], &[]],
            &[&[2]],
        ] {
            assert!(said(wrong).is_err(), "{wrong:?}");
        }
    }
}
