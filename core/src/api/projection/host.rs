//! From a consumer's batches to the store: decodes them, has the store fold them, and tells an event that
//! cannot be folded from a store that is away or wrong.

use super::claim::Claim;
use super::fold::FoldBatch;
use super::run::Plan;
use super::store::ProjectionStore;
use super::{ProjectionError, StoreError};
use crate::api::consumer::{ConsumerError, ConsumerHandle, NotDecoded};
use crate::consumer::{Batch, Command, Handled};
use crate::driver::consumer::{ConsumerHost, Progress};
use crate::format::{Cause, Mark};
use crate::projection::{ClearLetter, FormerLetter};
use crate::step::Span;
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The first wait for a store that is away; it doubles.
pub(super) const AWAY_MIN: Span = Span::from_millis(50);

/// The longest wait.
pub(super) const AWAY_MAX: Span = Span::from_secs(5);

/// What the tasks of a run share.
pub(super) struct Shared<St: ProjectionStore> {
    pub(super) plan: Arc<Plan<St::State>>,
    pub(super) store: Arc<St>,
    pub(super) claim: Claim,
    trouble: Mutex<Trouble>,
    /// The mark of the last batch that was stored, or of the start.
    mark: Mutex<Mark>,
    /// The dead letters of former lives whose events it is to take in.
    letters: Mutex<Vec<FormerLetter>>,
    /// Where the consumer is, as soon as it is somewhere.
    seat: watch::Sender<Option<(usize, u64)>>,
}

/// What a store has against it.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble {
    /// Why it ended the run.
    pub(super) failed: Option<StoreError>,
    /// Why it is away.
    pub(super) away: Option<StoreError>,
    /// Why it could not settle.
    pub(super) unsettled: Option<StoreError>,
}

impl<St: ProjectionStore> Shared<St> {
    pub(super) fn new(
        plan: Arc<Plan<St::State>>,
        store: Arc<St>,
        claim: Claim,
        (mark, letters): (Mark, Vec<FormerLetter>),
    ) -> Self {
        Self {
            plan,
            store,
            claim,
            trouble: Mutex::default(),
            mark: Mutex::new(mark),
            letters: Mutex::new(letters),
            seat: watch::channel(None).0,
        }
    }

    pub(super) fn seated(&self, consumer: &ConsumerHandle) {
        self.seat.send_replace(Some(consumer.seat()));
    }

    pub(super) fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mark of what is stored.
    pub(super) fn mark(&self) -> MutexGuard<'_, Mark> {
        self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the dead letters of former lives whose events are in what is stored with this mark (J7).
    pub(super) async fn clear_letters(&self, stored: &Mark) {
        let passed: Vec<FormerLetter> = {
            let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
            let passed = |letter: &mut FormerLetter| letter.is_passed(&stored.positions);
            letters.extract_if(.., passed).collect()
        };
        let (keeper, projection) = (&self.claim.keeper, self.claim.projection());
        for letter in passed {
            let mut clear = ClearLetter::new(&keeper.namespace, stored.clone(), letter);
            let (request, answered) = (ClearLetter::request, ClearLetter::answered);
            if let Err(error) = keeper.run(projection, &mut clear, request, answered).await {
                // The next life removes what is left.
                tracing::warn!(projection, %error, "projection_letters_not_removed");
                return;
            }
        }
    }

    /// Why the run ended: what the store says comes before what the consumer says of it.
    pub(super) fn why(&self, error: ConsumerError) -> ProjectionError {
        let failed = self.trouble().failed.clone();
        match failed {
            Some(failed) => self.plan.store_error(failed),
            None => error.into(),
        }
    }

    /// Decodes a batch; why the first event is not that cannot be.
    fn decode(&self, batch: &Batch) -> Result<FoldBatch<St::State>, NotDecoded> {
        let (mark, mut events) = (self.mark().clone(), Vec::with_capacity(batch.events.len()));
        for given in &batch.events {
            // The filter lets no kind through that has no fold.
            if let Some(route) = self.plan.routes.get(&given.subject.kind) {
                let event = route.decode(given)?;
                events.push(event.within(self.plan.inside.as_ref(), given));
            }
        }
        let over = mark.positions.clone();
        let mark = Mark {
            positions: batch.upto.clone(),
            time: self.claim.keeper.wall(),
            state: None,
            ..mark
        };
        Ok(FoldBatch::new(events, mark, over))
    }

    async fn store(&self, batch: Batch) -> Handled {
        let clock = &self.claim.keeper.clock;
        let mut wait = AWAY_MIN;
        loop {
            let (mark, stored) = match self.decode(&batch) {
                Ok(folds) => (folds.mark().clone(), self.store.store(folds).await),
                Err(NotDecoded::Never(text)) => return failed(Cause::Undecodable, text),
                // As a store that is away: the projection waits, and says so.
                Err(NotDecoded::NotNow(text)) => (self.mark().clone(), Err(StoreError::away(text))),
            };
            match stored {
                Ok(()) => {
                    *self.mark() = mark;
                    self.trouble().away = None;
                    return Handled::Done;
                }
                Err(StoreError::Fold { text, .. }) => {
                    self.trouble().away = None;
                    return failed(Cause::Handler, text);
                }
                Err(error @ StoreError::Away(_)) => {
                    let projection = self.claim.projection();
                    tracing::warn!(projection, %error, "projection_store_away");
                    self.trouble().away = Some(error);
                    clock.sleep_until(clock.now() + wait).await;
                    wait = wait.saturating_mul(2).min(AWAY_MAX);
                }
                Err(error) => return self.end(error).await,
            }
        }
    }

    /// The store is wrong for good: the consumer is told to end, which ends this as well.
    async fn end(&self, error: StoreError) -> Handled {
        self.fail(error).await;
        std::future::pending().await
    }

    /// Ends the run over its store.
    pub(super) async fn fail(&self, error: StoreError) {
        let projection = self.claim.projection();
        tracing::warn!(projection, %error, "projection_store_failed");
        self.trouble().failed = Some(error);
        let mut seat = self.seat.subscribe();
        let seat = seat.wait_for(Option::is_some).await.ok();
        let seat = seat.and_then(|seat| *seat);
        if let (Some(seat), Some(node)) = (seat, self.claim.keeper.node.upgrade()) {
            let now = node.handle.now();
            let stop = move |_| Command::Stop { until: now };
            let told = node
                .handle
                .tell_consumer(seat, stop, None, now + node.timeout);
            // A node that has stopped has ended it.
            let _ = told.await;
        }
    }
}

fn failed(cause: Cause, text: String) -> Handled {
    // A batch is stored as a whole or not at all; the consumer finds the event by handing them over alone.
    let done = 0;
    Handled::Failed { done, cause, text }
}

/// Hands batches to a store.
pub(super) struct FoldHost<St: ProjectionStore>(pub(super) Arc<Shared<St>>);

impl<St: ProjectionStore> ConsumerHost for FoldHost<St> {
    fn handle(&self, batch: Batch, _: Progress) -> BoxFuture<'static, Handled> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { shared.store(batch).await })
    }
}
