//! Requests in flight and requests that wait to be sent again: one at a time per job.

use crate::id::OpId;
use crate::step::{Cx, Limits, Purpose, Span, Time};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// Whose answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Whose<J> {
    /// That of a job.
    Job(J),
    /// Of one that was given up; the answer means nothing any more.
    Nobody,
}

/// What each job waits for.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "driver",
    serde(bound = "J: Ord + serde::Serialize + serde::de::DeserializeOwned")
)]
pub(crate) struct Asks<J> {
    next_op: u64,
    rolls: u64,
    in_flight: BTreeMap<OpId, J>,
    abandoned: BTreeSet<OpId>,
    waiting: BTreeMap<J, Time>,
    tries: BTreeMap<J, u32>,
}

impl<J> Default for Asks<J> {
    fn default() -> Self {
        Self {
            next_op: 0,
            rolls: 0,
            in_flight: BTreeMap::new(),
            abandoned: BTreeSet::new(),
            waiting: BTreeMap::new(),
            tries: BTreeMap::new(),
        }
    }
}

impl<J: Copy + Ord> Asks<J> {
    /// Names the next request of a job.
    pub(crate) fn begin(&mut self, job: J) -> OpId {
        let op = OpId(self.next_op);
        self.next_op += 1;
        self.waiting.remove(&job);
        self.in_flight.insert(op, job);
        op
    }

    /// Whether a job has a request in flight or waits to send one.
    pub(crate) fn busy(&self, job: J) -> bool {
        self.waiting.contains_key(&job) || self.flies(job)
    }

    /// Whether a request of a job is on its way.
    pub(crate) fn flies(&self, job: J) -> bool {
        self.in_flight.values().any(|other| *other == job)
    }

    /// Whose answer it is; `None` when the operation was never asked or answered before.
    pub(crate) fn end(&mut self, op: OpId) -> Option<Whose<J>> {
        if self.abandoned.remove(&op) {
            return Some(Whose::Nobody);
        }
        self.in_flight.remove(&op).map(Whose::Job)
    }

    /// Lets a job wait before its next request; each time longer, with jitter.
    pub(crate) fn wait(&mut self, cx: &Cx<'_>, limits: &Limits, job: J) {
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
    pub(crate) fn due(&mut self, now: Time) -> Vec<J> {
        let due: Vec<J> = self
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
    pub(crate) fn next(&self) -> Option<Time> {
        self.waiting.values().min().copied()
    }

    /// Forgets how often a job was tried.
    pub(crate) fn done(&mut self, job: J) {
        self.tries.remove(&job);
    }

    /// How often a job was tried in vain.
    pub(crate) fn tries(&self, job: J) -> u32 {
        self.tries.get(&job).copied().unwrap_or(0)
    }

    /// The job that was tried in vain most often, of those that are asked or wait to be.
    pub(crate) fn hardest(&self) -> Option<(J, u32)> {
        let jobs = self.in_flight.values().chain(self.waiting.keys());
        let jobs = jobs.map(|job| (*job, self.tries(*job)));
        jobs.max_by_key(|(_, tries)| *tries)
    }

    /// Gives one job up; its answer may still come.
    pub(crate) fn abandon(&mut self, job: J) {
        self.waiting.remove(&job);
        self.tries.remove(&job);
        let ops = self.in_flight.iter().filter(|(_, other)| **other == job);
        let ops: Vec<OpId> = ops.map(|(op, _)| *op).collect();
        for op in ops {
            self.in_flight.remove(&op);
            self.abandoned.insert(op);
        }
    }

    /// Gives everything up; answers may still come.
    pub(crate) fn abandon_all(&mut self) {
        self.waiting.clear();
        self.tries.clear();
        self.abandoned
            .extend(core::mem::take(&mut self.in_flight).into_keys());
    }
}
