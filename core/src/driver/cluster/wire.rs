//! Between what a lane asks or is asked, and the formats of calls.

use super::Registry;
use super::call::{Asking, AskingActor, Wanted as EntityWants};
use crate::driver::actors::wire::{chain_of, trail_of};
use crate::format::{Call, CallTarget, Denial};
use crate::id::Incarnation;
use crate::log::Freshness;
use crate::name::{EntityId, KindName, NameError};
use crate::route::Target;
use crate::shard::Place;
use bytes::Bytes;

/// What another lane wants.
pub(crate) enum Wanted {
    /// Something of an entity.
    Entity(Asking),
    /// Something of an actor.
    Actor(AskingActor),
    /// What this node says of itself.
    Info,
}

/// What is asked of another lane.
#[derive(Clone, Debug)]
pub(crate) enum Wire {
    /// Something of an entity.
    Entity(Asking),
    /// Something of an actor.
    Actor(AskingActor),
    /// What a node, or the owner of a shard, says of itself.
    Info(Option<Place>),
}

impl Wire {
    /// As it crosses the wire.
    pub(crate) fn call(&self) -> Call<'_> {
        match self {
            Self::Entity(asking) => asking.call(),
            Self::Actor(asking) => asking.call(),
            Self::Info(place) => {
                let target = place.map_or(CallTarget::Node, CallTarget::Shard);
                let mut call = Call::new(target, INFO.0, INFO.1, Bytes::new());
                call.freshness = Some(Freshness::Local);
                call
            }
        }
    }
}

/// The name of the message that asks a node, or the owner of a shard, about itself.
const INFO: (&str, u16) = ("tenure.info", 1);

impl Asking {
    /// As it crosses the wire.
    fn call(&self) -> Call<'_> {
        let target = CallTarget::Entity {
            place: self.place,
            kind: self.kind.as_str(),
            id: self.entity.as_str(),
        };
        let (message, schema) = &self.message;
        let mut call = Call::new(target, message, *schema, self.body.clone());
        call.codec = self.codec;
        call.metadata = self.metadata.clone();
        match self.wanted {
            EntityWants::Command { id, expected } => {
                call.id = Some(id);
                call.expected = expected;
            }
            EntityWants::Query { freshness } => call.freshness = Some(freshness),
        }
        call
    }
}

impl AskingActor {
    fn call(&self) -> Call<'_> {
        let (kind, key) = (self.kind.as_str(), self.key.as_str());
        let target = match self.place {
            Some(place) => CallTarget::Actor { place, kind, key },
            None => CallTarget::Resident { kind, key },
        };
        let (message, schema) = &self.message;
        let mut call = Call::new(target, message, *schema, self.body.clone());
        call.codec = self.codec;
        call.metadata = self.metadata.clone();
        call.chain = chain_of(&self.trail);
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
            // The name of a kind that is served was checked before.
            let served = registry.actors.get_key_value(kind);
            let served = served.map(|(name, _)| Ok(name.clone()));
            let kind = served.unwrap_or_else(|| KindName::new(kind));
            Ok(Wanted::Actor(AskingActor {
                place: call.target.place(),
                kind: kind.map_err(undecodable)?,
                key: EntityId::new(key).map_err(undecodable)?,
                message: (message.to_owned().into(), schema),
                codec: call.codec,
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
