//! What must be true of values in a bucket: each that was stored follows the one before it, with each event of
//! its entity once and in the log's order (P6, J5); in the end all have all.

use super::super::tally::{Place, Tally};
use super::{GONE_AT, NAME, Recent, key_of};
use crate::oracle::{Class, Violation};
use crate::stage::Record;
use std::collections::BTreeMap;
use tenure_core::api::projection::kv_key;
use tenure_core::port::Message;

/// What is stored of a key.
#[derive(Debug)]
struct Value {
    /// Empty for one that is gone.
    recent: Recent,
    /// The last event that is in it.
    last: Place,
}

/// The same as it is written.
#[derive(serde::Deserialize)]
struct Stored {
    value: Option<Recent>,
    at: Vec<Place>,
}

/// Asks of each value, in the order in which they were stored.
pub(super) fn judge(log: &Tally, records: &[Record]) -> Result<(), Violation> {
    let all: BTreeMap<String, &[Place]> = of_keys(log).collect();
    // How many events of its entity each had.
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for Record { at, message } in records {
        let Some(key) = key(message) else { continue };
        let wrong = |what: String| Violation {
            class: Class::Safety,
            oracle: "values",
            what: format!("the value of {key} at {at} ns {what} (P6)"),
        };
        let value = value(message).map_err(wrong)?;
        let places = all.get(key).copied().unwrap_or_default();
        let before = counts.entry(key).or_default();
        match count_of(places, &value.recent, value.last) {
            Some(next) if next > *before => *before = next,
            Some(_) | None => {
                let before = *before;
                let what = format!(
                    "is {value:?}, after one with {before} events; its entity has {places:?}"
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
            values.insert(key, value(message)?);
        }
    }
    for (key, places) in of_keys(log) {
        let found = values.remove(key.as_str());
        let count = found
            .as_ref()
            .and_then(|it| count_of(places, &it.recent, it.last));
        if count != Some(places.len()) {
            return Err(format!("{key} is {found:?} of {places:?}"));
        }
    }
    match values.pop_first() {
        Some((key, found)) => Err(format!("{key} is {found:?} and is of nobody")),
        None => Ok(()),
    }
}

/// How many events of an entity lead to a value, by the last one that is in it; none do to one that it never has.
pub(super) fn count_of(places: &[Place], recent: &[Place], last: Place) -> Option<usize> {
    let count = 1 + places.iter().position(|place| *place == last)?;
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

/// What a value says. A key that is gone says as well which event was its last.
fn value(message: &Message) -> Result<Value, String> {
    let read: Result<Stored, _> = serde_json::from_slice(&message.payload);
    let stored = read.map_err(|error| format!("cannot be read: {error}"))?;
    let [last] = stored.at[..] else {
        return Err(format!("has events of other streams: {:?}", stored.at));
    };
    let recent = stored.value.unwrap_or_default();
    Ok(Value { recent, last })
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

    /// A value, and its last event.
    fn value(at: u64, (recent, last): (&[u64], u64)) -> Record {
        let value = match recent {
            [] => serde_json::Value::Null,
            recent => serde_json::json!(places(recent)),
        };
        let payload = serde_json::json!({ "value": value, "at": places(&[last]) }).to_string();
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

    /// Of an entity with nine events.
    fn said(values: &[(&[u64], u64)]) -> Result<(), String> {
        let log = Tally::with("counter one", places(&[1, 2, 3, 4, 5, 6, 7, 8, 9]));
        let records: Vec<_> = (1..).zip(values).map(|(at, it)| value(at, *it)).collect();
        judge(&log, &records).map_err(|violation| violation.what)?;
        let messages: Vec<_> = records.into_iter().map(|record| record.message).collect();
        stored(&log, &messages)
    }

    #[test]
    fn values_that_go_on_to_the_last_event_are_fine() {
        let [first, third, last]: [(&[u64], u64); 3] = [(&[1], 1), (&[1, 2, 3], 3), (&[9], 9)];
        assert_eq!(said(&[first, third, (&[], 4), (&[], 8), last]), Ok(()));
        assert_eq!(said(&[first, (&[], 8), last]), Ok(()));
        assert_eq!(said(&[(&[1, 2], 2), last]), Ok(()));
    }

    #[test]
    fn what_is_twice_or_missing_or_goes_back_is_seen() {
        let last: (&[u64], u64) = (&[9], 9);
        for wrong in [
            &[(&[1, 1][..], 1), last][..],
            &[(&[1, 3], 3), last],
            &[(&[1, 2], 3), last],
            &[(&[1, 2, 3], 3), (&[1, 2], 2), last],
            &[(&[], 4), (&[], 4), last],
            &[(&[], 8), (&[], 4), last],
            &[(&[], 8), (&[5], 5), last],
            &[(&[1, 2, 3, 4], 4), last],
            &[(&[], 3), last],
            &[(&[], 8)],
            &[(&[1], 1)],
            &[],
        ] {
            assert!(said(wrong).is_err(), "{wrong:?}");
        }
    }
}
