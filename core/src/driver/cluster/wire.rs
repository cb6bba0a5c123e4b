//! Between what a lane asks or is asked, and the formats of calls.

use super::Registry;
use super::call::{Asking, AskingActor, Wanted as EntityWants};
use crate::driver::actors::wire::trail_of;
use crate::format::{Call, CallTarget, Denial};
use crate::id::Incarnation;
use crate::log::Freshness;
use crate::name::{EntityId, KindName, NameError};
use crate::route::Target;
use crate::shard::Place;
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::Arc;

/// What another lane wants.
pub(crate) enum Wanted {
    /// Something of an entity.
    Entity(Asking),
    /// Something of an actor.
    Actor(AskingActor),
    /// What this node says of itself.
    Info,
}

/// The name of the message that asks a node, or the owner of a shard, about itself.
const INFO: (&str, u16) = ("tenure.info", 1);

/// Asks a node, or the owner of a shard, about itself.
pub(crate) fn info_call(place: Option<Place>) -> Call<'static> {
    let target = place.map_or(CallTarget::Node, CallTarget::Shard);
    let mut call = Call::new(target, INFO.0, INFO.1, Bytes::new());
    call.freshness = Some(Freshness::Local);
    call
}

impl EntityWants {
    /// A call says that this is wanted.
    pub(crate) fn say(self, call: &mut Call<'_>) {
        match self {
            Self::Command { id, expected } => {
                call.id = Some(id);
                call.expected = expected;
            }
            Self::Query { freshness } => call.freshness = Some(freshness),
        }
    }
}

impl Asking {
    /// As it crosses the wire.
    pub(crate) fn call(&self) -> Call<'_> {
        let target = CallTarget::Entity {
            place: self.place,
            kind: self.kind.as_str(),
            id: self.entity.as_str(),
        };
        let (message, schema) = &self.message;
        let mut call = Call::new(target, message, *schema, self.body.clone());
        call.codec = self.codec;
        call.metadata = self.metadata.clone();
        self.wanted.say(&mut call);
        call
    }
}

/// Whom a call is for.
pub(crate) fn target(call: &Call<'_>, here: Incarnation) -> Target {
    call.target
        .place()
        .map_or(Target::Node(here), Target::Place)
}

/// What a call wants here.
///
/// # Errors
///
/// What to answer when this program cannot say.
pub(crate) fn wanted(call: Call<'_>, registry: &Registry) -> Result<Wanted, Denial> {
    let (message, schema) = (call.message, call.schema);
    let unknown = |kind: &str| Denial::UnknownMessage {
        kind: kind.to_owned(),
        message: message.to_owned(),
        schema,
    };
    match call.target {
        CallTarget::Entity { place, kind, id } => {
            let undecodable = |cause: NameError| Denial::Undecodable {
                what: "the request".to_owned(),
                cause: cause.to_string(),
            };
            let wanted = match (call.id, call.freshness) {
                (_, Some(freshness)) => EntityWants::Query { freshness },
                (Some(id), None) => EntityWants::Command {
                    id,
                    expected: call.expected,
                },
                (None, None) => {
                    return Err(Denial::Undecodable {
                        what: "the request".to_owned(),
                        cause: "a command has an id, a query a freshness; it has neither"
                            .to_owned(),
                    });
                }
            };
            Ok(Wanted::Entity(Asking {
                place,
                kind: KindName::new(kind).map_err(undecodable)?,
                entity: EntityId::new(id).map_err(undecodable)?,
                message: (message.to_owned().into(), schema),
                codec: call.codec,
                wanted,
                metadata: call.metadata,
                body: call.body,
            }))
        }
        CallTarget::Actor { kind, key, .. } | CallTarget::Resident { kind, key } => {
            let undecodable = |cause: NameError| Denial::Undecodable {
                what: "the request".to_owned(),
                cause: cause.to_string(),
            };
            // The names of a kind that is served, and of its messages, were checked before.
            let served = registry.actors.get(kind);
            let message = served.and_then(|entry| entry.message(message));
            let message = message.map_or_else(|| call.message.to_owned().into(), Cow::Borrowed);
            let kind = match served {
                Some(entry) => Ok(Arc::clone(entry)),
                None => Err(KindName::new(kind).map_err(undecodable)?),
            };
            Ok(Wanted::Actor(AskingActor {
                place: call.target.place(),
                kind,
                key: EntityId::new(key).map_err(undecodable)?,
                message: (message, schema),
                metadata: call.metadata,
                trail: trail_of(&call.chain),
                body: call.body,
            }))
        }
        CallTarget::Node | CallTarget::Shard(_) if (message, schema) == INFO => Ok(Wanted::Info),
        CallTarget::Node => Err(unknown("node")),
        CallTarget::Shard(_) => Err(unknown("shard")),
    }
}
