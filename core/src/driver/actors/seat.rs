//! The seat of a lane's actors.

use super::acts::{Due, Running};
use super::callers::{Callers, Waiting, Wants};
use super::host::{
    ActorAnswer, ActorEntry, ActorHost, ActorRequest, Finished, Outcome, Waiter, WatchRequest,
    WatchWhom,
};
use super::stage::{Asker, Report, Stage, World};
use super::tasks::Tasks;
use super::waiting::Waiting as TurnsWaiting;
use crate::actor::{Ask, Effect, Hop, Input, Scheduler, Trail, Watch, WatchOf};
use crate::api::Inner;
use crate::driver::cluster::Carried;
use crate::driver::counters::Counters;
use crate::driver::flight::State;
use crate::driver::lane::Who;
use crate::driver::lease::{LeaseEnd, Reading};
use crate::driver::recorder::Recorder;
use crate::id::{Epoch, Incarnation, Slot, Ticket};
use crate::log::KindIndex;
use crate::name::{EntityId, KindName};
use crate::shard::Place;
use crate::step::{CountingProbe, Deadline, Dice, Effects, Limits, Machine, Span, Time};
use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};
use tokio::sync::mpsc;

/// What the lane lends while the scheduler is stepped.
pub(crate) struct ActorEnv<'a> {
    pub(crate) now: Time,
    /// The run of the node.
    pub(crate) run: Incarnation,
    pub(crate) probe: &'a mut CountingProbe,
    pub(crate) counters: &'a mut Counters,
    pub(crate) recorder: &'a mut Recorder<Who>,
}

/// What a seat is made with.
pub(crate) struct ActorSeatParts {
    pub(crate) lane: usize,
    pub(crate) lanes: usize,
    pub(crate) node: String,
    pub(crate) limits: Limits,
    /// How long what actors ask waits, unless they say otherwise.
    pub(crate) timeout: Span,
    /// The node, for what actors ask of others.
    pub(crate) home: Weak<Inner>,
    pub(crate) dice: Dice,
    pub(crate) world: Arc<dyn World>,
    pub(crate) asker: Arc<dyn Asker>,
    /// Until when this node may act in the places that it owns.
    pub(crate) lease: Arc<LeaseEnd>,
    /// What turns of this node wait for.
    pub(crate) waiting: Arc<TurnsWaiting>,
}

/// What the lane has to know of.
pub(crate) enum ActorEvent {
    /// Nothing of a place that is handed over is left.
    Drained(Place),
    /// What lives in a place has not ended in time: it is not handed over.
    Kept(Place, Epoch),
    /// Nothing is left, after `stop`.
    Stopped,
    /// This node does not own the place (any more): the message was not run, and its caller waits.
    NotOwner(Ticket, ActorRequest),
    /// The same for a wish to be told of an end.
    NotOwnerOfWatched(Ticket, WatchRequest),
}

/// A lane's actors.
pub(crate) struct ActorSeat {
    pub(super) machine: Scheduler,
    /// What it was made of, until its first input.
    pub(super) born: Option<State>,
    pub(super) dice: Dice,
    pub(super) stage: Arc<Stage>,
    pub(super) reports: mpsc::UnboundedReceiver<Report>,
    pub(super) kinds: BTreeMap<KindName, KindIndex>,
    pub(super) hosts: Vec<Hosted>,
    pub(super) callers: Callers,
    /// Users' code that is to be begun.
    pub(super) acts: VecDeque<Due>,
    /// What runs as a task.
    pub(super) running: BTreeMap<Slot, Running>,
    /// What ended in the lane and is not told yet.
    pub(super) ended: VecDeque<Input>,
    /// The caller of turns for whose callers nobody tells whether they are there.
    pub(super) spare: Arc<Waiter>,
    /// The actors, by the lower half of their slots, which is used again; the upper half tells the
    /// stay. Empty while code that owns the actor runs.
    pub(super) residents: Vec<Option<(u32, Box<dyn Any + Send>)>>,
    /// What the caller of the turn that is being told gets.
    pub(super) outcome: Option<Box<dyn Outcome>>,
    /// The lease as the scheduler was told last.
    pub(super) lease: Reading,
    pub(super) events: Vec<ActorEvent>,
    /// What other lanes are to be told, until their requests are answered.
    pub(super) served: Vec<Carried>,
    pub(super) effects: Effects<Effect>,
    pub(super) halted: Option<String>,
    /// The node had no more time.
    pub(super) cut: bool,
    /// The latest reading of the clock.
    pub(super) now: Time,
}

pub(super) struct Hosted {
    pub(super) entry: Arc<ActorEntry>,
    pub(super) host: Box<dyn ActorHost>,
    /// How many pieces of its code get tasks at once.
    pub(super) spawned: u32,
}

impl ActorSeat {
    pub(crate) fn new(parts: ActorSeatParts) -> Self {
        let (sender, reports) = mpsc::unbounded_channel();
        let machine = Scheduler::new(parts.limits, parts.lane, parts.lanes);
        let born = State::Actors(Box::new((parts.limits, parts.lane, parts.lanes)));
        Self {
            machine,
            born: Some(born),
            dice: parts.dice,
            effects: Effects::new(Scheduler::effects_max(&parts.limits)),
            stage: Arc::new(Stage {
                node: parts.node,
                limits: parts.limits,
                timeout: parts.timeout,
                home: parts.home,
                dice: parts.dice,
                world: parts.world,
                asker: parts.asker,
                reports: sender,
                lease: parts.lease,
                waiting: parts.waiting,
                tasks: Tasks::default(),
            }),
            reports,
            kinds: BTreeMap::new(),
            hosts: Vec::new(),
            callers: Callers::default(),
            acts: VecDeque::new(),
            running: BTreeMap::new(),
            ended: VecDeque::new(),
            spare: Arc::default(),
            residents: Vec::new(),
            outcome: None,
            lease: Reading::default(),
            events: Vec::new(),
            served: Vec::new(),
            halted: None,
            cut: false,
            now: Time::ZERO,
        }
    }

    /// Takes in a message. `place`: what must be held for it; `None` for what belongs to this node.
    pub(crate) fn ask(
        &mut self,
        env: &mut ActorEnv<'_>,
        ticket: Ticket,
        place: Option<Place>,
        request: ActorRequest,
    ) {
        let ActorRequest {
            kind: entry,
            key,
            node: _,
            deadline,
            answered,
            mail,
            caller,
        } = request;
        env.counters.actor_messages += 1;
        if let Some(answer) = self.unusable() {
            env.counters.actor_answers += 1;
            return self.served.extend(caller.finish(&entry, &key, answer));
        }
        let kind = self.kind(env, &entry);
        let trail = mail.trail.clone();
        if let Some(hosted) = self.hosts.get_mut(usize::from(kind.0))
            && let Err(not_understood) = hosted.host.admit(ticket, mail)
        {
            env.counters.actor_answers += 1;
            let answer = ActorAnswer::NotUnderstood(not_understood);
            return self.served.extend(caller.finish(&entry, &key, answer));
        }
        let waiting = Waiting {
            kind,
            entry,
            key: key.clone(),
            place,
            deadline,
            wants: if answered {
                Wants::Reply
            } else {
                Wants::Receipt
            },
            caller,
        };
        self.callers.admit(ticket, waiting);
        let crosses = answered && !trail.hops().is_empty() && self.crosses(kind, &key, &trail);
        let ask = Ask {
            ticket,
            kind,
            key,
            place,
            deadline,
            trail,
            crosses,
            answered,
        };
        self.feed(env, Input::Ask(ask));
    }

    /// Whether whom a message is for waits for one of those that wait for the message.
    fn crosses(&self, kind: KindIndex, key: &EntityId, trail: &Trail) -> bool {
        let Some(hosted) = self.hosts.get(usize::from(kind.0)) else {
            return false;
        };
        let (kind, key) = (hosted.entry.name().clone(), key.clone());
        let turns_max = self.stage.limits.trail_max;
        self.stage
            .waiting
            .closes(&Hop { kind, key }, trail, turns_max)
    }

    /// Takes in a wish to be told of an end.
    pub(crate) fn watch(
        &mut self,
        env: &mut ActorEnv<'_>,
        ticket: Ticket,
        place: Option<Place>,
        request: WatchRequest,
    ) {
        let WatchRequest {
            kind: entry,
            key,
            node: _,
            deadline,
            of,
            caller,
        } = request;
        if let Some(answer) = self.unusable() {
            return self.served.extend(caller.finish(&entry, &key, answer));
        }
        let kind = self.kind(env, &entry);
        let waiting = Waiting {
            kind,
            entry,
            key: key.clone(),
            place,
            deadline,
            wants: Wants::End(of),
            caller,
        };
        self.callers.admit(ticket, waiting);
        let watch = Watch {
            ticket,
            kind,
            key,
            place,
            deadline,
            of: match of {
                WatchWhom::Whoever => WatchOf::Whoever,
                WatchWhom::Who => WatchOf::Who,
                WatchWhom::Life(life) => WatchOf::Life(life.at(env.run)),
            },
        };
        self.feed(env, Input::Watch(watch));
    }

    /// Whoever asked or watched gave up. Its caller stays until the scheduler was told: a deadline
    /// that has come meanwhile is answered first (A4).
    pub(crate) fn withdraw(&mut self, env: &mut ActorEnv<'_>, ticket: Ticket) {
        self.feed(env, Input::Withdraw(ticket));
        let waiting = self.callers.take(ticket);
        env.counters.actor_answers += waiting.as_ref().map_or(0, |it| it.wants.counted());
        let due = self.take_back(ticket);
        let kind = waiting.map(|waiting| waiting.kind);
        let Some(kind) = kind.or(due.as_ref().map(|due| due.kind)) else {
            return;
        };
        match due {
            Some(Due { slot, op, .. }) => self.not_begun(env, (slot, op), kind, ticket),
            None => self.discard(kind, ticket),
        }
    }

    pub(crate) fn own(&mut self, env: &mut ActorEnv<'_>, place: Place, epoch: Epoch) {
        self.feed(env, Input::Own { place, epoch });
    }

    pub(crate) fn lost(&mut self, env: &mut ActorEnv<'_>, place: Place) {
        // It is not handed over any more.
        self.events
            .retain(|event| !matches!(event, ActorEvent::Drained(of) if *of == place));
        self.feed(env, Input::Lost { place });
    }

    pub(crate) fn hand_over(&mut self, env: &mut ActorEnv<'_>, place: Place) {
        self.feed(env, Input::HandOver { place });
    }

    pub(crate) fn tick(&mut self, env: &mut ActorEnv<'_>) {
        self.feed(env, Input::Tick);
    }

    pub(crate) fn next_deadline(&self) -> Option<Deadline> {
        match self.halted {
            Some(_) => None,
            None => self.machine.next_deadline(),
        }
    }

    /// Begins to stop: [`ActorEvent::Stopped`] says when nothing is left.
    pub(crate) fn stop(&mut self, env: &mut ActorEnv<'_>) {
        self.feed(env, Input::Stop);
    }

    /// The node has no more time: drops what runs, and tells everyone who waits.
    pub(crate) fn cut(&mut self, env: &mut ActorEnv<'_>) {
        for running in self.running.values() {
            running.task.abort();
        }
        self.running.clear();
        self.acts.clear();
        self.residents.clear();
        self.end_all(env, || ActorAnswer::Stopped);
        self.cut = true;
        self.halted
            .get_or_insert_with(|| "the node has stopped".to_owned());
    }

    /// For tests: a key takes no turns.
    pub(crate) fn pause(&mut self, env: &mut ActorEnv<'_>, entry: &Arc<ActorEntry>, key: EntityId) {
        let kind = self.kind(env, entry);
        self.feed(env, Input::Pause { kind, key });
    }

    /// For tests: a paused key takes one turn.
    pub(crate) fn step(&mut self, env: &mut ActorEnv<'_>, entry: &Arc<ActorEntry>, key: EntityId) {
        let kind = self.kind(env, entry);
        self.feed(env, Input::Step { kind, key });
    }

    /// For tests: a paused key goes on.
    pub(crate) fn resume(
        &mut self,
        env: &mut ActorEnv<'_>,
        entry: &Arc<ActorEntry>,
        key: EntityId,
    ) {
        let kind = self.kind(env, entry);
        self.feed(env, Input::Resume { kind, key });
    }

    /// What the lane has to know of since the last call. That nothing is left is told when no task of
    /// an actor runs any more either: the last one's report comes here too.
    pub(crate) fn take_events(&mut self) -> Vec<ActorEvent> {
        if self.events.is_empty() {
            return Vec::new();
        }
        let tasks = &self.stage.tasks;
        let is_early = |event: &ActorEvent| match event {
            ActorEvent::Drained(place) => tasks.run_in(*place),
            ActorEvent::Stopped => tasks.run(),
            ActorEvent::Kept(..) | ActorEvent::NotOwner(..) | ActorEvent::NotOwnerOfWatched(..) => {
                false
            }
        };
        let events = std::mem::take(&mut self.events).into_iter();
        let (early, told) = events.partition(is_early);
        self.events = early;
        told
    }

    /// What other lanes are to be told since it was asked last.
    pub(crate) fn served(&mut self) -> std::vec::Drain<'_, Carried> {
        self.served.drain(..)
    }

    /// Whether [`turn`](Self::turn) has something to do now.
    pub(crate) fn has_work(&self) -> bool {
        self.halted.is_none()
            && (!self.acts.is_empty() || !self.ended.is_empty() || self.machine.is_ready())
    }

    /// The next report of what runs as a task. Cancel safe.
    pub(crate) async fn completed(&mut self) -> Report {
        match self.reports.recv().await {
            Some(report) => report,
            // The stage holds a sender.
            None => std::future::pending().await,
        }
    }

    /// A report that is here already.
    pub(crate) fn next_report(&mut self) -> Option<Report> {
        self.reports.try_recv().ok()
    }

    pub(crate) fn report(&mut self, env: &mut ActorEnv<'_>, report: Report) {
        match report {
            Report::Ended { slot, op, finished } => {
                self.running.remove(&slot);
                let finished = finished.unwrap_or_else(Finished::dropped);
                self.finished(env, (slot, op), finished);
            }
            Report::Task {
                slot,
                background,
                panicked,
            } => {
                if let Some(cause) = panicked {
                    env.counters.actor_panics += 1;
                    tracing::warn!(?slot, cause, "actor_task_panicked");
                }
                self.feed(env, Input::Background { slot, background });
            }
            Report::Notice { slot, watch, ended } => {
                self.feed(env, Input::Notice { slot, watch, ended });
            }
        }
    }

    /// What the lane's actors are at this moment.
    pub(crate) fn count_into(&self, counters: &mut Counters) {
        let census = self.machine.census();
        counters.actors_held += census.activations as u64;
        counters.actor_letters += census.letters as u64;
    }

    /// Whether something of a place acts, or has not ended yet.
    pub(crate) fn lives_in(&self, place: Place) -> bool {
        match self.halted {
            // Nobody counts any more what of which place it is.
            Some(_) => !self.running.is_empty() || self.stage.tasks.run(),
            None => self.machine.lives_in(place) || self.stage.tasks.run_in(place),
        }
    }

    /// Why nothing of it acts any more, when its scheduler halted.
    pub(crate) fn broken(&self) -> Option<&str> {
        self.halted.as_deref().filter(|_| !self.cut)
    }

    /// How many callers and watchers wait.
    pub(crate) fn waiting(&self) -> usize {
        self.machine.waiting()
    }

    /// Whether nothing is under way that anybody waits for. Who watches waits for no work.
    pub(crate) fn is_idle(&self) -> bool {
        !self.callers.want_turns()
    }

    /// What whoever comes is told when nothing can be begun any more.
    fn unusable(&self) -> Option<ActorAnswer> {
        let reason = self.halted.as_ref()?;
        Some(if self.cut {
            ActorAnswer::Stopped
        } else {
            ActorAnswer::Halted(reason.clone())
        })
    }

    /// The kind's number; a new one is made known to the scheduler first.
    fn kind(&mut self, env: &mut ActorEnv<'_>, entry: &Arc<ActorEntry>) -> KindIndex {
        if let Some(kind) = self.kinds.get(entry.name()) {
            return *kind;
        }
        let kind = KindIndex(u16::try_from(self.hosts.len()).expect("fewer kinds than 65,536"));
        self.kinds.insert(entry.name().clone(), kind);
        self.hosts.push(Hosted {
            entry: Arc::clone(entry),
            host: (entry.host)(entry),
            spawned: 0,
        });
        self.feed(env, Input::Kind(entry.config.clone()));
        kind
    }
}
