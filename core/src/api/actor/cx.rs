//! What an actor's code knows of where it runs, and what it can ask for.

use super::background::{Background, TooManyTasks, WatchId};
use super::handle::{Aim, Misdirected};
use super::job::{Carried, Job};
use super::{Actor, ActorHandle, Handle};
use crate::actor::{Hop, Order, Trail};
use crate::api::entity::Within;
use crate::api::{Entity, EntityRef, Message, Tenure};
use crate::driver::actors::host::{ActorEntry, Scene};
use crate::driver::actors::stage::Stage;
use crate::format::{Metadata, TakeOver, TraceContext};
use crate::id::{Epoch, ShardId, WallTime};
use crate::name::{EntityId, KindName};
use crate::shard::Place;
use crate::step::{Purpose, Span, Time};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// What an actor's code knows of where it runs, and what it can ask for.
///
/// Time, sleep and randomness come from here, so that actors can be simulated. Timers, cancellations
/// and [`passivate`](Self::passivate) hold when the turn has ended.
pub struct ActorCx<A: Actor> {
    scene: Scene,
    entry: Arc<ActorEntry>,
    metadata: Option<Arc<Metadata>>,
    trail: Trail,
    orders: Vec<Order>,
    /// What its timers send, by their names.
    timers: Timers<A>,
    background: Option<Box<Background>>,
    draws: u64,
}

/// What a timer sends.
pub(super) type TimerMail<A> = Box<dyn FnMut() -> Box<dyn Job<A>> + Send>;

/// What timers send, by their names.
pub(super) type Timers<A> = BTreeMap<Arc<str>, TimerMail<A>>;

/// What a turn leaves behind.
pub(super) struct Leaves<A: Actor> {
    pub(super) orders: Vec<Order>,
    pub(super) timers: Timers<A>,
    pub(super) background: Option<Box<Background>>,
}

/// The actor has too many timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this actor may have {max} timers; cancel one, or use one timer for several purposes")]
pub struct TooManyTimers {
    /// How many it may have.
    pub max: usize,
}

/// The clock of the world that an actor runs in, for its tasks.
#[derive(Clone)]
pub struct ActorClock(Arc<Stage>);

impl<A: Actor> ActorCx<A> {
    pub(super) fn new(scene: Scene, entry: Arc<ActorEntry>) -> Self {
        Self {
            scene,
            entry,
            metadata: None,
            trail: Trail::default(),
            orders: Vec::new(),
            timers: Timers::new(),
            background: None,
            draws: 0,
        }
    }

    pub(super) fn enters(&mut self, background: Option<Box<Background>>, timers: Timers<A>) {
        self.background = background;
        self.timers = timers;
    }

    /// What a timer sends now; it is over with its last message.
    pub(super) fn timer_job(&mut self, name: &str, last: bool) -> Option<Box<dyn Job<A>>> {
        let job = self.timers.get_mut(name)?();
        if last {
            self.timers.remove(name);
        }
        Some(job)
    }

    pub(super) fn for_caller(&mut self, metadata: Option<Arc<Metadata>>, trail: Trail) {
        self.metadata = metadata;
        self.trail = trail;
    }

    pub(super) fn leaves(self) -> Leaves<A> {
        Leaves {
            orders: self.orders,
            timers: self.timers,
            background: self.background,
        }
    }

    /// The actor's kind.
    pub fn kind(&self) -> &KindName {
        self.entry.name()
    }

    /// The actor's key.
    pub fn key(&self) -> &str {
        self.scene.key.as_str()
    }

    /// The shard that the key is in; `None` for an actor that belongs to its node alone.
    pub fn shard(&self) -> Option<ShardId> {
        self.scene.shard
    }

    /// The epoch under which this node owns that shard: a fencing token for stores that take one.
    pub fn epoch(&self) -> Option<Epoch> {
        self.scene.epoch
    }

    /// The name of the node that the actor is on.
    pub fn node(&self) -> &str {
        &self.scene.stage.node
    }

    /// When the caller gives up; `None` when nobody waits for this turn.
    pub fn deadline(&self) -> Option<Time> {
        self.scene.deadline
    }

    /// How long the caller waits still; `None` when nobody waits for this turn.
    pub fn time_left(&self) -> Option<Duration> {
        let deadline = self.scene.deadline?;
        Some(deadline.since(self.now()).into())
    }

    /// Whether the caller has gone, by its deadline or by itself. What the handler returns then is
    /// for nobody; what it does to its state stays.
    pub fn caller_has_gone(&self) -> bool {
        self.scene.gone.has_left() || self.scene.deadline.is_some_and(|at| at <= self.now())
    }

    /// What the message says of itself: headers, trace context, correlation.
    pub fn metadata(&self) -> &Metadata {
        self.metadata
            .as_deref()
            .unwrap_or(&crate::api::metadata::EMPTY)
    }

    /// A header of the message's [metadata](Self::metadata).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.metadata().header_value(name)
    }

    /// The W3C trace context of the message's [metadata](Self::metadata).
    pub fn trace(&self) -> Option<&TraceContext> {
        self.metadata().trace()
    }

    /// This node's monotonic clock.
    pub fn now(&self) -> Time {
        self.scene.stage.world.now()
    }

    /// This node's wall clock.
    pub fn wall(&self) -> WallTime {
        self.scene.stage.world.wall()
    }

    /// Ends after a time. The actor's other messages wait meanwhile; a
    /// [timer](Self::after) lets them go on.
    pub fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send + 'static {
        let world = &self.scene.stage.world;
        world.sleep_until(world.now() + time.into())
    }

    /// The clock, for the actor's tasks.
    pub fn clock(&self) -> ActorClock {
        ActorClock(Arc::clone(&self.scene.stage))
    }

    /// 64 random bits, which a simulation draws again from its seed.
    pub fn random(&mut self) -> u64 {
        self.draws += 1;
        let dice = self.scene.stage.dice.fork(self.scene.op.0);
        dice.roll(Purpose::Handler, self.draws)
    }

    /// Sends the actor a message of its own after a time, through its mailbox. It takes the place of
    /// a timer of the same name.
    ///
    /// # Errors
    ///
    /// When it has too many timers.
    pub fn after<M: Message>(
        &mut self,
        name: &str,
        time: Duration,
        message: M,
    ) -> Result<(), TooManyTimers>
    where
        A: Handle<M>,
    {
        let mut message = Some(message);
        let mail = move || {
            let message = message.take().expect("a timer without a period sends once");
            Box::new(Carried(message)) as Box<dyn Job<A>>
        };
        self.timer(name, time, None, Box::new(mail))
    }

    /// Sends the actor a message of its own again and again, through its mailbox. While one waits
    /// there no other one comes: what was missed is not made up for.
    ///
    /// # Errors
    ///
    /// When it has too many timers.
    pub fn every<M: Message + Clone>(
        &mut self,
        name: &str,
        period: Duration,
        message: M,
    ) -> Result<(), TooManyTimers>
    where
        A: Handle<M>,
    {
        let mail = move || Box::new(Carried(message.clone())) as Box<dyn Job<A>>;
        self.timer(name, period, Some(period.into()), Box::new(mail))
    }

    fn timer(
        &mut self,
        name: &str,
        time: Duration,
        every: Option<Span>,
        mail: TimerMail<A>,
    ) -> Result<(), TooManyTimers> {
        let max = self.scene.stage.limits.timers_max;
        if self.timers.len() >= max && !self.timers.contains_key(name) {
            return Err(TooManyTimers { max });
        }
        let name: Arc<str> = name.into();
        self.orders.push(Order::Timer {
            name: Arc::clone(&name),
            at: self.now() + time.into(),
            every,
        });
        self.timers.insert(name, mail);
        Ok(())
    }

    /// Calls off a timer; one that is not there is ignored. A message of it that waits in the mailbox
    /// does not come.
    pub fn cancel(&mut self, name: &str) {
        self.timers.remove(name);
        self.orders.push(Order::Cancel { name: name.into() });
    }

    /// Runs a task beside the actor's turns, until it ends or the actor goes. An actor with a task is
    /// not passivated. It reaches its actor by [`me`](Self::me), and others by a
    /// [detached](ActorHandle::detached) handle: one that is not counts as the turn that made it, so what
    /// the task asks by it ends with that turn's caller, and is refused
    /// [`ActorError::Cycle`](super::ActorError::Cycle) where it comes back to this actor.
    ///
    /// ```
    /// # use tenure_core::api::{Message, actor::*};
    /// # fn example<A: Actor, B: Handle<M>, M: Message>(cx: &mut ActorCx<A>, message: M)
    /// # -> Result<(), TooManyTasks> {
    /// let other = cx.actor::<B>("other").detached();
    /// cx.spawn(async move {
    ///     let _ = other.ask(message).await;
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When too many tasks and watches of the actor run.
    pub fn spawn(
        &mut self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), TooManyTasks> {
        let max = self.entry.tasks_max;
        self.background(max)?.spawn(Box::pin(task));
        Ok(())
    }

    /// Has the actor told when another one ends ([`Actor::ended`]): the one that is there when the watch
    /// gets there. If it ends while its node is out of reach, that is told as `Ended::Lost` later, also
    /// when another one lives under its key by then. An actor that watches is not passivated. Of a kind that this process does not know nobody is there: it is told so.
    ///
    /// # Errors
    ///
    /// When too many tasks and watches of the actor run.
    pub fn watch<B: Actor>(&mut self, whom: &ActorHandle<B>) -> Result<WatchId, TooManyTasks> {
        let max = u32::try_from(self.scene.stage.limits.watchers_max).unwrap_or(u32::MAX);
        let found = whom.aim.kind.clone().zip(whom.aim.key.clone().ok());
        let node = whom.aim.node.clone();
        let background = self.background(max)?;
        Ok(match found {
            Some(whom) => background.watch(whom, node),
            None => background.nobody(),
        })
    }

    /// Watches no more.
    pub fn unwatch(&mut self, watch: WatchId) {
        if let Some(background) = &self.background {
            background.call_off(watch.0);
        }
    }

    fn background(&mut self, max: u32) -> Result<&mut Background, TooManyTasks> {
        let Scene {
            slot,
            ref stage,
            permit,
            shard,
            ..
        } = self.scene;
        let class = TakeOver::Leased;
        let place = shard.map(|shard| Place { class, shard });
        let new = || Box::new(Background::new(slot, Arc::clone(stage), (place, permit)));
        let background = self.background.get_or_insert_with(new);
        if background.running() >= max {
            return Err(TooManyTasks { max });
        }
        Ok(background)
    }

    /// Lets the actor go as soon as no message waits.
    pub fn passivate(&mut self) {
        self.orders.push(Order::Passivate);
    }

    /// Another actor, wherever it is. What is asked of it waits at most as long as this turn's caller,
    /// carries on its correlation and trace, and knows who waits: an actor that would wait for itself
    /// is refused [`ActorError::Cycle`](super::ActorError::Cycle) instead, as far as
    /// [`ask`](ActorHandle::ask) says.
    ///
    /// The handle belongs to the turn, with its caller's deadline; a [task](Self::spawn) asks by
    /// [`detached`](ActorHandle::detached).
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use tenure_core::api::{*, actor::*};
    /// # #[derive(Serialize, Deserialize, tenure_macros::Message)]
    /// # #[message(name = "greet", version = 1, crate = "tenure_core::api")] struct Greet;
    /// # struct Host; struct Guest;
    /// # impl Actor for Guest {
    /// #     const KIND: &'static str = "guest";
    /// #     async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> { Ok(Self) }
    /// #     fn handlers(handlers: Handlers<Self>) -> Handlers<Self> { handlers.on::<Greet>() }
    /// # }
    /// # impl Handle<Greet> for Guest {
    /// #     type Reply = String;
    /// #     type Error = Never;
    /// #     async fn handle(&mut self, _: Greet, _: &mut ActorCx<Self>) -> Result<String, Never> { Ok("hello".into()) }
    /// # }
    /// # impl Actor for Host {
    /// #     const KIND: &'static str = "host";
    /// #     async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> { Ok(Self) }
    /// #     fn handlers(handlers: Handlers<Self>) -> Handlers<Self> { handlers.on::<Greet>() }
    /// # }
    /// impl Handle<Greet> for Host {
    ///     type Reply = String;
    ///     type Error = Never;
    ///
    ///     async fn handle(&mut self, _: Greet, cx: &mut ActorCx<Self>) -> Result<String, Never> {
    ///         Ok(match cx.actor::<Guest>("zoe").ask(Greet).await {
    ///             Ok(answer) => answer,
    ///             Err(error) => format!("nobody answers: {error}"),
    ///         })
    ///     }
    /// }
    /// ```
    pub fn actor<B: Actor>(&self, key: &str) -> ActorHandle<B> {
        let stage = &self.scene.stage;
        ActorHandle::aimed(Aim {
            kind: stage.asker.kind(B::KIND),
            asker: Arc::clone(&stage.asker),
            key: EntityId::new(key).map_err(Misdirected::Name),
            node: None,
            within: Some(Arc::clone(&self.scene.gone)),
            trail: self.trail.and(Hop {
                kind: self.entry.name().clone(),
                key: self.scene.key.clone(),
            }),
            waiting: Some(Arc::clone(&stage.waiting)),
            deadline: self.scene.deadline,
            metadata: self.metadata.as_deref().and_then(carried_on),
            timeout: stage.timeout,
        })
    }

    /// The actor of a shard, of a kind that is [`per_shard`](super::ActorSettings::per_shard); as
    /// [`actor`](Self::actor).
    pub fn shard_actor<B: Actor>(&self, shard: ShardId) -> ActorHandle<B> {
        self.actor("-").of_shard(shard)
    }

    /// The actor of a node, of a kind that is [`per_node`](super::ActorSettings::per_node); as
    /// [`actor`](Self::actor).
    pub fn node_actor<B: Actor>(&self, node: &str) -> ActorHandle<B> {
        self.actor("-").of_node(node)
    }

    /// An entity, wherever its owner is. What is asked of it waits at most as long as this turn's
    /// caller, and carries on its correlation and trace. Entities wait for nobody, so no cycle goes
    /// through one.
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use tenure_core::api::{*, actor::*};
    /// # #[derive(Serialize, Deserialize, tenure_macros::Message)]
    /// # #[message(name = "pay", version = 1, crate = "tenure_core::api")] struct Pay { to: String }
    /// # struct Teller;
    /// # impl Actor for Teller {
    /// #     const KIND: &'static str = "teller";
    /// #     async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> { Ok(Self) }
    /// #     fn handlers(handlers: Handlers<Self>) -> Handlers<Self> { handlers }
    /// # }
    /// # async fn example<Account: Entity + Decide<Pay, Reply = i64>>(pay: Pay, cx: &ActorCx<Teller>)
    /// # -> Result<i64, tenure_core::api::AskError<<Account as Decide<Pay>>::Error>> {
    /// let balance = cx.entity::<Account>("alice").ask(pay).await?;
    /// # Ok(balance) }
    /// ```
    pub fn entity<B: Entity>(&self, id: &str) -> EntityRef<B> {
        let home = self.scene.stage.home.upgrade();
        let from = Within {
            deadline: self.scene.deadline,
            metadata: self.metadata.as_deref().and_then(carried_on),
        };
        EntityRef::from_turn(home.map(|inner| Tenure { inner }), id, from)
    }

    /// This actor itself, to tell it something from a task.
    pub fn me(&self) -> ActorHandle<A> {
        self.actor(self.key()).detached()
    }
}

/// What goes along from a message to those that it leads to; headers are its own.
fn carried_on(metadata: &Metadata) -> Option<Arc<Metadata>> {
    let mut next = Metadata::new();
    if let Some(correlation) = metadata.correlation_id() {
        next = next.correlation(correlation);
    }
    if let Some(trace) = metadata.trace() {
        next = next.trace_context(trace.clone());
    }
    (!next.is_empty()).then(|| Arc::new(next))
}

impl ActorClock {
    /// The node's monotonic clock.
    pub fn now(&self) -> Time {
        self.0.world.now()
    }

    /// The node's wall clock.
    pub fn wall(&self) -> WallTime {
        self.0.world.wall()
    }

    /// Ends after a time.
    pub fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send + 'static {
        self.0.world.sleep_until(self.now() + time.into())
    }
}

impl fmt::Debug for ActorClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ActorClock").field(&self.now()).finish()
    }
}

impl<A: Actor> fmt::Debug for ActorCx<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorCx")
            .field("kind", &A::KIND)
            .field("key", &self.scene.key)
            .finish_non_exhaustive()
    }
}
