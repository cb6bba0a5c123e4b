//! A command and a query on their way to their entity's owner, which is this node or another.

mod command;
mod errors;
mod query;

pub(super) use command::{CommandWish, command_result, expired};
pub(super) use query::{QueryWish, query_result};

use crate::api::contexts::Said;
use crate::api::entities::{Ask, KindFacts};
use crate::api::{Aggregate, CodecError, Message, Served, Tenure};
use crate::driver::cluster::order_key;
use crate::driver::cluster::{AskRequest, Courier, Local, Returned, Routed, Unrouted, Wanted};
use crate::driver::host::{Answer, KindEntry};
use crate::driver::{EntityRequest, What};
use crate::format::{Call, CallTarget, Codec, Return};
use crate::id::{Epoch, ShardId};
use crate::log::Reply;
use crate::name::EntityId;
use crate::route::{Repeat, Target};
use crate::shard::Place;
use crate::step::{Span, Time};
use std::sync::Arc;
use tokio::sync::oneshot;

/// How a request came back.
pub(super) enum Ended {
    /// From this node's own log.
    Here(Answer),
    /// From another lane.
    There(Returned),
    /// Without an answer.
    Unrouted(Unrouted),
    /// Nobody was to answer, and it is on its way.
    HandedOver,
}

/// Who gave an answer, and under what.
pub(super) struct By {
    node: String,
    shard: ShardId,
    epoch: Option<Epoch>,
}

impl By {
    /// With the answer.
    pub(super) fn of<T>(self, answer: T) -> Served<T> {
        Served {
            answer,
            node: self.node,
            shard: Some(self.shard),
            epoch: self.epoch,
        }
    }
}

impl Tenure {
    /// When a request gives up: after its timeout, and with whose turn asks it.
    pub(super) fn deadline(&self, timeout: Option<Span>, outer: Option<Time>) -> Time {
        let own = self.inner.handle.now() + timeout.unwrap_or(self.inner.timeout);
        outer.map_or(own, |outer| own.min(outer))
    }

    /// Who gave the answer with which a request ended.
    pub(super) fn served_by(&self, head: &Head, ended: &Ended) -> By {
        let handle = &self.inner.handle;
        let stored = match ended {
            Ended::There(returned) => {
                return By {
                    node: returned.node.clone(),
                    shard: head.shard,
                    epoch: returned.epoch,
                };
            }
            Ended::Here(Answer::Reply(Reply::Committed { sequence, .. })) => Some(*sequence),
            Ended::Here(_) | Ended::Unrouted(_) | Ended::HandedOver => None,
        };
        let node = handle.node().to_owned();
        let epoch = handle.epoch(head.place(), stored);
        By {
            node,
            shard: head.shard,
            epoch,
        }
    }
}

/// Which entity a request is for, and until when.
#[derive(Clone)]
pub(super) struct Head {
    pub(super) entry: Arc<KindEntry>,
    pub(super) facts: Arc<KindFacts>,
    pub(super) shard: ShardId,
    pub(super) entity: EntityId,
    pub(super) deadline: Time,
}

impl Head {
    fn codec(&self) -> Codec {
        self.entry.config.record.codec
    }

    /// Where it belongs.
    pub(super) fn place(&self) -> Place {
        self.entry.place(self.shard)
    }

    /// As it goes to another lane.
    fn call<M: Message>(
        &self,
        message: &M,
        wanted: Wanted,
        said: &Said,
    ) -> Result<Call<'_>, CodecError> {
        let target = CallTarget::Entity {
            place: self.place(),
            kind: self.facts.kind.as_str(),
            id: self.entity.as_str(),
        };
        let body = self.codec().encode(message)?;
        let mut call = Call::new(target, M::NAME, M::VERSION, body);
        call.codec = self.codec();
        call.metadata = said.metadata.clone();
        wanted.say(&mut call);
        Ok(call)
    }
}

/// What is wanted of an entity: a command's effect, or a query's answer.
pub(super) trait Wish: Send + Sized + 'static {
    /// The entity's type.
    type Aggregate: Aggregate;

    /// What became of an earlier attempt counts no more.
    fn begin(&mut self);

    /// As a lane of this node takes it.
    fn what(&self, said: &Said) -> What;

    /// As it goes to another lane.
    fn call<'a>(&self, head: &'a Head, said: &Said) -> Result<Call<'a>, CodecError>;

    /// As the entity's host takes it.
    fn ask(request: Box<Request<Self>>) -> Ask<Self::Aggregate>;
}

/// A request of a caller of this node.
pub(super) struct Request<W> {
    pub(super) head: Head,
    pub(super) said: Said,
    pub(super) wish: W,
    courier: Courier,
    /// Whether its caller waits for the answer.
    answered: bool,
    /// `None`: its caller was told already.
    done: Option<oneshot::Sender<Back<W>>>,
}

/// A request that came back.
pub(super) struct Back<W> {
    pub(super) ended: Ended,
    /// What was wanted, with what came of it here; `None` while it is on its way.
    pub(super) wish: Option<W>,
}

impl<W: Wish> Request<W> {
    /// A request, as it is sent, and where it comes back.
    pub(super) fn sent(
        head: Head,
        (said, wish): (Said, W),
        (repeat, answered): (Repeat, bool),
    ) -> (AskRequest, oneshot::Receiver<Back<W>>) {
        let (done, told) = oneshot::channel();
        let request = AskRequest {
            target: Target::Place(head.place()),
            deadline: head.deadline,
            key: order_key(&head.facts.kind, &head.entity),
            repeat,
            answered,
            ask: Box::new(Self {
                head,
                said,
                wish,
                courier: Courier::Alone,
                answered,
                done: Some(done),
            }),
        };
        (request, told)
    }

    /// It ran here: its caller is told, or it is routed on.
    fn ended(self: Box<Self>, answer: Answer) {
        let courier = self.courier.clone();
        if let Some(this) = courier.ended(&answer, self) {
            this.tell(Ended::Here(answer));
        }
    }

    fn tell(self, ended: Ended) {
        let wish = Some(self.wish);
        if let Some(done) = self.done {
            // A caller that went away needs no answer.
            let _ = done.send(Back { ended, wish });
        }
    }

    /// Tells a caller who waits for no answer that its request is on its way.
    fn hand_over(&mut self) {
        if !self.answered
            && let Some(done) = self.done.take()
        {
            let ended = Ended::HandedOver;
            let _ = done.send(Back { ended, wish: None });
        }
    }
}

impl<W: Wish> Routed for Request<W> {
    fn here(mut self: Box<Self>, courier: Courier) -> Local {
        self.courier = courier;
        self.wish.begin();
        self.hand_over();
        Local::Entity(EntityRequest {
            kind: Arc::clone(&self.head.entry),
            shard: self.head.shard,
            entity: self.head.entity.clone(),
            deadline: self.head.deadline,
            what: self.wish.what(&self.said),
            caller: Box::new(W::ask(self)),
        })
    }

    fn call(&self) -> Result<Call<'_>, CodecError> {
        self.wish.call(&self.head, &self.said)
    }

    fn returned(self: Box<Self>, answer: Return<'_>) {
        self.tell(Ended::There(answer.into()));
    }

    fn handed_over(mut self: Box<Self>) {
        self.hand_over();
    }

    fn unrouted(self: Box<Self>, why: Unrouted) {
        self.tell(Ended::Unrouted(why));
    }

    fn is_abandoned(&self) -> bool {
        let done = self.done.as_ref();
        done.is_some_and(oneshot::Sender::is_closed)
    }
}
