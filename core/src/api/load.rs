//! Questions to an entity's state.

use super::contexts::Said;
use super::entities::{Ask, Question};
use super::error::Whom;
use super::{Aggregate, AnswerCx, KindHandle, LoadError};
use crate::driver::host::{Answer, caught};
use crate::driver::{EntityRequest, What};
use crate::id::Version;
use crate::log::{Freshness, Refusal, Reply};
use crate::name::EntityId;
use crate::step::Span;
use tokio::sync::oneshot;

/// An entity's state at a version.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loaded<A> {
    /// The state.
    pub state: A,
    /// The version of the last event in it; [`Version::ABSENT`] when there is none.
    pub version: Version,
}

/// What a question came to, or the text of the panic of user code in it.
type Read<T> = Result<T, String>;

struct Reading<F, T> {
    said: Said,
    read: Option<F>,
    result: Option<Read<T>>,
    done: oneshot::Sender<(Answer, Option<Read<T>>)>,
}

impl<A, F, T> Question<A> for Reading<F, T>
where
    A: Aggregate,
    F: FnOnce(&A, Version) -> T + Send + 'static,
    T: Send + 'static,
{
    fn said(&self) -> &Said {
        &self.said
    }

    fn answer(&mut self, state: &A, cx: &AnswerCx<'_>) {
        let read = self.read.take();
        // Reading may clone the state, which is the user's code.
        self.result = read.map(|read| caught(|| read(state, cx.version())));
    }

    fn finish(self: Box<Self>, answer: Answer) {
        // A caller that went away needs no answer.
        let _ = self.done.send((answer, self.result));
    }
}

/// Asks a question of the latest committed state.
pub(crate) async fn read<A, F, T>(
    kind: &KindHandle<A>,
    entity: EntityId,
    timeout: Span,
    read: F,
) -> Result<T, LoadError>
where
    A: Aggregate,
    F: FnOnce(&A, Version) -> T + Send + 'static,
    T: Send + 'static,
{
    let handle = &kind.tenure.inner.handle;
    let deadline = handle.now() + timeout;
    let (done, answered) = oneshot::channel();
    let reading = Reading {
        said: Said::new(handle.wall(), timeout, None),
        read: Some(read),
        result: None,
        done,
    };
    let whom = Whom::of(&kind.entry, &entity);
    let request = EntityRequest {
        kind: kind.entry.clone(),
        shard: handle.shard_of(&kind.entry, &entity),
        entity,
        deadline,
        what: What::Question {
            freshness: Freshness::Linearizable,
        },
        caller: Box::new(Ask::<A>::Question(Box::new(reading))),
    };
    handle.entity(request).await?;
    match answered.await {
        Ok((Answer::Reply(Reply::Read { .. }), Some(result))) => {
            result.map_err(|panic| LoadError::Failed(format!("the state panicked: {panic}")))
        }
        Ok((answer, _)) => Err(load_error(answer, whom)),
        // The lane is gone.
        Err(_) => Err(LoadError::Stopped),
    }
}

pub(crate) fn load_error(answer: Answer, whom: Whom) -> LoadError {
    match answer {
        Answer::Reply(Reply::Refused(refusal)) => refused(refusal, whom),
        Answer::Halted(reason) | Answer::Refused(reason) => LoadError::Halted { reason },
        Answer::Unusable(error) => LoadError::Space(error),
        Answer::Stopped | Answer::Cut => LoadError::Stopped,
        Answer::Reply(
            reply @ (Reply::Committed { .. }
            | Reply::Nothing { .. }
            | Reply::Found { .. }
            | Reply::Read { .. }),
        ) => LoadError::Halted {
            reason: format!("a question was answered with {reply:?}"),
        },
    }
}

fn refused(refusal: Refusal, whom: Whom) -> LoadError {
    match refusal {
        Refusal::Deadline | Refusal::Unknown => LoadError::Deadline,
        Refusal::Overloaded => LoadError::Overloaded,
        Refusal::NotOwner => LoadError::NotOwner,
        Refusal::NotLeased => LoadError::NotLeased,
        Refusal::Fold(cause) => LoadError::fold(whom, cause),
        Refusal::Damaged(damage) => LoadError::Damaged(damage),
        Refusal::Store(refused) => LoadError::Store(refused),
        Refusal::Failed(cause) => LoadError::Failed(cause),
        refusal @ (Refusal::Conflict { .. }
        | Refusal::Contended { .. }
        | Refusal::Undelivered(_)
        | Refusal::Expired { .. }
        | Refusal::Ahead { .. }
        | Refusal::TooLarge { .. }
        | Refusal::OutcomeTooLarge { .. }
        | Refusal::Metadata(_)
        | Refusal::TooManyTimers { .. }
        | Refusal::TooManySends { .. }
        | Refusal::Unowned
        | Refusal::VersionNotRising { .. }) => LoadError::Halted {
            reason: format!("a question was refused with {refusal:?}"),
        },
    }
}
