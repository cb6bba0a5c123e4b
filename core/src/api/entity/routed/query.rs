//! A query on its way.

use super::errors::NoAnswer;
use super::{Back, Ended, Head, Request, Wish};
use crate::api::contexts::Said;
use crate::api::entities::{Ask, Question};
use crate::api::entity::serve::replied;
use crate::api::entity::{Answer as Answers, ReadError, ReadReply, RouteError};
use crate::api::error::Whom;
use crate::api::load::load_error;
use crate::api::{AnswerCx, CodecError, LoadError, Message};
use crate::driver::What;
use crate::driver::cluster::{Returned, Wanted};
use crate::driver::host::Answer;
use crate::format::{Answered, Call};
use crate::log::{Freshness, Reply};
use std::marker::PhantomData;

/// A query that is to be answered.
pub(in crate::api::entity) struct QueryWish<A: Answers<Q>, Q: Message> {
    freshness: Freshness,
    query: Q,
    replied: Option<Result<A::Reply, String>>,
    aggregate: PhantomData<fn() -> A>,
}

impl<A: Answers<Q>, Q: Message> QueryWish<A, Q> {
    pub(in crate::api::entity) fn new(freshness: Freshness, query: Q) -> Self {
        Self {
            freshness,
            query,
            replied: None,
            aggregate: PhantomData,
        }
    }
}

impl<A: Answers<Q>, Q: Message> Wish for QueryWish<A, Q> {
    type Aggregate = A;

    fn begin(&mut self) {
        self.replied = None;
    }

    fn what(&self, _: &Said) -> What {
        let freshness = self.freshness;
        What::Question { freshness }
    }

    fn call<'a>(&self, head: &'a Head, said: &Said) -> Result<Call<'a>, CodecError> {
        let freshness = self.freshness;
        head.call(&self.query, Wanted::Query { freshness }, said)
    }

    fn ask(request: Box<Request<Self>>) -> Ask<A> {
        Ask::Question(request)
    }
}

impl<A: Answers<Q>, Q: Message> Question<A> for Request<QueryWish<A, Q>> {
    fn said(&self) -> &Said {
        &self.said
    }

    fn answer(&mut self, state: &A, cx: &AnswerCx<'_>) {
        self.wish.replied = Some(replied(state, &self.wish.query, cx));
    }

    fn finish(self: Box<Self>, answer: Answer) {
        self.ended(answer);
    }
}

/// What a query came to, for its caller.
#[allow(
    clippy::result_large_err,
    reason = "it is moved on at once, to who awaits it"
)]
pub(in crate::api::entity) fn query_result<A: Answers<Q>, Q: Message>(
    head: &Head,
    back: Back<QueryWish<A, Q>>,
) -> Result<ReadReply<A::Reply>, ReadError> {
    let replied = back.wish.and_then(|wish| wish.replied);
    let (answer, replied) = match back.ended {
        Ended::Here(answer) => (answer, replied),
        Ended::HandedOver => return Err(LoadError::Deadline.into()),
        Ended::There(Returned { answered, node, .. }) => match answered {
            Answered::Done {
                reply,
                version,
                freshness,
                ..
            } => {
                let reply = head.codec().decode(&reply).map_err(RouteError::Answer)?;
                let version = version.unwrap_or_default();
                let read = Reply::Read { version, freshness };
                (Answer::Reply(read), Some(Ok(reply)))
            }
            Answered::Rejected { .. } => {
                let cause = CodecError::new("a query was answered as a command is");
                return Err(RouteError::Answer(cause).into());
            }
            Answered::Refused(denial) => (no_answer(NoAnswer::denied(head, (denial, node)))?, None),
        },
        Ended::Unrouted(why) => (no_answer(NoAnswer::unrouted(head, why))?, None),
    };
    match (answer, replied) {
        (Answer::Reply(Reply::Read { version, freshness }), Some(replied)) => Ok(ReadReply {
            reply: replied.map_err(LoadError::Failed)?,
            version,
            freshness,
        }),
        (answer, _) => Err(load_error(answer, Whom::of(&head.entry, &head.entity)).into()),
    }
}

#[allow(
    clippy::result_large_err,
    reason = "it is moved on at once, to who awaits it"
)]
fn no_answer(why: NoAnswer) -> Result<Answer, ReadError> {
    match why {
        NoAnswer::As(answer) => Ok(answer),
        NoAnswer::Route(error) => Err(error.into()),
    }
}
