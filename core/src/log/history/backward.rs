//! Backward pages: commits fetched by the sequences that later commits list.

use super::chain::{Chain, LinkState, Then, directly_before};
use super::machine::{Next, State};
use super::{Cursor, History, HistoryPage, HistoryRefusal, LoggedCommit};
use crate::id::{OpId, Sequence, Version};
use crate::port::{Refused, Source, StoreDone, StoreReply};
use crate::step::{Cx, HaltReason, Outcome, Time};
use alloc::boxed::Box;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// What an answer to a link comes to.
pub(super) enum Linked {
    /// The chain goes on.
    On,
    /// The commit at a sequence is absent wherever it is asked for.
    Absent(Sequence),
    /// The page ends.
    End(Next),
}

impl History {
    /// A page backward from a commit on, which is in the range if it is not below it.
    pub(super) fn backward_from(&mut self, cx: &mut Cx<'_>, logged: LoggedCommit) -> Next {
        if self.ask.range.is_below(&logged) {
            return Next::Done(Ok(self.page(Vec::new(), None)));
        }
        let version = logged.commit.before;
        let listed = self.wanted(directly_before(&logged.commit));
        let room = self.room(version, 1);
        let chain = Chain::new(listed, room, cx.now);
        let then = Then::Page {
            read: vec![logged],
            version: Some(version),
        };
        self.fetched(cx, chain, then)
    }

    /// The next page backward.
    pub(super) fn backward_on(&self, listed: Vec<Sequence>, version: Version) -> State {
        let chain = Chain::new(self.wanted(listed), self.room(version, 0), Time::ZERO);
        let then = Then::Page {
            read: Vec::new(),
            version: Some(version),
        };
        State::Chain { chain, then }
    }

    /// Without those that are surely below the range.
    fn wanted(&self, listed: Vec<Sequence>) -> Vec<Sequence> {
        let first = self.ask.range.lower.sequence.unwrap_or(Sequence::NONE);
        let wanted = listed.into_iter();
        wanted.take_while(|sequence| *sequence >= first).collect()
    }

    /// How many commits a page takes beside those that were read, when the next ends at this
    /// version: no more than there are versions left in the range, if each has an event.
    fn room(&self, version: Version, read: usize) -> usize {
        let room = (self.ask.commits_max as usize).saturating_sub(read);
        let first = self.ask.range.lower.version.unwrap_or_default();
        let versions = version.0.saturating_add(1).saturating_sub(first.0);
        usize::try_from(versions).map_or(room, |versions| versions.min(room))
    }

    /// Takes in one fetched commit.
    pub(super) fn linked(
        &mut self,
        cx: &mut Cx<'_>,
        op: OpId,
        chain: &mut Chain,
        reply: StoreReply,
    ) -> Linked {
        let Some(link) = chain.asked(op) else {
            return Linked::End(Next::Halt(HaltReason::UnknownOp(op)));
        };
        let LinkState::Asked {
            source,
            absent_since,
            ..
        } = link.state
        else {
            return Linked::End(Next::Halt(HaltReason::UnknownOp(op)));
        };
        let refused = match reply {
            Outcome::Done(StoreDone::Message(message)) if message.sequence == link.sequence => {
                match self.decode(&message) {
                    Ok(logged) => link.state = LinkState::Found(Box::new(logged)),
                    Err(damage) => {
                        return Linked::End(Next::Done(Err(HistoryRefusal::Damaged(damage))));
                    }
                }
                return Linked::On;
            }
            Outcome::Done(_) => return Linked::End(Next::Halt(HaltReason::WrongAnswer(op))),
            Outcome::Refused(refused) => Some(refused),
            Outcome::Unknown => None,
        };
        let mut absent_since = absent_since;
        match refused {
            Some(Refused::NotFound) => {
                let since = *absent_since.get_or_insert(cx.now);
                if cx.now.since(since) > self.limits.absent_patience {
                    return Linked::Absent(link.sequence);
                }
            }
            Some(refused) if !refused.passes() => {
                crate::reached!(cx, "history: a commit was refused for good");
                return Linked::End(Next::Done(Err(HistoryRefusal::Store(refused))));
            }
            Some(_) => {
                crate::reached!(cx, "history: a commit was refused for now");
            }
            None => {
                crate::reached!(cx, "history: a commit is not answered");
            }
        }
        link.state = LinkState::Wanted {
            at: cx.now + self.delay(cx),
            source: match source {
                Source::Replica => Source::Leader,
                Source::Leader => Source::Replica,
            },
            absent_since,
        };
        Linked::On
    }

    /// Goes on when all commits of a chain are here.
    pub(super) fn fetched(&mut self, cx: &mut Cx<'_>, chain: Chain, then: Then) -> Next {
        if !chain.is_complete() {
            return Next::State(State::Chain { chain, then });
        }
        let (mut found, beyond) = chain.into_found();
        match then {
            Then::Page { read, version } => self.chained(read, version, found, beyond),
            Then::Gather(recall) => self.gathered(*recall, found),
            Then::Seek(seek) => match found.pop() {
                Some(logged) => self.probed(cx, *seek, logged),
                None => Next::Halt(HaltReason::Broken("a commit to look at was not asked for")),
            },
            Then::Older(recall) => match found.pop() {
                Some(logged) => self.looked_older(cx, *recall, &logged),
                None => Next::Halt(HaltReason::Broken("a commit to look at was not asked for")),
            },
        }
    }

    /// Ends a backward page whose commits are all here.
    fn chained(
        &self,
        read: Vec<LoggedCommit>,
        mut version: Option<Version>,
        found: Vec<LoggedCommit>,
        beyond: Vec<Sequence>,
    ) -> Next {
        let mut commits = read;
        for logged in found {
            if let Some(version) = version
                && logged.commit.last != version
            {
                let what = format!(
                    "it ends at version {}, the commit after it follows {version}",
                    logged.commit.last
                );
                let damage = self.damage(logged.sequence, what);
                return Next::Done(Err(HistoryRefusal::Damaged(damage)));
            }
            version = Some(logged.commit.before);
            if self.ask.range.is_below(&logged) {
                return Next::Done(Ok(self.page(commits, None)));
            }
            commits.push(logged);
        }
        let first = self.ask.range.lower.version;
        let listed = match (beyond.is_empty(), commits.last()) {
            (false, _) => beyond,
            (true, Some(oldest)) => self.wanted(directly_before(&oldest.commit)),
            (true, None) => Vec::new(),
        };
        let next = match version {
            // What ends below the range's first version is not wanted.
            Some(version) if !listed.is_empty() && first.is_none_or(|first| version >= first) => {
                Some(Cursor::Before { listed, version })
            }
            Some(_) | None => None,
        };
        Next::Done(Ok(self.page(commits, next)))
    }

    pub(super) fn page(&self, commits: Vec<LoggedCommit>, next: Option<Cursor>) -> HistoryPage {
        HistoryPage {
            commits,
            next,
            snapshot: None,
            last: self.last,
            deleted: false,
        }
    }
}
