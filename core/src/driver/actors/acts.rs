//! Users' code of a lane's actors: begun, run as tasks, ended and dropped.

use super::host::{Act, Finished, Presence, Scene};
use super::permitted::Permitted;
use super::seat::{ActorEnv, ActorSeat};
use super::stage::{Report, Stage};
use crate::actor::{Ending, Input};
use crate::driver::host::caught;
use crate::driver::shell::TaskHandle;
use crate::id::{OpId, Slot, Ticket};
use crate::log::KindIndex;
use crate::name::EntityId;
use crate::shard::Place;
use crate::step::Span;
use futures_util::future::BoxFuture;
use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

/// How many pieces of users' code one turn of the lane begins.
const ACTS_MAX: usize = 256;

/// How long one turn of the lane goes on to begin more: heartbeats, routing and the answers of the
/// store have their turn then.
const TURN_MAX: Span = Span::from_millis(10);

/// A kind whose code held the lane for longer gets tasks of its own for a while.
const HELD_MAX: Span = Span::from_millis(1);

/// For so many pieces of its code.
const SPAWNED_AFTER_HELD: u32 = 1_000;

/// Users' code that is to be begun.
pub(super) struct Due {
    pub(super) slot: Slot,
    pub(super) op: OpId,
    pub(super) kind: KindIndex,
    pub(super) key: EntityId,
    pub(super) place: Option<Place>,
    pub(super) act: Act,
}

pub(super) struct Running {
    pub(super) op: OpId,
    pub(super) task: TaskHandle,
    pub(super) gone: Arc<dyn Presence>,
}

impl ActorSeat {
    /// Lets actors take turns, up to a budget.
    pub(crate) fn turn(&mut self, env: &mut ActorEnv<'_>) {
        let mut acts = 0;
        env.now = self.stage.world.now();
        let until = env.now + TURN_MAX;
        while self.has_work() && acts < ACTS_MAX && env.now < until {
            if let Some(input) = self.ended.pop_front() {
                self.feed(env, input);
            } else if let Some(act) = self.acts.pop_front() {
                acts += 1;
                let permit = act.place.map(|_| self.lease.permit);
                let may_act = permit.is_none_or(|it| self.stage.lease.allows(it, env.now));
                if !may_act {
                    // The lease has ended since: the tick drops all that needs it (A5).
                    self.acts.push_front(act);
                    self.feed(env, Input::Tick);
                } else {
                    self.begin(env, act);
                }
            } else {
                self.feed(env, Input::Turn);
            }
        }
    }

    /// Begins a piece of users' code: it runs in the lane until its first wait, and as a task after
    /// that, or from the start where its kind holds the lane for long.
    pub(super) fn begin(&mut self, env: &mut ActorEnv<'_>, due: Due) {
        let Due {
            slot,
            op,
            kind,
            key,
            place,
            act,
        } = due;
        let deadline = match &act {
            Act::Message { deadline, .. } => *deadline,
            Act::Activate | Act::Timer { .. } | Act::Notice { .. } | Act::Stop(_) => None,
        };
        let whose = match &act {
            Act::Message { ticket, .. } => Some(*ticket),
            Act::Activate | Act::Timer { .. } | Act::Notice { .. } | Act::Stop(_) => None,
        };
        let known = whose.and_then(|ticket| self.callers.presence(ticket));
        let gone = known.unwrap_or_else(|| self.spare_caller());
        let nobody_waits = gone.has_left() || deadline.is_some_and(|at| at <= env.now);
        if nobody_waits && let Act::Message { ticket, .. } = act {
            return self.not_begun(env, (slot, op), kind, ticket);
        }
        env.counters.actor_turns += u64::from(!matches!(act, Act::Activate | Act::Stop(_)));
        let permit = place.map(|_| self.lease.permit);
        let scene = Scene {
            stage: Arc::clone(&self.stage),
            slot,
            op,
            key,
            shard: place.map(|place| place.shard),
            epoch: place.and_then(|place| self.machine.epoch(place)),
            deadline,
            gone,
            permit,
        };
        let resident = self.take(slot);
        let Some(hosted) = self.hosts.get_mut(usize::from(kind.0)) else {
            unreachable!("a kind that was made known");
        };
        let begun = caught(|| hosted.host.begin(scene, act, resident));
        let mut future = begun.unwrap_or_else(|panic| dropped_by(panic));
        if hosted.entry.inline && hosted.spawned == 0 {
            let before = env.now;
            let noop = &mut Context::from_waker(Waker::noop());
            let polled = caught(|| future.as_mut().poll(noop));
            let polled = polled.unwrap_or_else(|panic| dropped_by(panic).as_mut().poll(noop));
            // So the lease is looked at with a fresh clock before each piece of users' code.
            env.now = self.stage.world.now();
            if env.now.since(before) > HELD_MAX {
                hosted.spawned = SPAWNED_AFTER_HELD;
            }
            if let Poll::Ready(finished) = polled {
                return self.finished(env, (slot, op), finished);
            }
        } else {
            hosted.spawned = hosted.spawned.saturating_sub(1);
        }
        let task = Task {
            code: Permitted::new(future, permit, Arc::clone(&self.stage)),
            report: Some((slot, op)),
            stage: Arc::clone(&self.stage),
        };
        env.counters.actor_tasks += 1;
        let task = self.stage.world.spawn(Box::pin(task));
        let known = whose.and_then(|ticket| self.callers.presence(ticket));
        let gone = known.unwrap_or_else(|| self.spare.clone());
        self.running.insert(slot, Running { op, task, gone });
    }

    /// The caller of a turn of whose own nobody tells whether it is there: the same for one turn after
    /// another, until one keeps it or it leaves.
    fn spare_caller(&mut self) -> Arc<dyn Presence> {
        if Arc::strong_count(&self.spare) > 1 || self.spare.has_left() {
            self.spare = Arc::default();
        }
        self.spare.clone()
    }

    pub(super) fn finished(
        &mut self,
        env: &mut ActorEnv<'_>,
        (slot, op): (Slot, OpId),
        finished: Finished,
    ) {
        let Finished {
            ending,
            orders,
            background,
            outcome,
            resident,
        } = finished;
        if let Some(resident) = resident {
            self.put_back(slot, resident);
        }
        self.outcome = outcome;
        let done = Input::Done {
            slot,
            op,
            ending,
            orders,
            background,
        };
        self.feed(env, done);
        self.outcome = None;
    }

    /// A turn that was let begin, and for which nobody waits any more, is not begun. Its caller stays
    /// until the scheduler was told: a deadline that has come meanwhile is answered first (A4).
    pub(super) fn not_begun(
        &mut self,
        env: &mut ActorEnv<'_>,
        (slot, op): (Slot, OpId),
        kind: KindIndex,
        ticket: Ticket,
    ) {
        let done = Input::Done {
            slot,
            op,
            ending: Ending::Withdrawn,
            orders: Vec::new(),
            background: 0,
        };
        self.feed(env, done);
        let waiting = self.callers.take(ticket);
        env.counters.actor_answers += waiting.map_or(0, |it| it.wants.counted());
        self.discard(kind, ticket);
    }

    /// Takes back a turn that was let begin, and whose caller went away before it was.
    pub(super) fn take_back(&mut self, ticket: Ticket) -> Option<Due> {
        let whose = |due: &Due| match due.act {
            Act::Message { ticket: of, .. } => of == ticket,
            Act::Activate | Act::Timer { .. } | Act::Notice { .. } | Act::Stop(_) => false,
        };
        let nth = self.acts.iter().position(whose)?;
        self.acts.remove(nth)
    }

    /// What has not been begun is dropped here; what runs as a task reports that it was dropped.
    pub(super) fn abort(&mut self, slot: Slot, op: OpId) {
        if let Some(running) = self.running.get(&slot) {
            running.task.abort();
            return;
        }
        let waits = |due: &Due| due.op == op;
        if let Some(nth) = self.acts.iter().position(waits) {
            self.acts.remove(nth);
            self.ended.push_back(Input::Done {
                slot,
                op,
                ending: Ending::Dropped,
                orders: Vec::new(),
                background: 0,
            });
        }
    }

    pub(super) fn take(&mut self, slot: Slot) -> Option<Box<dyn Any + Send>> {
        let (place, stay) = halves(slot);
        let resident = self.residents.get_mut(place)?;
        resident.take_if(|(of, _)| *of == stay).map(|(_, one)| one)
    }

    pub(super) fn put_back(&mut self, slot: Slot, resident: Box<dyn Any + Send>) {
        let (place, stay) = halves(slot);
        if self.residents.len() <= place {
            self.residents.resize_with(place + 1, || None);
        }
        if let Some(empty) = self.residents.get_mut(place) {
            *empty = Some((stay, resident));
        }
    }
}

/// Users' code panicked where no turn catches it: in a `Drop`, a `Clone`. Its actor is gone.
fn dropped_by(panic: String) -> BoxFuture<'static, Finished> {
    tracing::warn!(cause = panic, "actor_code_panicked");
    Box::pin(std::future::ready(Finished::dropped()))
}

fn halves(slot: Slot) -> (usize, u32) {
    let stay = u32::try_from(slot.0 >> 32).unwrap_or(u32::MAX);
    let place = usize::try_from(slot.0 & u64::from(u32::MAX)).unwrap_or(usize::MAX);
    (place, stay)
}

/// Users' code that runs as a task. However it ends, it is reported once, after the code and its
/// actor were dropped.
struct Task {
    code: Permitted<Finished>,
    report: Option<(Slot, OpId)>,
    stage: Arc<Stage>,
}

impl Task {
    fn end(&mut self, finished: Option<Finished>) {
        self.code.end();
        if let Some((slot, op)) = self.report.take() {
            // A seat that is gone needs no report.
            let _ = self
                .stage
                .reports
                .send(Report::Ended { slot, op, finished });
        }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let finished = ready!(Pin::new(&mut self.code).poll(cx));
        self.end(finished);
        Poll::Ready(())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.end(None);
    }
}
