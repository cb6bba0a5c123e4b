//! One consumer: where it is in its stream, what is not acknowledged, and who waits for messages.

use super::consumer_config::{AckPolicy, ConsumerConfig};
use super::pull::Pull;
use super::push::Flow;
use crate::store::{FilterSet, literal};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use tenure_core::id::WallTime;

/// A place in a stream and the number that a consumer gave to what is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) number: u64,
    pub(super) sequence: u64,
    pub(super) at: Option<WallTime>,
}

/// What a consumer looks at.
#[derive(Debug)]
pub(super) enum Filter {
    All,
    One(String),
    Many(FilterSet),
}

/// A message that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug)]
struct Unacked {
    number: u64,
    /// Since when it is waited for.
    since: WallTime,
    /// When it is delivered again; none while it waits for that.
    due: Option<WallTime>,
}

#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) config: ConsumerConfig,
    pub(super) created: WallTime,
    pub(super) filter: Filter,
    /// All before is behind it.
    pub(super) next: u64,
    /// What it gives before: the last messages of subjects, where it begins with those.
    pub(super) first: BTreeSet<u64>,
    /// How many messages it has not given yet.
    pub(super) pending: u64,
    pub(super) delivered: Place,
    pub(super) acked: Place,
    unacked: BTreeMap<u64, Unacked>,
    dues: BTreeSet<(WallTime, u64)>,
    again: BTreeSet<u64>,
    /// How often messages were delivered that were so more than once.
    deliveries: BTreeMap<u64, u64>,
    pub(super) pulls: VecDeque<Pull>,
    pub(super) flow: Flow,
    /// When somebody pulled or acknowledged last.
    pub(super) used: WallTime,
    idle_jitter_ms: u64,
    /// When it is looked at whether nobody uses it; none while somebody listens to what it pushes.
    pub(super) idle_due: Option<WallTime>,
    pub(super) paused_until: Option<WallTime>,
    /// When it is looked at next without a reason.
    pub(super) due: Option<WallTime>,
}

impl Filter {
    pub(super) fn new(config: &ConsumerConfig) -> Self {
        let mut filters = config.filters();
        match (filters.next(), filters.next()) {
            (None | Some(">"), _) => Self::All,
            (Some(one), None) if literal(one) => Self::One(one.into()),
            (Some(_), _) => Self::Many(FilterSet::new(config.filters())),
        }
    }

    pub(super) fn takes_in(&self, subject: &str) -> bool {
        match self {
            Self::All => true,
            Self::One(one) => one == subject,
            Self::Many(many) => many.takes_in(subject),
        }
    }
}

impl Consumer {
    pub(super) fn new(config: ConsumerConfig, at: WallTime, jitter_ms: u64) -> Self {
        let mut new = Self {
            filter: Filter::new(&config),
            flow: Flow::new(at),
            idle_jitter_ms: if config.pushes() { 0 } else { jitter_ms },
            idle_due: None,
            config,
            created: at,
            next: 1,
            first: BTreeSet::new(),
            pending: 0,
            delivered: Place::default(),
            acked: Place::default(),
            unacked: BTreeMap::new(),
            dues: BTreeSet::new(),
            again: BTreeSet::new(),
            deliveries: BTreeMap::new(),
            pulls: VecDeque::new(),
            used: at,
            paused_until: None,
            due: None,
        };
        new.idle_due = new.idle_end(at);
        new
    }

    /// The sequence before what it looks at next.
    pub(super) fn looked(&self) -> u64 {
        self.first.first().unwrap_or(&self.next).saturating_sub(1)
    }

    pub(super) fn unacked(&self) -> usize {
        self.unacked.len()
    }

    pub(super) fn redelivered(&self) -> usize {
        self.deliveries.len()
    }

    /// Whether a message that it takes in may still come of it, or was not acknowledged.
    pub(super) fn needs(&self, sequence: u64, subject: &str) -> bool {
        self.filter.takes_in(subject)
            && (self.next <= sequence
                || self.first.contains(&sequence)
                || self.unacked.contains_key(&sequence))
    }

    /// Whether it may deliver what it has not delivered before.
    pub(super) fn has_room(&self) -> bool {
        let max = usize::try_from(self.config.max_ack_pending).unwrap_or(usize::MAX);
        self.config.ack_policy == AckPolicy::None || max == 0 || self.unacked.len() < max
    }

    /// The next message to be delivered again, with the number of deliveries before.
    pub(super) fn next_again(&mut self) -> Option<(u64, u64)> {
        let sequence = self.again.first().copied()?;
        Some((sequence, self.times(sequence)))
    }

    fn times(&self, sequence: u64) -> u64 {
        self.deliveries.get(&sequence).copied().unwrap_or(1)
    }

    /// A message was delivered for the first time: its number.
    pub(super) fn deliver(&mut self, sequence: u64, at: WallTime) -> u64 {
        if self.first.first() == Some(&sequence) {
            self.first.pop_first();
        } else {
            self.next = sequence + 1;
        }
        self.pending = self.pending.saturating_sub(1);
        self.count(sequence, at);
        let number = self.delivered.number;
        if self.config.ack_policy == AckPolicy::None {
            self.acked = self.delivered;
        } else {
            let unacked = Unacked {
                number,
                since: at,
                due: None,
            };
            self.unacked.insert(sequence, unacked);
            self.wait_for_ack(sequence, at);
        }
        number
    }

    /// A message was delivered again: its number now.
    pub(super) fn deliver_again(&mut self, sequence: u64, at: WallTime) -> u64 {
        self.again.remove(&sequence);
        *self.deliveries.entry(sequence).or_insert(1) += 1;
        self.count(sequence, at);
        self.wait_for_ack(sequence, at);
        self.delivered.number
    }

    fn count(&mut self, sequence: u64, at: WallTime) {
        self.delivered = Place {
            number: self.delivered.number + 1,
            sequence,
            at: Some(at),
        };
    }

    /// It waits for an acknowledgement from now on.
    pub(super) fn wait_for_ack(&mut self, sequence: u64, at: WallTime) {
        if let Some(unacked) = self.unacked.get_mut(&sequence) {
            unacked.since = at;
        }
        self.set_due(sequence, Some(self.waits_until(sequence, at)));
    }

    /// Until when an acknowledgement is waited for that is since a time.
    fn waits_until(&self, sequence: u64, since: WallTime) -> WallTime {
        let times = usize::try_from(self.times(sequence)).unwrap_or(usize::MAX);
        let backoff = &self.config.backoff;
        let wait = backoff.get(times - 1).or(backoff.last());
        // A wait of nothing would never let time go on.
        let wait_ms = ConsumerConfig::millis(*wait.unwrap_or(&self.config.ack_wait)).max(1);
        WallTime(since.0.saturating_add(wait_ms))
    }

    fn set_due(&mut self, sequence: u64, due: Option<WallTime>) {
        let Some(unacked) = self.unacked.get_mut(&sequence) else {
            return;
        };
        if let Some(before) = core::mem::replace(&mut unacked.due, due) {
            self.dues.remove(&(before, sequence));
        }
        if let Some(due) = due {
            self.dues.insert((due, sequence));
        }
    }

    /// When the first message has waited long enough.
    pub(super) fn first_due(&self) -> Option<WallTime> {
        self.dues.first().map(|(due, _)| *due)
    }

    /// Queues what waited too long to be delivered again; what was often enough is let go.
    pub(super) fn expire_acks(&mut self, at: WallTime) {
        while let Some((due, sequence)) = self.dues.first().copied()
            && due <= at
        {
            self.ask_again(sequence);
            if let Some(unacked) = self.unacked.get_mut(&sequence) {
                unacked.since = at;
            }
        }
    }

    /// Queues a message to be delivered again. One that was often enough is waited for no more, and stays counted.
    pub(super) fn ask_again(&mut self, sequence: u64) {
        if !self.unacked.contains_key(&sequence) {
            return;
        }
        self.set_due(sequence, None);
        let max = u64::try_from(self.config.max_deliver).unwrap_or(u64::MAX);
        if max > 0 && self.times(sequence) >= max {
            self.again.remove(&sequence);
            self.unacked.remove(&sequence);
            return;
        }
        self.again.insert(sequence);
    }

    /// The same after a while.
    pub(super) fn ask_again_at(&mut self, sequence: u64, due: WallTime) {
        self.again.remove(&sequence);
        self.set_due(sequence, Some(due));
    }

    /// Takes an acknowledgement; what is acknowledged by it.
    pub(super) fn acknowledge_as_asked(&mut self, sequence: u64) -> Vec<u64> {
        let acknowledged = match self.config.ack_policy {
            AckPolicy::None => Vec::new(),
            AckPolicy::Explicit => {
                let there = self.unacked.contains_key(&sequence);
                there.then_some(sequence).into_iter().collect()
            }
            AckPolicy::All => {
                let up_to = self.unacked.range(..=sequence);
                up_to.map(|(sequence, _)| *sequence).collect()
            }
        };
        for sequence in &acknowledged {
            self.acknowledge(*sequence);
        }
        acknowledged
    }

    /// Lets go of a message that is acknowledged or gone.
    pub(super) fn acknowledge(&mut self, sequence: u64) {
        self.set_due(sequence, None);
        self.again.remove(&sequence);
        self.deliveries.remove(&sequence);
        if self.unacked.remove(&sequence).is_none() {
            return;
        }
        let (number, up_to) = match self.unacked.first_key_value() {
            Some((first, unacked)) => (unacked.number - 1, first - 1),
            None => (self.delivered.number, self.looked()),
        };
        if up_to > self.acked.sequence {
            self.acked.number = number;
            self.acked.sequence = up_to;
        }
    }

    /// A message of the stream is gone.
    pub(super) fn gone(&mut self, sequence: u64, subject: &str) {
        if !self.filter.takes_in(subject) {
            return;
        }
        if self.first.remove(&sequence) || self.next <= sequence {
            self.pending = self.pending.saturating_sub(1);
        }
        self.acknowledge(sequence);
    }

    /// Takes other settings, and what follows from them for what it waits for.
    pub(super) fn set(&mut self, config: ConsumerConfig, at: WallTime) {
        let before = core::mem::replace(&mut self.config, config);
        self.filter = Filter::new(&self.config);
        if before.ack_wait != self.config.ack_wait || before.backoff != self.config.backoff {
            let waited_for = self.unacked.iter().filter(|(_, it)| it.due.is_some());
            let since: Vec<(u64, WallTime)> = waited_for.map(|(n, it)| (*n, it.since)).collect();
            for (sequence, since) in since {
                self.wait_for_ack(sequence, since);
            }
        }
        let again: Vec<u64> = self.again.iter().copied().collect();
        for sequence in again {
            self.ask_again(sequence);
        }
        if before.inactive_threshold != self.config.inactive_threshold && !self.flow.has_listener {
            self.idle_due = self.idle_end(at);
        }
    }

    /// When it is over if it is used at a time and not afterwards, where it ends by itself.
    fn idle_end(&self, used: WallTime) -> Option<WallTime> {
        let idle_ms = ConsumerConfig::millis(self.config.inactive_threshold);
        let end = used
            .0
            .saturating_add(idle_ms)
            .saturating_add(self.idle_jitter_ms);
        (idle_ms > 0).then_some(WallTime(end))
    }

    /// Somebody acknowledged something.
    pub(super) fn used_by_ack(&mut self, at: WallTime) {
        self.used = at;
        if self.idle_due.is_some() {
            self.idle_due = self.idle_end(at);
        }
    }

    /// Somebody listens to what it pushes from now on, or nobody does.
    pub(super) fn note_listener(&mut self, listens: bool, at: WallTime) {
        if self.flow.has_listener != listens {
            self.flow.has_listener = listens;
            self.idle_due = self.idle_end(at).filter(|_| !listens);
        }
    }

    /// Whether nobody used it for as long as it asks for. Who pulled counts as one who will acknowledge.
    pub(super) fn is_over(&mut self, at: WallTime) -> bool {
        if self.idle_due.is_none_or(|due| due > at) {
            return false;
        }
        if self.config.pushes() {
            return !self.flow.has_listener;
        }
        let used = self.idle_end(self.used).filter(|end| *end > at);
        let waits = || self.idle_end(at).filter(|_| !self.pulls.is_empty());
        let acks = || {
            let all = self.unacked.iter();
            let ends = all.map(|(sequence, unacked)| self.waits_until(*sequence, unacked.since));
            self.idle_end(ends.max()?).filter(|end| *end > at)
        };
        self.idle_due = used.or_else(waits).or_else(acks);
        self.idle_due.is_none()
    }
}
