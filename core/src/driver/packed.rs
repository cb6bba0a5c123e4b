//! Verdicts as plain bytes: what the flight recorder keeps of them, so that it shares no memory with
//! the commit that they become.

use crate::id::{Ticket, Version};
use crate::log::{Decided, NewEvent, Verdict};
use bytes::Bytes;

/// Verdicts with more than so many bytes of values are kept as they are, which shares the values.
const BYTES_MAX: usize = 1_024;

/// Appends verdicts to a buffer; whether they are small enough for that.
pub(super) fn pack(decided: &[Decided], into: &mut Vec<u8>) -> bool {
    if decided.iter().map(bytes_of).sum::<usize>() > BYTES_MAX {
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
pub(super) fn unpack(bytes: &[u8]) -> Option<Vec<Decided>> {
    let mut rest = Rest(bytes);
    let count = rest.count()?;
    (0..count).map(|_| rest.decided()).collect()
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
    use super::{BYTES_MAX, pack, unpack};
    use crate::id::{Ticket, Version};
    use crate::log::{Decided, NewEvent, Verdict};
    use bytes::Bytes;

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
    fn large_values_are_left_to_be_shared() {
        let mut bytes = Vec::new();
        let large = accepted(Vec::new(), vec![0; BYTES_MAX + 1], true);
        assert!(!pack(&decided(vec![large]), &mut bytes));
        assert!(bytes.is_empty());
    }
}
