//! An entity's commits, page by page.

use crate::api::error::Whom;
use crate::api::{LoadError, Tenure};
use crate::driver::HistoryFailure;
use crate::driver::host::KindEntry;
use crate::id::Sequence;
use crate::log::{Bodies, Cursor, HistoryAsk, HistoryPage, HistoryRefusal, Range};
use crate::name::EntityId;
use std::sync::Arc;

/// How many commits are read at once, unless somebody says otherwise.
const COMMITS: u32 = 64;

/// An entity's commits, page by page.
pub(crate) struct Pages {
    tenure: Tenure,
    entry: Arc<KindEntry>,
    pub(super) entity: EntityId,
    /// Where the next page begins; `None` at the end.
    pub(super) cursor: Option<Cursor>,
    pub(super) range: Range,
    pub(super) commits_max: u32,
}

impl Pages {
    pub(crate) fn new(tenure: Tenure, entry: Arc<KindEntry>, entity: EntityId) -> Self {
        Self {
            tenure,
            entry,
            entity,
            cursor: Some(Cursor::Oldest),
            range: Range::default(),
            commits_max: COMMITS,
        }
    }

    /// What the state at the end of a range is made of: from a snapshot that covers less than the
    /// commit `below`, if there is any, or from the first event on. So many snapshots were `ignored`
    /// already, of those that the kind keeps.
    pub(crate) fn of_state(
        mut self,
        range: Range,
        below: Option<Sequence>,
        ignored: usize,
    ) -> Self {
        let handle = &self.tenure.inner.handle;
        let config = &self.entry.config;
        let tries_max = config.snapshots.kept().saturating_sub(ignored);
        let shard = handle.shard_of(&self.entry, &self.entity);
        let bodies = Bodies {
            namespace: handle.namespace().clone(),
            layout: handle.layout().id,
            key: handle.layout().key,
            shard,
            kind: config.record.name.clone(),
            schema: config.snapshot_schema,
            below,
            tries_max,
            may_lag: handle.may_lag(shard) && config.snapshots.expiry().is_none(),
        };
        self.cursor = Some(Cursor::State((tries_max > 0).then_some(bodies)));
        self.range = range;
        self.commits_max = crate::log::PAGE_COMMITS_MAX;
        self
    }

    /// Whose they are.
    pub(crate) fn whom(&self) -> Whom {
        Whom::of(&self.entry, &self.entity)
    }

    /// The next page; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<HistoryPage>, LoadError> {
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
            range: self.range,
            commits_max: self.commits_max,
            deadline: handle.now() + inner.timeout,
        };
        match handle.history(shard, ask).await? {
            Ok(page) => {
                self.cursor.clone_from(&page.next);
                Ok(Some(page))
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
