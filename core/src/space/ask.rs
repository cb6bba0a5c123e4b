//! Requests in flight and requests that wait to be sent again: one at a time per job.

use crate::id::{OpId, Ticket};
use crate::step::{Cx, Limits, Purpose, Span, Time};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Job {
    /// The layout record.
    Layout,
    /// Whether the namespace was in use.
    Used,
    /// The stream at this place of the phase's list.
    Stream(usize),
    /// The kind of this ticket.
    Kind(Ticket),
}

/// Whose answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Whose {
    /// That of a job.
    Job(Job),
    /// Of one that was given up; the answer means nothing any more.
    Nobody,
}

/// What each job waits for.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Asks {
    next_op: u64,
    rolls: u64,
    in_flight: BTreeMap<OpId, Job>,
    abandoned: BTreeSet<OpId>,
    waiting: BTreeMap<Job, Time>,
    tries: BTreeMap<Job, u32>,
}

impl Asks {
    /// Names the next request of a job.
    pub(super) fn begin(&mut self, job: Job) -> OpId {
        let op = OpId(self.next_op);
        self.next_op += 1;
        self.waiting.remove(&job);
        self.in_flight.insert(op, job);
        op
    }

    /// Whether a job has a request in flight or waits to send one.
    pub(super) fn busy(&self, job: Job) -> bool {
        self.waiting.contains_key(&job) || self.in_flight.values().any(|other| *other == job)
    }

    /// Whose answer it is; `None` when the operation was never asked or answered before.
    pub(super) fn end(&mut self, op: OpId) -> Option<Whose> {
        if self.abandoned.remove(&op) {
            return Some(Whose::Nobody);
        }
        self.in_flight.remove(&op).map(Whose::Job)
    }

    /// Lets a job wait before its next request; each time longer, with jitter.
    pub(super) fn wait(&mut self, cx: &Cx<'_>, limits: &Limits, job: Job) {
        let tries = self.tries.entry(job).or_default();
        let doubled = 1_u64.checked_shl(*tries).unwrap_or(u64::MAX);
        let delay = limits
            .retry_delay_min
            .saturating_mul(doubled)
            .min(limits.retry_delay_max);
        *tries = tries.saturating_add(1);
        let half = delay.as_nanos() / 2;
        let jitter = cx.dice.below(Purpose::RetryJitter, self.rolls, half + 1);
        self.rolls += 1;
        self.waiting.insert(
            job,
            cx.now + Span::from_nanos(delay.as_nanos() - half + jitter),
        );
    }

    /// The jobs whose wait is over.
    pub(super) fn due(&mut self, now: Time) -> Vec<Job> {
        let due: Vec<Job> = self
            .waiting
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(job, _)| *job)
            .collect();
        for job in &due {
            self.waiting.remove(job);
        }
        due
    }

    /// When the next wait is over.
    pub(super) fn next(&self) -> Option<Time> {
        self.waiting.values().min().copied()
    }

    /// Forgets how often a job was tried.
    pub(super) fn done(&mut self, job: Job) {
        self.tries.remove(&job);
    }

    /// Gives everything up; answers may still come.
    pub(super) fn abandon_all(&mut self) {
        self.waiting.clear();
        self.tries.clear();
        self.abandoned
            .extend(core::mem::take(&mut self.in_flight).into_keys());
    }
}
