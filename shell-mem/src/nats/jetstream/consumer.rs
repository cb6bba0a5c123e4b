//! One consumer: where it is in its stream, what is not acknowledged, and who waits for messages.

use super::consumer_config::{AckPolicy, ConsumerConfig};
use super::pull::Pull;
use super::push::Flow;
use crate::store::{FilterSet, literal};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
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
    pub(super) first: VecDeque<u64>,
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
    /// When it was used last.
    pub(super) used: WallTime,
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
    pub(super) fn new(config: ConsumerConfig, at: WallTime) -> Self {
        Self {
            filter: Filter::new(&config),
            flow: Flow::new(at),
            config,
            created: at,
            next: 1,
            first: VecDeque::new(),
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
        }
    }

    /// The sequence before what it looks at next.
    pub(super) fn looked(&self) -> u64 {
        self.first.front().unwrap_or(&self.next).saturating_sub(1)
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
        match self.first.front() {
            Some(first) if *first == sequence => {
                self.first.pop_front();
            }
            Some(_) | None => self.next = sequence + 1,
        }
        self.pending = self.pending.saturating_sub(1);
        self.count(sequence, at);
        let number = self.delivered.number;
        if self.config.ack_policy == AckPolicy::None {
            self.acked = self.delivered;
        } else {
            self.unacked.insert(sequence, Unacked { number, due: None });
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
        self.used = at;
    }

    /// It waits for an acknowledgement from now on.
    pub(super) fn wait_for_ack(&mut self, sequence: u64, at: WallTime) {
        let times = usize::try_from(self.times(sequence)).unwrap_or(usize::MAX);
        let backoff = &self.config.backoff;
        let wait = backoff.get(times - 1).or(backoff.last());
        let wait_ms = ConsumerConfig::millis(*wait.unwrap_or(&self.config.ack_wait));
        self.set_due(sequence, Some(WallTime(at.0.saturating_add(wait_ms))));
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
        }
    }

    /// Queues a message to be delivered again, unless it was often enough.
    pub(super) fn ask_again(&mut self, sequence: u64) {
        if !self.unacked.contains_key(&sequence) {
            return;
        }
        let max = u64::try_from(self.config.max_deliver).unwrap_or(u64::MAX);
        if max > 0 && self.times(sequence) >= max {
            self.acknowledge(sequence);
            return;
        }
        self.set_due(sequence, None);
        self.again.insert(sequence);
    }

    /// The same after a while.
    pub(super) fn ask_again_at(&mut self, sequence: u64, due: WallTime) {
        self.again.remove(&sequence);
        self.set_due(sequence, Some(due));
    }

    /// Takes an acknowledgement; what is acknowledged by it.
    pub(super) fn acknowledge_as_asked(&mut self, sequence: u64) -> alloc::vec::Vec<u64> {
        let acknowledged = match self.config.ack_policy {
            AckPolicy::None => alloc::vec::Vec::new(),
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
        let before = self.first.len();
        self.first.retain(|first| *first != sequence);
        if self.next <= sequence || self.first.len() < before {
            self.pending = self.pending.saturating_sub(1);
        }
        self.acknowledge(sequence);
    }

    /// When it is over, where nobody uses it.
    pub(super) fn idle_end(&self) -> Option<WallTime> {
        let idle_ms = ConsumerConfig::millis(self.config.inactive_threshold);
        (idle_ms > 0).then(|| WallTime(self.used.0.saturating_add(idle_ms)))
    }
}
