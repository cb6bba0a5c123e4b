//! The seat of a lane's actors.

use super::callers::{Callers, Waiting, Wants};
use super::host::{
    Act, ActorAnswer, ActorEntry, ActorHost, ActorRequest, CallerGone, Finished, Outcome, Scene,
    WatchRequest,
};
use super::stage::{Asker, Report, Stage, World};
use crate::actor::{Answer, Ask, Effect, Ending, Input, Letter, Note, Refusal, Scheduler, Watch};
use crate::driver::counters::Counters;
use crate::driver::host::caught;
use crate::driver::shell::TaskHandle;
use crate::id::{Epoch, OpId, Slot, Ticket};
use crate::log::KindIndex;
use crate::name::{EntityId, KindName};
use crate::shard::Place;
use crate::step::{CountingProbe, Cx, Deadline, Dice, Effects, Limits, Machine, Span, Time};
use futures_util::future::BoxFuture;
use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::sync::mpsc;

/// How many pieces of users' code one turn of the lane begins.
const ACTS_MAX: usize = 256;

/// After so many the clock is read again.
const CLOCK_EVERY: usize = 16;

/// A kind whose code held the lane for longer gets tasks of its own for a while.
const HELD_MAX: Span = Span::from_millis(1);

/// For so many pieces of its code.
const SPAWNED_AFTER_HELD: u32 = 1_000;

/// What the lane lends while the scheduler is stepped.
pub(crate) struct ActorEnv<'a> {
    pub(crate) now: Time,
    pub(crate) probe: &'a mut CountingProbe,
    pub(crate) counters: &'a mut Counters,
    /// The flight recorder.
    pub(crate) record: &'a mut dyn FnMut(Time, &Input),
}

/// What a seat is made with.
pub(crate) struct ActorSeatParts {
    pub(crate) lane: usize,
    pub(crate) lanes: usize,
    pub(crate) node: String,
    pub(crate) limits: Limits,
    /// How long what actors ask waits, unless they say otherwise.
    pub(crate) timeout: Span,
    pub(crate) dice: Dice,
    pub(crate) world: Arc<dyn World>,
    pub(crate) asker: Arc<dyn Asker>,
}

/// What the lane has to know of.
pub(crate) enum ActorEvent {
    /// Nothing of a place that is handed over is left.
    Drained(Place),
    /// Nothing is left, after `stop`.
    Stopped,
    /// This node does not own the place (any more): the message was not run, and its caller waits.
    NotOwner(Ticket, ActorRequest),
    /// The same for a wish to be told of an end.
    NotOwnerOfWatched(Ticket, WatchRequest),
}

/// A lane's actors.
pub(crate) struct ActorSeat {
    machine: Scheduler,
    dice: Dice,
    stage: Arc<Stage>,
    reports: mpsc::UnboundedReceiver<Report>,
    kinds: BTreeMap<KindName, KindIndex>,
    hosts: Vec<Hosted>,
    callers: Callers,
    /// Users' code that is to be begun.
    acts: VecDeque<Due>,
    /// What runs as a task.
    running: BTreeMap<Slot, Running>,
    /// What ended in the lane and is not told yet.
    ended: VecDeque<Input>,
    /// The flag of turns for which nobody waits.
    nobody: Arc<CallerGone>,
    /// The actors, by the lower half of their slots, which is used again; the upper half tells the
    /// stay. Empty while code that owns the actor runs.
    residents: Vec<Option<(u32, Box<dyn Any + Send>)>>,
    /// What the caller of the turn that is being told gets.
    outcome: Option<Box<dyn Outcome>>,
    lease: Option<Time>,
    events: Vec<ActorEvent>,
    effects: Effects<Effect>,
    halted: Option<String>,
}

struct Hosted {
    entry: Arc<ActorEntry>,
    host: Box<dyn ActorHost>,
    /// How many pieces of its code get tasks at once.
    spawned: u32,
}

/// Users' code that is to be begun.
struct Due {
    slot: Slot,
    op: OpId,
    kind: KindIndex,
    key: EntityId,
    place: Option<Place>,
    act: Act,
}

struct Running {
    op: OpId,
    task: TaskHandle,
    gone: Arc<CallerGone>,
}

impl ActorSeat {
    pub(crate) fn new(parts: ActorSeatParts) -> Self {
        let (sender, reports) = mpsc::unbounded_channel();
        let machine = Scheduler::new(parts.limits, parts.lane, parts.lanes);
        Self {
            machine,
            dice: parts.dice,
            effects: Effects::new(Scheduler::effects_max(&parts.limits)),
            stage: Arc::new(Stage {
                node: parts.node,
                limits: parts.limits,
                timeout: parts.timeout,
                dice: parts.dice,
                world: parts.world,
                asker: parts.asker,
                reports: sender,
            }),
            reports,
            kinds: BTreeMap::new(),
            hosts: Vec::new(),
            callers: Callers::default(),
            acts: VecDeque::new(),
            running: BTreeMap::new(),
            ended: VecDeque::new(),
            nobody: Arc::default(),
            residents: Vec::new(),
            outcome: None,
            lease: None,
            events: Vec::new(),
            halted: None,
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
            deadline,
            answered,
            mail,
            gone,
            caller,
        } = request;
        env.counters.actor_messages += 1;
        if let Some(reason) = &self.halted {
            return caller.finish(ActorAnswer::Halted(reason.clone()));
        }
        let kind = self.kind(env, &entry);
        let trail = mail.trail.clone();
        if let Some(hosted) = self.hosts.get_mut(usize::from(kind.0))
            && let Err(not_understood) = hosted.host.admit(ticket, mail)
        {
            return caller.finish(ActorAnswer::NotUnderstood(not_understood));
        }
        let waiting = Waiting {
            kind,
            entry,
            key: key.clone(),
            deadline,
            wants: if answered {
                Wants::Reply
            } else {
                Wants::Receipt
            },
            gone,
            caller,
        };
        self.callers.admit(ticket, waiting);
        let ask = Ask {
            ticket,
            kind,
            key,
            place,
            deadline,
            trail,
            answered,
        };
        self.feed(env, Input::Ask(ask));
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
            deadline,
            caller,
        } = request;
        if let Some(reason) = &self.halted {
            return caller.finish(ActorAnswer::Halted(reason.clone()));
        }
        let kind = self.kind(env, &entry);
        let waiting = Waiting {
            kind,
            entry,
            key: key.clone(),
            deadline,
            wants: Wants::End,
            gone: Arc::clone(&self.nobody),
            caller,
        };
        self.callers.admit(ticket, waiting);
        let watch = Watch {
            ticket,
            kind,
            key,
            place,
            deadline,
        };
        self.feed(env, Input::Watch(watch));
    }

    /// Whoever asked or watched gave up.
    pub(crate) fn withdraw(&mut self, env: &mut ActorEnv<'_>, ticket: Ticket) {
        if let Some(waiting) = self.callers.take(ticket) {
            self.feed(env, Input::Withdraw(ticket));
            self.discard(waiting.kind, ticket);
        }
    }

    pub(crate) fn own(&mut self, env: &mut ActorEnv<'_>, place: Place, epoch: Epoch) {
        self.feed(env, Input::Own { place, epoch });
    }

    pub(crate) fn lost(&mut self, env: &mut ActorEnv<'_>, place: Place) {
        self.feed(env, Input::Lost { place });
    }

    pub(crate) fn hand_over(&mut self, env: &mut ActorEnv<'_>, place: Place) {
        self.feed(env, Input::HandOver { place });
    }

    pub(crate) fn lease(&mut self, env: &mut ActorEnv<'_>, until: Option<Time>) {
        self.lease = until;
        self.feed(env, Input::Lease(until));
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
        env.counters.actor_answers += self.callers.finish_all(|| ActorAnswer::Cut);
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

    /// What the lane has to know of since the last call.
    pub(crate) fn take_events(&mut self) -> Vec<ActorEvent> {
        std::mem::take(&mut self.events)
    }

    /// Whether [`turn`](Self::turn) has something to do now.
    pub(crate) fn has_work(&self) -> bool {
        self.halted.is_none()
            && (!self.acts.is_empty() || !self.ended.is_empty() || self.machine.is_ready())
    }

    /// Lets actors take turns, up to a budget.
    pub(crate) fn turn(&mut self, env: &mut ActorEnv<'_>) {
        let mut acts = 0;
        while self.has_work() && acts < ACTS_MAX {
            if let Some(input) = self.ended.pop_front() {
                self.feed(env, input);
            } else if let Some(act) = self.acts.pop_front() {
                acts += 1;
                if acts.is_multiple_of(CLOCK_EVERY) {
                    env.now = self.stage.world.now();
                }
                let placed = act.place.is_some();
                if placed && self.lease.is_none_or(|until| until <= env.now) {
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

    /// How many callers and watchers wait.
    pub(crate) fn waiting(&self) -> usize {
        self.machine.census().waiting
    }

    /// Begins a piece of users' code: it runs in the lane until its first wait, and as a task after
    /// that, or from the start where its kind holds the lane for long.
    fn begin(&mut self, env: &mut ActorEnv<'_>, due: Due) {
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
        env.counters.actor_turns += u64::from(!matches!(act, Act::Activate | Act::Stop(_)));
        let gone = match &act {
            Act::Message { ticket, .. } => self.callers.gone(*ticket),
            Act::Activate | Act::Timer { .. } | Act::Notice { .. } | Act::Stop(_) => None,
        };
        let gone = Arc::clone(gone.unwrap_or(&self.nobody));
        if gone.get()
            && let Act::Message { ticket, .. } = act
        {
            self.callers.take(ticket);
            self.discard(kind, ticket);
            return self.ended.push_back(Input::Done {
                slot,
                op,
                ending: Ending::Withdrawn,
                orders: Vec::new(),
                background: 0,
            });
        }
        let scene = Scene {
            stage: Arc::clone(&self.stage),
            slot,
            op,
            key,
            shard: place.map(|place| place.shard),
            epoch: place.and_then(|place| self.machine.epoch(place)),
            deadline,
            gone: Arc::clone(&gone),
        };
        let resident = self.take(slot);
        let Some(hosted) = self.hosts.get_mut(usize::from(kind.0)) else {
            unreachable!("a kind that was made known");
        };
        let mut future = hosted.host.begin(scene, act, resident);
        if hosted.entry.inline && hosted.spawned == 0 {
            let before = self.stage.world.now();
            let polled = future
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
            if self.stage.world.now().since(before) > HELD_MAX {
                hosted.spawned = SPAWNED_AFTER_HELD;
            }
            if let Poll::Ready(finished) = polled {
                return self.finished(env, (slot, op), finished);
            }
        } else {
            hosted.spawned = hosted.spawned.saturating_sub(1);
        }
        let task = Task {
            future: Some(future),
            report: Some((slot, op)),
            stage: Arc::clone(&self.stage),
        };
        env.counters.actor_tasks += 1;
        let task = self.stage.world.spawn(Box::pin(task));
        self.running.insert(slot, Running { op, task, gone });
    }

    fn finished(&mut self, env: &mut ActorEnv<'_>, (slot, op): (Slot, OpId), finished: Finished) {
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

    fn feed(&mut self, env: &mut ActorEnv<'_>, input: Input) {
        if self.halted.is_some() {
            return;
        }
        (env.record)(env.now, &input);
        let mut cx = Cx {
            now: env.now,
            dice: self.dice,
            probe: &mut *env.probe,
        };
        let mut effects = std::mem::replace(&mut self.effects, Effects::new(0));
        let stepped = caught(|| self.machine.step(&mut cx, input, &mut effects));
        let mut halt = stepped
            .err()
            .map(|panic| format!("a step panicked: {panic}"));
        let broken = halt.is_some();
        for effect in effects.drain() {
            if !broken {
                halt = halt.or(self.run(env, effect));
            }
        }
        self.effects = effects;
        if let Some(reason) = halt {
            self.halt(env, reason);
        }
    }

    /// Runs one effect; a reason to halt comes back.
    fn run(&mut self, env: &mut ActorEnv<'_>, effect: Effect) -> Option<String> {
        match effect {
            Effect::Activate {
                slot,
                op,
                kind,
                key,
                place,
            } => self.acts.push_back(Due {
                slot,
                op,
                kind,
                key,
                place,
                act: Act::Activate,
            }),
            Effect::Run {
                slot,
                op,
                kind,
                key,
                place,
                letter,
            } => self.acts.push_back(Due {
                slot,
                op,
                kind,
                key,
                place,
                act: match letter {
                    Letter::Message { ticket, deadline } => Act::Message { ticket, deadline },
                    Letter::Timer { name, last } => Act::Timer { name, last },
                    Letter::Notice { watch, ended } => Act::Notice { watch, ended },
                },
            }),
            Effect::Stop {
                slot,
                op,
                kind,
                key,
                place,
                why,
            } => self.acts.push_back(Due {
                slot,
                op,
                kind,
                key,
                place,
                act: Act::Stop(why),
            }),
            Effect::Abort { slot, op } => self.abort(slot, op),
            Effect::Cancel { slot, op } => {
                if let Some(running) = self.running.get(&slot)
                    && running.op == op
                {
                    running.gone.set();
                }
            }
            Effect::Forget { slot } => drop(self.take(slot)),
            Effect::Reply { ticket, answer } => return self.reply(env, ticket, answer),
            Effect::Undelivered { ticket, kind, key } => {
                self.discard(kind, ticket);
                env.counters.actor_undelivered += 1;
                tracing::warn!(%key, "actor_message_undelivered");
            }
            Effect::Drained { place } => self.events.push(ActorEvent::Drained(place)),
            Effect::Stopped => self.events.push(ActorEvent::Stopped),
            Effect::Note(note) => self.note(env.counters, &note),
            Effect::Halt(reason) => return Some(reason.to_string()),
        }
        None
    }

    fn reply(&mut self, env: &mut ActorEnv<'_>, ticket: Ticket, answer: Answer) -> Option<String> {
        let Some(waiting) = self.callers.take(ticket) else {
            return Some(format!("{ticket:?} was answered twice"));
        };
        env.counters.actor_answers += 1;
        let kind = waiting.kind;
        let answer = match answer {
            Answer::Ran => match self.outcome.take() {
                Some(outcome) => ActorAnswer::Ran(outcome),
                None => return Some(format!("{ticket:?} ran without an outcome")),
            },
            Answer::Taken => ActorAnswer::Taken,
            Answer::Ended(ended) => ActorAnswer::Ended(ended),
            Answer::Refused(Refusal::NotOwner) => {
                self.return_to_routing(ticket, waiting);
                return None;
            }
            Answer::Refused(refusal) => {
                env.counters.overloaded += u64::from(refusal == Refusal::Overloaded);
                if !refusal.has_begun() {
                    self.discard(kind, ticket);
                }
                ActorAnswer::Refused(refusal)
            }
        };
        waiting.caller.finish(answer);
        None
    }

    /// What this node does not own goes back to routing, with its caller.
    fn return_to_routing(&mut self, ticket: Ticket, waiting: Waiting) {
        let Waiting {
            kind,
            entry,
            key,
            deadline,
            wants,
            gone,
            caller,
        } = waiting;
        let hosted = self.hosts.get_mut(usize::from(kind.0));
        let mail = hosted.and_then(|hosted| hosted.host.give_back(ticket));
        let event = match (wants, mail) {
            (Wants::Reply | Wants::Receipt, Some(mail)) => {
                let request = ActorRequest {
                    kind: entry,
                    key,
                    deadline,
                    answered: wants == Wants::Reply,
                    mail,
                    gone,
                    caller,
                };
                ActorEvent::NotOwner(ticket, request)
            }
            (Wants::Reply | Wants::Receipt, None) => {
                return caller.finish(ActorAnswer::Refused(Refusal::NotOwner));
            }
            (Wants::End, _) => {
                let request = WatchRequest {
                    kind: entry,
                    key,
                    deadline,
                    caller,
                };
                ActorEvent::NotOwnerOfWatched(ticket, request)
            }
        };
        self.events.push(event);
    }

    /// What has not been begun is dropped here; what runs as a task reports that it was dropped.
    fn abort(&mut self, slot: Slot, op: OpId) {
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

    fn note(&self, counters: &mut Counters, note: &Note) {
        match note {
            Note::Activated(_) => counters.actor_activations += 1,
            Note::Passivated(_) => counters.actor_passivations += 1,
            Note::InitFailed { kind, key, cause } => {
                counters.actor_init_failures += 1;
                tracing::warn!(%kind, %key, cause, "actor_init_failed");
            }
            Note::Panicked { kind, key, cause } => {
                counters.actor_panics += 1;
                tracing::warn!(%kind, %key, cause, "actor_panicked");
            }
            Note::Restarts { kind, key, after } => {
                counters.actor_restarts += 1;
                tracing::info!(%kind, %key, %after, "actor_restarts");
            }
            Note::Failed { kind, key } => {
                counters.actor_failures += 1;
                tracing::warn!(%kind, %key, "actor_failed");
            }
            Note::Stuck { kind, key } => {
                counters.actor_stuck += 1;
                tracing::warn!(%kind, %key, "actor_stuck");
            }
            Note::LeaseOver { places } => tracing::warn!(places, "actor_lease_over"),
        }
    }

    fn halt(&mut self, env: &mut ActorEnv<'_>, reason: String) {
        tracing::error!(machine = "actors", reason, "machine_halted");
        env.counters.halts += 1;
        for running in self.running.values() {
            running.task.abort();
        }
        self.acts.clear();
        self.ended.clear();
        let told = || ActorAnswer::Halted(reason.clone());
        env.counters.actor_answers += self.callers.finish_all(told);
        self.halted = Some(reason);
    }

    fn discard(&mut self, kind: KindIndex, ticket: Ticket) {
        if let Some(hosted) = self.hosts.get_mut(usize::from(kind.0)) {
            drop(hosted.host.give_back(ticket));
        }
    }

    fn take(&mut self, slot: Slot) -> Option<Box<dyn Any + Send>> {
        let (place, stay) = halves(slot);
        let resident = self.residents.get_mut(place)?;
        resident.take_if(|(of, _)| *of == stay).map(|(_, one)| one)
    }

    fn put_back(&mut self, slot: Slot, resident: Box<dyn Any + Send>) {
        let (place, stay) = halves(slot);
        if self.residents.len() <= place {
            self.residents.resize_with(place + 1, || None);
        }
        if let Some(empty) = self.residents.get_mut(place) {
            *empty = Some((stay, resident));
        }
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

fn halves(slot: Slot) -> (usize, u32) {
    let stay = u32::try_from(slot.0 >> 32).unwrap_or(u32::MAX);
    let place = usize::try_from(slot.0 & u64::from(u32::MAX)).unwrap_or(usize::MAX);
    (place, stay)
}

/// Users' code that runs as a task. However it ends, it is reported once, after the code and its
/// actor were dropped.
struct Task {
    future: Option<BoxFuture<'static, Finished>>,
    report: Option<(Slot, OpId)>,
    stage: Arc<Stage>,
}

impl Task {
    fn end(&mut self, finished: Option<Finished>) {
        self.future = None;
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
        let finished = match &mut self.future {
            Some(future) => std::task::ready!(future.as_mut().poll(cx)),
            None => return Poll::Ready(()),
        };
        self.end(Some(finished));
        Poll::Ready(())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.end(None);
    }
}
