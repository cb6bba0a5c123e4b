//! The log itself, below aggregates: events with versions, appended and read as they are.

use super::call::{IDS_MAX, Infallibly, execute_error};
use super::error::Whom;
use super::history::{History, Pages};
use super::raw::RawAsk;
use super::upcast::Decoded;
use super::{AppendError, ExecuteError, LoadError, RawEvent, Tenure, load};
use crate::driver::host::{Answer, KindEntry};
use crate::driver::{EntityRequest, What};
use crate::format::Metadata;
use crate::id::{CommandId, Sequence, Version, WallTime};
use crate::log::{Expected, FoldError, Freshness, Refusal, Reply};
use crate::name::{EntityId, NameError};
use crate::step::{Span, Time};
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// The log of one kind, without an aggregate: for imports, repairs and tools.
///
/// It writes in direct mode, beside repositories of the same kind in this process or others: each
/// append checks the entity's last commit. Get one with [`Tenure::log`](super::Tenure::log).
///
/// ```
/// # use tenure_core::api::{RawEvent, Tenure};
/// # use tenure_core::id::Version;
/// # async fn example(tenure: &Tenure) -> Result<(), Box<dyn std::error::Error>> {
/// let log = tenure.log("order").await?;
/// let placed = RawEvent::new("placed", 1, &b"\xa0"[..]);
/// // An import keeps the versions that events had elsewhere.
/// let shipped = RawEvent::new("shipped", 1, &b"\xa0"[..]).at(Version(7));
/// let appended = log.append("order-1", [placed, shipped]).expected_none().await?;
/// assert_eq!(appended.version, Version(7));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Log {
    pub(crate) tenure: Tenure,
    pub(crate) entry: Arc<KindEntry>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("kind", &self.entry.config.record.name)
            .finish_non_exhaustive()
    }
}

impl Log {
    /// Appends events to an entity in one commit: all of them or none.
    ///
    /// Versions rise strictly; an event with a version of its own may leave a gap. Await it for
    /// what was [`Appended`].
    ///
    /// # Errors
    ///
    /// [`AppendError`], when it is awaited.
    pub fn append(
        &self,
        id: impl AsRef<str>,
        events: impl IntoIterator<Item = RawEvent>,
    ) -> Append {
        Append {
            log: self.clone(),
            entity: EntityId::new(id.as_ref()),
            events: events.into_iter().collect(),
            id: None,
            expected: Expected::Any,
            metadata: None,
            timeout: self.tenure.inner.timeout,
        }
    }

    /// An entity's events, oldest first, as they are stored: no upcaster touches them (an
    /// [`EventReader`](super::EventReader) does, for a tool that wants it). Empty for one that does
    /// not exist. Where it begins and ends, and what is told, is [said of it](History).
    ///
    /// ```
    /// # use tenure_core::api::{LoadError, Log};
    /// # use tenure_core::id::Version;
    /// # async fn example(log: &Log) -> Result<(), LoadError> {
    /// let first = log.history("order-1")?.from_version(Version(7)).limit(3).collect().await?;
    /// let latest = log.history("order-1")?.backward().next().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`LoadError::Name`] when the id cannot be one.
    pub fn history(&self, id: impl AsRef<str>) -> Result<History<RawEvent>, LoadError> {
        let entity = EntityId::new(id.as_ref())?;
        let (tenure, entry) = (self.tenure.clone(), Arc::clone(&self.entry));
        let pages = Pages::new(tenure, entry, entity);
        let decode = |record: &crate::format::EventRecord| -> Result<_, FoldError> {
            Ok(Decoded::current(RawEvent {
                name: record.name.clone().into_owned(),
                schema: record.schema,
                version: Some(record.version),
                data: record.data.clone(),
            }))
        };
        Ok(History::new(pages, Box::new(decode), |event| &event.name))
    }

    /// An entity's version: that of its last event; [`Version::ABSENT`] when it does not exist.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn version(&self, id: impl AsRef<str>) -> Result<Version, LoadError> {
        let entity = EntityId::new(id.as_ref())?;
        let handle = &self.tenure.inner.handle;
        let deadline = handle.now() + self.tenure.inner.timeout;
        let whom = Whom::of(&self.entry, &entity);
        let (done, answered) = oneshot::channel();
        let request = EntityRequest {
            kind: Arc::clone(&self.entry),
            shard: handle.shard_of(&self.entry, &entity),
            entity,
            deadline,
            what: What::Question {
                freshness: Freshness::Linearizable,
            },
            caller: Box::new(RawAsk {
                events: Vec::new(),
                done,
            }),
        };
        handle.entity(request).await?;
        match answered.await {
            Ok(Answer::Reply(Reply::Read { version, .. })) => Ok(version),
            Ok(answer) => Err(load::load_error(answer, whom)),
            // The lane is gone.
            Err(_) => Err(LoadError::Stopped),
        }
    }
}

/// Events that are appended when this is awaited.
///
/// # Cancel safety
///
/// Dropping the future gives up the answer, not the append. Sent again with the same
/// [`id`](Self::id) it takes effect at most once.
#[derive(Debug)]
#[must_use = "events are appended when this is awaited"]
pub struct Append {
    log: Log,
    entity: Result<EntityId, NameError>,
    events: Vec<RawEvent>,
    id: Option<CommandId>,
    expected: Expected,
    metadata: Option<Arc<Metadata>>,
    timeout: Span,
}

/// Events that were appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Appended {
    /// The entity's version after them.
    pub version: Version,
    /// Where their commit is in the stream; `None` for a duplicate.
    pub sequence: Option<Sequence>,
    /// An append with this id took effect before.
    pub duplicate: bool,
    /// The id.
    pub id: CommandId,
}

impl Append {
    /// The entity must be at this version.
    pub fn expected(mut self, version: Version) -> Self {
        self.expected = Expected::Exactly(version);
        self
    }

    /// The entity must not exist.
    pub fn expected_none(self) -> Self {
        self.expected(Version::ABSENT)
    }

    /// The entity may be at any version; the default.
    pub fn expected_any(mut self) -> Self {
        self.expected = Expected::Any;
        self
    }

    /// An id under which the append takes effect at most once.
    pub fn id(mut self, id: CommandId) -> Self {
        self.id = Some(id);
        self
    }

    /// What is stored beside the events; see [`Execute::metadata`](super::Execute::metadata).
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = (!metadata.is_empty()).then(|| Arc::new(metadata));
        self
    }

    /// How long to wait for the answer; the node's `timeout` when it is not set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.into();
        self
    }

    async fn run(self) -> Result<Appended, AppendError> {
        let entity = self.entity.clone().map_err(Infallibly::Name)?;
        if self.events.is_empty() {
            return Err(AppendError::Empty);
        }
        let handle = &self.log.tenure.inner.handle;
        let deadline = handle.now() + self.timeout;
        let mut id = self.id.unwrap_or_else(|| handle.command_id(WallTime(0)));
        for _ in 1..IDS_MAX {
            let answer = self.send(id, entity.clone(), deadline).await?;
            match (answer, self.id) {
                // Nobody knows the id and it was not run, so another one is as good.
                (Answer::Reply(Reply::Refused(Refusal::Expired { horizon })), None) => {
                    id = handle.command_id(WallTime(horizon.0.saturating_add(1)));
                }
                (answer, _) => {
                    let whom = Whom::of(&self.log.entry, &entity);
                    return conclude(id, whom, self.expected, answer);
                }
            }
        }
        Err(ExecuteError::Contended { tries: IDS_MAX }.into())
    }

    async fn send(
        &self,
        id: CommandId,
        entity: EntityId,
        deadline: Time,
    ) -> Result<Answer, AppendError> {
        let handle = &self.log.tenure.inner.handle;
        let (done, answered) = oneshot::channel();
        let request = EntityRequest {
            kind: Arc::clone(&self.log.entry),
            shard: handle.shard_of(&self.log.entry, &entity),
            entity,
            deadline,
            what: What::Command {
                id: Some(id),
                expected: self.expected,
                metadata: self.metadata.clone(),
                wall: handle.wall(),
            },
            caller: Box::new(RawAsk {
                events: self.events.clone(),
                done,
            }),
        };
        handle.entity(request).await.map_err(Infallibly::from)?;
        // Without an answer the lane is gone, and nobody knows.
        Ok(answered.await.map_err(|_| Infallibly::Unknown { id })?)
    }
}

impl IntoFuture for Append {
    type Output = Result<Appended, AppendError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

#[allow(
    clippy::result_large_err,
    reason = "it is what the caller is told, and made once"
)]
fn conclude(
    id: CommandId,
    whom: Whom,
    expected: Expected,
    answer: Answer,
) -> Result<Appended, AppendError> {
    let appended = |version, sequence, duplicate| Appended {
        version,
        sequence,
        duplicate,
        id,
    };
    match (answer, expected) {
        (Answer::Reply(Reply::Committed { version, sequence }), _) => {
            Ok(appended(version, Some(sequence), false))
        }
        (Answer::Reply(Reply::Found { version, .. }), _) => Ok(appended(version, None, true)),
        (
            Answer::Reply(Reply::Refused(Refusal::Conflict { actual })),
            Expected::Exactly(expected),
        ) => Err(AppendError::Conflict {
            kind: whom.kind,
            id: whom.id,
            expected,
            actual,
        }),
        (Answer::Reply(Reply::Refused(Refusal::VersionNotRising { last, given })), _) => {
            Err(AppendError::VersionNotRising {
                kind: whom.kind,
                id: whom.id,
                last,
                given,
            })
        }
        (Answer::Reply(Reply::Refused(refusal)), _) => Err(execute_error(id, whom, refusal).into()),
        (Answer::Refused(reason), _) => Err(ExecuteError::Halted { reason }.into()),
        (Answer::Unusable(error), _) => Err(ExecuteError::Space(error).into()),
        (Answer::Stopped, _) => Err(ExecuteError::Stopped.into()),
        (
            Answer::Halted(_)
            | Answer::Cut
            | Answer::Reply(Reply::Nothing { .. } | Reply::Read { .. }),
            _,
        ) => Err(ExecuteError::Unknown { id }.into()),
    }
}
