//! What a build makes of golden files.

use super::book::{Became, Book, CODECS, Encoded, Example};
use super::{Found, Mode};
use crate::api::kit::file::{hex, to_line};
use crate::api::upcast::{Reading, Steps, StoredEvent, UpcastersError};
use crate::api::{Aggregate, Event, EventType};
use crate::format::Codec;
use crate::id::Version;
use std::collections::BTreeSet;
use std::marker::PhantomData;

/// Reads events as the aggregate's build does.
pub(super) struct Reader<A> {
    steps: Steps,
    aggregate: PhantomData<fn() -> A>,
}

impl<A: Aggregate> Reader<A> {
    /// Reads over the aggregate's steps.
    pub(super) fn new() -> Result<Self, UpcastersError> {
        Ok(Self {
            steps: Steps::of::<A>()?,
            aggregate: PhantomData,
        })
    }

    /// Every type that this build reads.
    pub(super) fn known(&self) -> BTreeSet<EventType> {
        let current = A::Event::TYPES.iter().copied();
        current
            .chain(self.steps.types())
            .map(EventType::from)
            .collect()
    }

    /// What bytes of a type become, or why they become nothing.
    pub(super) fn becomes(
        &self,
        of: &EventType,
        codec: Codec,
        data: &[u8],
    ) -> Result<Vec<Became>, String> {
        let stored = StoredEvent {
            name: &of.name,
            schema: of.schema,
            version: Version(1),
            data,
        };
        let reading = self
            .steps
            .read::<A::Event>(codec, stored)
            .map_err(|e| e.to_string())?;
        let events = match reading {
            Reading::Known(events) => events,
            Reading::Unknown(of) => return Err(format!("this build knows no event {of}")),
        };
        let became = |event: A::Event| {
            let encoded = Encoded::new(|codec| event.encode(codec));
            Became {
                event: event.name().to_owned(),
                schema: event.schema(),
                fields: encoded.view(),
            }
        };
        Ok(events.map(became).collect())
    }

    /// Holds the examples of a file against this build.
    pub(super) fn compare(&self, book: &mut Book, mode: Mode, found: &mut Found) {
        let file = book.path.display().to_string();
        for (number, example) in &mut book.examples {
            let encoded = match example.encoded(&file, *number) {
                Ok(encoded) => encoded,
                Err(error) => {
                    found.wrong.push(error.to_string());
                    continue;
                }
            };
            for (codec, codec_name) in CODECS {
                let Some(data) = encoded.of(codec) else {
                    continue;
                };
                let told = match self.becomes(&book.of, codec, data) {
                    Ok(becomes) if becomes == example.becomes => continue,
                    Ok(becomes) if mode == Mode::Accept => {
                        example.becomes = becomes;
                        book.changed = true;
                        continue;
                    }
                    Ok(becomes) => format!(
                        "becomes {} and became {}; if that is meant, run the test with {}=accept, else raise the event's version and keep the old one readable",
                        to_line(&becomes),
                        to_line(&example.becomes),
                        Mode::VARIABLE
                    ),
                    Err(cause) => format!(
                        "cannot be read any more ({cause}); give the changed event a new version, and keep this one as a variant or add an upcaster from it"
                    ),
                };
                let of = &book.of;
                found
                    .wrong
                    .push(format!("{file}:{number}: {of} in {codec_name} {told}"));
            }
        }
    }

    /// Adds an example to a file that has not got it.
    pub(super) fn add(&self, book: &mut Book, encoded: &Encoded, mode: Mode, found: &mut Found) {
        let fields = encoded.view();
        if book
            .examples
            .iter()
            .any(|(_, example)| example.fields == fields)
        {
            return;
        }
        let (of, file) = (&book.of, book.path.display());
        if mode == Mode::Compare {
            found.missing = true;
            found
                .wrong
                .push(format!("{file} has no example of {of} with {fields}"));
            return;
        }
        let codec = A::settings().codec;
        let data = encoded.of(codec).expect("tried when the example was given");
        let becomes = match self.becomes(of, codec, data) {
            Ok(becomes) => becomes,
            Err(cause) => {
                found.wrong.push(format!(
                    "the example of {of} with {fields} cannot be read: {cause}"
                ));
                return;
            }
        };
        // The kind's own codec is what counts; the other is kept where it tells the same.
        let kept = |other: Codec| {
            let data = encoded.of(other)?;
            let same = other == codec || self.becomes(of, other, data).as_ref() == Ok(&becomes);
            same.then_some(data)
        };
        let example = Example {
            fields,
            cbor: kept(Codec::Cbor).map(|data| hex(data)),
            json: kept(Codec::Json).map(|data| String::from_utf8_lossy(data).into_owned()),
            becomes,
        };
        let number = book.examples.len() + 2;
        book.examples.push((number, example));
        book.changed = true;
    }
}
