//! How an answer finds its way: to a caller of this node, who is told at once, or to the lane's
//! routing, which sends it to the lane that asked.

use super::actor::{ActorAsk, WatchAsk};
use super::call::Outcome;
use crate::api::CodecError;
use crate::driver::host::Answer;
use crate::driver::outbox::IntentAsk;
use crate::driver::request::EntityRequest;
use crate::format::{Answered, Call, Return};
use crate::id::Ticket;
use crate::log::{Refusal, Reply};
use crate::route::{self, Asked, Lost};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a caller of this node asks of whoever owns something; kept until it is answered, because it
/// may be sent more than once.
///
/// A caller that has gone away is told all the same, and the answer is discarded.
pub(crate) trait Routed: Send {
    /// As a request to this lane. What it comes to is told with the courier.
    fn here(self: Box<Self>, courier: Courier) -> Local;

    /// As a request to another lane.
    fn call(&self) -> Result<Call<'_>, CodecError>;

    /// Tells the caller what came back.
    fn returned(self: Box<Self>, answer: Return<'_>);

    /// Tells a caller who waits for no answer that its request is on its way.
    fn handed_over(self: Box<Self>);

    /// Tells the caller that there is no answer.
    fn unrouted(self: Box<Self>, why: Unrouted);

    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;

    /// Whether a node whose handles are dropped answers it before it ends.
    fn is_work(&self) -> bool {
        true
    }
}

/// A request that runs on this lane.
pub(crate) enum Local {
    /// For an entity.
    Entity(EntityRequest),
    /// For an actor.
    Actor(ActorAsk),
    /// For the end of an actor.
    Watch(WatchAsk),
    /// For what this node says of itself.
    Info(Box<dyn Routed>),
    /// It ended already, and its sender was told.
    Nothing,
}

/// Why a caller gets no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unrouted {
    /// Routing found no way, or lost it.
    Route(route::Refusal),
    /// The message cannot be encoded, or is too large to be sent; nothing happened.
    Unencodable(CodecError),
    /// The machine that routes halted before it was sent; nothing happened.
    Halted(String),
    /// The node stopped before it was sent; nothing happened.
    Stopped,
    /// The node stopped, or its routing halted, after it was sent.
    Cut,
}

/// Where the answer to one request goes.
#[derive(Clone)]
pub(crate) enum Courier {
    /// To its caller: nothing routes on this node.
    Alone,
    /// To its caller, or on to another lane.
    Caller(Asked, Arc<Tray>),
    /// To another lane, under the router's ticket.
    Lane(Ticket, Arc<Tray>),
    /// To the log that sent the message, or on to another lane where something routes.
    Intent(IntentAsk, Option<(Asked, Arc<Tray>)>),
}

/// What a request came to, for the lane's routing.
pub(crate) enum Carried {
    /// This node does not own what a caller of it asked for: it is routed on.
    Back(Asked, Box<dyn Routed>),
    /// This node does not own what another lane asked for, or stops and has not begun it.
    NotServed(Ticket),
    /// The answer for another lane.
    Answered(Ticket, Answered),
}

impl Courier {
    /// A request of another lane ended so.
    pub(crate) fn served(self, answer: Answer, outcome: Outcome) {
        let (ticket, tray) = match self {
            Self::Lane(ticket, tray) => (ticket, tray),
            Self::Intent(ask, way) => return served_intent(ask, way, answer, outcome),
            Self::Alone | Self::Caller(..) => {
                debug_assert!(false, "only another lane's request is served");
                return;
            }
        };
        tray.put(match &answer {
            Answer::Reply(Reply::Refused(Refusal::NotOwner)) | Answer::Stopped => {
                Carried::NotServed(ticket)
            }
            Answer::Reply(_)
            | Answer::Halted(_)
            | Answer::Refused(_)
            | Answer::Unusable(_)
            | Answer::Cut => Carried::Answered(ticket, outcome.answered(answer)),
        });
    }

    /// The same way for a message that a log sent.
    pub(crate) fn of_intent(self, ask: IntentAsk) -> Self {
        match self {
            Self::Caller(asked, tray) => Self::Intent(ask, Some((asked, tray))),
            Self::Alone | Self::Lane(..) | Self::Intent(..) => Self::Intent(ask, None),
        }
    }

    /// A request of a caller of this node ended so. It comes back when its caller is to be told;
    /// otherwise it is routed on.
    pub(crate) fn ended<R: Routed + 'static>(
        self,
        answer: &Answer,
        request: Box<R>,
    ) -> Option<Box<R>> {
        match (self, answer) {
            (Self::Caller(asked, tray), Answer::Reply(Reply::Refused(Refusal::NotOwner))) => {
                tray.put(Carried::Back(asked, request));
                None
            }
            // An earlier attempt may have run elsewhere, or still come to: that this one stored nothing
            // is not the whole truth.
            (Self::Caller(Asked { doubt, .. }, _), answer)
                if doubt.is_some() && !settles(answer) =>
            {
                let lost = doubt.unwrap_or(Lost::Deadline);
                request.unrouted(Unrouted::Route(route::Refusal::Unknown(lost)));
                None
            }
            (Self::Caller(..) | Self::Alone | Self::Lane(..) | Self::Intent(..), _) => {
                Some(request)
            }
        }
    }
}

/// A message that a log sent ran on this lane, or is routed on.
fn served_intent(
    ask: IntentAsk,
    way: Option<(Asked, Arc<Tray>)>,
    answer: Answer,
    outcome: Outcome,
) {
    match (way, &answer) {
        (Some((asked, tray)), Answer::Reply(Reply::Refused(Refusal::NotOwner))) => {
            tray.put(Carried::Back(asked, Box::new(ask)));
        }
        // That another attempt may still come to its entity does no harm: it has the same id. That this
        // one stored nothing is its receiver's answer all the same.
        (Some(_) | None, _) => ask.ended(answer, outcome),
    }
}

/// Whether an answer says of every attempt of a request what became of it: it took effect, or nobody
/// knows.
fn settles(answer: &Answer) -> bool {
    match answer {
        Answer::Reply(Reply::Committed { .. } | Reply::Found { .. } | Reply::Read { .. })
        | Answer::Halted(_)
        | Answer::Cut => true,
        Answer::Reply(Reply::Nothing { .. } | Reply::Refused(_))
        | Answer::Refused(_)
        | Answer::Unusable(_)
        | Answer::Stopped => false,
    }
}

impl fmt::Debug for Courier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alone => f.write_str("Alone"),
            Self::Caller(asked, _) => f.debug_tuple("Caller").field(&asked.ticket).finish(),
            Self::Lane(ticket, _) => f.debug_tuple("Lane").field(ticket).finish(),
            Self::Intent(..) => f.write_str("Intent"),
        }
    }
}

/// What requests of one lane came to, until its routing takes it in.
#[derive(Default)]
pub(crate) struct Tray(Mutex<Vec<Carried>>);

impl Tray {
    /// Moves all to an empty list.
    pub(crate) fn take(&self, empty: &mut Vec<Carried>) {
        debug_assert!(empty.is_empty());
        std::mem::swap(&mut *self.carried(), empty);
    }

    fn put(&self, carried: Carried) {
        self.carried().push(carried);
    }

    fn carried(&self) -> MutexGuard<'_, Vec<Carried>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
