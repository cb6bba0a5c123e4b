//! Messages for actors on their way: from a caller of this node, and from another lane.

use super::courier::{Courier, Local, Routed, Unrouted};
use crate::api::CodecError;
use crate::driver::actors::host::{
    ActorAnswer, ActorEntry, ActorRequest, Content, NotUnderstood, WatchRequest,
};
use crate::driver::actors::wire::{WATCH, chain_of, watch_body};
use crate::format::{Call, CallTarget, Layout, Return, TakeOver};
use crate::id::Ticket;
use crate::name::EntityId;
use crate::route::{Asked, Repeat, Target};
use crate::shard::Place;
use std::fmt;

/// A message of a caller of this node.
pub(crate) struct ActorAsk {
    pub(crate) target: Target,
    pub(crate) request: ActorRequest,
}

/// The place of a key.
pub(crate) fn place_of(layout: &Layout, kind: &ActorEntry, key: &EntityId) -> Place {
    Place {
        class: TakeOver::Leased,
        shard: layout.shard_of(kind.placement, key),
    }
}

/// The place of a target; `None` for what belongs to a node.
pub(crate) fn place_in(target: Target) -> Option<Place> {
    match target {
        Target::Place(place) => Some(place),
        Target::Node(_) => None,
    }
}

/// Whom a call of an actor is for.
fn called<'a>(target: Target, kind: &'a ActorEntry, key: &'a EntityId) -> CallTarget<'a> {
    let (kind, key) = (kind.name().as_str(), key.as_str());
    match place_in(target) {
        Some(place) => CallTarget::Actor { place, kind, key },
        None => CallTarget::Resident { kind, key },
    }
}

impl ActorAsk {
    /// How it is asked of routing.
    pub(crate) fn asked(&self, ticket: Ticket) -> Asked {
        Asked {
            ticket,
            target: self.target,
            key: super::order_key(self.request.kind.name(), &self.request.key),
            deadline: self.request.deadline,
            // What a handler did is nowhere to be found again.
            repeat: Repeat::Never,
            answered: self.request.answered,
            doubt: None,
        }
    }

    fn tell(self, answer: ActorAnswer) {
        self.request.caller.tell(answer);
    }
}

impl Routed for ActorAsk {
    fn here(self: Box<Self>, _: Courier) -> Local {
        Local::Actor(*self)
    }

    fn call(&self) -> Result<Call<'_>, CodecError> {
        let ActorRequest {
            kind, key, mail, ..
        } = &self.request;
        let (message, version, body) = mail.encode(kind.codec)?;
        let target = called(self.target, kind, key);
        let mut call = Call::new(target, message, version, body);
        call.codec = kind.codec;
        call.metadata = mail.metadata.clone();
        call.chain = chain_of(&mail.trail);
        Ok(call)
    }

    fn returned(self: Box<Self>, answer: Return<'_>) {
        let answer = if self.request.answered {
            ActorAnswer::of_message(answer, self.request.caller.wants_node())
        } else {
            ActorAnswer::of_tell(answer.into())
        };
        self.tell(answer);
    }

    fn handed_over(self: Box<Self>) {
        self.tell(ActorAnswer::Taken);
    }

    fn unrouted(self: Box<Self>, why: Unrouted) {
        let name = match &self.request.mail.content {
            Content::Typed(message) => message.name().to_owned(),
            Content::Wire { name, .. } => name.clone().into_owned(),
        };
        self.tell(match why {
            Unrouted::Route(refusal) => ActorAnswer::Unrouted(refusal),
            Unrouted::Unencodable(cause) => {
                ActorAnswer::NotUnderstood(NotUnderstood::Undecodable { name, cause })
            }
            Unrouted::Halted(reason) => ActorAnswer::Halted(reason),
            Unrouted::Stopped => ActorAnswer::Stopped,
            Unrouted::Cut => ActorAnswer::Cut,
        });
    }

    fn is_abandoned(&self) -> bool {
        self.request.caller.has_left()
    }
}

/// A wish of an actor of this node to be told when another one ends.
pub(crate) struct WatchAsk {
    pub(crate) target: Target,
    pub(crate) request: WatchRequest,
}

impl WatchAsk {
    /// How it is asked of routing.
    pub(crate) fn asked(&self, ticket: Ticket) -> Asked {
        Asked {
            ticket,
            target: self.target,
            key: super::order_key(self.request.kind.name(), &self.request.key),
            deadline: self.request.deadline,
            // At another node it would meet another life of the actor.
            repeat: Repeat::Never,
            answered: true,
            doubt: None,
        }
    }
}

impl Routed for WatchAsk {
    fn here(self: Box<Self>, _: Courier) -> Local {
        Local::Watch(*self)
    }

    fn call(&self) -> Result<Call<'_>, CodecError> {
        let WatchRequest { kind, key, of, .. } = &self.request;
        let target = called(self.target, kind, key);
        let (version, body) = watch_body(*of, kind.codec)?;
        let mut call = Call::new(target, WATCH, version, body);
        call.codec = kind.codec;
        Ok(call)
    }

    fn returned(self: Box<Self>, answer: Return<'_>) {
        let WatchRequest { kind, caller, .. } = self.request;
        caller.tell(ActorAnswer::of_watch(answer.into(), kind.codec));
    }

    fn handed_over(self: Box<Self>) {
        self.request.caller.tell(ActorAnswer::Cut);
    }

    fn unrouted(self: Box<Self>, why: Unrouted) {
        self.request.caller.tell(match why {
            Unrouted::Route(refusal) => ActorAnswer::Unrouted(refusal),
            Unrouted::Unencodable(cause) => {
                let name = WATCH.to_owned();
                ActorAnswer::NotUnderstood(NotUnderstood::Undecodable { name, cause })
            }
            Unrouted::Halted(reason) => ActorAnswer::Halted(reason),
            Unrouted::Stopped => ActorAnswer::Stopped,
            Unrouted::Cut => ActorAnswer::Cut,
        });
    }

    fn is_abandoned(&self) -> bool {
        false
    }

    // It waits for an end that may never come.
    fn is_work(&self) -> bool {
        false
    }
}

impl fmt::Debug for ActorAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorAsk")
            .field("target", &self.target)
            .field("key", &self.request.key)
            .finish_non_exhaustive()
    }
}
