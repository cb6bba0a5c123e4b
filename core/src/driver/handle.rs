//! What the user API holds of a running node: channels to its lanes, and its clock.

use super::bus::{Air, BusCounts};
use super::cluster::Membership;
use super::counters::Counters;
use super::epochs::Epochs;
use super::flight::{Flight, FlightFault, FlightFolder, FlightWriteError};
use super::host::KindEntry;
use super::intake::{Intake, IntakeEnd};
use super::lane::{Lane, LaneParts, NodeFacts, Running, Who};
use super::launch::{Launch, LaunchFailure};
use super::link::{HighWater, Link, LinkState};
use super::outbox::Outbox;
use super::port::LanePort;
use super::pulse::Pulse;
use super::recorder::Recording;
use super::request::{
    EntityRequest, FailedWish, HistoryAnswer, HistoryFailure, KindAnswer, KindFailure, Request,
};
use super::shell::{Shell, TaskHandle};
use super::space::SpaceSeat;
use crate::api::Ciphers;
use crate::flow::Admission;
use crate::format::{Layout, TakeOver};
use crate::id::{CommandId, Incarnation, Partition, Sequence, ShardId, WallTime};
use crate::log::{FailedOrder, HistoryAsk};
use crate::name::{EntityId, Namespace};
use crate::port::{StoreReply, StoreRequest};
use crate::space::{KindWish, SpaceWish};
use crate::step::{Dice, Purpose, Span, Time};
use futures_util::future::{BoxFuture, Either, Ready, ready};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::{mpsc, oneshot, watch};

/// How much longer than the machine that opens the namespace and its kinds a caller waits.
const GRACE: Span = Span::from_secs(1);

/// A request could not be handed to its lane; nothing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotSent {
    /// The lane's queue stayed full until the deadline.
    Overloaded,
    /// The node has stopped.
    Stopped,
}

/// Whether a request was handed to its lane.
pub(crate) type Sent<'a> = Either<Ready<Result<(), NotSent>>, BoxFuture<'a, Result<(), NotSent>>>;

/// The clocks of a shell and its tasks, without its type.
pub(crate) trait Clock: Send + Sync {
    fn now(&self) -> Time;
    fn wall(&self) -> WallTime;
    fn sleep_until(&self, at: Time) -> BoxFuture<'static, ()>;
    fn spawn(&self, task: BoxFuture<'static, ()>) -> TaskHandle;
}

impl<S: Shell> Clock for S {
    fn now(&self) -> Time {
        Shell::now(self)
    }

    fn wall(&self) -> WallTime {
        Shell::wall(self)
    }

    fn sleep_until(&self, at: Time) -> BoxFuture<'static, ()> {
        let shell = self.clone();
        Box::pin(async move { Shell::sleep_until(&shell, at).await })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> TaskHandle {
        Shell::spawn(self, task)
    }
}

/// A running node.
pub(crate) struct Handle {
    pub(super) lanes: Vec<mpsc::Sender<Request>>,
    pub(super) layout: Arc<Layout>,
    namespace: Namespace,
    pub(super) clock: Arc<dyn Clock>,
    /// The shell's network, for what is live on the bus.
    pub(super) air: Arc<dyn Air>,
    pub(super) bus_counts: Arc<BusCounts>,
    pub(super) port: Arc<LanePort>,
    pub(super) wish: SpaceWish,
    pub(super) dice: Dice,
    pub(super) ids: AtomicU64,
    high_water: Arc<HighWater>,
    pub(super) epochs: Arc<Epochs>,
    admission: Arc<Admission>,
    pub(super) outbox: Arc<Outbox>,
    stop: watch::Sender<Option<Time>>,
    pub(super) running: watch::Receiver<usize>,
    link: watch::Receiver<Link>,
    pub(super) incarnation: Incarnation,
    pub(super) node: String,
    flights: Arc<FlightFolder>,
    pub(super) cluster: OnceLock<watch::Receiver<Membership>>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("namespace", &self.namespace)
            .field("lanes", &self.lanes.len())
            .finish_non_exhaustive()
    }
}

impl Handle {
    /// What kinds' messages go through when they are stored.
    pub(crate) fn encrypt_by(&self, ciphers: Ciphers) {
        self.outbox.encrypt_by(ciphers);
    }

    /// Starts a node's lanes, and waits until the namespace is open.
    pub(super) async fn launch<S: Shell>(shell: S, launch: Launch) -> Result<Self, LaunchFailure> {
        let dice_key = shell.seed();
        let dice = Dice::new(dice_key);
        let high_water = Arc::new(HighWater::new(Layout::SHARDS_MAX));
        let epochs = Arc::<Epochs>::default();
        let admission = Arc::new(Admission::new(&launch.limits, launch.lanes));
        let outbox = Arc::<Outbox>::default();
        let incarnation = Incarnation(dice.roll128(Purpose::Incarnation, 0));
        let clock: Arc<dyn Clock> = Arc::new(shell.clone());
        let air: Arc<dyn Air> = Arc::new(shell.clone());
        let flights = Arc::new(FlightFolder::new(
            launch.flights,
            (launch.wish.namespace.to_string(), launch.node.clone()),
            Arc::clone(&clock),
        ));
        let facts = Arc::new(NodeFacts {
            namespace: launch.wish.namespace.clone(),
            node: launch.node.clone(),
            incarnation,
            limits: launch.limits,
            dice_key,
            high_water: Arc::clone(&high_water),
            epochs: Arc::clone(&epochs),
            admission: Arc::clone(&admission),
            outbox: Arc::clone(&outbox),
            lease: Arc::default(),
            waiting: Arc::default(),
            pulse: Arc::new(Pulse::new(launch.lanes)),
            flights: Arc::clone(&flights),
            lanes: launch.lanes,
        });
        let (link_tx, mut link) = watch::channel(Link {
            generation: 0,
            layout: None,
            state: LinkState::Opening,
        });
        let (stop, stop_rx) = watch::channel(None);
        let (running_tx, running) = watch::channel(launch.lanes);
        let running_tx = Arc::new(running_tx);
        let (wish, limits, now) = (launch.wish.clone(), launch.limits, shell.now());
        let space = SpaceSeat::new(wish, limits, dice, link_tx, now);
        let mut space = Some(space.map_err(LaunchFailure::Space)?);
        let mut lanes = Vec::with_capacity(launch.lanes);
        let mut intakes = Vec::with_capacity(launch.lanes);
        for index in 0..launch.lanes {
            let (requests_tx, requests) = mpsc::channel(launch.queue_max);
            lanes.push(requests_tx);
            let intake = Arc::new(Intake::new(launch.queue_max));
            intakes.push(Arc::clone(&intake));
            let lane = Lane::new(LaneParts {
                index,
                lanes: launch.lanes,
                shell: shell.clone(),
                facts: Arc::clone(&facts),
                requests,
                intake: IntakeEnd(intake),
                link: link.clone(),
                stop: stop_rx.clone(),
                running: Running(Arc::clone(&running_tx)),
                space: space.take(),
            });
            // A lane ends by itself, when the node is stopped or nobody holds a handle.
            drop(shell.spawn(lane.run()));
        }
        outbox.open(&lanes);
        // The machine itself gives up at its limit, with what was in the way.
        let give_up = shell.now() + launch.limits.open_timeout + GRACE;
        let layout = tokio::select! {
            biased;
            layout = opened(&mut link) => layout?,
            () = shell.sleep_until(give_up) => return Err(LaunchFailure::Timeout),
        };
        let port = LanePort::new(
            (&lanes, intakes),
            (launch.node.clone(), incarnation),
            Arc::clone(&layout),
            Arc::clone(&clock),
        );
        let port = Arc::new(port);
        Ok(Self {
            lanes,
            layout,
            namespace: launch.wish.namespace.clone(),
            wish: launch.wish,
            clock,
            air,
            bus_counts: Arc::default(),
            port,
            // Beside the parts of the machines.
            dice: dice.fork(u64::MAX),
            ids: AtomicU64::new(0),
            high_water,
            epochs,
            admission,
            outbox,
            stop,
            running,
            link,
            incarnation,
            node: launch.node,
            flights,
            cluster: OnceLock::new(),
        })
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn wall(&self) -> WallTime {
        self.clock.wall()
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    /// What a proven read of a stream must take in. An unreplicated stream's one server knows all
    /// that it has; what it has not was lost with a tail, and no read would ever reach it (S13).
    pub(crate) fn high_water(&self, partition: Partition) -> Sequence {
        match self.replicated(partition) {
            Some(false) => Sequence::NONE,
            Some(true) | None => self.high_water.of(partition),
        }
    }

    /// Whether what is absent from a read of a shard's streams may be absent at a lagging replica
    /// only.
    pub(crate) fn may_lag(&self, shard: ShardId) -> bool {
        let partition = self.layout.stream_of(shard);
        self.replicated(partition).unwrap_or(true)
    }

    /// Whether one of the streams is replicated.
    pub(crate) fn is_replicated(&self) -> bool {
        let partitions = (0..self.layout.streams).map(Partition);
        partitions
            .map(|partition| self.replicated(partition))
            .any(|replicated| replicated == Some(true))
    }

    /// Whether a stream is replicated, while there is a link that tells.
    fn replicated(&self, partition: Partition) -> Option<bool> {
        match &self.link.borrow().state {
            LinkState::Up { shapes, .. } => {
                let shape = shapes.get(usize::from(partition.0));
                shape.map(|shape| shape.replicated)
            }
            LinkState::Opening | LinkState::Down | LinkState::Failed(_) | LinkState::Halted(_) => {
                None
            }
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.link.borrow().state, LinkState::Up { .. })
    }

    /// The dice of what handles draw.
    pub(super) fn dice(&self) -> Dice {
        self.dice
    }

    /// A number that no other draw of a handle has.
    pub(super) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// A command id of now, or of `at_least` when that is later.
    pub(crate) fn command_id(&self, at_least: WallTime) -> CommandId {
        self.command_id_of(self.wall().max(at_least))
    }

    /// A command id of a time.
    pub(crate) fn command_id_of(&self, wall: WallTime) -> CommandId {
        let ordinal = self.next_id();
        let random = self.dice.roll128(Purpose::CommandId, ordinal);
        CommandId::new(wall, random)
    }

    pub(crate) fn shard_of(&self, kind: &KindEntry, entity: &EntityId) -> ShardId {
        self.layout.shard_of(kind.config.record.placement, entity)
    }

    /// Hands a request for an entity to its lane, now; waits for room until the request's deadline.
    pub(crate) fn entity(&self, request: EntityRequest) -> Sent<'_> {
        let (shard, deadline) = (request.shard, request.deadline);
        self.send(self.lane_of(shard), Request::Entity(request), deadline)
    }

    /// Asks the store, for who keeps a state there under a name.
    pub(crate) async fn store(
        &self,
        name: &str,
        request: StoreRequest,
        deadline: Time,
    ) -> Result<StoreReply, NotSent> {
        let hash = self.layout.key.hash(name.as_bytes());
        let lane = usize::try_from(hash % self.lanes.len() as u64).unwrap_or(0);
        let (done, reply) = oneshot::channel();
        self.send(lane, Request::Store(Box::new(request), done), deadline)
            .await?;
        reply.await.map_err(|_| NotSent::Stopped)
    }

    /// The namespace as it was opened.
    pub(crate) fn wish(&self) -> &SpaceWish {
        &self.wish
    }

    /// The tag of a state that is stored in parts, other than all others.
    pub(crate) fn state_tag(&self) -> u64 {
        self.dice.roll(Purpose::SnapshotTag, self.next_id())
    }

    /// The node's name.
    pub(crate) fn node_name(&self) -> &str {
        &self.node
    }

    /// Runs a task in the node's world.
    pub(crate) fn spawn(&self, task: BoxFuture<'static, ()>) -> TaskHandle {
        self.clock.spawn(task)
    }

    /// Reads a page of an entity's history.
    pub(crate) async fn history(
        &self,
        shard: ShardId,
        ask: HistoryAsk,
    ) -> Result<HistoryAnswer, NotSent> {
        let deadline = ask.deadline;
        let (done, answer) = oneshot::channel();
        self.send(
            self.lane_of(shard),
            Request::History(ask.into(), done),
            deadline,
        )
        .await?;
        Ok(answer.await.unwrap_or(Err(HistoryFailure::Stopped)))
    }

    /// The record of a kind, made at its first use. Its machine gives up at the deadline, with what
    /// was in the way; `None` when not even that came.
    pub(crate) async fn kind(
        &self,
        wish: KindWish,
        deadline: Time,
    ) -> Result<Option<KindAnswer>, NotSent> {
        let (done, answer) = oneshot::channel();
        self.send(0, Request::Kind(wish.into(), done), deadline)
            .await?;
        Ok(tokio::select! {
            biased;
            answer = answer => Some(answer.unwrap_or(Err(KindFailure::Stopped))),
            () = self.clock.sleep_until(deadline + GRACE) => None,
        })
    }

    /// What all lanes have counted; lanes that have stopped count no more.
    pub(crate) async fn counters(&self) -> Counters {
        let mut counters = Counters::default();
        for lane in &self.lanes {
            let (done, answer) = oneshot::channel();
            if lane.send(Request::Counters(done)).await.is_ok()
                && let Ok(counted) = answer.await
            {
                counters.absorb(&counted);
            }
        }
        // Of one moment, which the lanes' own numbers are not.
        counters.requests_waiting = self.admission.waiting() as u64;
        self.bus_counts.count_into(&mut counters);
        self.outbox.effects.count_into(&mut counters);
        (counters.flights_written, counters.flights_failed) = self.flights.counts();
        counters
    }

    /// What becomes of messages that failed, as far as this node owns their shards; how many there were.
    pub(crate) async fn order_failed(
        &self,
        shard: Option<(TakeOver, ShardId)>,
        order: FailedOrder,
        deadline: Time,
    ) -> Result<u64, NotSent> {
        let mut ordered = 0;
        for lane in 0..self.lanes.len() {
            let (done, answer) = oneshot::channel();
            let wish = Box::new(FailedWish { shard, order });
            self.send(lane, Request::Failed(wish, done), deadline)
                .await?;
            ordered += answer.await.map_err(|_| NotSent::Stopped)?;
        }
        Ok(ordered)
    }

    /// What each lane's machines were fed lately.
    pub(crate) async fn recordings(&self) -> Vec<Recording> {
        let mut recordings = Vec::new();
        for lane in &self.lanes {
            let (done, answer) = oneshot::channel();
            if lane.send(Request::Recording(done)).await.is_ok()
                && let Ok(recording) = answer.await
            {
                recordings.push(recording);
            }
        }
        recordings
    }

    /// What the flight recorder holds now.
    pub(crate) async fn flight(&self) -> Flight {
        let lanes = self.recordings().await;
        self.flights.flight(FlightFault::None, lanes)
    }

    /// Writes a flight into the node's folder.
    pub(crate) async fn write_flight(&self) -> Result<PathBuf, FlightWriteError> {
        let written = self
            .flights
            .write(FlightFault::None, self.recordings().await);
        let lost = || FlightWriteError::Lost("its thread did not begin".to_owned());
        written.await.unwrap_or_else(|_| Err(lost()))
    }

    /// Takes in nothing more, lets what is under way end within `patience`, and waits until all
    /// lanes have ended. Everyone who waits gets an answer.
    pub(crate) async fn stop(&self, patience: Span) {
        let at = self.now() + patience;
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            if first {
                *stop = Some(at);
            }
            first
        });
        // An error means that all lanes are gone.
        let _ = self.running.clone().wait_for(|running| *running == 0).await;
    }

    /// Waits until a time.
    pub(crate) fn sleep_until(&self, at: Time) -> BoxFuture<'static, ()> {
        self.clock.sleep_until(at)
    }

    pub(super) fn lane_of(&self, shard: ShardId) -> usize {
        usize::from(shard.0) % self.lanes.len()
    }

    pub(super) fn send(&self, lane: usize, request: Request, deadline: Time) -> Sent<'_> {
        let lane = self.lanes.get(lane).expect("a lane of this node");
        let request = match lane.try_send(request) {
            Ok(()) => return Either::Left(ready(Ok(()))),
            Err(mpsc::error::TrySendError::Closed(_)) => {
                return Either::Left(ready(Err(NotSent::Stopped)));
            }
            Err(mpsc::error::TrySendError::Full(request)) => request,
        };
        // Boxed: who finds room, as nearly all do, does not carry the request about.
        Either::Right(Box::pin(async move {
            tokio::select! {
                biased;
                sent = lane.send(request) => sent.map_err(|_| NotSent::Stopped),
                () = self.clock.sleep_until(deadline) => Err(NotSent::Overloaded),
            }
        }))
    }
}

async fn opened(link: &mut watch::Receiver<Link>) -> Result<Arc<Layout>, LaunchFailure> {
    loop {
        let Link { layout, state, .. } = link.borrow_and_update().clone();
        match (layout, state) {
            (_, LinkState::Failed(error)) => return Err(LaunchFailure::Space(error)),
            (_, LinkState::Halted(reason)) => return Err(LaunchFailure::Halted(reason)),
            // It was open, be it that the connection was lost since.
            (Some(layout), LinkState::Opening | LinkState::Down | LinkState::Up { .. }) => {
                return Ok(layout);
            }
            (None, LinkState::Opening | LinkState::Down | LinkState::Up { .. }) => {}
        }
        if link.changed().await.is_err() {
            let reason = format!("{:?} ended", Who::Space);
            return Err(LaunchFailure::Halted(reason));
        }
    }
}
