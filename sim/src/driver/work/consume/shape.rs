//! What a consumer of a run is: drawn once, each from rows of its own.

use super::super::super::sim::Sim;
use super::book::Given;
use siphasher::sip::SipHasher24;
use std::hash::{Hash as _, Hasher as _};
use std::time::Duration;
use tenure_core::api::consumer::{EventPlace, Pace, Policy, Then};
use tenure_core::step::Span;

/// The longest that a try takes which takes long.
const LONG_MS: u64 = 6_000;

/// Which events it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    All,
    /// Those of one name: most commits are passed over after they came.
    Named(&'static str),
    /// Those of one kind: the store leaves the others out.
    Kind(&'static str),
    /// What is published on the bus, in the place of the log.
    Bus,
}

/// One consumer.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) name: String,
    pub(super) client: u64,
    /// What decides the fate of each try.
    key: u64,
    pub(super) reads: Reads,
    /// How many entities' events at once; 0: one event at a time.
    pub(super) handlers: u32,
    /// Whether its handler has one event at a time, of all that it reads.
    pub(super) serial: bool,
    /// Whether the checkpoint is with the handler's own state.
    pub(super) keeps: bool,
    pub(super) policy: Policy,
    fails_per_mille: u64,
    poison_per_mille: u64,
    longest_ms: u64,
    /// So many tries take long: longer than a node waits before it drops them, or than its lease.
    pub(super) long_per_mille: u64,
    pub(super) batch: u32,
    pub(super) prefetch: u32,
    pub(super) checkpoint_every: u32,
    pub(super) checkpoint_within: Span,
    pub(super) fetch_wait: Span,
    pub(super) idle: Span,
    pub(super) stall_after: Span,
    pub(super) behind_events: u64,
    pub(super) behind_ms: u64,
}

/// What becomes of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Fine,
    Fails,
    Panics,
    /// It is done, and nobody is told so.
    DoneAndFails,
}

impl Shape {
    pub(super) fn draw(sim: &Sim, client: u64) -> Self {
        let turn = sim.turn(client, 0);
        let of = |bound: u64| turn.random(bound);
        let one = |choices: [u64; 3]| choices[usize::try_from(of(3)).expect("one of three")];
        let small = |number: u64| u32::try_from(number).expect("a small number");
        let reads = match of(4) {
            0 => Reads::Named("counted"),
            1 => Reads::Kind("counter"),
            2 => Reads::Kind("purse"),
            _ => Reads::All,
        };
        // One of the three keeps its checkpoint by itself.
        let keeps = client % 3 == 1;
        let then = match of(3) {
            _ if keeps => Then::Stop,
            0 => Then::Stop,
            1 => Then::Skip,
            _ => Then::DeadLetter,
        };
        let policy = Policy {
            retries_max: small(of(3)),
            delay_min: Span::from_millis(1 + of(50)),
            delay_max: Span::from_millis(200),
            then,
        };
        let key = of(u64::MAX);
        let handlers = if keeps { 0 } else { small(one([0, 1, 8])) };
        Self {
            name: format!("reader-{client}"),
            client,
            key,
            reads,
            handlers,
            serial: handlers == 0,
            keeps,
            policy,
            fails_per_mille: one([0, 10, 80]),
            poison_per_mille: one([0, 3, 15]),
            longest_ms: one([2, 20, 60]),
            long_per_mille: 0,
            batch: small(one([1, 3, 256])),
            prefetch: small(one([2, 16, 4_096])),
            checkpoint_every: small(one([1, 7, 1_000])),
            checkpoint_within: Span::from_millis(20 + of(1_000)),
            fetch_wait: Span::from_millis(one([50, 500, 2_000])),
            idle: Span::from_millis(one([2_500, 5_000, 60_000])),
            stall_after: Span::from_millis(one([300, 1_000, 30_000])),
            behind_events: one([5, 100, 10_000]),
            behind_ms: one([400, 2_000, 30_000]),
        }
    }

    /// One that reads what is published on the bus.
    pub(super) fn subscriber(sim: &Sim, client: u64) -> Self {
        Self {
            name: "subscriber".to_owned(),
            reads: Reads::Bus,
            // What is handled at once is of several topics.
            serial: false,
            ..Self::draw(sim, client)
        }
    }

    /// Its limits and waits.
    pub(super) fn sets(&self, pace: &mut Pace) {
        pace.batch_events_max = self.batch;
        pace.prefetch_commits_max = self.prefetch;
        pace.checkpoint_every = self.checkpoint_every;
        pace.checkpoint_within = self.checkpoint_within;
        pace.fetch_wait = self.fetch_wait;
        pace.idle = self.idle;
        pace.stall_after = self.stall_after;
        pace.behind_events = self.behind_events;
        pace.behind_ms = self.behind_ms;
    }

    /// One that reads everything, by a handler that nothing befalls.
    #[cfg(test)]
    pub(super) fn plain(then: Then) -> Self {
        Self {
            name: "reader".to_owned(),
            client: 0,
            key: 1,
            reads: Reads::All,
            handlers: 8,
            serial: false,
            keeps: false,
            policy: Policy {
                retries_max: 1,
                then,
                ..Policy::stop()
            },
            fails_per_mille: 0,
            poison_per_mille: 0,
            longest_ms: 0,
            long_per_mille: 0,
            batch: 1,
            prefetch: 2,
            checkpoint_every: 1,
            checkpoint_within: Span::from_millis(1),
            fetch_wait: Span::from_millis(50),
            idle: Span::from_secs(60),
            stall_after: Span::from_secs(30),
            behind_events: 100,
            behind_ms: 1_000,
        }
    }

    /// The same from nothing, by a handler that nothing befalls.
    pub(super) fn replay(&self) -> Self {
        Self {
            name: format!("{}-again", self.name),
            keeps: true,
            handlers: 0,
            serial: true,
            fails_per_mille: 0,
            poison_per_mille: 0,
            longest_ms: 0,
            long_per_mille: 0,
            ..self.clone()
        }
    }

    /// Whether an event is one that no try handles, until somebody mends that.
    pub(super) fn is_poison(&self, place: EventPlace) -> bool {
        self.mixed(place, u64::MAX) % 1_000 < self.poison_per_mille
    }

    /// What becomes of the how manieth try of an event, and how long it takes.
    pub(super) fn fate(&self, given: &Given) -> (Fate, Duration) {
        let mixed = self.mixed(given.place, given.nth);
        let long = !given.well && mixed / 64_000_000 % 1_000 < self.long_per_mille;
        let longest_ms = if long { LONG_MS } else { self.longest_ms };
        let takes = Duration::from_micros(mixed / 8_000 % (longest_ms * 1_000 + 1));
        let fails = given.poison || !given.well && mixed % 1_000 < self.fails_per_mille;
        let fate = match mixed / 1_000 % 8 {
            _ if !fails => Fate::Fine,
            0 | 1 => Fate::Panics,
            // One that cannot be handled is not.
            2..=4 if !given.poison => Fate::DoneAndFails,
            _ => Fate::Fails,
        };
        (fate, takes)
    }

    fn mixed(&self, place: EventPlace, nth: u64) -> u64 {
        let mut hasher = SipHasher24::new();
        let EventPlace {
            partition,
            sequence,
            index,
        } = place;
        (self.key, partition.0, sequence.0, index, nth).hash(&mut hasher);
        hasher.finish()
    }

    /// Whether it reads an event.
    pub(super) fn wants(&self, kind: &str, name: &str) -> bool {
        match self.reads {
            Reads::All | Reads::Bus => true,
            Reads::Named(wanted) => wanted == name,
            Reads::Kind(wanted) => wanted == kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fate, LONG_MS, Shape};
    use crate::driver::work::consume::book::Book;
    use std::time::Duration;
    use tenure_core::api::consumer::{EventPlace, Then};
    use tenure_core::id::{Partition, Sequence};

    #[test]
    fn nothing_befalls_a_handler_once_all_is_well() {
        let shape = Shape {
            fails_per_mille: 1_000,
            longest_ms: 2,
            long_per_mille: 1_000,
            ..Shape::plain(Then::Skip)
        };
        let place = |sequence| EventPlace {
            partition: Partition(0),
            sequence: Sequence(sequence),
            index: 0,
        };
        let book = Book::new(|| 0);
        let fates = || (1..50).map(|sequence| shape.fate(&book.tries(place(sequence), true)));
        let longest = |all: Vec<(Fate, Duration)>| all.into_iter().map(|(_, takes)| takes).max();
        assert!(fates().all(|(fate, _)| fate != Fate::Fine));
        assert!(longest(fates().collect()) > Some(Duration::from_millis(LONG_MS / 2)));
        book.heals();
        assert!(fates().all(|(fate, _)| fate == Fate::Fine));
        assert!(longest(fates().collect()) <= Some(Duration::from_millis(2)));
    }
}
