//! A command and a query on their way to their entity's owner, which is this node or another.

use super::Answer as Answers;
use super::error::{AskError, ReadError, RouteError};
use super::serve::replied;
use crate::api::call::{Aim, Receipt, conclude};
use crate::api::entities::{Ask, Draft, Job, KindFacts, Question};
use crate::api::error::Whom;
use crate::api::load::load_error;
use crate::api::{CodecError, Decide, DecideCx, ExecuteError, LoadError, Message};
use crate::driver::cluster::order_key;
use crate::driver::cluster::{Asking, Courier, Local, Returned, Routed, Unrouted, Wanted, Wire};
use crate::driver::host::{Answer, KindEntry};
use crate::driver::{EntityRequest, What};
use crate::format::{Answered, Codec, Denial, Metadata};
use crate::id::{CommandId, ShardId, Version, WallTime};
use crate::log::{Expected, Freshness, Refusal, Reply};
use crate::name::EntityId;
use crate::route;
use crate::shard::Place;
use crate::step::Time;
use std::marker::PhantomData;
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

    /// Whom it is for.
    pub(super) fn target(&self) -> route::Target {
        route::Target::Place(self.place())
    }

    /// Where it belongs.
    pub(super) fn place(&self) -> Place {
        self.entry.place(self.shard)
    }

    /// What requests of one entity have in common, so that they stay in their order.
    pub(super) fn key(&self) -> u64 {
        order_key(&self.facts.kind, &self.entity)
    }

    fn asking<M: Message>(
        &self,
        message: &M,
        wanted: Wanted,
        metadata: Option<Arc<Metadata>>,
    ) -> Result<Wire, CodecError> {
        Ok(Wire::Entity(Asking {
            place: self.entry.place(self.shard),
            kind: self.facts.kind.clone(),
            entity: self.entity.clone(),
            message: (M::NAME.into(), M::VERSION),
            codec: self.codec(),
            wanted,
            metadata,
            body: self.codec().encode(message)?,
        }))
    }

    fn request(&self, what: What, caller: Box<dyn crate::driver::host::Caller>) -> Local {
        Local::Entity(EntityRequest {
            kind: Arc::clone(&self.entry),
            shard: self.shard,
            entity: self.entity.clone(),
            deadline: self.deadline,
            what,
            caller,
        })
    }

    /// What routing says of a request of this head; `None` when it is unknown what became of it.
    fn route_error(&self, refusal: route::Refusal) -> Option<Known> {
        match refusal {
            route::Refusal::NoOwner(_) => Some(Known::Route(RouteError::NoOwner {
                kind: self.facts.kind.clone(),
                shard: self.shard,
            })),
            route::Refusal::NoNode(node) => Some(Known::Route(RouteError::NoNode {
                node: node.to_string(),
            })),
            route::Refusal::NoCommonVersion(node) => {
                Some(Known::Route(RouteError::NoCommonVersion {
                    node: node.to_string(),
                }))
            }
            route::Refusal::TooLarge { bytes, bytes_max } => {
                Some(Known::TooLarge { bytes, bytes_max })
            }
            route::Refusal::Overloaded => Some(Known::Overloaded),
            route::Refusal::Deadline => Some(Known::Deadline),
            route::Refusal::Unknown(_) => None,
        }
    }
}

/// Why a request surely did nothing.
enum Known {
    Route(RouteError),
    Overloaded,
    Deadline,
    TooLarge { bytes: usize, bytes_max: usize },
}

/// What an aggregate decided of a command, for its caller.
pub(super) type Decided<A, C> = Result<<A as Decide<C>>::Reply, <A as Decide<C>>::Error>;

/// A command of a caller of this node.
pub(super) struct CommandAsk<A: Decide<C>, C: Message> {
    pub(super) head: Head,
    pub(super) id: CommandId,
    pub(super) expected: Expected,
    pub(super) metadata: Option<Arc<Metadata>>,
    pub(super) wall: WallTime,
    pub(super) command: C,
    /// Whether its caller waits for the reply.
    pub(super) answered: bool,
    pub(super) courier: Courier,
    pub(super) decided: Option<Decided<A, C>>,
    pub(super) done: oneshot::Sender<CommandEnded<A, C>>,
}

/// A command that came back.
pub(super) struct CommandEnded<A: Decide<C>, C: Message> {
    pub(super) ended: Ended,
    pub(super) decided: Option<Decided<A, C>>,
    /// To be asked again under another id, unless it is on its way.
    pub(super) command: Option<C>,
}

impl<A: Decide<C>, C: Message> CommandAsk<A, C> {
    fn tell(self, ended: Ended) {
        // A caller that went away needs no answer.
        let _ = self.done.send(CommandEnded {
            ended,
            decided: self.decided,
            command: Some(self.command),
        });
    }

    /// Tells a caller who waits for no reply that the command is on its way.
    fn hand_over(&mut self) {
        if !self.answered {
            let (unheard, _) = oneshot::channel();
            let done = std::mem::replace(&mut self.done, unheard);
            let _ = done.send(CommandEnded {
                ended: Ended::HandedOver,
                decided: None,
                command: None,
            });
        }
    }
}

impl<A: Decide<C>, C: Message> Job<A> for CommandAsk<A, C> {
    fn id(&self) -> CommandId {
        self.id
    }

    fn time(&self) -> WallTime {
        self.wall
    }

    fn metadata(&self) -> Option<Arc<Metadata>> {
        self.metadata.clone()
    }

    fn decide(&mut self, state: &A, cx: &DecideCx<'_>, codec: Codec) -> Draft<A> {
        match state.decide(&self.command, cx) {
            Ok(decision) => {
                let outcome = codec.encode(&decision.reply);
                self.decided = Some(Ok(decision.reply));
                Draft::Accepted {
                    events: decision.events,
                    outcome,
                    record: decision.record,
                }
            }
            Err(error) => {
                self.decided = Some(Err(error));
                Draft::Rejected
            }
        }
    }

    fn finish(self: Box<Self>, answer: Answer) {
        let courier = self.courier.clone();
        if let Some(this) = courier.ended(&answer, self) {
            this.tell(Ended::Here(answer));
        }
    }
}

impl<A: Decide<C>, C: Message> Routed for CommandAsk<A, C> {
    fn here(mut self: Box<Self>, courier: Courier) -> Local {
        self.courier = courier;
        self.decided = None;
        self.hand_over();
        let what = What::Command {
            id: Some(self.id),
            expected: self.expected,
            metadata: self.metadata.clone(),
            wall: self.wall,
        };
        let head = self.head.clone();
        head.request(what, Box::new(Ask::<A>::Job(self)))
    }

    fn asking(&self) -> Result<Wire, CodecError> {
        let wanted = Wanted::Command {
            id: self.id,
            expected: self.expected,
        };
        self.head
            .asking(&self.command, wanted, self.metadata.clone())
    }

    fn returned(self: Box<Self>, returned: Returned) {
        self.tell(Ended::There(returned));
    }

    fn handed_over(mut self: Box<Self>) {
        self.hand_over();
    }

    fn unrouted(self: Box<Self>, why: Unrouted) {
        self.tell(Ended::Unrouted(why));
    }

    fn is_abandoned(&self) -> bool {
        self.done.is_closed()
    }
}

/// What a command came to, for its caller.
pub(super) fn command_result<A: Decide<C>, C: Message>(
    head: &Head,
    aim: &Aim<'_>,
    id: CommandId,
    ended: Ended,
    decided: Option<Decided<A, C>>,
) -> Result<Receipt<A::Reply>, AskError<A::Error>> {
    let (answer, decided) = match ended {
        Ended::Here(answer) => (answer, decided),
        Ended::HandedOver => return Err(ExecuteError::Unknown { id }.into()),
        Ended::There(Returned { answered, .. }) => match answered {
            Answered::Done {
                reply: outcome,
                version,
                found: true,
                ..
            } => {
                let version = version.unwrap_or_default();
                (Answer::Reply(Reply::Found { version, outcome }), None)
            }
            Answered::Done {
                reply,
                version,
                sequence,
                found: false,
                local,
            } => {
                let version = version.unwrap_or_default();
                let freshness = freshness(local);
                let reply = match (head.codec().decode(&reply), sequence) {
                    (Ok(reply), _) => reply,
                    (Err(cause), Some(_)) => return Err(ExecuteError::Reply { id, cause }.into()),
                    (Err(cause), None) => return Err(RouteError::Answer(cause).into()),
                };
                let answer = match sequence {
                    Some(sequence) => Reply::Committed { version, sequence },
                    None => Reply::Nothing { version, freshness },
                };
                (Answer::Reply(answer), Some(Ok(reply)))
            }
            Answered::Rejected { error, version } => {
                let version = version.unwrap_or_default();
                let freshness = Freshness::Linearizable;
                let error = head.codec().decode(&error).map_err(RouteError::Answer)?;
                let answer = Answer::Reply(Reply::Nothing { version, freshness });
                (answer, Some(Err(error)))
            }
            Answered::Refused(denial) => match known(denial) {
                Ok(refusal) => (Answer::Reply(Reply::Refused(refusal)), None),
                Err(denial) => return Err(RouteError::from(denial).into()),
            },
        },
        Ended::Unrouted(why) => {
            return Err(match why {
                Unrouted::Route(refusal) => match head.route_error(refusal) {
                    Some(Known::Route(error)) => error.into(),
                    Some(Known::Overloaded) => ExecuteError::Overloaded.into(),
                    Some(Known::Deadline) => ExecuteError::Deadline.into(),
                    Some(Known::TooLarge { bytes, bytes_max }) => {
                        ExecuteError::TooLarge { bytes, bytes_max }.into()
                    }
                    None => ExecuteError::Unknown { id }.into(),
                },
                Unrouted::Unencodable(cause) => RouteError::Unencodable(cause).into(),
                Unrouted::Halted(_) | Unrouted::Cut => ExecuteError::Unknown { id }.into(),
                Unrouted::Stopped => ExecuteError::Stopped.into(),
            });
        }
    };
    Ok(conclude(aim, id, answer, decided)?)
}

/// A query of a caller of this node.
pub(super) struct QueryAsk<A: Answers<Q>, Q: Message> {
    pub(super) head: Head,
    pub(super) freshness: Freshness,
    pub(super) query: Q,
    pub(super) courier: Courier,
    pub(super) replied: Option<Result<A::Reply, String>>,
    pub(super) aggregate: PhantomData<fn() -> A>,
    pub(super) done: oneshot::Sender<QueryEnded<A, Q>>,
}

/// A query that came back, and what was answered here.
pub(super) type QueryEnded<A, Q> = (Ended, Option<Result<<A as Answers<Q>>::Reply, String>>);

impl<A: Answers<Q>, Q: Message> QueryAsk<A, Q> {
    fn tell(self, ended: Ended) {
        // A caller that went away needs no answer.
        let _ = self.done.send((ended, self.replied));
    }
}

impl<A: Answers<Q>, Q: Message> Question<A> for QueryAsk<A, Q> {
    fn answer(&mut self, state: &A, version: Version) {
        let Head { facts, entity, .. } = &self.head;
        self.replied = Some(replied(facts, entity, (state, version), &self.query));
    }

    fn finish(self: Box<Self>, answer: Answer) {
        let courier = self.courier.clone();
        if let Some(this) = courier.ended(&answer, self) {
            this.tell(Ended::Here(answer));
        }
    }
}

impl<A: Answers<Q>, Q: Message> Routed for QueryAsk<A, Q> {
    fn here(mut self: Box<Self>, courier: Courier) -> Local {
        self.courier = courier;
        self.replied = None;
        let (head, freshness) = (self.head.clone(), self.freshness);
        let what = What::Question { freshness };
        head.request(what, Box::new(Ask::<A>::Question(self)))
    }

    fn asking(&self) -> Result<Wire, CodecError> {
        let freshness = self.freshness;
        self.head
            .asking(&self.query, Wanted::Query { freshness }, None)
    }

    fn returned(self: Box<Self>, returned: Returned) {
        self.tell(Ended::There(returned));
    }

    fn handed_over(self: Box<Self>) {
        self.tell(Ended::HandedOver);
    }

    fn unrouted(self: Box<Self>, why: Unrouted) {
        self.tell(Ended::Unrouted(why));
    }

    fn is_abandoned(&self) -> bool {
        self.done.is_closed()
    }
}

/// What a query came to, for its caller.
#[allow(
    clippy::result_large_err,
    reason = "it is moved on at once, to who awaits it"
)]
pub(super) fn query_result<A: Answers<Q>, Q: Message>(
    head: &Head,
    (ended, replied): QueryEnded<A, Q>,
) -> Result<A::Reply, ReadError> {
    let (answer, replied) = match ended {
        Ended::Here(answer) => (answer, replied),
        Ended::HandedOver => return Err(LoadError::Deadline.into()),
        Ended::There(Returned { answered, .. }) => match answered {
            Answered::Done {
                reply,
                version,
                local,
                ..
            } => {
                let reply = head.codec().decode(&reply).map_err(RouteError::Answer)?;
                let version = version.unwrap_or_default();
                let freshness = freshness(local);
                (
                    Answer::Reply(Reply::Read { version, freshness }),
                    Some(Ok(reply)),
                )
            }
            Answered::Rejected { .. } => {
                let cause = CodecError::new("a query was answered as a command is");
                return Err(RouteError::Answer(cause).into());
            }
            Answered::Refused(denial) => match known(denial) {
                Ok(refusal) => (Answer::Reply(Reply::Refused(refusal)), None),
                Err(denial) => return Err(RouteError::from(denial).into()),
            },
        },
        Ended::Unrouted(why) => {
            return Err(match why {
                Unrouted::Route(refusal) => match head.route_error(refusal) {
                    Some(Known::Route(error)) => error.into(),
                    Some(Known::Overloaded) => LoadError::Overloaded.into(),
                    Some(Known::TooLarge { bytes, bytes_max }) => {
                        let what = format!("it has {bytes} bytes, the server takes {bytes_max}");
                        RouteError::Unencodable(CodecError::new(what)).into()
                    }
                    Some(Known::Deadline) | None => LoadError::Deadline.into(),
                },
                Unrouted::Unencodable(cause) => RouteError::Unencodable(cause).into(),
                Unrouted::Halted(reason) => LoadError::Halted { reason }.into(),
                Unrouted::Stopped | Unrouted::Cut => LoadError::Stopped.into(),
            });
        }
    };
    match (answer, replied) {
        (Answer::Reply(Reply::Read { .. }), Some(replied)) => {
            Ok(replied.map_err(LoadError::Failed)?)
        }
        (answer, _) => Err(load_error(answer, Whom::of(&head.entry, &head.entity)).into()),
    }
}

/// A refusal that is the same on this node's own log.
fn known(denial: Denial) -> Result<Refusal, Denial> {
    match denial {
        Denial::Log(refusal) => Ok(refusal),
        Denial::Overloaded => Ok(Refusal::Overloaded),
        Denial::Deadline => Ok(Refusal::Deadline),
        // What it was for may have happened.
        Denial::Newer { .. } => Ok(Refusal::Unknown),
        denial @ (Denial::UnknownKind { .. }
        | Denial::UnknownMessage { .. }
        | Denial::WrongSchema { .. }
        | Denial::Undecodable { .. }
        | Denial::Panicked { .. }
        | Denial::Failed { .. }
        | Denial::Reply { .. }
        | Denial::Start { .. }
        | Denial::Stopped
        | Denial::BackingOff { .. }
        | Denial::NotActive
        | Denial::Cycle { .. }
        | Denial::ChainTooLong { .. }
        | Denial::NoLease
        | Denial::Stopping
        | Denial::Halted { .. }
        | Denial::Unusable { .. }) => Err(denial),
    }
}

/// What is known of the state behind an answer of another node.
fn freshness(local: bool) -> Freshness {
    if local {
        Freshness::Local
    } else {
        Freshness::Linearizable
    }
}

/// The time up to which ids are refused, when a command was refused for that.
pub(super) fn expired(ended: &Ended) -> Option<WallTime> {
    match ended {
        Ended::Here(Answer::Reply(Reply::Refused(Refusal::Expired { horizon })))
        | Ended::There(Returned {
            answered: Answered::Refused(Denial::Log(Refusal::Expired { horizon })),
            ..
        }) => Some(*horizon),
        Ended::Here(_) | Ended::There(_) | Ended::Unrouted(_) | Ended::HandedOver => None,
    }
}
