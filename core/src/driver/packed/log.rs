//! Commands and verdicts as plain bytes: what the flight recorder keeps of them, so that it is small
//! and shares no memory with the entity and the commit.

use crate::id::{CommandId, Sequence, Ticket, Version, WallTime};
use crate::log::{Decided, Expected, KindIndex, NewEvent, Submit, Verdict};
use crate::name::EntityId;
use crate::step::Time;
use bytes::Bytes;

/// Verdicts with more than so many bytes of values are kept as they are, which shares the values.
const BYTES_MAX: usize = 1_024;

/// Appends verdicts to a buffer; whether they are small enough for that, have no timers and messages, and
/// delete nothing.
pub(in crate::driver) fn pack(decided: &[Decided], into: &mut Vec<u8>) -> bool {
    let plain = decided.iter().all(is_plain);
    if !plain || decided.iter().map(bytes_of).sum::<usize>() > BYTES_MAX {
        return false;
    }
    count(into, decided.len());
    for Decided { ticket, verdict } in decided {
        number(into, ticket.0);
        match verdict {
            Verdict::Accepted {
                events,
                outcome,
                record,
                later: _,
                delete: _,
            } => {
                into.push(u8::from(*record));
                text(into, outcome);
                count(into, events.len());
                for event in events {
                    // Zero is no version of an event.
                    number(into, event.version.map_or(0, |version| version.0));
                    text(into, event.name.as_bytes());
                    into.extend_from_slice(&event.schema.to_le_bytes());
                    text(into, &event.data);
                }
            }
            Verdict::Rejected => into.push(2),
            Verdict::Conflict(version) => {
                into.push(3);
                number(into, version.0);
            }
            Verdict::Failed(cause) => {
                into.push(4);
                text(into, cause.as_bytes());
            }
        }
    }
    true
}

/// The verdicts again; `None` when the bytes are not of [`pack`].
pub(in crate::driver) fn unpack(bytes: &[u8]) -> Option<Vec<Decided>> {
    let mut rest = Rest(bytes);
    let count = rest.count()?;
    (0..count).map(|_| rest.decided()).collect()
}

/// Appends a command to a buffer; whether it is one that says nothing of itself, which is kept as it
/// is.
pub(in crate::driver) fn pack_submit(submit: &Submit, into: &mut Vec<u8>) -> bool {
    let Submit {
        ticket,
        kind,
        entity,
        id,
        expected,
        metadata: None,
        wall,
        at_least,
        deadline,
    } = submit
    else {
        return false;
    };
    number(into, ticket.0);
    number(into, u64::from(kind.0));
    text(into, entity.as_str().as_bytes());
    into.push(u8::from(id.is_some()));
    if let Some(id) = id {
        into.extend_from_slice(&id.0.to_le_bytes());
    }
    match expected {
        Expected::Any => into.push(0),
        Expected::Present => into.push(1),
        Expected::Exactly(version) => {
            into.push(2);
            number(into, version.0);
        }
    }
    number(into, wall.0);
    number(into, at_least.0);
    number(into, deadline.as_nanos());
    true
}

/// The command again; `None` when the bytes are not of [`pack_submit`].
pub(in crate::driver) fn unpack_submit(bytes: &[u8]) -> Option<Submit> {
    let mut rest = Rest(bytes);
    Some(Submit {
        ticket: Ticket(rest.number()?),
        kind: KindIndex(rest.number()?.try_into().ok()?),
        entity: EntityId::new(&rest.string()?).ok()?,
        id: match rest.array()? {
            [0] => None,
            [_] => Some(CommandId(u128::from_le_bytes(rest.array()?))),
        },
        expected: match rest.array()? {
            [0] => Expected::Any,
            [1] => Expected::Present,
            [2] => Expected::Exactly(Version(rest.number()?)),
            [_] => return None,
        },
        metadata: None,
        wall: WallTime(rest.number()?),
        at_least: Sequence(rest.number()?),
        deadline: Time::from_nanos(rest.number()?),
    })
}

/// Whether nothing is left to be done later, and nothing deleted. That is rare, and kept as it is.
fn is_plain(decided: &Decided) -> bool {
    match &decided.verdict {
        Verdict::Accepted { later, delete, .. } => later.is_none() && !delete,
        Verdict::Rejected | Verdict::Conflict(_) | Verdict::Failed(_) => true,
    }
}

fn bytes_of(decided: &Decided) -> usize {
    match &decided.verdict {
        Verdict::Accepted {
            events, outcome, ..
        } => {
            let values = events
                .iter()
                .map(|event| event.name.len() + event.data.len());
            outcome.len() + values.sum::<usize>()
        }
        Verdict::Failed(cause) => cause.len(),
        Verdict::Rejected | Verdict::Conflict(_) => 0,
    }
}

// All of the same width: each command writes six numbers, which is sooner done than their bytes are
// counted, and the ring writes over the same memory again and again.
fn number(into: &mut Vec<u8>, number: u64) {
    into.extend_from_slice(&number.to_le_bytes());
}

fn count(into: &mut Vec<u8>, count: usize) {
    number(into, count as u64);
}

fn text(into: &mut Vec<u8>, bytes: &[u8]) {
    count(into, bytes.len());
    into.extend_from_slice(bytes);
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn decided(&mut self) -> Option<Decided> {
        let ticket = Ticket(self.number()?);
        let [tag] = self.array()?;
        let verdict = match tag {
            0 | 1 => Verdict::Accepted {
                record: tag == 1,
                later: None,
                delete: false,
                outcome: self.text()?,
                events: {
                    let count = self.count()?;
                    let events = (0..count).map(|_| self.event());
                    events.collect::<Option<Vec<_>>>()?
                },
            },
            2 => Verdict::Rejected,
            3 => Verdict::Conflict(Version(self.number()?)),
            4 => Verdict::Failed(self.string()?),
            _ => return None,
        };
        Some(Decided { ticket, verdict })
    }

    fn event(&mut self) -> Option<NewEvent> {
        Some(NewEvent {
            version: Some(Version(self.number()?)).filter(|version| version.0 > 0),
            name: self.string()?.into(),
            schema: u16::from_le_bytes(self.array()?),
            data: self.text()?,
        })
    }

    fn string(&mut self) -> Option<String> {
        String::from_utf8(self.text()?.into()).ok()
    }

    fn text(&mut self) -> Option<Bytes> {
        let count = self.count()?;
        let (text, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(Bytes::copy_from_slice(text))
    }

    fn count(&mut self) -> Option<usize> {
        self.number()?.try_into().ok()
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES_MAX, pack, pack_submit, unpack, unpack_submit};
    use crate::format::Metadata;
    use crate::id::{CommandId, Sequence, Ticket, Version, WallTime};
    use crate::log::{Decided, Expected, KindIndex, NewEvent, Submit, Verdict};
    use crate::name::EntityId;
    use crate::step::Time;
    use bytes::Bytes;
    use std::sync::Arc;

    fn event(version: Option<u64>, data: &'static [u8]) -> NewEvent {
        NewEvent {
            version: version.map(Version),
            name: "deposited".into(),
            schema: 3,
            data: Bytes::from_static(data),
        }
    }

    fn accepted(events: Vec<NewEvent>, outcome: Vec<u8>, record: bool) -> Verdict {
        Verdict::Accepted {
            events,
            outcome: outcome.into(),
            record,
            later: None,
            delete: false,
        }
    }

    fn decided(verdicts: Vec<Verdict>) -> Vec<Decided> {
        let tickets = (7..).map(Ticket);
        let decided = tickets.zip(verdicts);
        decided
            .map(|(ticket, verdict)| Decided { ticket, verdict })
            .collect()
    }

    #[test]
    fn every_verdict_comes_back_as_it_was() {
        let verdicts = decided(vec![
            accepted(
                vec![event(None, b"5"), event(Some(9), b"")],
                b"ok".to_vec(),
                false,
            ),
            accepted(Vec::new(), Vec::new(), true),
            Verdict::Rejected,
            Verdict::Conflict(Version(4)),
            Verdict::Failed("decide panicked: seven".to_owned()),
        ]);
        let mut bytes = Vec::new();
        assert!(pack(&verdicts, &mut bytes));
        assert_eq!(unpack(&bytes), Some(verdicts));
        assert_eq!(unpack(&bytes[..bytes.len() - 1]), None, "cut short");
    }

    #[test]
    fn every_command_comes_back_as_it_was() {
        let expected = [
            Expected::Any,
            Expected::Present,
            Expected::Exactly(Version(0)),
            Expected::Exactly(Version(300)),
        ];
        for (n, expected) in (1..).zip(expected) {
            let submit = Submit {
                ticket: Ticket(u64::MAX >> (16 * (n - 1))),
                kind: KindIndex(n),
                entity: EntityId::new("zoë").unwrap(),
                id: (n % 2 == 0).then_some(CommandId(u128::MAX - 5)),
                expected,
                metadata: None,
                wall: WallTime(1_700_000_000_000),
                at_least: Sequence(u64::from(n) - 1),
                deadline: Time::from_nanos(1 << 40),
            };
            let mut bytes = Vec::new();
            assert!(pack_submit(&submit, &mut bytes));
            assert_eq!(unpack_submit(&bytes), Some(submit.clone()));
            assert_eq!(unpack_submit(&bytes[..bytes.len() - 1]), None, "cut short");
            let metadata = Some(Arc::new(Metadata::new().correlation("order-17")));
            bytes.clear();
            assert!(!pack_submit(&Submit { metadata, ..submit }, &mut bytes));
            assert!(bytes.is_empty());
        }
    }

    #[test]
    fn large_values_are_left_to_be_shared() {
        let mut bytes = Vec::new();
        let large = accepted(Vec::new(), vec![0; BYTES_MAX + 1], true);
        assert!(!pack(&decided(vec![large]), &mut bytes));
        assert!(bytes.is_empty());
    }
}
