//! What must be true of the snapshots that were stored: each mark is after the one before it (J1), its parts
//! were there before it (J2), and its state is what a replay of the log up to its positions comes to (P6).

use super::NAME;
use super::tally::Tally;
use crate::oracle::{Class, Violation};
use crate::stage::Record;
use bytes::{Bytes, BytesMut};
use std::collections::BTreeMap;
use tenure_core::api::projection::Mark;
use tenure_core::format::{Codec, StateAt};

/// Asks of each mark, in the order in which they were stored.
pub(super) fn judge(log: &Tally, records: &[Record]) -> Result<(), Violation> {
    let mut parts: BTreeMap<String, Bytes> = BTreeMap::new();
    let mut before: Option<Mark> = None;
    for Record { at, message } in records {
        let mut tokens = message.subject.splitn(4, '.').skip(1);
        let (family, name) = (tokens.next(), tokens.next());
        if (family, name) != (Some("chk"), Some(NAME)) {
            continue;
        }
        let rest = tokens.next().unwrap_or_default();
        if rest != "mark" {
            parts.insert(rest.to_owned(), message.payload.clone());
            continue;
        }
        let wrong = |oracle, what: String| Violation {
            class: Class::Safety,
            oracle,
            what: format!("the mark of {NAME} at {at} ns {what}"),
        };
        let mark = Mark::decode(&message.payload);
        let mark = mark.map_err(|error| wrong("format", error.to_string()))?;
        if let Some(before) = before.filter(|before| !is_after(&mark, before)) {
            let (one, two) = (&before.positions, &mark.positions);
            return Err(wrong(
                "marks",
                format!("stands at {two:?}, after one at {one:?}"),
            ));
        }
        if let Some(state) = &mark.state {
            let found = whole(state, &parts).map_err(|what| wrong("marks", what))?;
            let positions = &mark.positions;
            let wanted = log.clone().up_to(positions);
            let same = found
                .is_begin_of(&wanted)
                .and_then(|()| wanted.is_begin_of(&found));
            same.map_err(|what| {
                wrong(
                    "marks",
                    format!("at {positions:?} has another state: {what}"),
                )
            })?;
        }
        before = Some(mark);
    }
    Ok(())
}

/// Whether a mark is of a later life, or of the same and further in a stream and in none behind; asked of
/// nobody who stores marks.
fn is_after(mark: &Mark, before: &Mark) -> bool {
    let life = |mark: &Mark| (mark.version, mark.generation);
    let mut pairs = before.positions.iter().zip(&mark.positions);
    let goes_on = before.positions != mark.positions && pairs.all(|(one, two)| one <= two);
    life(mark) > life(before) || life(mark) == life(before) && goes_on
}

/// The state that a mark names.
fn whole(state: &StateAt, parts: &BTreeMap<String, Bytes>) -> Result<Tally, String> {
    let bytes = match &state.whole {
        Some(whole) => whole.clone(),
        None => {
            let mut whole = BytesMut::new();
            for n in 0..state.parts {
                let name = format!("part.{:016x}.{n}", state.tag);
                let part = parts.get(&name).filter(|part| !part.is_empty());
                let part = part.ok_or_else(|| format!("names {name}, which is not there"))?;
                whole.extend_from_slice(part);
            }
            whole.freeze()
        }
    };
    let read = Codec::Cbor.decode(&bytes);
    read.map_err(|error| format!("has a state that cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::super::tally::Tally;
    use super::judge;
    use crate::stage::Record;
    use bytes::Bytes;
    use tenure_core::api::consumer::Position;
    use tenure_core::api::projection::Mark;
    use tenure_core::format::{Codec, StateAt, Unknown};
    use tenure_core::id::{Incarnation, LayoutId, Sequence, WallTime};
    use tenure_core::name::ConsumerName;
    use tenure_core::port::Message;

    /// One counter with events at these places of stream 0.
    fn tally(sequences: &[u64]) -> Tally {
        let places = sequences.iter().map(|at| (0, *at, 0)).collect();
        Tally::with("counter one", places)
    }

    fn record(at: u64, subject: &str, payload: Bytes) -> Record {
        Record {
            at,
            message: Message {
                subject: subject.into(),
                sequence: Sequence(at),
                stored: WallTime(1),
                expired_marker: false,
                payload,
            },
        }
    }

    fn mark(upto: u64, state: &Tally, in_parts: bool) -> Mark {
        let bytes = Codec::Cbor.encode(state).expect("a state");
        Mark {
            layout: LayoutId(1),
            projection: ConsumerName::new("tally").expect("a name"),
            definition: 1,
            version: 1,
            generation: 1,
            positions: vec![Position::whole(Sequence(upto))],
            run: Incarnation(1),
            node: "n1".to_owned(),
            time: WallTime(1),
            state: Some(StateAt {
                bytes: bytes.len() as u64,
                hash: 0,
                whole: (!in_parts).then_some(bytes),
                parts: u32::from(in_parts),
                tag: 7,
            }),
            unknown: Unknown::default(),
        }
    }

    fn said(stored: &[Mark]) -> Result<(), String> {
        let records: Vec<_> = (1..)
            .zip(stored)
            .map(|(at, mark)| record(at, "sim.chk.tally.mark", mark.encode()))
            .collect();
        judge(&tally(&[2, 4]), &records).map_err(|violation| violation.what)
    }

    #[test]
    fn marks_that_go_on_with_their_states_are_fine_and_others_are_seen() {
        let (one, both) = (tally(&[2]), tally(&[2, 4]));
        assert_eq!(said(&[mark(3, &one, false), mark(4, &both, false)]), Ok(()));
        let back = said(&[mark(4, &both, false), mark(3, &one, false)]);
        assert!(back.is_err_and(|what| what.contains("after one at")));
        let ahead = said(&[mark(4, &one, false)]);
        assert!(ahead.is_err_and(|what| what.contains("another state")));
        let twice = said(&[mark(3, &tally(&[2, 2]), false)]);
        assert!(twice.is_err_and(|what| what.contains("another state")));
    }

    #[test]
    fn a_mark_whose_parts_are_not_there_is_seen() {
        let one = tally(&[2]);
        let named = mark(3, &one, true);
        let lost = said(std::slice::from_ref(&named));
        assert!(lost.is_err_and(|what| what.contains("part.0000000000000007.0")));
        let bytes = Codec::Cbor.encode(&one).expect("a state");
        let records = [
            record(1, "sim.chk.tally.part.0000000000000007.0", bytes),
            record(2, "sim.chk.tally.mark", named.encode()),
        ];
        assert!(judge(&tally(&[2, 4]), &records).is_ok());
    }
}
