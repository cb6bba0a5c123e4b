//! Lists the messages of all shards that could not be delivered as things were, from their indexes (S18).

use crate::consumer::may_pass;
use crate::format::{Commit, Intent, IntentPlace, Layout, ShardIndex, TakeOver};
use crate::id::{Partition, ShardId};
use crate::name::{EntityId, KindName, Namespace};
use crate::port::{Message, Refused, Source, StoreDone, StoreReply, StoreRequest, Subject};
use crate::projection::Next;
use crate::step::Outcome;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

/// Indexes that are read in one request, if the answer is not too long for the server.
const INDEXES_AT_ONCE: usize = 64;

/// How often a commit that an index names is looked for: a replica may lag.
const ABSENT_TRIES: u32 = 6;

/// A message that could not be delivered as things were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedIntent {
    /// The class of its shard.
    pub class: TakeOver,
    /// The shard of its sender.
    pub shard: ShardId,
    /// Where it is.
    pub place: IntentPlace,
    /// Why it was not delivered.
    pub cause: String,
    /// Whose it is, and what; none when its commit is gone or cannot be read.
    pub sent: Option<(KindName, EntityId, Intent)>,
}

/// Lists them as of the indexes that are stored: an owner writes one a moment after a change.
#[derive(Clone, Debug)]
pub struct FailedListing {
    ns: Namespace,
    layout: Layout,
    /// The indexes that are left to be read, each with its stream.
    left: Vec<(Partition, Subject)>,
    at_once: usize,
    /// Those whose commits are left to be read.
    unread: VecDeque<FailedIntent>,
    tries: u32,
    found: Vec<FailedIntent>,
}

/// Why they are not listed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FailedListingFault {
    /// The store refuses for good.
    #[error("the store refused to tell the messages that were not delivered: {0}")]
    Store(Refused),
    /// The store gave an answer to something else.
    #[error("the store answered something else than it was asked: report it")]
    Misfit,
}

impl FailedListing {
    /// Of all shards of a namespace.
    pub fn new(ns: Namespace, layout: Layout) -> Self {
        let mut left = Vec::new();
        for partition in (0..layout.streams).map(Partition) {
            for shard in layout.shards_of(partition) {
                for class in [TakeOver::Fenced, TakeOver::Leased] {
                    left.push((partition, ns.index_subject(class, shard)));
                }
            }
        }
        Self {
            ns,
            layout,
            left,
            at_once: INDEXES_AT_ONCE,
            unread: VecDeque::new(),
            tries: 0,
            found: Vec::new(),
        }
    }

    /// The indexes that are asked for next: of one stream.
    fn now(&self) -> usize {
        let last = self.left.last().map(|(stream, _)| *stream);
        let same = self
            .left
            .iter()
            .rev()
            .take_while(|(it, _)| Some(*it) == last);
        same.take(self.at_once).count()
    }

    /// What is asked next.
    pub fn request(&self) -> StoreRequest {
        if let Some(failed) = self.unread.front() {
            return StoreRequest::Get {
                stream: self.ns.event_stream(self.layout.stream_of(failed.shard)),
                sequence: failed.place.sequence,
                source: match self.tries % 2 {
                    0 => Source::Replica,
                    _ => Source::Leader,
                },
            };
        }
        let from = self.left.len() - self.now();
        let partition = self.left.last().map_or(Partition(0), |(stream, _)| *stream);
        let subjects = self.left.iter().skip(from);
        StoreRequest::Latest {
            stream: self.ns.event_stream(partition),
            subjects: subjects.map(|(_, subject)| subject.clone()).collect(),
        }
    }

    /// Takes the answer in.
    pub fn answered(&mut self, reply: StoreReply) -> Next<Vec<FailedIntent>, FailedListingFault> {
        let reading = !self.unread.is_empty();
        match reply {
            Outcome::Done(StoreDone::Latest(proof)) if !reading => {
                for message in &proof.messages {
                    self.take_index(message);
                }
            }
            Outcome::Done(StoreDone::Message(message)) if reading => {
                if let Some(failed) = self.unread.pop_front() {
                    let sent = self.sent(&failed, &message);
                    self.found.push(FailedIntent { sent, ..failed });
                }
                self.tries = 0;
                return self.next();
            }
            Outcome::Refused(Refused::NotFound) if reading => {
                self.tries += 1;
                if self.tries < ABSENT_TRIES {
                    return Next::Wait;
                }
                self.tries = 0;
                self.found.extend(self.unread.pop_front());
                return self.next();
            }
            Outcome::Refused(Refused::NotFound) => {}
            // Those of so many shards are too long for one answer.
            Outcome::Refused(Refused::BadRequest(_)) if !reading && self.now() > 1 => {
                self.at_once = self.now() / 2;
                return Next::Ask;
            }
            Outcome::Refused(refused) if may_pass(&refused) => return Next::Wait,
            Outcome::Refused(refused) => return Next::Fail(FailedListingFault::Store(refused)),
            Outcome::Unknown => return Next::Wait,
            Outcome::Done(_) => return Next::Fail(FailedListingFault::Misfit),
        }
        self.left.truncate(self.left.len() - self.now());
        self.next()
    }

    fn next(&mut self) -> Next<Vec<FailedIntent>, FailedListingFault> {
        match self.unread.is_empty() && self.left.is_empty() {
            true => Next::Done(core::mem::take(&mut self.found)),
            false => Next::Ask,
        }
    }

    /// One that cannot be read is its owner's trouble, who tells of it.
    fn take_index(&mut self, message: &Message) {
        let Some((class, shard)) = self.ns.parse_index_subject(&message.subject) else {
            return;
        };
        let Ok(index) = ShardIndex::decode(&message.payload) else {
            return;
        };
        let failed = index.failed.into_iter().map(|(place, cause)| FailedIntent {
            class,
            shard,
            place,
            cause,
            sent: None,
        });
        self.unread.extend(failed);
    }

    fn sent(
        &self,
        failed: &FailedIntent,
        message: &Message,
    ) -> Option<(KindName, EntityId, Intent)> {
        let subject = self.ns.parse_event_subject(&message.subject).ok()?;
        let commit = Commit::decode(&message.payload).ok()?;
        let place = usize::try_from(failed.place.index).ok()?;
        let intent = commit.later.as_ref()?.sends.get(place)?;
        Some((subject.kind, subject.id, intent.clone()))
    }
}
