//! Streams as they were recorded from a namespace, to be folded again by later builds.

use super::file::{FileError, hex, line, open, to_line, unhex};
use super::view::view_of;
use crate::api::entities::fold_commits;
use crate::api::{Aggregate, LoadError, Repository};
use crate::format::{Codec, EventRecord};
use crate::id::{Sequence, Version, WallTime};
use crate::log::{LoggedCommit, StoredCommit};
use crate::name::EntityId;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

const SORT: &str = "recorded streams";

/// Streams of entities of one kind, and the states that they led to when they were recorded.
///
/// In a file they are JSON lines: what it is, each commit (its sequence, its time in milliseconds
/// since the Unix epoch, its events under their stored names and versions, encoded; the state after
/// it), and how many commits there are. Record with [`Repository::record`]; compare with
/// [`still_folds`](super::still_folds).
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedStreams {
    pub(super) file: String,
    pub(super) header: Header,
    pub(super) commits: Vec<RecordedCommit>,
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Header {
    tenure: String,
    format: u32,
    pub(super) namespace: String,
    pub(super) kind: String,
    codec: String,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
struct End {
    commits: usize,
}

/// A line between them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RecordedCommit {
    pub(super) entity: String,
    pub(super) sequence: u64,
    pub(super) time_ms: u64,
    pub(super) events: Vec<RecordedEvent>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) tombstone: bool,
    /// `None` where none was kept.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "present")]
    pub(super) state: Option<Json>,
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RecordedEvent {
    pub(super) event: String,
    pub(super) schema: u16,
    pub(super) version: u64,
    #[serde(flatten)]
    pub(super) data: Data,
}

/// An event's encoded fields: as text where they are JSON, else as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Data {
    Json(String),
    Hex(String),
}

/// A state that is `null` is one, too.
mod present {
    use super::Json;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(state: &Option<Json>, to: S) -> Result<S::Ok, S::Error> {
        state.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Json>, D::Error> {
        Json::deserialize(from).map(Some)
    }
}

impl<A: Aggregate> Repository<A> {
    /// Records the streams of some entities and the state after each commit, as this build folds
    /// them, for [`kit::still_folds`](super::still_folds). What of the state is kept, `state` says:
    /// any serde value, or its `Debug` text.
    ///
    /// ```
    /// # use tenure_core::api::{Aggregate, Repository};
    /// # async fn example<Account: Aggregate + std::fmt::Debug>(accounts: Repository<Account>) -> Result<(), Box<dyn std::error::Error>> {
    /// let streams = accounts.record(["alice", "bob"], |account| format!("{account:?}")).await?;
    /// streams.write("tests/recorded/2026-11.jsonl")?;
    /// # Ok(()) }
    /// ```
    ///
    /// Cancel safe; nothing is written to the store.
    ///
    /// # Errors
    ///
    /// When an entity does not exist or cannot be read.
    pub async fn record<I: AsRef<str>, P: Serialize>(
        &self,
        ids: impl IntoIterator<Item = I>,
        state: impl Fn(&A) -> P,
    ) -> Result<RecordedStreams, LoadError> {
        let mut commits = Vec::new();
        for id in ids {
            self.record_one(&EntityId::new(id.as_ref())?, &state, &mut commits)
                .await?;
        }
        let facts = &self.kind.facts;
        Ok(RecordedStreams {
            file: "recorded streams".to_owned(),
            header: Header {
                tenure: SORT.to_owned(),
                format: 1,
                namespace: facts.namespace.to_string(),
                kind: A::KIND.to_owned(),
                codec: codec_name(facts.codec).to_owned(),
            },
            commits,
        })
    }

    async fn record_one<P: Serialize>(
        &self,
        entity: &EntityId,
        project: &impl Fn(&A) -> P,
        into: &mut Vec<RecordedCommit>,
    ) -> Result<(), LoadError> {
        let facts = &self.kind.facts;
        let mut pages = self.pages(entity.clone());
        let (mut state, before) = (A::default(), into.len());
        while let Some(page) = pages.next().await? {
            for LoggedCommit {
                sequence, commit, ..
            } in page.commits
            {
                let stored = StoredCommit { sequence, commit };
                state = fold_commits(facts, state, std::slice::from_ref(&stored))
                    .map_err(|cause| LoadError::fold(pages.whom(), cause))?;
                let kept = view_of(&project(&state)).map_err(|error| {
                    LoadError::Failed(format!("the state cannot be recorded: {error}"))
                })?;
                into.push(RecordedCommit::of(entity, &stored, facts.codec, kept));
            }
        }
        if into.len() == before {
            return Err(self.not_found(entity.clone()));
        }
        Ok(())
    }
}

impl RecordedCommit {
    fn of(entity: &EntityId, stored: &StoredCommit, codec: Codec, state: Json) -> Self {
        let StoredCommit { sequence, commit } = stored;
        let events = commit.events.iter();
        Self {
            entity: entity.as_str().to_owned(),
            sequence: sequence.0,
            time_ms: commit.time.0,
            events: events
                .map(|event| RecordedEvent::of(event, codec))
                .collect(),
            tombstone: commit.tombstone,
            state: Some(state),
        }
    }

    /// Where the commit was in its stream.
    pub(super) fn sequence(&self) -> Sequence {
        Sequence(self.sequence)
    }

    /// When it was decided.
    pub(super) fn time(&self) -> WallTime {
        WallTime(self.time_ms)
    }
}

impl RecordedEvent {
    fn of(record: &EventRecord, codec: Codec) -> Self {
        let data = match (codec, std::str::from_utf8(&record.data)) {
            (Codec::Json, Ok(text)) => Data::Json(text.to_owned()),
            (Codec::Json, Err(_)) | (Codec::Cbor, _) => Data::Hex(hex(&record.data)),
        };
        Self {
            event: record.name.clone().into_owned(),
            schema: record.schema,
            version: record.version.0,
            data,
        }
    }

    /// As it was stored; `None` when its data are no hexadecimal digits.
    pub(super) fn record(&self) -> Option<EventRecord> {
        let data = match &self.data {
            Data::Json(text) => Bytes::copy_from_slice(text.as_bytes()),
            Data::Hex(digits) => unhex(digits)?,
        };
        Some(EventRecord {
            version: Version(self.version),
            name: self.event.clone().into(),
            schema: self.schema,
            data,
        })
    }
}

impl RecordedStreams {
    /// Keeps only the last state of each entity: a smaller file, whose comparison says less.
    #[must_use]
    pub fn only_last_states(mut self) -> Self {
        let last: BTreeMap<String, usize> = (0..)
            .zip(&self.commits)
            .map(|(index, commit)| (commit.entity.clone(), index))
            .collect();
        for (index, commit) in self.commits.iter_mut().enumerate() {
            if last[&commit.entity] != index {
                commit.state = None;
            }
        }
        self
    }

    /// How many commits there are.
    pub fn commits(&self) -> usize {
        self.commits.len()
    }

    /// Writes them to a file.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(&self, file: impl AsRef<Path>) -> std::io::Result<()> {
        if let Some(folder) = file.as_ref().parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(file, self.to_string())
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is of an unknown format, or is damaged.
    pub fn read(file: impl AsRef<Path>) -> Result<Self, FileError> {
        let name = file.as_ref().display().to_string();
        let text = fs::read_to_string(&file)
            .map_err(|error| FileError::new(&name, 1, format!("it cannot be read: {error}")))?;
        Self::parse(&name, &text)
    }

    /// Reads the text of a file; `file` is what errors call it.
    ///
    /// # Errors
    ///
    /// When it is of an unknown format, or damaged.
    pub fn parse(file: &str, text: &str) -> Result<Self, FileError> {
        let (header, mut lines) = open::<Header>(file, text, SORT)?;
        let damaged = |number, what: String| FileError::new(file, number, what);
        if codec_of(&header.codec).is_none() {
            let what = format!(
                "its codec is {:?}; this build has cbor and json",
                header.codec
            );
            return Err(damaged(1, what));
        }
        let cut = || {
            damaged(
                text.lines().count() + 1,
                "the last line is missing: it was cut off".to_owned(),
            )
        };
        let (number, last) = lines.pop().ok_or_else(cut)?;
        let Ok(End { commits }) = line::<End>(file, number, last) else {
            // A line that is no commit either is damaged, not missing.
            line::<RecordedCommit>(file, number, last)?;
            return Err(cut());
        };
        if commits != lines.len() {
            let what = format!("{commits} commits were written, {} are there", lines.len());
            return Err(damaged(number, what));
        }
        let mut reached: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let mut all = Vec::new();
        for (number, text) in lines {
            let commit: RecordedCommit = line(file, number, text)?;
            let (sequence, version) = reached.entry(commit.entity.clone()).or_default();
            if commit.sequence <= *sequence {
                let what = format!(
                    "sequence {} of {:?} follows {sequence}",
                    commit.sequence, commit.entity
                );
                return Err(damaged(number, what));
            }
            *sequence = commit.sequence;
            for event in &commit.events {
                if event.version <= *version {
                    let what = format!(
                        "version {} of {:?} follows {version}",
                        event.version, commit.entity
                    );
                    return Err(damaged(number, what));
                }
                *version = event.version;
                if event.record().is_none() {
                    let what = format!(
                        "\"hex\" of {:?} is not pairs of hexadecimal digits",
                        event.event
                    );
                    return Err(damaged(number, what));
                }
            }
            all.push(commit);
        }
        Ok(Self {
            file: file.to_owned(),
            header,
            commits: all,
        })
    }

    pub(super) fn codec(&self) -> Codec {
        codec_of(&self.header.codec).expect("looked at when it was read")
    }
}

impl fmt::Display for RecordedStreams {
    /// The text of the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", to_line(&self.header))?;
        for commit in &self.commits {
            writeln!(f, "{}", to_line(commit))?;
        }
        let commits = self.commits.len();
        writeln!(f, "{}", to_line(&End { commits }))
    }
}

fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Cbor => "cbor",
        Codec::Json => "json",
    }
}

fn codec_of(name: &str) -> Option<Codec> {
    match name {
        "cbor" => Some(Codec::Cbor),
        "json" => Some(Codec::Json),
        _ => None,
    }
}
