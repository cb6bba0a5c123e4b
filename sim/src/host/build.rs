//! Builds: under which type of event a node writes what happened. All builds read all types, the
//! older ones by upcasting, as programs do that are upgraded node by node.

use super::Added;
use bytes::Bytes;
use serde::Deserialize;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use tenure_core::api::{CodecError, Event, EventReader, Fields, RawEvent, Upcasters};
use tenure_core::format::{Codec, EventRecord};
use tenure_core::id::Ticket;

/// What a node writes. Later builds follow earlier ones in its later lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Build {
    /// `put`, version 1: CBOR, and the amount is called `by`.
    First,
    /// `added`, version 1: CBOR.
    Second,
    /// `added`, version 2: plain words.
    Present,
}

/// The stable name of the one event.
const EVENT: &str = "added";
/// What the first build called it.
const FIRST_EVENT: &str = "put";

impl Build {
    /// All builds, oldest first.
    pub(crate) const ALL: [Self; 3] = [Self::First, Self::Second, Self::Present];

    /// The build that follows.
    #[must_use]
    pub(crate) const fn next(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second | Self::Present => Self::Present,
        }
    }

    /// Whether a record was written by a build before the present one.
    pub(crate) fn is_older(record: &EventRecord) -> bool {
        (&*record.name, record.schema) != (EVENT, 2)
    }

    /// An event as this build writes it, `padding` bytes larger: its type and its bytes.
    pub(crate) fn write(self, event: &Added, padding: usize) -> (&'static str, u16, Bytes) {
        let fields = |amount| {
            let fields = Fields::new()
                .with("ticket", event.ticket.0)
                .with("index", event.index)
                .with(amount, event.amount)
                .with("seen", event.seen)
                .with("padding", vec![0_u8; padding]);
            let encoded = Codec::Cbor.encode(&fields);
            encoded.expect("integers and bytes")
        };
        match self {
            Self::First => (FIRST_EVENT, 1, fields("by")),
            Self::Second => (EVENT, 1, fields("amount")),
            Self::Present => (EVENT, 2, event.words(padding)),
        }
    }
}

/// The fields of `added` version 1 that still mean something.
#[derive(Deserialize)]
struct AddedV1 {
    ticket: u64,
    index: u64,
    amount: i64,
    seen: u64,
}

/// The fields of `put` version 1.
#[derive(Deserialize)]
struct PutV1 {
    ticket: u64,
    index: u64,
    by: i64,
    seen: u64,
}

impl From<AddedV1> for Added {
    fn from(old: AddedV1) -> Self {
        Self {
            ticket: Ticket(old.ticket),
            index: old.index,
            amount: old.amount,
            seen: old.seen,
        }
    }
}

impl Added {
    /// The event in a stored record, whichever build wrote it, without the steps that hosts take:
    /// what they fold is held against this.
    pub(crate) fn of(record: &EventRecord) -> Option<Self> {
        match (&*record.name, record.schema) {
            (EVENT, 2) => Self::of_words(&record.data),
            (EVENT, 1) => {
                let old: AddedV1 = Codec::Cbor.decode(&record.data).ok()?;
                Some(old.into())
            }
            (FIRST_EVENT, 1) => {
                let old: PutV1 = Codec::Cbor.decode(&record.data).ok()?;
                Some(Self {
                    ticket: Ticket(old.ticket),
                    index: old.index,
                    amount: old.by,
                    seen: old.seen,
                })
            }
            _ => None,
        }
    }
}

impl Event for Added {
    const TYPES: &'static [(&'static str, u16)] = &[(EVENT, 2)];

    fn name(&self) -> &'static str {
        EVENT
    }

    fn schema(&self) -> u16 {
        2
    }

    fn encode(&self, _: Codec) -> Result<Bytes, CodecError> {
        Ok(self.words(0))
    }

    fn decode(name: &str, schema: u16, _: Codec, data: &[u8]) -> Result<Option<Self>, CodecError> {
        if (name, schema) != (EVENT, 2) {
            return Ok(None);
        }
        let event = Self::of_words(data);
        event
            .map(Some)
            .ok_or_else(|| CodecError::new("fewer than four words"))
    }
}

/// Reads events as a node does: over the steps. What an older build wrote goes that way once, and is
/// then known: the nodes of a run read the same events over and over.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    events: Rc<EventReader<Added>>,
    /// By their bytes.
    known: Rc<RefCell<BTreeMap<Bytes, Known>>>,
}

/// What bytes mean under a type.
#[derive(Clone, Debug)]
struct Known {
    name: Cow<'static, str>,
    schema: u16,
    events: Vec<Added>,
}

impl Reader {
    pub(crate) fn new() -> Self {
        let upcasters = Upcasters::none()
            .step((FIRST_EVENT, 1), (EVENT, 1), |mut old: Fields| {
                old.rename("by", "amount");
                old
            })
            .split((EVENT, 1), [(EVENT, 2)], |old: AddedV1, parts| {
                parts.event(&Added::from(old));
            });
        let events = EventReader::new(upcasters).expect("steps that fit together");
        Self {
            events: Rc::new(events),
            known: Rc::default(),
        }
    }

    /// The events of a record.
    pub(crate) fn read(&self, record: &EventRecord) -> Result<Vec<Added>, String> {
        if !Build::is_older(record) {
            return self.read_over_steps(record);
        }
        let (name, schema) = (&record.name, record.schema);
        if let Some(known) = self.known.borrow().get(&record.data)
            && (&known.name, known.schema) == (name, schema)
        {
            return Ok(known.events.clone());
        }
        let events = self.read_over_steps(record)?;
        let known = Known {
            name: name.clone(),
            schema,
            events: events.clone(),
        };
        let mut all = self.known.borrow_mut();
        all.insert(record.data.clone(), known);
        Ok(events)
    }

    fn read_over_steps(&self, record: &EventRecord) -> Result<Vec<Added>, String> {
        let stored = RawEvent::new(record.name.clone(), record.schema, record.data.clone());
        match self.events.read(Codec::Cbor, &stored.at(record.version)) {
            Ok(Some(events)) => Ok(events),
            Ok(None) => Err(format!(
                "an unknown event {:?} {}",
                record.name, record.schema
            )),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Build, Reader};
    use crate::host::Added;
    use tenure_core::format::EventRecord;
    use tenure_core::id::{Ticket, Version};

    #[test]
    fn what_any_build_writes_is_read_the_same() {
        let event = Added {
            ticket: Ticket(u64::MAX),
            index: 3,
            amount: -7,
            seen: u64::MAX,
        };
        for build in Build::ALL {
            for padding in [0, 1, 9_000] {
                let (name, schema, data) = build.write(&event, padding);
                assert!(data.len() >= padding);
                let record = EventRecord {
                    version: Version(1),
                    name: name.into(),
                    schema,
                    data,
                };
                assert_eq!(Reader::new().read(&record), Ok(vec![event]), "{build:?}");
                assert_eq!(Added::of(&record), Some(event), "{build:?}");
            }
        }
    }
}
