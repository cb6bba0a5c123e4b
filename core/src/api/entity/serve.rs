//! What came for an entity from another node: decoded, decided or answered here, and its answer as
//! bytes.

use super::messages::{Messages, newest};
use super::{Answer as Answers, Entity};
use crate::api::contexts::Said;
use crate::api::entities::{Ask, Draft, Job, KindFacts, Question};
use crate::api::{Aggregate, AnswerCx, CodecError, Decide, DecideCx, Message};
use crate::driver::cluster::{Asking, Courier, Incoming, Outcome, Wanted};
use crate::driver::host::{Answer, KindEntry, caught};
use crate::driver::{EntityRequest, What};
use crate::format::{Codec, Denial};
use crate::id::CommandId;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// Makes a job of a command's bytes.
pub(super) type DecodeCommand<A> =
    fn(Codec, &[u8], ServedHead) -> Result<Box<dyn Job<A>>, CodecError>;

/// Makes a question of a query's bytes.
pub(super) type DecodeQuery<A> =
    fn(Codec, &[u8], ServedHead) -> Result<Box<dyn Question<A>>, CodecError>;

/// What a served command or query has beside its content.
pub(crate) struct ServedHead {
    id: CommandId,
    said: Said,
    courier: Courier,
}

impl ServedHead {
    /// Of a command that nobody waits for.
    pub(crate) fn alone(id: CommandId, said: Said) -> Self {
        Self {
            id,
            said,
            courier: Courier::Alone,
        }
    }
}

/// A kind that this node serves, whatever its type.
pub(crate) trait Serving: Send + Sync {
    /// What came in, as a request to a lane.
    fn request(&self, incoming: Incoming, courier: Courier) -> Result<EntityRequest, Denial>;

    /// The kind as this process uses it.
    fn entry(&self) -> &Arc<KindEntry>;
}

/// A kind of entities that this node serves.
pub(crate) struct ServedEntity<A: Aggregate> {
    entry: Arc<KindEntry>,
    facts: Arc<KindFacts>,
    messages: Messages<A>,
}

impl<A: Entity> ServedEntity<A> {
    pub(crate) fn new(entry: Arc<KindEntry>, facts: Arc<KindFacts>) -> Self {
        Self {
            entry,
            facts,
            messages: A::messages(),
        }
    }
}

impl<A: Aggregate> fmt::Debug for ServedEntity<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServedEntity")
            .field("kind", &self.facts.kind)
            .field("messages", &self.messages)
            .finish_non_exhaustive()
    }
}

impl<A: Entity> Serving for ServedEntity<A> {
    fn entry(&self) -> &Arc<KindEntry> {
        &self.entry
    }

    fn request(&self, incoming: Incoming, courier: Courier) -> Result<EntityRequest, Denial> {
        let Incoming {
            asking,
            wall,
            deadline,
            left,
        } = incoming;
        let Asking {
            place,
            kind,
            entity,
            message: (message, schema),
            codec,
            wanted,
            metadata,
            body,
        } = asking;
        let unknown = |newest| match newest {
            Some(taken) if taken != schema => Denial::WrongSchema {
                message: message.to_string(),
                sent: schema,
                taken,
            },
            Some(_) | None => Denial::UnknownMessage {
                kind: kind.to_string(),
                message: message.to_string(),
                schema,
            },
        };
        let undecodable = |cause: CodecError| Denial::Undecodable {
            what: message.to_string(),
            cause: cause.to_string(),
        };
        let head = |id| ServedHead {
            id,
            said: Said::new(wall, left, metadata.clone()),
            courier,
        };
        let key = (&*message, schema);
        let (what, ask) = match wanted {
            Wanted::Command { id, expected } => {
                let commands = &self.messages.commands;
                let decode = self.messages.decoder(key);
                let decode = decode.ok_or_else(|| unknown(newest(commands, &message)))?;
                let job = caught(|| decode(codec, &body, head(id)));
                let job = job.map_err(CodecError::new).and_then(|job| job);
                let what = What::Command {
                    id: Some(id),
                    expected,
                    metadata: metadata.clone(),
                    wall,
                };
                (what, Ask::Job(job.map_err(undecodable)?))
            }
            Wanted::Query { freshness } => {
                let queries = &self.messages.queries;
                let decode = queries.get(&key);
                let decode = decode.ok_or_else(|| unknown(newest(queries, &message)))?;
                let question = caught(|| decode(codec, &body, head(CommandId(0))));
                let question = question
                    .map_err(CodecError::new)
                    .and_then(|question| question);
                let ask = Ask::Question(question.map_err(undecodable)?);
                (What::Question { freshness }, ask)
            }
        };
        Ok(EntityRequest {
            kind: Arc::clone(&self.entry),
            shard: place.shard,
            entity,
            deadline,
            what,
            caller: Box::new(ask),
        })
    }
}

/// A command from another node.
pub(super) struct ServedCommand<A, C> {
    head: ServedHead,
    command: C,
    outcome: Outcome,
    aggregate: PhantomData<fn() -> A>,
}

impl<A: Decide<C>, C: Message> ServedCommand<A, C> {
    pub(super) fn decode(
        codec: Codec,
        body: &[u8],
        head: ServedHead,
    ) -> Result<Box<dyn Job<A>>, CodecError> {
        Ok(Box::new(Self {
            head,
            command: codec.decode(body)?,
            outcome: Outcome::None,
            aggregate: PhantomData,
        }))
    }
}

impl<A: Decide<C>, C: Message> Job<A> for ServedCommand<A, C> {
    fn id(&self) -> CommandId {
        self.head.id
    }

    fn said(&self) -> &Said {
        &self.head.said
    }

    fn decide(&mut self, state: &A, cx: &DecideCx<'_>, codec: Codec) -> Draft<A> {
        match state.decide(&self.command, cx) {
            Ok(decision) => {
                let (draft, _) = Draft::accepted(decision, codec);
                if let Draft::Accepted { outcome, .. } = &draft {
                    self.outcome = Outcome::of_reply(outcome);
                }
                draft
            }
            Err(error) => {
                self.outcome = Outcome::of_error(codec.encode(&error));
                Draft::Rejected
            }
        }
    }

    fn finish(self: Box<Self>, answer: Answer) {
        let Self { head, outcome, .. } = *self;
        head.courier.served(answer, outcome);
    }
}

/// A query from another node.
pub(super) struct ServedQuery<A, Q> {
    head: ServedHead,
    query: Q,
    codec: Codec,
    outcome: Outcome,
    aggregate: PhantomData<fn() -> A>,
}

impl<A: Answers<Q>, Q: Message> ServedQuery<A, Q> {
    pub(super) fn decode(
        codec: Codec,
        body: &[u8],
        head: ServedHead,
    ) -> Result<Box<dyn Question<A>>, CodecError> {
        Ok(Box::new(Self {
            head,
            query: codec.decode(body)?,
            codec,
            outcome: Outcome::None,
            aggregate: PhantomData,
        }))
    }
}

impl<A: Answers<Q>, Q: Message> Question<A> for ServedQuery<A, Q> {
    fn said(&self) -> &Said {
        &self.head.said
    }

    fn answer(&mut self, state: &A, cx: &AnswerCx<'_>) {
        self.outcome = match replied(state, &self.query, cx) {
            Ok(reply) => Outcome::of_reply(&self.codec.encode(&reply)),
            Err(panic) => Outcome::Failed(panic),
        };
    }

    fn finish(self: Box<Self>, answer: Answer) {
        let Self { head, outcome, .. } = *self;
        head.courier.served(answer, outcome);
    }
}

/// What an aggregate answers a query, or the text of its panic.
pub(super) fn replied<A: Answers<Q>, Q: Message>(
    state: &A,
    query: &Q,
    cx: &AnswerCx<'_>,
) -> Result<A::Reply, String> {
    caught(|| state.answer(query, cx)).map_err(|panic| format!("answer panicked: {panic}"))
}
