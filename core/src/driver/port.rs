//! How actors and handles reach the lanes of their node: senders that keep no lane alive.

use super::actors::host::{ActorEntry, ActorRequest, PaceRequest, WatchRequest};
use super::actors::stage::Asker;
use super::cluster::{ActorAsk, AskRequest, Routed, WatchAsk, place_of};
use super::handle::{Clock, NotSent, Sent};
use super::request::Request;
use crate::format::Layout;
use crate::id::ShardId;
use crate::id::Ticket;
use crate::name::{EntityId, KindName};
use crate::route::Asked;
use crate::shard::Place;
use crate::step::{Span, Time};
use futures_util::future::{Either, ready};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use tokio::sync::mpsc;

/// How long a test waits for room to say how a key is to take turns.
const PACE_PATIENCE: Span = Span::from_secs(5);

/// The lanes of a node, and the kinds of actors that it knows.
pub(crate) struct LanePort {
    lanes: Vec<mpsc::WeakSender<Request>>,
    node: String,
    layout: Arc<Layout>,
    clock: Arc<dyn Clock>,
    kinds: OnceLock<BTreeMap<KindName, Arc<ActorEntry>>>,
}

impl LanePort {
    pub(crate) fn new(
        lanes: &[mpsc::Sender<Request>],
        node: String,
        layout: Arc<Layout>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            lanes: lanes.iter().map(mpsc::Sender::downgrade).collect(),
            node,
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

    fn send(&self, shard: ShardId, request: Request, deadline: Time) -> Sent<'_> {
        let lane = usize::from(shard.0) % self.lanes.len();
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
        let name = KindName::new(name).ok()?;
        self.kinds.get()?.get(&name).cloned()
    }

    fn place(&self, kind: &ActorEntry, key: &EntityId) -> Place {
        place_of(&self.layout, kind, key)
    }

    fn node(&self) -> &str {
        &self.node
    }

    fn ask(&self, request: ActorRequest) -> Sent<'_> {
        let place = self.place(&request.kind, &request.key);
        let ask = ActorAsk { place, request };
        let asked = ask.asked(Ticket(0));
        self.send(place.shard, asking(asked, Box::new(ask)), asked.deadline)
    }

    fn watch(&self, request: WatchRequest) -> Sent<'_> {
        let place = self.place(&request.kind, &request.key);
        let ask = WatchAsk { place, request };
        let asked = ask.asked(Ticket(0));
        self.send(place.shard, asking(asked, Box::new(ask)), asked.deadline)
    }

    fn pace(&self, request: PaceRequest) -> Sent<'_> {
        let place = self.place(&request.kind, &request.key);
        let soon = self.clock.now() + PACE_PATIENCE;
        self.send(place.shard, Request::Pace(request), soon)
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
