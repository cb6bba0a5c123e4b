//! The seat of one consumer: its machine, the handler's tasks, and what it tells of itself.

use super::counters::Counters;
use super::handle::{Clock, Handle, NotSent};
use super::handling::{Handling, Permission, Teller};
use super::host::{caught, panic_text};
use super::lane::{Env, Who};
use super::panics::Panics;
use super::recorder::{LastBegan, Recorded};
use super::request::Request;
use super::shell::TaskHandle;
use crate::consumer::{
    Answer, Batch, Command, Config, Consumer, Definition, Effect, Fault, Handled, Input, Notice,
    Pace, Source, Start, State, Status,
};
use crate::format::Cause;
use crate::id::{Incarnation, OpId, Ticket, WallTime};
use crate::step::{Cx, Deadline, Dice, Effects, Limits, Machine, Purpose, Time};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// The user's code that handles events.
pub(crate) trait ConsumerHost: Send + Sync {
    /// Handles a batch. A panic is a failure of the event that it was at, as [`Progress`] has it.
    fn handle(&self, batch: Batch, progress: Progress) -> BoxFuture<'static, Handled>;
}

/// How many events of a batch were handled; it outlives a panic.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<std::sync::atomic::AtomicU32>);

impl Progress {
    pub(crate) fn set(&self, done: u32) {
        self.0.store(done, std::sync::atomic::Ordering::Relaxed);
    }

    pub(crate) fn done(&self) -> u32 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// Who wants to know a consumer's number in its lane, or why it has none.
pub(crate) type Begun = oneshot::Sender<Result<u64, Box<Fault>>>;

/// A consumer that is to run.
pub(crate) struct Consume {
    pub(crate) config: Box<Config>,
    pub(crate) host: Arc<dyn ConsumerHost>,
    pub(crate) told: watch::Sender<Told>,
    pub(crate) done: Begun,
}

/// The node's clock, for what stands around handlers.
#[derive(Clone)]
pub(crate) struct Clocked(pub(super) Arc<dyn Clock>);

impl Clocked {
    pub(crate) fn now(&self) -> Time {
        self.0.now()
    }

    pub(crate) fn wall(&self) -> WallTime {
        self.0.wall()
    }

    pub(crate) fn sleep_until(&self, at: Time) -> BoxFuture<'static, ()> {
        self.0.sleep_until(at)
    }
}

/// Why a consumer was not begun.
pub(crate) enum ConsumeFailure {
    Fault(Box<Fault>),
    NotSent(NotSent),
}

/// Something that a running consumer is told; the ticket is the lane's.
pub(crate) struct Tell {
    pub(crate) number: u64,
    pub(crate) command: Box<dyn FnOnce(Ticket) -> Command + Send>,
    pub(crate) done: Option<oneshot::Sender<Answer>>,
}

/// What a consumer says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) status: Status,
    pub(crate) ended: Option<Ended>,
}

/// How it ended.
#[derive(Clone, Debug)]
pub(crate) enum Ended {
    /// It was told to; so many batches were still with the handler.
    Stopped {
        running: u32,
    },
    Fault(Box<Fault>),
    Halted(String),
    /// The node stopped before it could.
    Cut,
}

/// A task of the handler is gone; `None`: it was dropped before it ended.
pub(crate) type Report = (u64, OpId, Option<Handled>);

/// Runs a task in the lane's world.
pub(crate) type Spawn = Arc<dyn Fn(BoxFuture<'static, ()>) -> TaskHandle + Send + Sync>;

/// What a lane runs handlers with: where they run, and where it is told of their ends and their panics.
pub(crate) type LaneSide = (Spawn, mpsc::UnboundedSender<Report>, Panics);

/// The user's code, who is told how it stands, and under which lease it acts.
pub(crate) type Cast = (
    Arc<dyn ConsumerHost>,
    watch::Sender<Told>,
    Option<Permission>,
);

/// One consumer of a lane.
pub(crate) struct ConsumerSeat {
    name: Arc<str>,
    machine: Consumer,
    dice: Dice,
    effects: Effects<Effect>,
    host: Arc<dyn ConsumerHost>,
    spawn: Spawn,
    reports: mpsc::UnboundedSender<Report>,
    /// Those of the handler are told here.
    panics: Panics,
    /// Under which its handlers act, where it is a partition of a group.
    permission: Option<Permission>,
    running: BTreeMap<OpId, TaskHandle>,
    waiting: BTreeMap<Ticket, oneshot::Sender<Answer>>,
    tickets: u64,
    told: watch::Sender<Told>,
    /// When the recorder kept the machine last.
    began: Option<LastBegan>,
}

impl fmt::Debug for ConsumerSeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerSeat")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl ConsumerSeat {
    /// A seat, and who is to be told of it; `None` when it cannot be, of which they were told.
    pub(crate) fn new(
        consume: Consume,
        limits: Limits,
        dice: Dice,
        lane: LaneSide,
    ) -> Option<(Self, Begun)> {
        let Consume {
            config,
            host,
            told,
            done,
        } = consume;
        let name = config.definition.name.to_string();
        let machine = match Consumer::new(*config, limits) {
            Ok(machine) => machine,
            Err(fault) => {
                // A caller that went away needs no answer.
                let _ = done.send(Err(Box::new(fault)));
                return None;
            }
        };
        let cast = (host, told, None);
        let this = Self::seated((name, machine), limits, dice, lane, cast);
        Some((this, done))
    }

    /// The seat of a machine that is there: a consumer's, or, with a permission, that of a partition.
    pub(crate) fn seated(
        (name, machine): (String, Consumer),
        limits: Limits,
        dice: Dice,
        (spawn, reports, panics): LaneSide,
        (host, told, permission): Cast,
    ) -> Self {
        Self {
            name: name.into(),
            machine,
            dice,
            effects: Effects::new(limits.effects_max),
            host,
            spawn,
            reports,
            panics,
            permission,
            running: BTreeMap::new(),
            waiting: BTreeMap::new(),
            tickets: 0,
            told,
            began: None,
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Deadline> {
        self.machine.next_deadline()
    }

    pub(crate) fn tell(&mut self, env: &mut Env<'_>, n: u64, tell: Tell) -> bool {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        if let Some(done) = tell.done {
            self.waiting.insert(ticket, done);
        }
        self.feed(env, n, Input::Order((tell.command)(ticket)))
    }

    /// A task of the handler is gone. One that was dropped before it ended has no outcome: its lease is
    /// over, and the consumer is about to be dropped, too.
    pub(crate) fn handled(
        &mut self,
        env: &mut Env<'_>,
        n: u64,
        op: OpId,
        handled: Option<Handled>,
    ) -> bool {
        self.running.remove(&op);
        match handled {
            Some(handled) => self.feed(env, n, Input::Handled { op, handled }),
            None => false,
        }
    }

    /// Steps the machine; says whether it is over.
    pub(crate) fn feed(&mut self, env: &mut Env<'_>, n: u64, input: Input) -> bool {
        let recorded = Recorded::Consumer(Box::new(input.clone()));
        let me = (env.now, Who::Consumer(n));
        env.recorder
            .begin(me, &mut self.began, self.dice, &self.machine);
        env.recorder.push(env.now, Who::Consumer(n), recorded);
        let mut cx = Cx {
            now: env.now,
            dice: self.dice,
            probe: &mut *env.probe,
        };
        let stepped = caught(|| self.machine.step(&mut cx, input, &mut self.effects));
        if stepped.is_ok() {
            env.recorder.led_to(self.effects.as_slice());
        }
        let mut ended = stepped
            .err()
            .map(|panic| Ended::Halted(format!("a step panicked: {panic}")));
        let mut effects = core::mem::replace(&mut self.effects, Effects::new(0));
        for effect in effects.drain() {
            match effect {
                Effect::Store { op, request } => {
                    env.stores.push((Who::Consumer(n), op, request));
                }
                Effect::Handle { op, batch } => self.hand_over(n, op, batch),
                Effect::Answer { ticket, answer } => {
                    if let Some(done) = self.waiting.remove(&ticket) {
                        // A caller that went away needs no answer.
                        let _ = done.send(answer);
                    }
                }
                Effect::Notice(notice) => self.note(&notice),
                Effect::Ended { running, fault, .. } => {
                    ended = Some(match fault {
                        None => Ended::Stopped { running },
                        Some(fault) => Ended::Fault(fault),
                    });
                }
                Effect::Halt(reason) => ended = Some(Ended::Halted(reason.to_string())),
            }
        }
        self.effects = effects;
        let over = ended.is_some();
        if let Some(Ended::Halted(reason)) = &ended {
            tracing::error!(machine = ?Who::Consumer(n), reason, "machine_halted");
            env.counters.halts += 1;
            env.recorder.halted(Who::Consumer(n), reason);
        }
        self.say(ended);
        if over {
            self.abort();
            self.count_into(env.counters);
        }
        over
    }

    /// Begins a task of the handler.
    fn hand_over(&mut self, n: u64, op: OpId, batch: Batch) {
        let progress = Progress::default();
        let may_act = self.permission.as_ref().is_none_or(Permission::allows);
        let begun = may_act.then(|| caught(|| self.host.handle(batch, progress.clone())));
        let (panics, name) = (self.panics.clone(), Arc::clone(&self.name));
        let handler = begun.map(|begun| {
            let handler = async move {
                let handled = match begun {
                    Ok(handling) => {
                        let handled = AssertUnwindSafe(handling).catch_unwind().await;
                        handled.map_err(panic_text)
                    }
                    Err(panic) => Err(panic),
                };
                handled.unwrap_or_else(|panic| {
                    panics.add(format!("the handler of {name}"), panic.clone());
                    failed(&progress, panic)
                })
            };
            handler.boxed()
        });
        let task = Handling {
            handler,
            permission: self.permission.clone(),
            teller: Teller {
                number: n,
                op,
                handled: None,
                reports: self.reports.clone(),
            },
        };
        let task = (self.spawn)(Box::pin(task));
        self.running.insert(op, task);
    }

    fn note(&self, notice: &Notice) {
        let consumer = &*self.name;
        match notice {
            Notice::Started { positions, resumed } => {
                tracing::info!(consumer, ?positions, resumed, "consumer_started");
            }
            Notice::Live => tracing::info!(consumer, "consumer_live"),
            Notice::Behind(lag) => tracing::warn!(consumer, ?lag, "consumer_behind"),
            Notice::Stalled(reason) => tracing::warn!(consumer, %reason, "consumer_stalled"),
            Notice::Progressing => tracing::info!(consumer, "consumer_progressing"),
            Notice::Retrying { failure, delay } => {
                let (place, cause, text) = (failure.place, failure.cause, &failure.text);
                let tries = failure.tries;
                tracing::warn!(consumer, %place, %cause, text, tries, %delay, "event_retried");
            }
            Notice::Skipped(failure) => {
                let (place, cause, text) = (failure.place, failure.cause, &failure.text);
                tracing::warn!(consumer, %place, %cause, text, "event_skipped");
            }
            Notice::DeadLettered(failure) => {
                let (place, cause, text) = (failure.place, failure.cause, &failure.text);
                tracing::warn!(consumer, %place, %cause, text, "event_dead_lettered");
            }
            Notice::Reopened { stream, why } => {
                tracing::info!(consumer, ?stream, ?why, "consumer_reopened");
            }
            Notice::MatchesNothing => tracing::warn!(consumer, "consumer_filter_matches_nothing"),
            Notice::Expired { places } => tracing::warn!(consumer, places, "consumer_expired"),
            Notice::Checkpointed { positions } => {
                tracing::debug!(consumer, ?positions, "consumer_checkpoint");
            }
            Notice::Paused => tracing::info!(consumer, "consumer_paused"),
            Notice::Resumed => tracing::info!(consumer, "consumer_resumed"),
        }
    }

    fn say(&self, ended: Option<Ended>) {
        match &ended {
            Some(Ended::Fault(fault)) => {
                tracing::warn!(consumer = &*self.name, %fault, "consumer_ended");
            }
            Some(Ended::Stopped { running }) => {
                tracing::info!(consumer = &*self.name, running, "consumer_stopped");
            }
            Some(Ended::Halted(_) | Ended::Cut) | None => {}
        }
        let status = self.machine.status();
        self.told.send_if_modified(|told| {
            let changed = told.status != status || ended.is_some();
            told.status = status;
            told.ended = ended.or(told.ended.take());
            changed
        });
    }

    /// The node stops before the consumer could.
    pub(crate) fn cut(&mut self) {
        self.say(Some(Ended::Cut));
        self.abort();
    }

    /// Who waits learns of it by their ends of the channels. Each task is told of when it is gone.
    fn abort(&mut self) {
        for task in self.running.values() {
            task.abort();
        }
        self.waiting.clear();
    }

    /// The batches whose tasks may not be gone yet.
    pub(crate) fn into_running(self) -> BTreeSet<OpId> {
        self.running.into_keys().collect()
    }

    /// Adds what it has counted.
    pub(crate) fn count_into(&self, counters: &mut Counters) {
        let status = self.machine.status();
        let over = status.state == State::Over;
        counters.consumers += u64::from(!over);
        counters.consumers_live += u64::from(status.state == State::Live);
        counters.consumers_stalled += u64::from(status.stalled.is_some() && !over);
        counters.consumer_events += status.handled;
        counters.consumer_failures += status.failures;
        counters.consumer_skipped += status.skipped;
        counters.consumer_dead_letters += status.dead_lettered;
        counters.consumer_checkpoints += status.checkpoints;
        counters.consumer_reopened += status.reopened;
        if !over {
            counters.consumer_lag_commits += status.lag.commits;
            counters.consumer_lag_events += status.lag.events;
            counters.consumer_lag_ms = counters.consumer_lag_ms.max(status.lag.age.as_millis());
        }
    }
}

fn failed(progress: &Progress, panic: impl fmt::Display) -> Handled {
    Handled::Failed {
        done: progress.done(),
        cause: Cause::Handler,
        text: format!("it panicked: {panic}"),
    }
}

impl Handle {
    /// Begins a consumer: its lane, its number there, and what it says of itself.
    pub(crate) async fn consume(
        &self,
        (definition, pace, reset): (Definition, Pace, Option<Start>),
        host: Arc<dyn ConsumerHost>,
        deadline: Time,
    ) -> Result<(usize, u64, watch::Receiver<Told>), ConsumeFailure> {
        let hash = self.layout.key.hash(definition.name.as_str().as_bytes());
        let lanes = self.lanes.len() as u64;
        let lane = usize::try_from(hash % lanes).unwrap_or(0);
        let mut layout = (*self.layout).clone();
        if let Source::Bus(_) = definition.source {
            // The bus has one stream.
            layout.streams = 1;
        }
        let streams = layout.streams;
        let config = Config {
            wish: self.wish.clone(),
            layout,
            run: self.consumer_run(),
            node: self.node.clone(),
            definition,
            pace,
            reset,
        };
        let config = Box::new(config);
        let status = Status::starting(streams);
        let (told, tells) = watch::channel(Told {
            status,
            ended: None,
        });
        let (done, begun) = oneshot::channel();
        let consume = Consume {
            config,
            host,
            told,
            done,
        };
        let request = Request::Consume(Box::new(consume));
        let sent = self.send(lane, request, deadline).await;
        sent.map_err(ConsumeFailure::NotSent)?;
        match begun.await {
            Ok(Ok(number)) => Ok((lane, number, tells)),
            Ok(Err(fault)) => Err(ConsumeFailure::Fault(fault)),
            Err(_) => Err(ConsumeFailure::NotSent(NotSent::Stopped)),
        }
    }

    /// Tells a running consumer something.
    pub(crate) async fn tell_consumer(
        &self,
        (lane, number): (usize, u64),
        command: impl FnOnce(Ticket) -> Command + Send + 'static,
        done: Option<oneshot::Sender<Answer>>,
        deadline: Time,
    ) -> Result<(), NotSent> {
        let command = Box::new(command);
        let tell = Tell {
            number,
            command,
            done,
        };
        self.send(lane, Request::Consumer(Box::new(tell)), deadline)
            .await
    }

    /// The node's clock.
    pub(crate) fn clocked(&self) -> Clocked {
        Clocked(Arc::clone(&self.clock))
    }

    /// A run of a consumer, other than all runs of consumers.
    pub(crate) fn consumer_run(&self) -> Incarnation {
        let ordinal = self.next_id();
        Incarnation(self.dice().roll128(Purpose::ConsumerRun, ordinal))
    }
}
