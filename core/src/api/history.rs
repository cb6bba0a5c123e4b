//! An entity's history, page by page.

use super::error::Whom;
use super::metadata::EMPTY;
use super::upcast::Decoded;
use super::{LoadError, Tenure};
use crate::driver::HistoryFailure;
use crate::driver::host::KindEntry;
use crate::format::{EventRecord, Metadata};
use crate::id::{CommandId, CommitId, Sequence, Version, WallTime};
use crate::log::{Cursor, FoldError, HistoryAsk, HistoryRefusal, PAGE_COMMITS_MAX, StoredCommit};
use crate::name::EntityId;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// One event of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Past<E> {
    /// The event.
    pub event: E,
    /// The entity's version after it. Events that [upcasters](super::Upcasters) made of one stored
    /// event have one version, that of the stored one.
    pub version: Version,
    /// When its commit was decided, on the writer's wall clock.
    pub time: WallTime,
    /// Where its commit is in the stream.
    pub sequence: Sequence,
    /// Its commit.
    pub commit: CommitId,
    /// The command that it came of.
    pub command: Option<CommandId>,
    metadata: Option<Arc<Metadata>>,
}

impl<E> Past<E> {
    /// What its command said of itself beside its content; empty when it said nothing.
    pub fn metadata(&self) -> &Metadata {
        self.metadata.as_deref().unwrap_or(&EMPTY)
    }

    /// The id that all of one piece of work have in common: its command's correlation id. A command
    /// without one begins a piece of work of its own, which its id (without an id, its commit's)
    /// stands for.
    pub fn correlation_id(&self) -> String {
        match self.metadata().correlation_id() {
            Some(id) => id.to_owned(),
            None => self.cause(),
        }
    }

    /// Its command's id, as what it caused names it; its commit's for a command without one.
    pub(crate) fn cause(&self) -> String {
        match self.command {
            Some(id) => id.to_string(),
            None => self.commit.to_string(),
        }
    }
}

/// How a stored event becomes typed ones; none leave it out.
type Decoder<E> = Box<dyn Fn(&EventRecord) -> Result<Decoded<E>, FoldError> + Send + Sync>;

/// An entity's events as of the first page, read page by page as they are asked for.
///
/// ```no_run
/// # use tenure_core::api::{History, LoadError};
/// # async fn print<E: std::fmt::Debug + Send + 'static>(history: History<E>) -> Result<(), LoadError> {
/// let mut history = history.backward().page(10);
/// while let Some(past) = history.next().await? {
///     println!("{} {:?}", past.version, past.event);
/// }
/// # Ok(()) }
/// ```
#[must_use = "a history is read when it is asked for the next event"]
pub struct History<E> {
    pages: Pages,
    decode: Decoder<E>,
    backward: bool,
    here: VecDeque<Past<E>>,
}

impl<E> fmt::Debug for History<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History")
            .field("entity", &self.pages.entity)
            .field("backward", &self.backward)
            .finish_non_exhaustive()
    }
}

impl<E> History<E> {
    pub(crate) fn new(pages: Pages, decode: Decoder<E>) -> Self {
        Self {
            pages,
            decode,
            backward: false,
            here: VecDeque::new(),
        }
    }

    /// Newest first, from the latest event on; begins anew.
    pub fn backward(mut self) -> Self {
        self.backward = true;
        self.here.clear();
        self.pages.cursor = Some(Cursor::Newest);
        self
    }

    /// How many commits are read at once, 1 to 256; 64 when it is not set.
    pub fn page(mut self, commits: u32) -> Self {
        self.pages.commits_max = commits.clamp(1, PAGE_COMMITS_MAX);
        self
    }

    /// The next event; `None` at the end.
    ///
    /// Cancel safe: an event is lost by no dropped future.
    ///
    /// # Errors
    ///
    /// When a page cannot be read, or an event cannot be decoded.
    pub async fn next(&mut self) -> Result<Option<Past<E>>, LoadError> {
        while self.here.is_empty() {
            let here = self.pages.cursor.clone();
            let Some(commits) = self.pages.next().await? else {
                return Ok(None);
            };
            match self.decoded(&commits) {
                Ok(events) => self.here.extend(events),
                Err(error) => {
                    // The page is not left out: whoever asks again gets it, or the error, again.
                    self.pages.cursor = here;
                    return Err(error);
                }
            }
        }
        Ok(self.here.pop_front())
    }

    /// The events of the next page that has any; `None` at the end.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub async fn next_page(&mut self) -> Result<Option<Vec<Past<E>>>, LoadError> {
        match self.next().await? {
            None => Ok(None),
            Some(first) => {
                let mut page = vec![first];
                page.extend(self.here.drain(..));
                Ok(Some(page))
            }
        }
    }

    /// All events that are left.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub async fn collect(mut self) -> Result<Vec<Past<E>>, LoadError> {
        let mut all = Vec::new();
        while let Some(past) = self.next().await? {
            all.push(past);
        }
        Ok(all)
    }

    fn decoded(&self, commits: &[StoredCommit]) -> Result<Vec<Past<E>>, LoadError> {
        let mut page = Vec::new();
        for StoredCommit { sequence, commit } in commits {
            let begin = page.len();
            for (index, record) in commit.events.iter().enumerate() {
                let decoded = (self.decode)(record);
                let decoded = decoded.map_err(|cause| LoadError::fold(self.pages.whom(), cause));
                let commands = &commit.commands;
                page.extend(decoded?.map(|event| {
                    Past {
                        event,
                        version: record.version,
                        time: commit.time,
                        sequence: *sequence,
                        commit: commit.id,
                        command: commands
                            .iter()
                            .find(|command| command.version >= record.version)
                            .map(|command| command.id),
                        metadata: commit.metadata_of(index).cloned(),
                    }
                }));
            }
            if self.backward {
                page[begin..].reverse();
            }
        }
        Ok(page)
    }
}

/// An entity's commits, page by page.
pub(crate) struct Pages {
    tenure: Tenure,
    entry: Arc<KindEntry>,
    entity: EntityId,
    cursor: Option<Cursor>,
    commits_max: u32,
}

impl Pages {
    pub(crate) fn new(
        tenure: Tenure,
        entry: Arc<KindEntry>,
        entity: EntityId,
        cursor: Cursor,
    ) -> Self {
        Self {
            tenure,
            entry,
            entity,
            cursor: Some(cursor),
            commits_max: 64,
        }
    }

    /// Whose they are.
    pub(crate) fn whom(&self) -> Whom {
        Whom::of(&self.entry, &self.entity)
    }

    /// The next commits; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<StoredCommit>>, LoadError> {
        let Some(cursor) = self.cursor.clone() else {
            return Ok(None);
        };
        let inner = &self.tenure.inner;
        let (handle, namespace) = (&inner.handle, inner.handle.namespace());
        let shard = handle.shard_of(&self.entry, &self.entity);
        let partition = handle.layout().stream_of(shard);
        let record = &self.entry.config.record;
        let ask = HistoryAsk {
            stream: namespace.event_stream(partition),
            anchor: namespace.anchor_subject(partition),
            subject: namespace.event_subject(shard, &record.name, &self.entity),
            entity: self.entity.clone(),
            kind: record.id,
            at_least: handle.high_water(partition),
            cursor,
            commits_max: self.commits_max,
            deadline: handle.now() + inner.timeout,
        };
        match handle.history(shard, ask).await? {
            Ok(page) => {
                self.cursor = page.next;
                Ok(Some(page.commits))
            }
            Err(HistoryFailure::Refused(HistoryRefusal::Deadline)) => Err(LoadError::Deadline),
            Err(HistoryFailure::Refused(HistoryRefusal::Damaged(damage))) => {
                Err(LoadError::Damaged(damage))
            }
            Err(HistoryFailure::Refused(HistoryRefusal::Store(refused))) => {
                Err(LoadError::Store(refused))
            }
            Err(HistoryFailure::Unusable(error)) => Err(LoadError::Space(error)),
            Err(HistoryFailure::Overloaded) => Err(LoadError::Overloaded),
            Err(HistoryFailure::Halted(reason)) => Err(LoadError::Halted { reason }),
            Err(HistoryFailure::Stopped) => Err(LoadError::Stopped),
        }
    }
}
