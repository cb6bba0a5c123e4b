//! How actors and handles reach the lanes of their node: senders that keep no lane alive.

use super::actors::host::{ActorAnswer, ActorEntry, ActorRequest, PaceRequest, WatchRequest};
use super::actors::stage::Asker;
use super::cluster::{ActorAsk, AskRequest, Membership, Routed, WatchAsk, place_of};
use super::handle::{Clock, NotSent, Sent};
use super::intake::{Declined, Intake};
use super::request::Request;
use crate::actor::Ended;
use crate::format::{Layout, Placement};
use crate::id::{Incarnation, Ticket};
use crate::name::{EntityId, KindName};
use crate::route::{Asked, Target};
use crate::shard::Place;
use crate::step::{Span, Time};
use futures_util::future::{Either, ready};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use tokio::sync::{mpsc, watch};

/// How long a test waits for room to say how a key is to take turns.
const PACE_PATIENCE: Span = Span::from_secs(5);

/// The lanes of a node, and the kinds of actors that it knows.
pub(crate) struct LanePort {
    lanes: Vec<mpsc::WeakSender<Request>>,
    /// Where they take in what is asked of actors.
    intakes: Vec<Arc<Intake>>,
    node: String,
    incarnation: Incarnation,
    membership: OnceLock<watch::Receiver<Membership>>,
    layout: Arc<Layout>,
    clock: Arc<dyn Clock>,
    kinds: OnceLock<BTreeMap<KindName, Arc<ActorEntry>>>,
}

impl LanePort {
    pub(crate) fn new(
        (lanes, intakes): (&[mpsc::Sender<Request>], Vec<Arc<Intake>>),
        (node, incarnation): (String, Incarnation),
        layout: Arc<Layout>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            lanes: lanes.iter().map(mpsc::Sender::downgrade).collect(),
            intakes,
            node,
            incarnation,
            membership: OnceLock::new(),
            layout,
            clock,
            kinds: OnceLock::new(),
        }
    }

    /// How many lanes there are.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// The kinds are known once, when the node starts.
    pub(crate) fn know(&self, kinds: BTreeMap<KindName, Arc<ActorEntry>>) {
        let known = self.kinds.set(kinds);
        debug_assert!(known.is_ok(), "a node starts once");
    }

    /// The node is in a cluster from now on.
    pub(crate) fn joined(&self, membership: watch::Receiver<Membership>) {
        // It is set once: a node joins when it is started.
        let _ = self.membership.set(membership);
    }

    /// This run of the node, which is another one when it joined again.
    fn run(&self) -> Incarnation {
        let membership = self.membership.get();
        membership.map_or(self.incarnation, |it| it.borrow().run)
    }

    /// Whom a key of a kind belongs to; the name of a node that is not there comes back.
    fn target(
        &self,
        kind: &ActorEntry,
        key: &EntityId,
        node: Option<&str>,
    ) -> Result<Target, String> {
        if let Some(place) = self.place(kind, key) {
            return Ok(Target::Place(place));
        }
        match node {
            Some(name) if name != self.node => {
                let membership = self.membership.get().map(watch::Receiver::borrow);
                let peers = membership.iter().flat_map(|it| it.view.peers.iter());
                let mut named = peers.filter(|(peer, _)| peer.as_str() == name);
                let run = named.next().map(|(_, peer)| peer.incarnation);
                run.map(Target::Node).ok_or_else(|| name.to_owned())
            }
            Some(_) | None => Ok(Target::Node(self.run())),
        }
    }

    /// The lane of a target.
    fn lane_of(&self, target: Target) -> usize {
        match target {
            Target::Place(place) => usize::from(place.shard.0) % self.lanes.len(),
            Target::Node(_) => 0,
        }
    }

    /// Hands a request to the lane that routes it.
    fn hand(&self, asked: Asked, ask: Box<dyn Routed>) -> Sent<'static> {
        let Some(intake) = self.intakes.get(self.lane_of(asked.target)) else {
            return Either::Left(ready(Err(NotSent::Stopped)));
        };
        let request = AskRequest {
            target: asked.target,
            key: asked.key,
            deadline: asked.deadline,
            repeat: asked.repeat,
            answered: asked.answered,
            ask,
        };
        let request = match intake.put(request) {
            Ok(()) => return Either::Left(ready(Ok(()))),
            Err(Declined::Shut) => return Either::Left(ready(Err(NotSent::Stopped))),
            Err(Declined::Full(request)) => request,
        };
        let intake = Arc::clone(intake);
        self.in_time(asked.deadline, async move {
            let is_in = intake.put_in_time(request).await;
            is_in.then_some(()).ok_or(NotSent::Stopped)
        })
    }

    /// What is to be sent when there is room, unless the deadline is first.
    fn in_time(
        &self,
        deadline: Time,
        sent: impl Future<Output = Result<(), NotSent>> + Send + 'static,
    ) -> Sent<'static> {
        let clock = Arc::clone(&self.clock);
        Either::Right(Box::pin(async move {
            tokio::select! {
                biased;
                sent = sent => sent,
                () = clock.sleep_until(deadline) => Err(NotSent::Overloaded),
            }
        }))
    }

    fn send(&self, target: Target, request: Request, deadline: Time) -> Sent<'static> {
        let lane = self.lanes.get(self.lane_of(target));
        let Some(lane) = lane.and_then(mpsc::WeakSender::upgrade) else {
            return Either::Left(ready(Err(NotSent::Stopped)));
        };
        let request = match lane.try_send(request) {
            Ok(()) => return Either::Left(ready(Ok(()))),
            Err(mpsc::error::TrySendError::Closed(_)) => {
                return Either::Left(ready(Err(NotSent::Stopped)));
            }
            Err(mpsc::error::TrySendError::Full(request)) => request,
        };
        self.in_time(deadline, async move {
            let sent = lane.send(request).await;
            sent.map_err(|_| NotSent::Stopped)
        })
    }
}

impl Asker for LanePort {
    fn now(&self) -> Time {
        self.clock.now()
    }

    fn kind(&self, name: &str) -> Option<Arc<ActorEntry>> {
        self.kinds.get()?.get(name).cloned()
    }

    fn place(&self, kind: &ActorEntry, key: &EntityId) -> Option<Place> {
        let is_placed = kind.placement != Placement::Node;
        is_placed.then(|| place_of(&self.layout, kind, key))
    }

    fn shards(&self) -> u16 {
        self.layout.shards()
    }

    fn node(&self) -> &str {
        &self.node
    }

    fn ask(&self, request: ActorRequest) -> Sent<'static> {
        let ActorRequest {
            kind, key, node, ..
        } = &request;
        match self.target(kind, key, node.as_deref()) {
            Ok(target) => {
                let ask = ActorAsk { target, request };
                let asked = ask.asked(Ticket(0));
                self.hand(asked, Box::new(ask))
            }
            Err(node) => {
                request.caller.tell(ActorAnswer::NoNode(node));
                Either::Left(ready(Ok(())))
            }
        }
    }

    fn watch(&self, request: WatchRequest) -> Sent<'static> {
        let WatchRequest {
            kind, key, node, ..
        } = &request;
        match self.target(kind, key, node.as_deref()) {
            Ok(target) => {
                let ask = WatchAsk { target, request };
                let asked = ask.asked(Ticket(0));
                self.hand(asked, Box::new(ask))
            }
            // With its node it has ended.
            Err(_) => {
                request.caller.tell(ActorAnswer::Ended(Ended::Absent));
                Either::Left(ready(Ok(())))
            }
        }
    }

    fn pace(&self, request: PaceRequest) -> Sent<'static> {
        let place = self.place(&request.kind, &request.key);
        let target = place.map_or(Target::Node(self.run()), Target::Place);
        let soon = self.clock.now() + PACE_PATIENCE;
        self.send(target, Request::Pace(request), soon)
    }
}

impl fmt::Debug for LanePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LanePort")
            .field("lanes", &self.lanes.len())
            .finish_non_exhaustive()
    }
}
