//! A command on its way.

use super::errors::NoAnswer;
use super::{Back, Ended, Head, Request, Wish};
use crate::api::call::{Aim, Receipt, conclude};
use crate::api::contexts::Said;
use crate::api::entities::{Ask, Draft, Job};
use crate::api::entity::{AskError, RouteError};
use crate::api::{CodecError, Decide, DecideCx, ExecuteError, Message};
use crate::driver::What;
use crate::driver::cluster::{Returned, Wanted};
use crate::driver::host::Answer;
use crate::format::{Answered, Call, Codec, Denial};
use crate::id::{CommandId, WallTime};
use crate::log::{Expected, Freshness, Refusal, Reply};

/// What an aggregate decided of a command, for its caller.
type Decided<A, C> = Result<<A as Decide<C>>::Reply, <A as Decide<C>>::Error>;

/// What was answered, and what was decided, as far as it came along.
type Told<A, C> = (Answer, Option<Decided<A, C>>);

/// A command that is to take effect.
pub(in crate::api::entity) struct CommandWish<A: Decide<C>, C: Message> {
    id: CommandId,
    expected: Expected,
    command: C,
    decided: Option<Decided<A, C>>,
}

impl<A: Decide<C>, C: Message> CommandWish<A, C> {
    pub(in crate::api::entity) fn new(id: CommandId, expected: Expected, command: C) -> Self {
        Self {
            id,
            expected,
            command,
            decided: None,
        }
    }

    /// The command, to be asked again under another id.
    pub(in crate::api::entity) fn into_command(self) -> C {
        self.command
    }
}

impl<A: Decide<C>, C: Message> Wish for CommandWish<A, C> {
    type Aggregate = A;

    fn begin(&mut self) {
        self.decided = None;
    }

    fn what(&self, said: &Said) -> What {
        What::Command {
            id: Some(self.id),
            expected: self.expected,
            metadata: said.metadata.clone(),
            wall: said.time,
        }
    }

    fn call<'a>(&self, head: &'a Head, said: &Said) -> Result<Call<'a>, CodecError> {
        let (id, expected) = (self.id, self.expected);
        head.call(&self.command, Wanted::Command { id, expected }, said)
    }

    fn ask(request: Box<Request<Self>>) -> Ask<A> {
        Ask::Job(request)
    }
}

impl<A: Decide<C>, C: Message> Job<A> for Request<CommandWish<A, C>> {
    fn id(&self) -> CommandId {
        self.wish.id
    }

    fn said(&self) -> &Said {
        &self.said
    }

    fn decide(&mut self, state: &A, cx: &DecideCx<'_>, codec: Codec) -> Draft<A> {
        let (draft, decided) = Draft::of(state.decide(&self.wish.command, cx), codec);
        self.wish.decided = Some(decided);
        draft
    }

    fn finish(self: Box<Self>, answer: Answer) {
        self.ended(answer);
    }
}

/// What a command came to, for its caller.
pub(in crate::api::entity) fn command_result<A: Decide<C>, C: Message>(
    head: &Head,
    aim: &Aim<'_>,
    id: CommandId,
    back: Back<CommandWish<A, C>>,
) -> Result<Receipt<A::Reply>, AskError<A::Error>> {
    let decided = back.wish.and_then(|wish| wish.decided);
    let (answer, decided) = match back.ended {
        Ended::Here(answer) => (answer, decided),
        Ended::HandedOver => return Err(ExecuteError::Unknown { id }.into()),
        Ended::There(Returned { answered, node, .. }) => there::<A, C>(head, id, (answered, node))?,
        Ended::Unrouted(why) => (no_answer(NoAnswer::unrouted(head, why))?, None),
    };
    Ok(conclude(aim, id, answer, decided)?)
}

fn no_answer<E>(why: NoAnswer) -> Result<Answer, AskError<E>> {
    match why {
        NoAnswer::As(answer) => Ok(answer),
        // As of a commit that the store does not take.
        NoAnswer::Route(RouteError::TooLarge { bytes, bytes_max }) => {
            Err(ExecuteError::TooLarge { bytes, bytes_max }.into())
        }
        NoAnswer::Route(error) => Err(error.into()),
    }
}

/// What another lane answered, as if this one had.
fn there<A: Decide<C>, C: Message>(
    head: &Head,
    id: CommandId,
    (answered, node): (Answered, String),
) -> Result<Told<A, C>, AskError<A::Error>> {
    Ok(match answered {
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
            freshness,
        } => {
            let version = version.unwrap_or_default();
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
        Answered::Refused(denial) => (no_answer(NoAnswer::denied(head, (denial, node)))?, None),
    })
}

/// The time up to which ids are refused, when a command was refused for that.
pub(in crate::api::entity) fn expired(ended: &Ended) -> Option<WallTime> {
    match ended {
        Ended::Here(Answer::Reply(Reply::Refused(Refusal::Expired { horizon })))
        | Ended::There(Returned {
            answered: Answered::Refused(Denial::Log(Refusal::Expired { horizon })),
            ..
        }) => Some(*horizon),
        Ended::Here(_) | Ended::There(_) | Ended::Unrouted(_) | Ended::HandedOver => None,
    }
}
