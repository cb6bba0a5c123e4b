//! An entity that is deleted while its history is read: its tombstone is the first commit that there is.

use super::chain::{Chain, LinkState, Then};
use super::machine::{Next, Plan, State};
use super::seek::Goal;
use super::{History, HistoryRefusal, LoggedCommit};
use crate::id::Sequence;
use crate::port::{Page, StoreRequest};
use crate::reached;
use crate::step::{Cx, Time};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// A commit that is listed and absent.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Missed {
    sequence: Sequence,
    /// Since when it is asked for the first commit.
    since: Option<Time>,
    /// What a backward page has beside it, or what the reader begins again with.
    of: Of,
}

#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
enum Of {
    Page(Vec<LoggedCommit>),
    Place(Goal),
}

impl History {
    /// A commit of a chain is absent wherever it is asked for: it went with its entity, or it is missing.
    pub(super) fn missed(
        &mut self,
        cx: &Cx<'_>,
        sequence: Sequence,
        chain: Chain,
        then: Then,
    ) -> Next {
        let of = match then {
            Then::Page { mut read, .. } => {
                let links = chain.links.into_iter();
                read.extend(links.map_while(|link| match link.state {
                    LinkState::Found(logged) => Some(*logged),
                    LinkState::Wanted { .. } | LinkState::Asked { .. } => None,
                }));
                read.retain(|logged| !self.ask.range.is_below(logged));
                Of::Page(read)
            }
            Then::Seek(seek) => Of::Place(seek.goal),
            Then::Older(_) | Then::Gather(_) => Of::Place(Goal::State),
        };
        Next::State(State::Wanted {
            at: cx.now,
            plan: Plan::First(Box::new(Missed {
                sequence,
                since: None,
                of,
            })),
        })
    }

    pub(super) fn first_request(&self) -> StoreRequest {
        StoreRequest::Scan {
            stream: self.ask.stream.clone(),
            filter: self.ask.subject.clone(),
            from: Sequence(1),
            messages_max: 1,
        }
    }

    /// Takes in the entity's first commit.
    pub(super) fn first(&mut self, cx: &mut Cx<'_>, page: &Page, mut missed: Missed) -> Next {
        let sequence = missed.sequence;
        let first = page.messages.first().map(|message| self.decode(message));
        let behind = match &first {
            None => true,
            Some(Ok(first)) => first.sequence <= sequence,
            Some(Err(_)) => false,
        };
        let since = *missed.since.get_or_insert(cx.now);
        if behind && cx.now.since(since) < self.limits.absent_patience {
            // A replica that lags has what was before the deletion.
            return self.again(cx, Plan::First(Box::new(missed)));
        }
        let Missed { of, .. } = missed;
        let deleted = matches!(&first, Some(Ok(first)) if first.commit.tombstone && first.sequence > sequence);
        match of {
            _ if !deleted => {
                let what = "a later commit lists it, and it is absent".into();
                let damage = self.damage(sequence, what);
                Next::Done(Err(HistoryRefusal::Damaged(damage)))
            }
            Of::Page(read) => self.deleted(cx, read),
            Of::Place(goal) => Next::State(State::Wanted {
                at: cx.now,
                plan: Plan::Head(goal),
            }),
        }
    }

    /// The last page of an entity that was deleted meanwhile.
    pub(super) fn deleted(&self, cx: &mut Cx<'_>, commits: Vec<LoggedCommit>) -> Next {
        reached!(cx, "history: an entity was deleted while it was read");
        let mut page = self.page(commits, None);
        page.deleted = true;
        Next::Done(Ok(page))
    }
}
