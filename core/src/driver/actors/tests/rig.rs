//! A lane of its own: a seat, a clock that is moved by hand, and tasks that are polled in order.

use crate::actor::Refusal;
use crate::api::Bytes;
use crate::api::actor::{Actor, ActorHandle, entry_of};
use crate::driver::NotSent;
use crate::driver::actors::host::{
    ActorAnswer, ActorCaller, ActorEntry, ActorRequest, Caller, Content, Mail, PaceRequest,
    Recipient, WatchRequest,
};
use crate::driver::actors::stage::{Asker, World};
use crate::driver::actors::{ActorEnv, ActorEvent, ActorSeat, ActorSeatParts};
use crate::driver::counters::Counters;
use crate::driver::handle::Sent;
use crate::driver::lane::Who;
use crate::driver::lease::LeaseEnd;
use crate::driver::recorder::Recorder;
use crate::driver::shell::TaskHandle;
use crate::format::TakeOver;
use crate::id::{ClaimId, Epoch, Incarnation, Sequence, ShardId, Ticket, WallTime};
use crate::name::EntityId;
use crate::shard::Place;
use crate::step::{CountingProbe, Dice, Limits, Span, Time};
use futures_util::future::{BoxFuture, Either, ready};
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::task::{Context, Poll, Waker};

/// The world: its clock and its tasks.
#[derive(Default)]
pub(super) struct Hand {
    now: Mutex<Time>,
    tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Tasks {
    next: u64,
    running: BTreeMap<u64, BoxFuture<'static, ()>>,
    aborted: Arc<Mutex<Vec<u64>>>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World for Arc<Hand> {
    fn now(&self) -> Time {
        *lock(&self.now)
    }

    fn wall(&self) -> WallTime {
        WallTime(lock(&self.now).as_nanos() / 1_000_000)
    }

    fn sleep_until(&self, at: Time) -> BoxFuture<'static, ()> {
        let hand = Arc::clone(self);
        Box::pin(poll_fn(move |_| {
            if *lock(&hand.now) >= at {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> TaskHandle {
        let mut tasks = lock(&self.tasks);
        let id = tasks.next;
        tasks.next += 1;
        tasks.running.insert(id, task);
        let aborted = Arc::clone(&tasks.aborted);
        TaskHandle::new(move || lock(&aborted).push(id))
    }
}

impl Hand {
    /// Polls every task once, and drops those that were aborted; whether one ended.
    pub(super) fn run(&self) -> bool {
        let mut ended = false;
        let ids: Vec<u64> = lock(&self.tasks).running.keys().copied().collect();
        for id in ids {
            let (task, aborted) = {
                let mut tasks = lock(&self.tasks);
                let aborted = lock(&tasks.aborted).contains(&id);
                (tasks.running.remove(&id), aborted)
            };
            let Some(mut task) = task else { continue };
            if aborted {
                drop(task);
                ended = true;
                continue;
            }
            match task.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(()) => ended = true,
                Poll::Pending => {
                    lock(&self.tasks).running.insert(id, task);
                }
            }
        }
        ended
    }

    pub(super) fn tasks(&self) -> usize {
        lock(&self.tasks).running.len()
    }
}

/// Routing that knows one lane only.
#[derive(Default)]
pub(super) struct Road {
    hand: Arc<Hand>,
    kinds: BTreeMap<&'static str, Arc<ActorEntry>>,
    asked: Mutex<VecDeque<ActorRequest>>,
    watched: Mutex<VecDeque<WatchRequest>>,
}

impl Road {
    fn next_asked(&self) -> Option<ActorRequest> {
        lock(&self.asked).pop_front()
    }

    fn next_watched(&self) -> Option<WatchRequest> {
        lock(&self.watched).pop_front()
    }
}

impl Asker for Road {
    fn now(&self) -> Time {
        World::now(&self.hand)
    }

    fn pace(&self, request: PaceRequest) -> Sent<'static> {
        drop(request);
        Either::Left(ready(Err(NotSent::Stopped)))
    }

    fn kind(&self, name: &str) -> Option<Arc<ActorEntry>> {
        self.kinds.get(name).cloned()
    }

    fn place(&self, _: &ActorEntry, _: &EntityId) -> Option<Place> {
        Some(PLACE)
    }

    fn shards(&self) -> u16 {
        1
    }

    fn node(&self) -> &str {
        "here"
    }

    fn ask(&self, request: ActorRequest) -> Sent<'static> {
        lock(&self.asked).push_back(request);
        Either::Left(ready(Ok(())))
    }

    fn watch(&self, request: WatchRequest) -> Sent<'static> {
        lock(&self.watched).push_back(request);
        Either::Left(ready(Ok(())))
    }
}

/// One lane.
pub(super) struct Rig {
    pub(super) seat: ActorSeat,
    /// What lane 0 tells of the lease.
    pub(super) lease: Arc<LeaseEnd>,
    pub(super) hand: Arc<Hand>,
    road: Arc<Road>,
    pub(super) counters: Counters,
    probe: CountingProbe,
    recorder: Recorder<Who>,
    tickets: u64,
    /// Whether the actors are in the place of these tests, or belong to the node.
    pub(super) placed: bool,
    pub(super) drained: Vec<Place>,
    /// Places whose hand-over was given up.
    pub(super) kept: Vec<Place>,
    pub(super) not_owned: Vec<Ticket>,
    pub(super) stopped: bool,
}

/// The place of the actors.
pub(super) const PLACE: Place = Place {
    class: TakeOver::Leased,
    shard: ShardId(7),
};

pub(super) const EPOCH: Epoch = Epoch {
    sequence: Sequence(5),
    claim: ClaimId(9),
};

/// The kinds of a rig.
pub(super) struct Kinds(BTreeMap<&'static str, Arc<ActorEntry>>);

impl Kinds {
    pub(super) fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(super) fn with<A: Actor>(mut self) -> Self {
        let entry = entry_of::<A>().expect("a kind that can be one");
        self.0.insert(A::KIND, Arc::new(entry));
        self
    }
}

impl Rig {
    pub(super) fn new(kinds: Kinds) -> Self {
        Self::with_limits(kinds, Limits::default())
    }

    pub(super) fn with_limits(kinds: Kinds, limits: Limits) -> Self {
        let hand = Arc::new(Hand::default());
        let road = Arc::new(Road {
            hand: Arc::clone(&hand),
            kinds: kinds.0,
            ..Road::default()
        });
        let world: Arc<dyn World> = Arc::new(Arc::clone(&hand));
        let lease = Arc::<LeaseEnd>::default();
        let seat = ActorSeat::new(ActorSeatParts {
            lane: 0,
            lanes: 1,
            node: "here".to_owned(),
            limits,
            timeout: Span::from_secs(5),
            home: std::sync::Weak::new(),
            dice: Dice::new(3),
            world,
            asker: Arc::<Road>::clone(&road),
            lease: Arc::clone(&lease),
            waiting: Arc::default(),
        });
        Self {
            seat,
            lease,
            hand,
            road,
            counters: Counters::default(),
            probe: CountingProbe::default(),
            recorder: Recorder::new(),
            tickets: 0,
            placed: false,
            drained: Vec::new(),
            kept: Vec::new(),
            not_owned: Vec::new(),
            stopped: false,
        }
    }

    /// The same with actors in a place that this node owns under a lease of an hour.
    pub(super) fn placed(kinds: Kinds) -> Self {
        let mut rig = Self::new(kinds);
        rig.placed = true;
        rig.lease.tell(Some(Time::ZERO + Span::from_secs(3_600)));
        rig.with(|seat, env| seat.own(env, PLACE, EPOCH));
        rig
    }

    pub(super) fn actor<A: Actor>(&self, key: &str) -> ActorHandle<A> {
        let road: Arc<dyn Asker> = Arc::<Road>::clone(&self.road);
        ActorHandle::new(road, key, Span::from_secs(5))
    }

    pub(super) fn entry<A: Actor>(&self) -> Arc<ActorEntry> {
        self.road.kind(A::KIND).expect("a kind of this rig")
    }

    pub(super) fn key(key: &str) -> EntityId {
        EntityId::new(key).expect("a key")
    }

    pub(super) fn with<T>(
        &mut self,
        act: impl FnOnce(&mut ActorSeat, &mut ActorEnv<'_>) -> T,
    ) -> T {
        let mut env = ActorEnv {
            now: World::now(&self.hand),
            run: Incarnation(1),
            probe: &mut self.probe,
            counters: &mut self.counters,
            recorder: &mut self.recorder,
        };
        act(&mut self.seat, &mut env)
    }

    /// Begins to await something, as a task of a program would.
    pub(super) fn begin<F: IntoFuture>(&mut self, what: F) -> Begun<F::Output>
    where
        F::IntoFuture: Send + 'static,
    {
        let mut begun = Begun(Some(Box::pin(what.into_future())), None);
        begun.poll();
        self.pump();
        begun.poll();
        begun
    }

    /// Hands a message to the seat, and lets nothing happen.
    pub(super) fn send<F: IntoFuture>(&mut self, what: F) -> Begun<F::Output>
    where
        F::IntoFuture: Send + 'static,
    {
        let mut begun = Begun(Some(Box::pin(what.into_future())), None);
        begun.poll();
        self.take_in();
        begun
    }

    /// Awaits something that needs no time to pass.
    pub(super) fn get<F: IntoFuture>(&mut self, what: F) -> F::Output
    where
        F::IntoFuture: Send + 'static,
    {
        self.begin(what)
            .told()
            .expect("its answer, without time passing")
    }

    /// A message of another lane comes in.
    pub(super) fn wire(
        &mut self,
        ticket: Ticket,
        (entry, key): (Arc<ActorEntry>, &str),
        (name, data): (&'static str, Bytes),
        (answered, caller): (bool, Arc<dyn ActorCaller>),
    ) {
        let request = ActorRequest {
            kind: entry,
            key: Self::key(key),
            node: None,
            deadline: World::now(&self.hand) + Span::from_secs(5),
            answered,
            mail: Mail {
                content: Content::Wire {
                    name: name.into(),
                    version: 1,
                    data,
                },
                metadata: None,
                trail: Default::default(),
            },
            caller: Recipient::Here(Caller::new(caller)),
        };
        self.with(|seat, env| seat.ask(env, ticket, None, request));
        self.pump();
    }

    /// Takes in what is on the road; whether something was.
    fn take_in(&mut self) -> bool {
        let mut busy = false;
        while let Some(request) = self.road.next_asked() {
            busy = true;
            self.tickets += 1;
            let (ticket, place) = (Ticket(self.tickets), self.placed.then_some(PLACE));
            self.with(|seat, env| seat.ask(env, ticket, place, request));
        }
        while let Some(request) = self.road.next_watched() {
            busy = true;
            self.tickets += 1;
            let (ticket, place) = (Ticket(self.tickets), self.placed.then_some(PLACE));
            self.with(|seat, env| seat.watch(env, ticket, place, request));
        }
        busy
    }

    /// Lets everything happen that needs no time to pass.
    pub(super) fn pump(&mut self) {
        for _ in 0..10_000 {
            let mut busy = self.hand.run();
            busy |= self.take_in();
            while let Some(report) = self.seat.next_report() {
                busy = true;
                self.with(|seat, env| seat.report(env, report));
            }
            if self.seat.has_work() {
                busy = true;
                self.with(ActorSeat::turn);
            }
            let now = World::now(&self.hand);
            if self.seat.next_deadline().is_some_and(|due| due.at <= now) {
                busy = true;
                self.with(ActorSeat::tick);
            }
            for event in self.seat.take_events() {
                match event {
                    ActorEvent::Drained(place) => self.drained.push(place),
                    ActorEvent::Kept(place, _) => self.kept.push(place),
                    ActorEvent::Stopped => self.stopped = true,
                    ActorEvent::NotOwner(ticket, request) => {
                        self.not_owned.push(ticket);
                        let refused = ActorAnswer::Refused(Refusal::NotOwner);
                        request.caller.tell(refused);
                    }
                    ActorEvent::NotOwnerOfWatched(ticket, request) => {
                        self.not_owned.push(ticket);
                        let refused = ActorAnswer::Refused(Refusal::NotOwner);
                        request.caller.tell(refused);
                    }
                }
            }
            if !busy {
                assert!(self.probe.broken().is_none(), "{:?}", self.probe.broken());
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// Lets time pass, from one deadline to the next.
    pub(super) fn pass(&mut self, time: Span) {
        let end = World::now(&self.hand) + time;
        loop {
            self.pump();
            let next = self.seat.next_deadline().map(|due| due.at);
            match next.filter(|at| *at < end) {
                Some(at) => *lock(&self.hand.now) = at,
                None => break,
            }
        }
        *lock(&self.hand.now) = end;
        self.pump();
    }

    /// Time passes, and the lane does not come to look at its deadlines.
    pub(super) fn late(&mut self, time: Span) {
        let mut now = lock(&self.hand.now);
        *now = *now + time;
    }

    pub(super) fn counted(&mut self) -> Counters {
        let mut counters = self.counters.clone();
        self.seat.count_into(&mut counters);
        counters
    }
}

/// Whoever waits at another lane.
pub(super) struct Wired(pub(super) mpsc::Sender<ActorAnswer>);

impl ActorCaller for Wired {
    fn finish(&self, answer: ActorAnswer) {
        self.0.send(answer).expect("the test waits");
    }

    fn forget(&self) {}
}

/// Something that is awaited.
pub(super) struct Begun<T>(Option<Pin<Box<dyn Future<Output = T> + Send>>>, Option<T>);

impl<T> Begun<T> {
    fn poll(&mut self) {
        if let Some(future) = &mut self.0
            && let Poll::Ready(told) = future
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
        {
            self.0 = None;
            self.1 = Some(told);
        }
    }

    /// What came of it, if something did.
    pub(super) fn told(&mut self) -> Option<T> {
        self.poll();
        self.1.take()
    }
}
