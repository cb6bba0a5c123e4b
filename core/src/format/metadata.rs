//! What a command says of itself beside its content: who it belongs with, what caused it, its trace,
//! and headers of the user's. It is stored in the command's commit, beside its events.

use super::FormatError;
use super::fields::{HEAD_MAX, Values};
use super::reader::Reader;
use super::trace::{STORED_LEN, TraceContext, TraceError};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// What a command says of itself beside its content; stored with its events, and told with them.
///
/// Texts are any UTF-8. How many headers there may be, and how many bytes in all, is in
/// [`Limits`](crate::step::Limits): a command with more is refused before anything is sent.
///
/// ```
/// use tenure_core::format::Metadata;
///
/// let metadata = Metadata::new()
///     .correlation("order-17")
///     .causation("message-4")
///     .traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")?
///     .tracestate("vendor=t61rcWkgMzE")?
///     .header("user", "Zoë")
///     .header("tenant", "acme");
/// assert_eq!(metadata.correlation_id(), Some("order-17"));
/// assert_eq!(metadata.header_value("user"), Some("Zoë"));
/// # Ok::<_, tenure_core::format::TraceError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Metadata {
    pub(super) correlation: String,
    pub(super) causation: String,
    pub(super) trace: Option<TraceContext>,
    pub(super) headers: BTreeMap<String, String>,
}

/// Metadata that no command may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum MetadataError {
    /// There are too many headers.
    #[error(
        "the metadata has {headers} headers, {headers_max} are allowed (metadata_headers_max): send fewer"
    )]
    TooManyHeaders {
        /// How many there are.
        headers: usize,
        /// How many are allowed.
        headers_max: usize,
    },
    /// There are too many bytes in all its texts.
    #[error(
        "the metadata has {bytes} bytes, {bytes_max} are allowed (metadata_bytes_max): send less"
    )]
    TooLarge {
        /// How many there are.
        bytes: usize,
        /// How many are allowed.
        bytes_max: usize,
    },
    /// A header has no name.
    #[error("a header of the metadata has no name: give it one")]
    NoName,
}

/// What one command of a commit said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct MetadataRecord {
    /// Which of the commit's commands it is, from 0; `None` for one without an id.
    pub command: Option<usize>,
    /// The first of its events among the commit's, from 0.
    pub first: usize,
    /// How many events it has; none for a command that was only recorded.
    pub events: usize,
    /// What it said.
    pub metadata: Arc<Metadata>,
}

impl Metadata {
    /// Nothing.
    pub const fn new() -> Self {
        Self {
            correlation: String::new(),
            causation: String::new(),
            trace: None,
            headers: BTreeMap::new(),
        }
    }

    /// The id that all of one piece of work have in common; an empty one is none.
    pub fn correlation(mut self, id: impl ToString) -> Self {
        self.correlation = id.to_string();
        self
    }

    /// The id of what led to this command; an empty one is none.
    pub fn causation(mut self, id: impl ToString) -> Self {
        self.causation = id.to_string();
        self
    }

    /// The W3C `traceparent`. A `tracestate` stays if it is of the same trace.
    ///
    /// # Errors
    ///
    /// When it is not one.
    pub fn traceparent(self, traceparent: &str) -> Result<Self, TraceError> {
        let mut trace = TraceContext::parse(traceparent)?;
        if let Some(before) = &self.trace
            && before.trace_id() == trace.trace_id()
        {
            trace = trace.with_state(before.state())?;
        }
        Ok(self.trace_context(trace))
    }

    /// The W3C `tracestate`.
    ///
    /// # Errors
    ///
    /// When it is not one, or there is no `traceparent` yet.
    pub fn tracestate(mut self, tracestate: &str) -> Result<Self, TraceError> {
        let trace = self.trace.take().ok_or(TraceError::NoParent)?;
        Ok(self.trace_context(trace.with_state(tracestate)?))
    }

    /// The W3C trace context, as it was read elsewhere.
    pub fn trace_context(mut self, trace: TraceContext) -> Self {
        self.trace = Some(trace);
        self
    }

    /// A header; it takes the place of one of the same name.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// The id that all of one piece of work have in common.
    pub fn correlation_id(&self) -> Option<&str> {
        Some(self.correlation.as_str()).filter(|id| !id.is_empty())
    }

    /// The id of what led to the command.
    pub fn causation_id(&self) -> Option<&str> {
        Some(self.causation.as_str()).filter(|id| !id.is_empty())
    }

    /// The W3C trace context.
    pub fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_ref()
    }

    /// The headers, by rising name.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of one header.
    pub fn header_value(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::new()
    }

    /// How many bytes its texts have, the trace context counted as it is stored.
    pub fn bytes(&self) -> usize {
        let headers = self.headers.iter();
        let headers: usize = headers.map(|(name, value)| name.len() + value.len()).sum();
        let trace = self.trace.as_ref();
        let trace = trace.map_or(0, |trace| STORED_LEN + trace.state().len());
        self.correlation.len() + self.causation.len() + trace + headers
    }

    /// Whether a command may have it.
    ///
    /// # Errors
    ///
    /// When there are more headers or bytes than these, or a header has no name.
    pub fn check(&self, headers_max: usize, bytes_max: usize) -> Result<(), MetadataError> {
        let (headers, bytes) = (self.headers.len(), self.bytes());
        if headers > headers_max {
            return Err(MetadataError::TooManyHeaders {
                headers,
                headers_max,
            });
        }
        if bytes > bytes_max {
            return Err(MetadataError::TooLarge { bytes, bytes_max });
        }
        if self.headers.contains_key("") {
            return Err(MetadataError::NoName);
        }
        Ok(())
    }
}

const FIELD: &str = "metadata";

/// How many values it is made of.
const PARTS: usize = 5;

/// The least that a record takes, in bytes.
pub(super) const RECORD_LEN_MIN: usize = 9;

impl MetadataRecord {
    /// An upper bound for its stored length, in bytes.
    pub(super) fn encoded_len_max(&self) -> usize {
        1 + 3 * HEAD_MAX + self.metadata.parts_len_max()
    }

    pub(super) fn write(&self, values: &mut Values<'_>) {
        let command = self.command.map_or(0, |command| command as u64 + 1);
        values
            .array(3 + PARTS)
            .uint(command)
            .uint(self.first as u64)
            .uint(self.events as u64);
        self.metadata.write_parts(values);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, FormatError> {
        r.tuple(FIELD, 3 + PARTS)?;
        let command: usize = r.number(FIELD)?;
        let first = r.number(FIELD)?;
        let events = r.number(FIELD)?;
        Ok(Self {
            command: command.checked_sub(1),
            first,
            events,
            metadata: Arc::new(Metadata::read_parts(r)?),
        })
    }
}

impl Metadata {
    /// An upper bound for the length of its parts, in bytes.
    fn parts_len_max(&self) -> usize {
        (PARTS + 2 * self.headers.len()) * HEAD_MAX + self.bytes()
    }

    fn write_parts(&self, values: &mut Values<'_>) {
        values.text(&self.correlation).text(&self.causation);
        match &self.trace {
            Some(trace) => values.bytes(&trace.to_stored()).text(trace.state()),
            None => values.bytes(&[]).text(""),
        };
        values.map(self.headers.len());
        for (name, value) in &self.headers {
            values.text(name).text(value);
        }
    }

    fn read_parts(r: &mut Reader<'_>) -> Result<Self, FormatError> {
        let correlation = r.text(FIELD)?;
        let causation = r.text(FIELD)?;
        let trace = r.bytes(FIELD)?;
        let state = r.text(FIELD)?;
        let trace = match (trace.is_empty(), state.is_empty()) {
            (true, true) => None,
            (true, false) => return Err(r.damaged(FIELD, "it has a tracestate and no trace")),
            (false, _) => {
                let trace = TraceContext::of_stored(&trace, state);
                Some(trace.ok_or_else(|| r.damaged(FIELD, "its trace context has not 25 bytes"))?)
            }
        };
        let pairs: Vec<(String, String)> = r.headers()?;
        let count = pairs.len();
        let rising = pairs.is_sorted_by(|one, next| one.0 < next.0);
        let headers: BTreeMap<_, _> = pairs.into_iter().collect();
        r.holds(
            rising && headers.len() == count,
            "its headers do not rise by name",
        )?;
        Ok(Self {
            correlation,
            causation,
            trace,
            headers,
        })
    }

    /// An upper bound for the length of [`write`](Self::write), in bytes.
    pub(super) fn encoded_len_max(&self) -> usize {
        1 + self.parts_len_max()
    }

    /// Writes it as a value of its own.
    pub(super) fn write(&self, values: &mut Values<'_>) {
        self.write_parts(values.array(PARTS));
    }

    /// Reads what [`write`](Self::write) wrote.
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, FormatError> {
        r.tuple(FIELD, PARTS)?;
        Self::read_parts(r)
    }
}

/// Whether records are of a commit with so many commands and events: each is of a command and of
/// events that none before it was of.
pub(super) fn fits(records: &[MetadataRecord], commands: usize, events: usize) -> bool {
    let (mut command, mut event) = (0, 0);
    records.iter().all(|record| {
        let free = record
            .command
            .is_none_or(|at| at >= command && at < commands);
        command = record.command.map_or(command, |at| at + 1);
        let follows = record.first >= event;
        let end = record.first.checked_add(record.events);
        event = end.unwrap_or(usize::MAX);
        free && follows && event <= events
    })
}

#[cfg(test)]
mod tests {
    use super::{Metadata, MetadataError, MetadataRecord, fits};
    use crate::format::TraceError;
    use alloc::string::ToString;
    use alloc::sync::Arc;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_tracestate_stays_with_its_trace() {
        let none = Metadata::new().tracestate("a=1");
        assert_eq!(none, Err(TraceError::NoParent));
        let traced = Metadata::new().traceparent(PARENT).unwrap();
        let traced = traced.tracestate("a=1").unwrap();
        let span = PARENT.replace("00f0", "00f1");
        let same = traced.clone().traceparent(&span).unwrap();
        assert_eq!(same.trace().unwrap().state(), "a=1");
        assert_eq!(same.trace().unwrap().to_string(), span);
        let other = traced.traceparent(&PARENT.replace("4bf9", "4bf8")).unwrap();
        assert_eq!(other.trace().unwrap().state(), "");
    }

    #[test]
    fn what_is_too_much_is_refused() {
        let metadata = Metadata::new()
            .correlation("äb")
            .header("c", "de")
            .header("f", "");
        assert_eq!(metadata.bytes(), 7);
        assert_eq!(metadata.check(2, 7), Ok(()));
        let (headers, headers_max) = (2, 1);
        let many = MetadataError::TooManyHeaders {
            headers,
            headers_max,
        };
        assert_eq!(metadata.check(1, 7), Err(many));
        let (bytes, bytes_max) = (7, 6);
        assert_eq!(
            metadata.check(2, 6),
            Err(MetadataError::TooLarge { bytes, bytes_max })
        );
        let nameless = metadata.header("", "x");
        assert_eq!(nameless.check(9, 99), Err(MetadataError::NoName));
    }

    #[test]
    fn a_header_is_there_once_and_nothing_is_empty() {
        let twice = Metadata::new().header("a", "1").header("a", "2");
        assert_eq!(
            twice.headers().collect::<alloc::vec::Vec<_>>(),
            [("a", "2")]
        );
        assert!(Metadata::new().correlation("").is_empty());
        assert_eq!(Metadata::new().correlation("").correlation_id(), None);
        assert!(!twice.is_empty());
    }

    #[test]
    fn records_are_of_what_is_there_each_once() {
        let record = |command, first, events| MetadataRecord {
            command,
            first,
            events,
            metadata: Arc::default(),
        };
        let good = [
            record(None, 0, 1),
            record(Some(1), 1, 0),
            record(Some(2), 1, 2),
        ];
        assert!(fits(&good, 3, 3));
        assert!(!fits(&good, 2, 3), "there is no third command");
        assert!(!fits(&good, 3, 2), "there is no third event");
        assert!(!fits(&[record(None, 0, 2), record(None, 1, 1)], 0, 3));
        assert!(!fits(&[record(Some(0), 0, 1), record(Some(0), 1, 1)], 1, 3));
        assert!(!fits(&[record(None, usize::MAX, 2)], 0, 3));
    }
}
