//! One run of a projection: a consumer that hands batches to its store, and the task that has the store
//! settle.

use super::claim::Claim;
use super::fold::FoldRoute;
use super::host::{AWAY_MAX, AWAY_MIN, FoldHost, Shared, Trouble};
use super::keeper::Keeper;
use super::middleware::FoldInside;
use super::store::{ProjectionStore, Settle};
use super::{ProjectionError, StoreError};
use crate::api::Tenure;
use crate::api::consumer::{ConsumerError, ConsumerHandle};
use crate::consumer::{Definition, Filter, Keeping, Order, Pace, Source, Start, State};
use crate::driver::consumer::Told;
use crate::format::Mark;
use crate::name::{ConsumerName, KindName};
use crate::projection::{FormerLetter, FormerLetters};
use crate::step::{Span, Time};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long a store waits at most to be asked to settle again.
const SETTLE_MAX: Duration = Duration::from_secs(60);

/// After a store could not settle.
const SETTLE_AGAIN: Duration = Duration::from_secs(1);

/// What a projection is.
pub(super) struct Plan<S> {
    pub(super) name: ConsumerName,
    pub(super) version: u32,
    pub(super) filter: Filter,
    pub(super) routes: BTreeMap<KindName, Arc<dyn FoldRoute<S>>>,
    /// What stands around them.
    pub(super) inside: Option<Arc<FoldInside>>,
    pub(super) pace: Pace,
    pub(super) timeout: Span,
}

/// With what a run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// With what its store has.
    Resume,
    /// With the first event, whatever its store has.
    Reset,
    /// With the first event, beside the one whose place a rebuild has it take.
    Green,
}

/// A run of it.
pub(super) struct Run<St: ProjectionStore> {
    pub(super) shared: Arc<Shared<St>>,
    pub(super) consumer: ConsumerHandle,
    /// Whether readers see it, or still the one that it is filled beside.
    serves: watch::Receiver<bool>,
    /// Whether the store was asked to settle for the last time.
    settled: watch::Receiver<bool>,
}

impl<St: ProjectionStore> Run<St> {
    /// Opens a store and begins to fold into it.
    pub(super) async fn start(
        tenure: &Tenure,
        plan: &Arc<Plan<St::State>>,
        store: Arc<St>,
        begin: Begin,
    ) -> Result<Arc<Self>, ProjectionError> {
        let handle = &tenure.inner.handle;
        let layout = handle.layout();
        let mut definition = Definition {
            name: plan.name.clone(),
            filter: plan.filter.clone(),
            order: Order::Serial,
            start: Start::Beginning,
            keeping: Keeping::External { at: None, life: 1 },
            source: Source::Log,
        };
        let claim = Claim {
            projection: plan.name.clone(),
            layout: layout.id,
            streams: layout.streams,
            definition: definition.hash(layout),
            version: plan.version,
            run: handle.consumer_run(),
            node: handle.node_name().to_owned(),
            reset: begin == Begin::Reset,
            keeper: Keeper::of(tenure),
        };
        let until = handle.now() + plan.timeout;
        let opened = open(&*store, &claim, until).await;
        let mark = opened.map_err(|error| plan.store_error(error))?;
        let at = mark.as_ref().map(|mark| mark.positions.clone());
        let mark = mark.unwrap_or_else(|| claim.first(1));
        let life = mark.generation;
        definition.keeping = Keeping::External { at, life };
        let letters = former_letters(&claim, &mark, until).await;
        let waits = begin != Begin::Green && store.is_beside();
        let shared = Arc::new(Shared::new(Arc::clone(plan), store, claim, (mark, letters)));
        let host = Arc::new(FoldHost(Arc::clone(&shared)));
        let left = until.since(handle.now());
        let definition = (definition, plan.pace, None);
        let consumer = ConsumerHandle::start(tenure.clone(), definition, host, left).await;
        let consumer = consumer.map_err(|error| shared.why(error))?;
        shared.seated(&consumer);
        let (settled_tx, settled) = watch::channel(false);
        let (serves_tx, serves) = watch::channel(!waits);
        let tells = (serves_tx, settled_tx);
        let clears = begin != Begin::Green;
        let settling = settle(Arc::clone(&shared), consumer.told(), tells, clears);
        drop(handle.spawn(Box::pin(settling)));
        Ok(Arc::new(Self {
            shared,
            consumer,
            serves,
            settled,
        }))
    }

    /// Lets what it has end, and has the store settle.
    pub(super) async fn stop(&self, patience: Span) -> Result<(), ProjectionError> {
        let stopped = self.consumer.stop().await;
        let clock = &self.shared.claim.keeper.clock;
        let late = clock.sleep_until(clock.now() + patience);
        tokio::select! {
            biased;
            () = self.settled() => {}
            () = late => {
                let name = self.shared.plan.name.as_str().to_owned();
                return Err(ProjectionError::Unsettled { name });
            }
        }
        let Trouble {
            failed, unsettled, ..
        } = self.shared.trouble().clone();
        match (failed, stopped, unsettled) {
            (Some(failed), _, _) => Err(self.shared.plan.store_error(failed)),
            (None, Ok(_) | Err(ConsumerError::Stopped), None) => Ok(()),
            (None, Ok(_) | Err(ConsumerError::Stopped), Some(error)) => {
                let name = self.shared.plan.name.as_str().to_owned();
                Err(ProjectionError::NotSettled { name, error })
            }
            (None, Err(error), _) => Err(error.into()),
        }
    }

    /// Whether readers see it.
    pub(super) fn is_serving(&self) -> bool {
        *self.serves.borrow()
    }

    /// Waits until readers see it.
    pub(super) async fn serves(&self) -> Result<(), ConsumerError> {
        let mut serves = self.serves.clone();
        if serves.wait_for(|serves| *serves).await.is_ok() {
            return Ok(());
        }
        let ended = self.consumer.ended().await;
        Err(ended.err().unwrap_or(ConsumerError::Stopped))
    }

    /// Waits until the store was asked to settle for the last time.
    pub(super) async fn settled(&self) {
        let mut settled = self.settled.clone();
        // Without a sender the task is gone, and nothing settles any more.
        let _ = settled.wait_for(|settled| *settled).await;
    }
}

impl<S> Plan<S> {
    pub(super) fn store_error(&self, error: StoreError) -> ProjectionError {
        ProjectionError::Store {
            name: self.name.as_str().to_owned(),
            error,
        }
    }
}

/// Opens a store, which may be away for a while.
async fn open<St: ProjectionStore>(
    store: &St,
    claim: &Claim,
    until: Time,
) -> Result<Option<Mark>, StoreError> {
    let clock = &claim.keeper.clock;
    let mut wait = AWAY_MIN;
    let mut last = StoreError::away("it did not open in time");
    loop {
        let opened = tokio::select! {
            biased;
            opened = store.open(claim) => opened,
            () = clock.sleep_until(until) => return Err(last),
        };
        let away = match opened {
            Err(away @ StoreError::Away(_)) => away,
            opened => return opened,
        };
        let projection = claim.projection();
        tracing::warn!(projection, error = %away, "projection_store_away");
        last = away;
        if clock.now() + wait >= until {
            return Err(last);
        }
        clock.sleep_until(clock.now() + wait).await;
        wait = wait.saturating_mul(2).min(AWAY_MAX);
    }
}

/// The dead letters of former lives whose events a run is to take in. They are known before it reads the
/// first one, so that none is its own. It starts without them where they are not told in half of its time: they
/// stay until another life.
async fn former_letters(claim: &Claim, mark: &Mark, until: Time) -> Vec<FormerLetter> {
    if mark.generation <= 1 {
        return Vec::new();
    }
    let keeper = &claim.keeper;
    let now = keeper.clock.now();
    let half = now + Span::from_nanos(until.since(now).as_nanos() / 2);
    let mut listing = FormerLetters::new(keeper.namespace.clone(), mark.clone());
    let (request, answered) = (FormerLetters::request, FormerLetters::answered);
    let listed = tokio::select! {
        biased;
        listed = keeper.run(claim.projection(), &mut listing, request, answered) => listed,
        () = keeper.clock.sleep_until(half) => {
            Err(StoreError::away("its dead letters were not told in time"))
        }
    };
    listed.unwrap_or_else(|error| {
        tracing::warn!(projection = claim.projection(), %error, "projection_letters_not_listed");
        Vec::new()
    })
}

/// Has a store settle: after batches, after a while, when the projection has caught up, and at the end. When
/// it has caught up, one that waits beside another takes that one's place before, and the dead letters that
/// it has taken in go after that; those of a rebuild go when that is done.
async fn settle<St: ProjectionStore>(
    shared: Arc<Shared<St>>,
    mut told: watch::Receiver<Told>,
    (serves, settled): (watch::Sender<bool>, watch::Sender<bool>),
    clears: bool,
) {
    let clock = shared.claim.keeper.clock.clone();
    let mut live = false;
    loop {
        let (ended, now_live) = {
            let told = told.borrow_and_update();
            (told.ended.is_some(), told.status.state == State::Live)
        };
        let when = match (ended, now_live && !live) {
            (true, _) => Settle::Stop,
            (false, true) => Settle::CaughtUp,
            (false, false) => Settle::Now,
        };
        let promoted = match now_live && !ended && !*serves.borrow() {
            true => shared.store.promote().await,
            false => Ok(()),
        };
        live = now_live && promoted.is_ok();
        // What is folded while it settles may not be in what is stored.
        let mark = shared.mark().clone();
        let settling = match promoted {
            Ok(()) => {
                serves.send_if_modified(|serves| live && !std::mem::replace(serves, true));
                shared.store.settle(when).await
            }
            Err(away @ StoreError::Away(_)) => Err(away),
            Err(error) => {
                shared.fail(error.clone()).await;
                Err(error)
            }
        };
        let after = match settling {
            Ok(after) => {
                shared.trouble().unsettled = None;
                if clears && when == Settle::CaughtUp {
                    shared.clear_letters(&mark).await;
                }
                after.unwrap_or(SETTLE_MAX).min(SETTLE_MAX)
            }
            Err(error) => {
                let projection = shared.claim.projection();
                tracing::warn!(projection, %error, "projection_not_settled");
                // What goes with the turn to live is done when it settles.
                live &= when != Settle::CaughtUp;
                shared.trouble().unsettled = Some(error);
                SETTLE_AGAIN
            }
        };
        if ended {
            break;
        }
        let due = clock.now() + Span::from(after);
        tokio::select! {
            biased;
            changed = told.changed() => {
                // Without a sender it has ended, which was told before.
                if changed.is_err() {
                    break;
                }
            }
            () = clock.sleep_until(due) => {}
        }
    }
    settled.send_replace(true);
}
