//! How actors and handles reach the lanes of their node: senders that keep no lane alive.

use super::actors::host::{ActorAnswer, ActorEntry, ActorRequest, PaceRequest, WatchRequest};
use super::actors::stage::Asker;
use super::cluster::{ActorAsk, AskRequest, Membership, Routed, WatchAsk, place_of};
use super::handle::{Clock, NotSent, Sent};
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
use std::sync::{Arc, OnceLock};
use tokio::sync::{mpsc, watch};

/// How long a test waits for room to say how a key is to take turns.
const PACE_PATIENCE: Span = Span::from_secs(5);

/// The lanes of a node, and the kinds of actors that it knows.
pub(crate) struct LanePort {
    lanes: Vec<mpsc::WeakSender<Request>>,
    node: String,
    incarnation: Incarnation,
    membership: OnceLock<watch::Receiver<Membership>>,
    layout: Arc<Layout>,
    clock: Arc<dyn Clock>,
    kinds: OnceLock<BTreeMap<KindName, Arc<ActorEntry>>>,
}

impl LanePort {
    pub(crate) fn new(
        lanes: &[mpsc::Sender<Request>],
        (node, incarnation): (String, Incarnation),
        layout: Arc<Layout>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            lanes: lanes.iter().map(mpsc::Sender::downgrade).collect(),
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

    fn send(&self, target: Target, request: Request, deadline: Time) -> Sent<'_> {
        let lane = match target {
            Target::Place(place) => usize::from(place.shard.0) % self.lanes.len(),
            Target::Node(_) => 0,
        };
        let lane = self.lanes.get(lane).and_then(mpsc::WeakSender::upgrade);
        let Some(lane) = lane else {
            return Either::Left(ready(Err(NotSent::Stopped)));
        };
        let request = match lane.try_send(request) {
            Ok(()) => return Either::Left(ready(Ok(()))),
            Err(mpsc::error::TrySendError::Closed(_)) => {
                return Either::Left(ready(Err(NotSent::Stopped)));
            }
            Err(mpsc::error::TrySendError::Full(request)) => request,
        };
        Either::Right(Box::pin(async move {
            tokio::select! {
                biased;
                sent = lane.send(request) => sent.map_err(|_| NotSent::Stopped),
                () = self.clock.sleep_until(deadline) => Err(NotSent::Overloaded),
            }
        }))
    }
}

impl Asker for LanePort {
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

    fn ask(&self, request: ActorRequest) -> Sent<'_> {
        let ActorRequest {
            kind, key, node, ..
        } = &request;
        match self.target(kind, key, node.as_deref()) {
            Ok(target) => {
                let ask = ActorAsk { target, request };
                let asked = ask.asked(Ticket(0));
                self.send(target, asking(asked, Box::new(ask)), asked.deadline)
            }
            Err(node) => {
                request.caller.finish(ActorAnswer::NoNode(node));
                Either::Left(ready(Ok(())))
            }
        }
    }

    fn watch(&self, request: WatchRequest) -> Sent<'_> {
        let WatchRequest {
            kind, key, node, ..
        } = &request;
        match self.target(kind, key, node.as_deref()) {
            Ok(target) => {
                let ask = WatchAsk { target, request };
                let asked = ask.asked(Ticket(0));
                self.send(target, asking(asked, Box::new(ask)), asked.deadline)
            }
            // With its node it has ended.
            Err(_) => {
                request.caller.finish(ActorAnswer::Ended(Ended::Absent));
                Either::Left(ready(Ok(())))
            }
        }
    }

    fn pace(&self, request: PaceRequest) -> Sent<'_> {
        let place = self.place(&request.kind, &request.key);
        let target = place.map_or(Target::Node(self.run()), Target::Place);
        let soon = self.clock.now() + PACE_PATIENCE;
        self.send(target, Request::Pace(request), soon)
    }
}

/// A request to a lane for whoever owns something.
fn asking(asked: Asked, ask: Box<dyn Routed>) -> Request {
    Request::Ask(AskRequest {
        target: asked.target,
        key: asked.key,
        deadline: asked.deadline,
        repeat: asked.repeat,
        answered: asked.answered,
        ask,
    })
}

impl fmt::Debug for LanePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LanePort")
            .field("lanes", &self.lanes.len())
            .finish_non_exhaustive()
    }
}
