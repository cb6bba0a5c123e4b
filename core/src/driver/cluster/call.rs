//! What crosses from lane to lane, before and after it is bytes.

use crate::actor::Trail;
use crate::api::CodecError;
use crate::driver::actors::host::ActorEntry;
use crate::driver::host::Answer;
use crate::format::{Answered, Codec, Denial, Metadata, Return};
use crate::id::{CommandId, Epoch, WallTime};
use crate::log::{Expected, Freshness, Refusal, Reply};
use crate::name::{EntityId, KindName};
use crate::shard::Place;
use crate::step::{Span, Time};
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::Arc;

/// What is asked of an entity on another lane.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    pub(crate) place: Place,
    pub(crate) kind: KindName,
    pub(crate) entity: EntityId,
    /// The message's stable name, and the version of its type.
    pub(crate) message: (Cow<'static, str>, u16),
    pub(crate) codec: Codec,
    pub(crate) wanted: Wanted,
    pub(crate) metadata: Option<Arc<Metadata>>,
    /// The message, encoded in the kind's codec.
    pub(crate) body: Bytes,
}

/// What is told an actor on another lane.
#[derive(Clone, Debug)]
pub(crate) struct AskingActor {
    /// Where its sender takes it to be; `None` for what belongs to the node.
    pub(crate) place: Option<Place>,
    /// The kind, as this process knows it, or its name.
    pub(crate) kind: Result<Arc<ActorEntry>, KindName>,
    pub(crate) key: EntityId,
    /// The message's stable name, and the version of its type.
    pub(crate) message: (Cow<'static, str>, u16),
    pub(crate) metadata: Option<Arc<Metadata>>,
    /// Who waits for its answer.
    pub(crate) trail: Trail,
    /// The message, encoded in the kind's codec.
    pub(crate) body: Bytes,
}

/// What is wanted of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Command { id: CommandId, expected: Expected },
    Query { freshness: Freshness },
}

/// What another lane asked of an entity, as it arrived here.
pub(crate) struct Incoming {
    pub(crate) asking: Asking,
    /// When it arrived, on this node's wall clock.
    pub(crate) wall: WallTime,
    pub(crate) deadline: Time,
    /// How long its caller waits still; `None` when there is none.
    pub(crate) left: Option<Span>,
}

/// What came of a request on another lane.
#[derive(Clone, Debug)]
pub(crate) struct Returned {
    pub(crate) answered: Answered,
    /// The name of the node that served it.
    pub(crate) node: String,
    /// The epoch under which it was served.
    pub(crate) epoch: Option<Epoch>,
}

impl From<Return<'_>> for Returned {
    fn from(answer: Return<'_>) -> Self {
        Self {
            answered: answer.answered,
            node: answer.node.to_owned(),
            epoch: answer.epoch,
        }
    }
}

/// What the user's code said, encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing.
    #[default]
    None,
    /// The reply.
    Reply(Bytes),
    /// The domain's no.
    Error(Bytes),
    /// It panicked, or what it said cannot be encoded; nothing was stored.
    Failed(String),
}

impl Outcome {
    pub(crate) fn of_reply(encoded: &Result<Bytes, CodecError>) -> Self {
        match encoded {
            Ok(bytes) => Self::Reply(bytes.clone()),
            Err(cause) => Self::Failed(format!("the reply cannot be encoded: {cause}")),
        }
    }

    pub(crate) fn of_error(encoded: Result<Bytes, CodecError>) -> Self {
        match encoded {
            Ok(bytes) => Self::Error(bytes),
            Err(cause) => Self::Failed(format!("the error cannot be encoded: {cause}")),
        }
    }

    /// What crosses the wire of an answer of this node's log, with what the user's code said.
    pub(crate) fn answered(self, answer: Answer) -> Answered {
        let refused = |refusal| Answered::Refused(Denial::Log(refusal));
        match (answer, self) {
            (Answer::Reply(Reply::Committed { version, sequence }), Self::Reply(reply)) => {
                Answered::Done {
                    reply,
                    version: Some(version),
                    sequence: Some(sequence),
                    found: false,
                    freshness: Freshness::Linearizable,
                }
            }
            (
                Answer::Reply(
                    Reply::Nothing { version, freshness } | Reply::Read { version, freshness },
                ),
                Self::Reply(reply),
            ) => Answered::Done {
                reply,
                version: Some(version),
                sequence: None,
                found: false,
                freshness,
            },
            (Answer::Reply(Reply::Found { version, outcome }), _) => Answered::Done {
                reply: outcome,
                version: Some(version),
                sequence: None,
                found: true,
                freshness: Freshness::Linearizable,
            },
            (Answer::Reply(Reply::Nothing { version, .. }), Self::Error(error)) => {
                Answered::Rejected {
                    error,
                    version: Some(version),
                }
            }
            (Answer::Reply(Reply::Nothing { .. } | Reply::Read { .. }), Self::Failed(cause)) => {
                refused(Refusal::Failed(cause))
            }
            (Answer::Reply(Reply::Refused(refusal)), _) => refused(refusal),
            (Answer::Refused(reason), _) => Answered::Refused(Denial::Halted { reason }),
            (Answer::Unusable(error), _) => Answered::Refused(Denial::Unusable {
                cause: error.to_string(),
            }),
            (Answer::Stopped, _) => Answered::Refused(Denial::Stopping),
            // It may have happened.
            (Answer::Halted(_) | Answer::Cut, _)
            | (
                Answer::Reply(Reply::Committed { .. } | Reply::Nothing { .. } | Reply::Read { .. }),
                _,
            ) => refused(Refusal::Unknown),
        }
    }
}
