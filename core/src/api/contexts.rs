//! What decisions and answers may know beside the state and the message.

use super::metadata::EMPTY;
use crate::format::{Metadata, TraceContext};
use crate::id::{CommandId, Epoch, ShardId, Version, WallTime};
use crate::name::{EntityId, KindName, Namespace};
use crate::step::Span;
use std::sync::Arc;

/// Where a command or a query meets its entity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) namespace: &'a Namespace,
    pub(crate) kind: &'a KindName,
    pub(crate) entity: &'a EntityId,
    pub(crate) version: Version,
    pub(crate) node: &'a str,
    pub(crate) shard: ShardId,
    pub(crate) epoch: Option<Epoch>,
}

/// What a caller says of its request beside its content.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// When it arrived, on this node's wall clock.
    pub(crate) time: WallTime,
    /// When its caller gives up, on this node's wall clock.
    pub(crate) deadline: Option<WallTime>,
    pub(crate) metadata: Option<Arc<Metadata>>,
}

impl Said {
    /// Of a caller who waits for so long still, if somebody waits.
    pub(crate) fn new(
        time: WallTime,
        left: impl Into<Option<Span>>,
        metadata: Option<Arc<Metadata>>,
    ) -> Self {
        let until = |left: Span| WallTime(time.0.saturating_add(left.as_millis()));
        Self {
            time,
            deadline: left.into().map(until),
            metadata,
        }
    }

    pub(crate) fn metadata(&self) -> &Metadata {
        self.metadata.as_deref().unwrap_or(&EMPTY)
    }
}

/// What a decision may know beside the state and the command.
///
/// ```
/// # use tenure_core::api::*;
/// # #[derive(Clone, Default)] struct Audited;
/// # #[derive(Debug, tenure_macros::Event)] #[event(crate = "tenure_core::api")]
/// # enum Audit { #[event(name = "noted", version = 1)] Noted { by: String, on: String, at_ms: u64 } }
/// # impl Aggregate for Audited {
/// #     type Event = Audit;
/// #     const KIND: &'static str = "audited";
/// #     fn evolve(&mut self, _: &Audit) {}
/// # }
/// # #[derive(serde::Serialize, serde::Deserialize, tenure_macros::Message)]
/// # #[message(name = "note", version = 1, crate = "tenure_core::api")]
/// # struct Note;
/// impl Decide<Note> for Audited {
///     type Reply = ();
///     type Error = Never;
///
///     fn decide(&self, _: &Note, cx: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
///         Ok(Decision::event(Audit::Noted {
///             by: cx.header("user").unwrap_or("nobody").to_owned(),
///             on: format!("{} in {:?}", cx.node(), cx.shard()),
///             at_ms: cx.time().0,
///         }))
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct DecideCx<'a> {
    pub(crate) scene: Scene<'a>,
    pub(crate) said: &'a Said,
    pub(crate) command: CommandId,
}

/// What an answer may know beside the state and the query.
#[derive(Clone, Copy, Debug)]
pub struct AnswerCx<'a> {
    pub(crate) scene: Scene<'a>,
    pub(crate) said: &'a Said,
}

/// What both contexts tell, in one place.
macro_rules! tells_its_scene {
    ($cx:ident, $message:literal) => {
        impl<'a> $cx<'a> {
            /// The namespace.
            pub fn namespace(&self) -> &'a Namespace {
                self.scene.namespace
            }

            /// The kind of the entity.
            pub fn kind(&self) -> &'a KindName {
                self.scene.kind
            }

            /// The entity's id.
            pub fn id(&self) -> &'a str {
                self.scene.entity.as_str()
            }

            /// The name of the node that this runs on.
            pub fn node(&self) -> &'a str {
                self.scene.node
            }

            /// The shard that the entity is in.
            pub fn shard(&self) -> ShardId {
                self.scene.shard
            }

            /// The epoch under which this node owns that shard; `None` in direct mode, where nobody
            /// does.
            pub fn epoch(&self) -> Option<Epoch> {
                self.scene.epoch
            }

            #[doc = concat!("When the ", $message, " arrived, on this node's wall clock; the same \
                when it runs again.")]
            pub fn time(&self) -> WallTime {
                self.said.time
            }

            /// When the caller gives up, on this node's wall clock; `None` when nobody waits, as for a
            /// reminder.
            pub fn deadline(&self) -> Option<WallTime> {
                self.said.deadline
            }

            #[doc = concat!("What the ", $message, " says of itself beside its content: correlation, \
                causation, trace context and headers; empty when it says nothing.")]
            pub fn metadata(&self) -> &'a Metadata {
                self.said.metadata()
            }

            /// A header of its [metadata](Self::metadata).
            pub fn header(&self, name: &str) -> Option<&'a str> {
                self.said.metadata().header_value(name)
            }

            /// The W3C trace context of its [metadata](Self::metadata).
            pub fn trace(&self) -> Option<&'a TraceContext> {
                self.said.metadata().trace()
            }
        }
    };
}

tells_its_scene!(DecideCx, "command");
tells_its_scene!(AnswerCx, "query");

impl DecideCx<'_> {
    /// The entity's version before the command; [`Version::ABSENT`] when it does not exist.
    pub fn version(&self) -> Version {
        self.scene.version
    }

    /// The command's id.
    pub fn command(&self) -> CommandId {
        self.command
    }
}

impl AnswerCx<'_> {
    /// The version of the state; [`Version::ABSENT`] when the entity does not exist.
    pub fn version(&self) -> Version {
        self.scene.version
    }
}
