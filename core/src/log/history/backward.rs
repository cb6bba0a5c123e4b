//! Backward pages: commits fetched by the sequences that later commits list.

use super::chain::{Chain, LinkState, before};
use super::machine::{Next, State};
use super::{Cursor, History, HistoryPage, HistoryRefusal};
use crate::id::{OpId, Version};
use crate::log::StoredCommit;
use crate::port::{Refused, Source, StoreDone, StoreReply};
use crate::step::{Cx, HaltReason, Outcome};
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

impl History {
    /// Takes in one fetched commit.
    pub(super) fn linked(
        &mut self,
        cx: &mut Cx<'_>,
        op: OpId,
        chain: &mut Chain,
        reply: StoreReply,
    ) -> Result<(), Next> {
        let Some(link) = chain.asked(op) else {
            return Err(Next::Halt(HaltReason::UnknownOp(op)));
        };
        let LinkState::Asked {
            source,
            absent_since,
            ..
        } = link.state
        else {
            return Err(Next::Halt(HaltReason::UnknownOp(op)));
        };
        let refused = match reply {
            Outcome::Done(StoreDone::Message(message)) if message.sequence == link.sequence => {
                let stored = self
                    .decode(&message)
                    .map_err(|damage| Next::Done(Err(HistoryRefusal::Damaged(damage))))?;
                link.state = LinkState::Found(Box::new(stored));
                return Ok(());
            }
            Outcome::Done(_) => return Err(Next::Halt(HaltReason::WrongAnswer(op))),
            Outcome::Refused(refused) => Some(refused),
            Outcome::Unknown => None,
        };
        let mut absent_since = absent_since;
        match refused {
            Some(Refused::NotFound) => {
                let since = *absent_since.get_or_insert(cx.now);
                if cx.now.since(since) > self.limits.absent_patience {
                    let what = "a later commit lists it, and it is absent".into();
                    let damage = self.damage(link.sequence, what);
                    return Err(Next::Done(Err(HistoryRefusal::Damaged(damage))));
                }
            }
            Some(refused) if !refused.passes() => {
                return Err(Next::Done(Err(HistoryRefusal::Store(refused))));
            }
            Some(_) | None => {}
        }
        link.state = LinkState::Wanted {
            at: cx.now + self.delay(cx),
            source: match source {
                Source::Replica => Source::Leader,
                Source::Leader => Source::Replica,
            },
            absent_since,
        };
        Ok(())
    }

    /// Ends the page when all of its commits are here.
    pub(super) fn chained(
        &self,
        read: Vec<StoredCommit>,
        version: Option<Version>,
        chain: Chain,
    ) -> Next {
        let Some(found) = chain.complete() else {
            return Next::State(State::Chain {
                read,
                version,
                chain,
            });
        };
        let mut version = version;
        for stored in &found {
            if let Some(version) = version
                && stored.commit.last != version
            {
                let what = format!(
                    "it ends at version {}, the commit after it follows {version}",
                    stored.commit.last
                );
                let damage = self.damage(stored.sequence, what);
                return Next::Done(Err(HistoryRefusal::Damaged(damage)));
            }
            version = Some(stored.commit.before);
        }
        let mut commits = read;
        commits.extend(found);
        let listed = match (chain.beyond.is_empty(), commits.last()) {
            (false, _) => chain.beyond,
            (true, Some(oldest)) => before(&oldest.commit),
            (true, None) => Vec::new(),
        };
        let next = match version {
            Some(version) if !listed.is_empty() => Some(Cursor::Before { listed, version }),
            Some(_) | None => None,
        };
        Next::Done(Ok(HistoryPage { commits, next }))
    }
}
