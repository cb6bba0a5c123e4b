//! A running projection.

use super::host::Trouble;
use super::memory::{Memory, MemoryState};
use super::run::{Plan, Run};
use super::{ProjectionError, ProjectionStore, StoreError};
use crate::api::consumer::{ConsumerError, ConsumerHandle, SeenError};
use crate::api::{Aggregate, Tenure};
use crate::consumer::Status;
use crate::format::Mark;
use crate::id::{Partition, Sequence};
use crate::name::EntityId;
use crate::step::Span;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A running projection. Clones are handles of the same one; it runs on without any, until it is stopped or
/// its node is.
pub struct Projection<St: ProjectionStore> {
    pub(super) inner: Arc<Inner<St>>,
}

pub(super) struct Inner<St: ProjectionStore> {
    pub(super) tenure: Tenure,
    pub(super) plan: Arc<Plan<St::State>>,
    /// The run that serves. A rebuild puts another one in its place.
    pub(super) run: watch::Sender<Arc<Run<St>>>,
    /// Whether one is under way.
    pub(super) rebuilding: watch::Sender<bool>,
}

/// How a projection stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProjectionStatus {
    /// Its consumer: what it does, its lag, and why there is no progress.
    pub consumer: Status,
    /// The mark of its state.
    pub mark: Mark,
    /// Why its store is away, while it is.
    pub away: Option<StoreError>,
    /// Why its store could not settle, as by storing a snapshot; it is asked again.
    pub unsettled: Option<StoreError>,
    /// Whether it is being built anew, by a rebuild or since its version was raised; readers see the old
    /// state until that is done.
    pub rebuilding: bool,
}

impl<St: ProjectionStore> Clone for Projection<St> {
    fn clone(&self) -> Self {
        let inner = Arc::clone(&self.inner);
        Self { inner }
    }
}

impl<St: ProjectionStore> fmt::Debug for Projection<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projection")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

impl<S: MemoryState> Projection<Memory<S>> {
    /// Reads the state: as it is after a batch, never within one. What reads for long keeps the projection
    /// from going on, and nobody else.
    pub fn read<R>(&self, read: impl FnOnce(&S) -> R) -> R {
        self.run().shared.store.read(read)
    }
}

impl<St: ProjectionStore> Projection<St> {
    pub(super) fn new(tenure: Tenure, plan: Arc<Plan<St::State>>, run: Arc<Run<St>>) -> Self {
        let inner = Arc::new(Inner {
            tenure,
            plan,
            run: watch::channel(run).0,
            rebuilding: watch::channel(false).0,
        });
        Self { inner }
    }

    pub(super) fn run(&self) -> Arc<Run<St>> {
        Arc::clone(&self.inner.run.borrow())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.inner.plan.name.as_str()
    }

    /// The store that serves now; after a rebuild it is another one.
    pub fn store(&self) -> Arc<St> {
        Arc::clone(&self.run().shared.store)
    }

    /// What reads its events now: dead letters, pauses, lag. After a rebuild it is another one.
    pub fn consumer(&self) -> ConsumerHandle {
        self.run().consumer.clone()
    }

    /// How it stands.
    pub fn status(&self) -> ProjectionStatus {
        let run = self.run();
        let Trouble {
            away, unsettled, ..
        } = run.shared.trouble().clone();
        let mark = run.shared.mark().clone();
        ProjectionStatus {
            consumer: run.consumer.status(),
            mark,
            away,
            unsettled,
            rebuilding: self.inner.is_rebuilding() || !run.is_serving(),
        }
    }

    /// Waits until all that readers see has what was in the log; returns at once when it is so already.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When it ends before.
    pub async fn live(&self) -> Result<(), ProjectionError> {
        self.of_run(async |run: &Run<St>| {
            run.consumer.live().await?;
            run.serves().await
        })
        .await
    }

    /// Waits until its consumer's status is as is wished.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When it ends before.
    pub async fn until_status(
        &self,
        wished: impl Fn(&Status) -> bool,
    ) -> Result<(), ProjectionError> {
        self.of_run(async |run: &Run<St>| run.consumer.until_status(&wished).await)
            .await
    }

    /// Waits until it ends.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// What ended it, when it was not [`stop`](Self::stop).
    pub async fn ended(&self) -> Result<(), ProjectionError> {
        loop {
            let run = self.run();
            let ended = run.consumer.ended().await;
            run.settled().await;
            if !Arc::ptr_eq(&run, &self.run()) {
                continue;
            }
            let failed = run.shared.trouble().failed.clone();
            return match failed {
                Some(failed) => Err(run.shared.plan.store_error(failed)),
                None => ended.map_err(Into::into),
            };
        }
    }

    /// Reads after writes: waits until a commit of an entity is in the state, by the sequence that a
    /// [receipt](crate::api::Receipt::sequence) tells.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// [`SeenError::Deadline`] when it is not in time.
    pub async fn seen<A: Aggregate>(
        &self,
        id: impl AsRef<str>,
        sequence: Sequence,
        within: Duration,
    ) -> Result<(), SeenError> {
        let id = EntityId::new(id.as_ref())?;
        let tenure = &self.inner.tenure;
        let shard = tenure.place_of::<A>(&id).shard;
        let partition = tenure.inner.handle.layout().stream_of(shard);
        self.seen_at(partition, sequence, within).await
    }

    /// The same of a place in an event stream.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// [`SeenError::Deadline`] when it is not in time.
    pub async fn seen_at(
        &self,
        partition: Partition,
        sequence: Sequence,
        within: Duration,
    ) -> Result<(), SeenError> {
        let handle = &self.inner.tenure.inner.handle;
        let deadline = handle.now() + Span::from(within);
        loop {
            let run = self.run();
            let left = Duration::from_nanos(deadline.since(handle.now()).as_nanos());
            let seen = match run.consumer.seen_at(partition, sequence, left).await {
                Ok(()) => tokio::select! {
                    biased;
                    serves = run.serves() => serves.map_err(SeenError::Consumer),
                    () = handle.sleep_until(deadline) => Err(SeenError::Deadline),
                },
                seen => seen,
            };
            match seen {
                // Another one took its place meanwhile, and is as far at least.
                Err(SeenError::Consumer(ConsumerError::Stopped))
                    if !Arc::ptr_eq(&run, &self.run()) => {}
                seen => return seen,
            }
        }
    }

    /// Lets what it has end, at most for the node's `stop_timeout`, has the store settle (a snapshot), and
    /// ends. A rebuild that is under way ends before.
    ///
    /// Cancel safe: it stops all the same, unless a rebuild puts another one in its place at that moment.
    ///
    /// # Errors
    ///
    /// When it had ended with an error before, or does so now; when the store could not settle, or did not in
    /// the same time.
    pub async fn stop(&self) -> Result<(), ProjectionError> {
        let mut rebuilding = self.inner.rebuilding.subscribe();
        loop {
            let run = self.run();
            let stopped = run.stop(self.inner.tenure.inner.stop_timeout).await;
            // It learns that this one has ended, unless another one is in its place by now.
            let _ = rebuilding.wait_for(|under_way| !*under_way).await;
            if Arc::ptr_eq(&run, &self.run()) {
                return stopped;
            }
        }
    }

    /// Waits for something of the run that serves; of the next one, when that takes its place.
    async fn of_run(
        &self,
        wait: impl AsyncFn(&Run<St>) -> Result<(), ConsumerError>,
    ) -> Result<(), ProjectionError> {
        loop {
            let run = self.run();
            match wait(&run).await {
                Ok(()) => return Ok(()),
                Err(_) if !Arc::ptr_eq(&run, &self.run()) => {}
                Err(error) => return Err(run.shared.why(error)),
            }
        }
    }
}
