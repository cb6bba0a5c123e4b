//! From a stored event to current ones, over the steps.

use super::check::{check_steps, name_of};
use super::step::{Part, Parts, Step};
use super::{EventType, Upcasters, UpcastersError};
use crate::api::{Aggregate, Event, RawEvent, deletion};
use crate::driver::host::caught;
use crate::format::Codec;
use crate::id::Version;
use crate::log::FoldError;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::vec;

/// The most steps that one stored event goes through, over all that comes of it. A chain is as long
/// as its types have versions; only splits of splits of splits come near.
const STEPS_MAX: usize = 1_024;

/// Checked steps, by the type that each begins with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps {
    by_type: Arc<BTreeMap<(&'static str, u16), Step>>,
}

/// What a stored event is to this build.
pub(crate) enum Reading<E> {
    /// These events; none when it was dropped on purpose.
    Known(Decoded<E>),
    /// This build has no event of that type, and no step from it.
    Unknown(EventType),
}

/// The events that one stored event is, in order.
pub(crate) struct Decoded<E> {
    current: Option<E>,
    upcast: vec::IntoIter<E>,
}

impl<E> Decoded<E> {
    /// No event.
    pub(crate) fn none() -> Self {
        Self::several(Vec::new())
    }

    /// This event, as it is.
    pub(crate) fn current(event: E) -> Self {
        Self {
            current: Some(event),
            // No allocation: an event that is current costs nothing here.
            upcast: Vec::new().into_iter(),
        }
    }

    fn several(events: Vec<E>) -> Self {
        Self {
            current: None,
            upcast: events.into_iter(),
        }
    }
}

impl<E> Iterator for Decoded<E> {
    type Item = E;

    fn next(&mut self) -> Option<E> {
        self.current.take().or_else(|| self.upcast.next())
    }
}

/// A stored event.
#[derive(Clone, Copy)]
pub(crate) struct StoredEvent<'a> {
    pub(crate) name: &'a str,
    pub(crate) schema: u16,
    pub(crate) version: Version,
    pub(crate) data: &'a [u8],
}

impl Steps {
    /// The steps of an aggregate, checked.
    pub(crate) fn of<A: Aggregate>() -> Result<Self, UpcastersError> {
        Self::checked::<A::Event>(A::upcasters(), format!("kind {}", A::KIND))
    }

    /// Checked steps; `whose` they are stands in the error.
    fn checked<E: Event>(upcasters: Upcasters, whose: String) -> Result<Self, UpcastersError> {
        check_steps(&upcasters.steps, E::TYPES, name_of::<E>(), whose)?;
        Ok(Self::trusted(upcasters.steps))
    }

    /// Steps that were checked.
    pub(super) fn trusted(steps: Vec<Step>) -> Self {
        let steps = steps.into_iter();
        Self {
            by_type: Arc::new(steps.map(|step| (step.from, step)).collect()),
        }
    }

    /// The types that steps begin with, in order.
    pub(crate) fn types(&self) -> impl Iterator<Item = (&'static str, u16)> {
        self.by_type.keys().copied()
    }

    /// What a stored event is to this build.
    pub(crate) fn read<E: Event>(
        &self,
        codec: Codec,
        stored: StoredEvent<'_>,
    ) -> Result<Reading<E>, FoldError> {
        let StoredEvent { name, schema, .. } = stored;
        match decoded(codec, name, schema, stored.data) {
            Ok(Some(event)) => Ok(Reading::Known(Decoded::current(event))),
            Ok(None) => match self.by_type.get(&(name, schema)) {
                Some(first) => self.upcast(codec, stored, first),
                // A kind that does not name it is not told.
                None if deletion::is_told(name, schema) => Ok(Reading::Known(Decoded::none())),
                None => Ok(Reading::Unknown((name, schema).into())),
            },
            Err(cause) => Err(FoldError::Undecodable {
                name: name.to_owned(),
                schema,
                version: stored.version,
                cause,
            }),
        }
    }

    fn upcast<E: Event>(
        &self,
        codec: Codec,
        stored: StoredEvent<'_>,
        first: &Step,
    ) -> Result<Reading<E>, FoldError> {
        let failed = |step: &Step, cause: String| FoldError::Upcast {
            name: stored.name.to_owned(),
            schema: stored.schema,
            version: stored.version,
            step: step.to_string(),
            cause,
        };
        let mut events = Vec::new();
        // What is left to be read, the first at the end; each with the step that it came of.
        let mut left: Vec<(&Step, Part)> = Vec::new();
        let mut steps = 0;
        let mut next = Some((first, Bytes::copy_from_slice(stored.data)));
        loop {
            if let Some((step, data)) = next.take() {
                steps += 1;
                if steps > STEPS_MAX {
                    let cause = format!("one stored event takes more than {STEPS_MAX} steps");
                    return Err(failed(step, cause));
                }
                let mut parts = Parts::new(codec, &step.to);
                let made = caught(|| (step.run)(codec, &data, &mut parts))
                    .map_err(|panic| format!("it panicked: {panic}"))
                    .and_then(|()| parts.finish())
                    .map_err(|cause| failed(step, cause))?;
                left.extend(made.into_iter().rev().map(|part| (step, part)));
            }
            let Some((step, part)) = left.pop() else {
                return Ok(Reading::Known(Decoded::several(events)));
            };
            let (name, schema) = part.of;
            match decoded(codec, name, schema, &part.data) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => match self.by_type.get(&part.of) {
                    Some(step) => next = Some((step, part.data)),
                    // Checked before, unless the event decodes less than its `TYPES` say.
                    None => return Ok(Reading::Unknown(part.of.into())),
                },
                Err(cause) => {
                    let of = EventType::from(part.of);
                    return Err(failed(
                        step,
                        format!("it gave {of}, which cannot be decoded: {cause}"),
                    ));
                }
            }
        }
    }
}

/// Decodes a current event; `None` when the type has no such.
fn decoded<E: Event>(
    codec: Codec,
    name: &str,
    schema: u16,
    data: &[u8],
) -> Result<Option<E>, String> {
    caught(|| E::decode(name, schema, codec, data))
        .and_then(|decoded| decoded.map_err(|error| error.to_string()))
}

/// Reads stored events as those of a build: for tools on the [`Log`](super::super::Log), which
/// itself tells events as they are stored.
///
/// ```
/// # use tenure_core::api::*;
/// # use tenure_core::format::Codec;
/// # #[derive(Debug, PartialEq, tenure_macros::Event)] #[event(crate = "tenure_core::api")]
/// # enum AccountEvent { #[event(name = "deposited", version = 1)] Deposited { cents: u64 } }
/// let upcasters = Upcasters::none().rename(("credited", 1), ("deposited", 1));
/// let reader = EventReader::<AccountEvent>::new(upcasters)?;
/// let stored = RawEvent::new("credited", 1, &br#"{"cents":7}"#[..]);
/// let events = reader.read(Codec::Json, &stored)?;
/// assert_eq!(events, Some(vec![AccountEvent::Deposited { cents: 7 }]));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct EventReader<E> {
    steps: Steps,
    event: PhantomData<fn() -> E>,
}

impl<E> Clone for EventReader<E> {
    fn clone(&self) -> Self {
        Self {
            steps: self.steps.clone(),
            event: PhantomData,
        }
    }
}

impl<E> fmt::Debug for EventReader<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventReader").field(&self.steps).finish()
    }
}

impl<E: Event> EventReader<E> {
    /// A reader over these steps.
    ///
    /// # Errors
    ///
    /// When there are [mistakes](super::Mistake) in them.
    pub fn new(upcasters: Upcasters) -> Result<Self, UpcastersError> {
        let whose = format!("event {}", name_of::<E>());
        Ok(Self {
            steps: Steps::checked::<E>(upcasters, whose)?,
            event: PhantomData,
        })
    }

    /// The current events that a stored one is, in order; `None` when this build does not know it.
    ///
    /// # Errors
    ///
    /// When it cannot be decoded, or a step fails.
    pub fn read(&self, codec: Codec, event: &RawEvent) -> Result<Option<Vec<E>>, FoldError> {
        let stored = StoredEvent {
            name: &event.name,
            schema: event.schema,
            version: event.version.unwrap_or(Version::ABSENT),
            data: &event.data,
        };
        Ok(match self.steps.read(codec, stored)? {
            Reading::Known(events) => Some(events.collect()),
            Reading::Unknown(_) => None,
        })
    }
}
