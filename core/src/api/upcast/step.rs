//! One step, and what it gives.

use super::EventType;
use crate::api::Event;
use crate::format::Codec;
use bytes::Bytes;
use serde::Serialize;
use std::fmt::{self, Display};
use std::sync::Arc;

/// How a step makes parts of an event's encoded fields.
pub(super) type Run = dyn Fn(Codec, &[u8], &mut Parts<'_>) + Send + Sync;

/// A stable name and version, as programs write them down.
pub(super) type TypeRef = (&'static str, u16);

/// A step from one stored type to those that follow it.
#[derive(Clone)]
pub(super) struct Step {
    pub(super) from: TypeRef,
    pub(super) to: Vec<TypeRef>,
    pub(super) run: Arc<Run>,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", EventType::from(self.from), self.targets())
    }
}

impl Step {
    /// Where it leads, in words.
    pub(super) fn targets(&self) -> String {
        let to: Vec<String> = self
            .to
            .iter()
            .map(|to| EventType::from(*to).to_string())
            .collect();
        match to.as_slice() {
            [] => "nothing".to_owned(),
            to => to.join(" or "),
        }
    }
}

/// One event that a step gave, encoded.
pub(super) struct Part {
    pub(super) of: TypeRef,
    pub(super) data: Bytes,
}

/// Where a [step](super::Upcasters::split) puts the events that it makes of one, in their order.
pub struct Parts<'a> {
    codec: Codec,
    allowed: &'a [TypeRef],
    made: Vec<Part>,
    failed: Option<String>,
}

impl fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("allowed", &self.allowed)
            .field("made", &self.made.len())
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl<'a> Parts<'a> {
    pub(super) fn new(codec: Codec, allowed: &'a [TypeRef]) -> Self {
        Self {
            codec,
            allowed,
            made: Vec::new(),
            failed: None,
        }
    }

    /// An event of a type, by its fields.
    pub fn fields<T: Serialize + ?Sized>(&mut self, of: (&'static str, u16), fields: &T) {
        match self.codec.encode(fields) {
            Ok(data) => self.encoded(of, data),
            Err(error) => self.fail(format!(
                "{} cannot be encoded: {error}",
                EventType::from(of)
            )),
        }
    }

    /// An event with a type of its own.
    pub fn event<E: Event>(&mut self, event: &E) {
        let of = (event.name(), event.schema());
        match event.encode(self.codec) {
            Ok(data) => self.encoded(of, data),
            Err(error) => self.fail(format!(
                "{} cannot be encoded: {error}",
                EventType::from(of)
            )),
        }
    }

    /// The step cannot be made; the first cause counts.
    pub fn fail(&mut self, cause: impl Display) {
        self.failed.get_or_insert_with(|| cause.to_string());
    }

    pub(super) fn encoded(&mut self, of: TypeRef, data: Bytes) {
        if self.allowed.contains(&of) {
            self.made.push(Part { of, data });
        } else {
            let of = EventType::from(of);
            self.fail(format!("it gave {of}, to which it is not said to lead"));
        }
    }

    /// What came of the step, or why nothing did.
    pub(super) fn finish(self) -> Result<Vec<Part>, String> {
        match self.failed {
            None => Ok(self.made),
            Some(cause) => Err(cause),
        }
    }
}
