//! What was fetched and not handled, by key: which batch may be handed over next (C2, C4).

use crate::format::{Commit, EventSubject};
use crate::id::{OpId, Sequence, Ticket, WallTime};
use crate::port::Subject;
use crate::step::Time;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A commit that was fetched and is not handled as a whole.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Item {
    pub(super) subject: Arc<EventSubject>,
    pub(super) stored: WallTime,
    pub(super) bytes: u64,
    pub(super) content: Content,
    /// How many of the commit's events were handled before this run.
    pub(super) base: u32,
    /// How many of its events that are wanted were handled since.
    pub(super) next: usize,
    /// How often the next one was tried. It outlives reconnects, so a wait that grew stays as it is.
    pub(super) tries: u32,
}

/// What is in it.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Content {
    /// A commit, and which of its events are wanted.
    Commit {
        commit: Arc<Commit>,
        wanted: Vec<u32>,
    },
    /// It cannot be read; it counts as one event.
    Broken(String),
}

impl Item {
    /// The events that are left.
    pub(super) fn left(&self) -> usize {
        let all = match &self.content {
            Content::Commit { wanted, .. } => wanted.len(),
            Content::Broken(_) => 1,
        };
        all.saturating_sub(self.next)
    }

    /// The next event's place in the commit.
    pub(super) fn index(&self) -> u32 {
        match &self.content {
            Content::Commit { wanted, .. } => wanted.get(self.next).copied().unwrap_or(0),
            Content::Broken(_) => 0,
        }
    }
}

/// One thing that is to be handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Work {
    /// What is left of a commit.
    Commit(u16, Sequence),
    /// The event of a dead letter.
    Letter(Ticket),
}

/// What the handler has.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Run {
    pub(super) key: Subject,
    pub(super) since: Time,
    /// The commits with how many events of each; or a dead letter's event.
    pub(super) work: Vec<(Work, u32)>,
}

/// Where a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
enum Stand {
    /// Among those that may be handed over.
    Ready,
    /// The handler has a batch of it, or a dead letter of it is being stored.
    Busy,
    /// Its next event failed and is tried again then.
    Retry(Time),
}

#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
struct Key {
    work: VecDeque<Work>,
    stand: Stand,
}

/// What was fetched, by key.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Queue {
    keys: BTreeMap<Subject, Key>,
    ready: VecDeque<Subject>,
    retries: BTreeSet<(Time, Subject)>,
    pub(super) running: BTreeMap<OpId, Run>,
    /// Events, commits and bytes that are not handled.
    pub(super) events: u64,
    pub(super) commits: u64,
    pub(super) bytes: u64,
}

impl Queue {
    /// Adds what is to be handed over after all of its key.
    pub(super) fn push(&mut self, key: &Subject, work: Work) {
        match self.keys.get_mut(key) {
            Some(entry) => entry.work.push_back(work),
            None => {
                let entry = Key {
                    work: VecDeque::from([work]),
                    stand: Stand::Ready,
                };
                self.keys.insert(key.clone(), entry);
                self.ready.push_back(key.clone());
            }
        }
    }

    /// The next key of which something may be handed over; it is busy then.
    pub(super) fn take_ready(&mut self) -> Option<Subject> {
        let key = self.ready.pop_front()?;
        if let Some(entry) = self.keys.get_mut(&key) {
            entry.stand = Stand::Busy;
        }
        Some(key)
    }

    /// What of a key comes next.
    pub(super) fn work(&self, key: &Subject) -> impl Iterator<Item = Work> + '_ {
        let entry = self.keys.get(key);
        entry
            .into_iter()
            .flat_map(|entry| entry.work.iter().copied())
    }

    /// What came first of a key is done.
    pub(super) fn pop(&mut self, key: &Subject) -> Option<Work> {
        self.keys.get_mut(key)?.work.pop_front()
    }

    /// A busy key is so no more.
    pub(super) fn release(&mut self, key: &Subject) {
        let Some(entry) = self.keys.get_mut(key) else {
            return;
        };
        if entry.work.is_empty() {
            self.keys.remove(key);
        } else {
            entry.stand = Stand::Ready;
            self.ready.push_back(key.clone());
        }
    }

    /// A busy key waits until its next event is tried again.
    pub(super) fn retry_at(&mut self, key: &Subject, at: Time) {
        if let Some(entry) = self.keys.get_mut(key) {
            entry.stand = Stand::Retry(at);
            self.retries.insert((at, key.clone()));
        }
    }

    /// Those whose wait is over may be handed over.
    pub(super) fn tick(&mut self, now: Time) {
        while let Some((at, _)) = self.retries.first()
            && *at <= now
        {
            if let Some((_, key)) = self.retries.pop_first() {
                self.release(&key);
            }
        }
    }

    /// When the next wait is over.
    pub(super) fn next_retry(&self) -> Option<Time> {
        self.retries.first().map(|(at, _)| *at)
    }

    /// The key that waits for the next retry.
    pub(super) fn next_retried(&self) -> Option<&Subject> {
        self.retries.first().map(|(_, key)| key)
    }

    /// What the handler has for longest.
    pub(super) fn oldest_run(&self) -> Option<&Run> {
        self.running.values().min_by_key(|run| run.since)
    }

    /// Forgets all that is not with the handler; the dead letters among it.
    pub(super) fn clear(&mut self) -> Vec<Ticket> {
        let keys = core::mem::take(&mut self.keys);
        let works = keys.into_values().flat_map(|key| key.work);
        let letters = works.filter_map(|work| match work {
            Work::Letter(ticket) => Some(ticket),
            Work::Commit(..) => None,
        });
        let letters = letters.collect();
        *self = Self {
            running: core::mem::take(&mut self.running),
            ..Self::default()
        };
        letters
    }

    /// Which of its own rules is broken.
    pub(super) fn broken(&self) -> Option<&'static str> {
        for (n, run) in self.running.values().enumerate() {
            if self
                .running
                .values()
                .skip(n + 1)
                .any(|other| other.key == run.key)
            {
                return Some("C2: one batch of a key at a time");
            }
        }
        let stands = self.keys.iter().all(|(key, entry)| match entry.stand {
            Stand::Ready => self.ready.contains(key),
            Stand::Busy => !self.ready.contains(key),
            Stand::Retry(at) => self.retries.contains(&(at, key.clone())),
        });
        if !stands {
            return Some("a key stands where it is listed");
        }
        None
    }
}
