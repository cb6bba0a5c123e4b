//! What runs for an actor beside its turns: tasks, and watches of others.

use super::caller::{Desk, Waits};
use crate::actor::{Ended, Refusal};
use crate::driver::TaskHandle;
use crate::driver::actors::host::{
    ActorAnswer, ActorEntry, Caller, Recipient, Waiter, WatchRequest, WatchWhom,
};
use crate::driver::actors::permitted::Permitted;
use crate::driver::actors::stage::{Report, Stage};
use crate::driver::host::panic_text;
use crate::driver::lease::Permit;
use crate::id::Slot;
use crate::name::EntityId;
use crate::route::{self, Lost};
use crate::shard::Place;
use crate::step::Span;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How long one request of a watch waits before it is made again.
const WATCH_ROUND: Span = Span::from_secs(30);

/// How long it waits on while the next one is made.
const WATCH_OVERLAP: Span = Span::from_secs(5);

/// How long a watch that could not be made waits before it is made again.
const WATCH_PAUSE: Span = Span::from_millis(250);

/// So many rounds of a watch in a row that reach nobody, and what is watched counts as lost.
const LOST_ROUNDS_MAX: u32 = 8;

/// Too many tasks or watches of one actor run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{max} tasks or watches of this actor run already; wait for one to end, or raise the limit"
)]
pub struct TooManyTasks {
    /// How many may run at once.
    pub max: u32,
}

/// One watch of an actor: told with its end, and given to [`ActorCx::unwatch`](super::ActorCx::unwatch).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WatchId(pub(super) u32);

/// What runs for an actor. Dropped with it, and what runs is dropped too.
pub(crate) struct Background {
    slot: Slot,
    stage: Arc<Stage>,
    /// The place of its actor, and the lease of its stay.
    place: Option<Place>,
    permit: Option<Permit>,
    running: Arc<Mutex<BTreeMap<u32, TaskHandle>>>,
    next: u32,
}

impl Background {
    pub(super) fn new(
        slot: Slot,
        stage: Arc<Stage>,
        (place, permit): (Option<Place>, Option<Permit>),
    ) -> Self {
        Self {
            slot,
            stage,
            place,
            permit,
            running: Arc::default(),
            next: 0,
        }
    }

    pub(super) fn running(&self) -> u32 {
        u32::try_from(lock(&self.running).len()).unwrap_or(u32::MAX)
    }

    /// Runs a task until it ends, is called off, its actor goes, or its lease is over.
    pub(super) fn spawn(&mut self, task: BoxFuture<'static, ()>) -> u32 {
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        self.stage.tasks.begin(self.place);
        let mut ends = Ends {
            slot: self.slot,
            place: self.place,
            stage: Arc::clone(&self.stage),
            running: Arc::clone(&self.running),
            id,
            panicked: None,
        };
        let task = Permitted::new(task, self.permit, Arc::clone(&self.stage));
        let task = Box::pin(async move {
            let ended = AssertUnwindSafe(task).catch_unwind().await;
            ends.with(ended.err().map(panic_text));
        });
        // Held meanwhile, so that a task which ends at once finds itself in the table.
        let mut running = lock(&self.running);
        running.insert(id, self.stage.world.spawn(task));
        id
    }

    pub(super) fn call_off(&self, id: u32) {
        let task = lock(&self.running).remove(&id);
        if let Some(task) = task {
            task.abort();
        }
    }

    /// Watches what cannot be there: it has ended already.
    pub(super) fn nobody(&mut self) -> WatchId {
        let (stage, slot, watch) = (Arc::clone(&self.stage), self.slot, self.next);
        WatchId(self.spawn(Box::pin(async move {
            let ended = Ended::Absent;
            // A seat that is gone needs no notice.
            let _ = stage.reports.send(Report::Notice { slot, watch, ended });
        })))
    }

    /// Watches an actor until it ends; its own actor is told by a notice.
    pub(super) fn watch(
        &mut self,
        (kind, key): (Arc<ActorEntry>, EntityId),
        node: Option<Arc<str>>,
    ) -> WatchId {
        let (stage, slot, watch) = (Arc::clone(&self.stage), self.slot, self.next);
        let task = async move {
            let ended = until_ended(&stage, (&kind, &key), &node).await;
            let notice = Report::Notice { slot, watch, ended };
            // A seat that is gone needs no notice.
            let _ = stage.reports.send(notice);
        };
        WatchId(self.spawn(Box::pin(task)))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        for task in lock(&self.running).values() {
            task.abort();
        }
    }
}

/// Asks who is there, then to be told of its end, round after round. Each round begins before the one
/// before it is over, so that the end is told as it was. Where rounds reached nobody for a while, the
/// next one that does finds another one there, or none, and says that it was lost.
async fn until_ended(
    stage: &Stage,
    (kind, key): (&Arc<ActorEntry>, &EntityId),
    node: &Option<Arc<str>>,
) -> Ended {
    let mut lost = 0;
    let mut life = None;
    let mut before: Option<Waits<ActorAnswer>> = None;
    loop {
        let as_it_is = |answer, _| answer;
        let (desk, told) = Desk::new((kind.codec, false), as_it_is, Waiter::default());
        let next_at = stage.world.now() + WATCH_ROUND;
        let request = WatchRequest {
            kind: Arc::clone(kind),
            key: key.clone(),
            node: node.clone(),
            deadline: next_at + WATCH_OVERLAP,
            of: life.map_or(WatchWhom::Who, WatchWhom::Life),
            caller: Recipient::Here(Caller::new(desk)),
        };
        let mut round = stage.asker.watch(request).await.is_ok().then_some(told);
        let mut next = stage.world.sleep_until(next_at);
        let answer = loop {
            let (is_first, answer) = tokio::select! {
                biased;
                answer = told_in(&mut before), if before.is_some() => (true, answer),
                answer = told_in(&mut round), if round.is_some() => (false, answer),
                () = &mut next, if round.is_some() => break None,
                else => break Some(None),
            };
            match (is_first, answer) {
                (_, Some(ActorAnswer::Ended(ended))) => return ended,
                // Whoever is there under its key next has another life.
                (_, Some(ActorAnswer::Unrouted(route::Refusal::Unknown(Lost::Gone(_))))) => {
                    return Ended::Lost;
                }
                // It is that one's end, and no other's, that is waited for from now on.
                (of_former, Some(ActorAnswer::Lives(who))) => {
                    if of_former {
                        before = None;
                    }
                    life.get_or_insert(who);
                    break Some(Some(ActorAnswer::Lives(who)));
                }
                // The round after it sees to what comes.
                (true, _) => before = None,
                (false, answer) => {
                    round = None;
                    break Some(answer);
                }
            }
        };
        match answer {
            // It goes on for a while beside the next one.
            None => {
                lost = 0;
                before = round;
                continue;
            }
            // It is known who is there, or the round is over early: here, at the other node, or while its
            // answer was on its way.
            Some(Some(
                ActorAnswer::Lives(_)
                | ActorAnswer::Refused(Refusal::Deadline)
                | ActorAnswer::Unrouted(
                    route::Refusal::Deadline | route::Refusal::Unknown(Lost::Deadline),
                ),
            )) => {
                lost = 0;
                continue;
            }
            Some(Some(_) | None) => lost += 1,
        }
        if lost == LOST_ROUNDS_MAX {
            return Ended::Lost;
        }
        let again = stage.world.now() + WATCH_PAUSE;
        stage.world.sleep_until(again).await;
    }
}

/// What a round is told; it is over then.
async fn told_in(round: &mut Option<Waits<ActorAnswer>>) -> Option<ActorAnswer> {
    match round {
        Some(told) => told.await,
        None => std::future::pending().await,
    }
}

/// Takes a task out of the table, however it ends.
struct Ends {
    slot: Slot,
    place: Option<Place>,
    stage: Arc<Stage>,
    running: Arc<Mutex<BTreeMap<u32, TaskHandle>>>,
    id: u32,
    panicked: Option<String>,
}

impl Ends {
    fn with(&mut self, panicked: Option<String>) {
        self.panicked = panicked;
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        let mut running = lock(&self.running);
        running.remove(&self.id);
        let background = u32::try_from(running.len()).unwrap_or(u32::MAX);
        drop(running);
        self.stage.tasks.end(self.place);
        // A seat that is gone needs no report.
        let _ = self.stage.reports.send(Report::Task {
            slot: self.slot,
            background,
            panicked: self.panicked.take(),
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
