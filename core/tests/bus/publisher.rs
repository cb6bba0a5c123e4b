//! What is published durably, whatever the store answers and in whatever order (D1 to D4).

use bytes::Bytes;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use tenure_core::bus::{AGAIN_MAX, Effect, Input, Order, Publisher, Refusal, Topic};
use tenure_core::id::{OpId, PublicationId, Sequence, Ticket, WallTime};
use tenure_core::name::Namespace;
use tenure_core::port::{
    Ack, Capabilities, Refused, ServerVersion, StoreDone, StoreReply, StoreRequest, StreamInfo,
};
use tenure_core::space::{SpaceError, SpaceWish};
use tenure_core::step::{Limits, Outcome, SilentProbe};
use tenure_core::{Cx, Dice, Effects, Machine, Span, Time};

/// A publisher, a store that stores or not and answers or not, and who waits.
struct World {
    machine: Publisher,
    now: Time,
    asked: BTreeMap<OpId, StoreRequest>,
    /// What is stored, by deduplication id, and when.
    stored: BTreeMap<String, (Sequence, Time)>,
    copies: BTreeMap<String, u64>,
    answers: BTreeMap<Ticket, Result<Sequence, Refusal>>,
    verified: bool,
    /// The stream has several servers, and what one that led it refuses its successor may store.
    replicated: bool,
}

impl World {
    fn new(limits: Limits, replicated: bool) -> Self {
        let wish = SpaceWish {
            replicas: Some(if replicated { 3 } else { 1 }),
            ..SpaceWish::new(Namespace::new("bank").unwrap())
        };
        let mut world = Self {
            machine: Publisher::new(wish, limits),
            now: Time::from_nanos(1),
            asked: BTreeMap::new(),
            stored: BTreeMap::new(),
            copies: BTreeMap::new(),
            answers: BTreeMap::new(),
            verified: false,
            replicated,
        };
        world.feed(Input::Up);
        world
    }

    fn feed(&mut self, input: Input) {
        let mut out = Effects::new(10_000);
        let mut probe = SilentProbe;
        let mut cx = Cx {
            now: self.now,
            dice: Dice::new(7),
            probe: &mut probe,
        };
        self.machine.step(&mut cx, input, &mut out);
        for effect in out.drain() {
            match effect {
                Effect::Store { op, request } => {
                    let writes = matches!(request, StoreRequest::Publish(_));
                    assert!(!writes || self.verified, "D4: {request:?}");
                    assert!(self.asked.insert(op, request).is_none());
                }
                Effect::Answer { ticket, answer } => {
                    assert!(self.answers.insert(ticket, answer).is_none(), "D1: once");
                }
                Effect::Halt(reason) => panic!("it halted: {reason}"),
            }
        }
    }

    fn publish(&mut self, n: u64, within: Span) {
        self.feed(Input::Publish(Order {
            ticket: Ticket(n),
            topic: Topic::new("orders.eu").unwrap(),
            id: PublicationId(u128::from(n)),
            payload: Bytes::from_static(b"paid"),
            keep_s: 60,
            deadline: self.now + within,
        }));
    }

    /// The oldest request is refused by a server that led the stream, and stored by its successor.
    fn succeed(&mut self) {
        if self.replicated
            && let Some((op, StoreRequest::Publish(publish))) = self.asked.first_key_value()
        {
            let (op, id) = (*op, publish.dedup.clone().expect("D2: an id"));
            self.asked.remove(&op);
            let _ = self.store(id, true, true);
            let reply = Outcome::Refused(Refused::NoSpace);
            self.feed(Input::Stored { op, reply });
        }
    }

    /// Answers the oldest request: carried out or not, and told or not.
    fn answer(&mut self, stores: bool, tells: bool) {
        let Some((op, request)) = self.asked.pop_first() else {
            return;
        };
        let reply = match request {
            StoreRequest::Capabilities => Outcome::Done(StoreDone::Capabilities(capabilities())),
            StoreRequest::StreamInfo { .. } => Outcome::Refused(Refused::NoStream),
            StoreRequest::CreateStream(settings) => {
                self.verified = true;
                Outcome::Done(StoreDone::Stream(StreamInfo {
                    settings: settings.into(),
                    created: WallTime(1),
                    first: Sequence::NONE,
                    last: Sequence::NONE,
                    messages: 0,
                }))
            }
            StoreRequest::Publish(publish) => {
                let id = publish.dedup.expect("D2: an id");
                self.store(id, stores, tells)
            }
            other @ (StoreRequest::Batch { .. }
            | StoreRequest::Latest { .. }
            | StoreRequest::Get { .. }
            | StoreRequest::Scan { .. }
            | StoreRequest::OpenConsumer(_)
            | StoreRequest::Fetch { .. }
            | StoreRequest::CloseConsumer { .. }) => panic!("{other:?}"),
        };
        self.feed(Input::Stored { op, reply });
    }

    fn store(&mut self, id: String, stores: bool, tells: bool) -> StoreReply {
        if !stores {
            return match tells {
                true => Outcome::Refused(Refused::NoSpace),
                false => Outcome::Unknown,
            };
        }
        let window = Span::from_secs(120);
        let known = self.stored.get(&id);
        let known = known
            .filter(|(_, at)| self.now.since(*at) < window)
            .copied();
        let (sequence, duplicate) = match known {
            Some((sequence, _)) => (sequence, true),
            None => {
                let sequence = Sequence(self.stored.len() as u64 + 1);
                self.stored.insert(id.clone(), (sequence, self.now));
                *self.copies.entry(id).or_default() += 1;
                (sequence, false)
            }
        };
        match tells {
            true => Outcome::Done(StoreDone::Published(Ack {
                sequence,
                duplicate,
            })),
            false => Outcome::Unknown,
        }
    }

    /// Lets a time pass, and ticks when something is due.
    fn wait(&mut self, span: Span) {
        let until = self.now + span;
        while let Some(deadline) = self.machine.next_deadline()
            && deadline.at <= until
        {
            self.now = self.now.max(deadline.at);
            self.feed(Input::Tick);
        }
        self.now = until;
    }
}

fn gone() -> SpaceError {
    SpaceError::StreamLost {
        stream: "bank_ctl".into(),
    }
}

fn capabilities() -> Capabilities {
    Capabilities {
        version: ServerVersion {
            major: 2,
            minor: 14,
            patch: 4,
            pre: String::new(),
        },
        jetstream: true,
        clustered: false,
        payload_bytes_max: 1 << 20,
    }
}

#[derive(Clone, Debug)]
enum Act {
    Publish(u16),
    Answer(bool, bool),
    Succeed,
    Wait(u64),
    Up,
    Unusable,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        2 => (1_u16..5_000).prop_map(Act::Publish),
        6 => (any::<bool>(), any::<bool>()).prop_map(|(a, b)| Act::Answer(a, b)),
        1 => Just(Act::Succeed),
        2 => (0_u64..3_000).prop_map(Act::Wait),
        1 => Just(Act::Up),
        1 => Just(Act::Unusable),
    ];
    proptest::collection::vec(act, 0..120)
}

proptest! {
    #[test]
    fn each_is_answered_once_and_stored_once_at_most(acts in acts(), replicated in any::<bool>()) {
        let mut world = World::new(Limits::default(), replicated);
        let mut published = 0;
        for act in acts {
            match act {
                Act::Publish(within_ms) => {
                    published += 1;
                    world.publish(published, Span::from_millis(u64::from(within_ms)));
                }
                Act::Answer(stores, tells) => world.answer(stores, tells),
                Act::Succeed => world.succeed(),
                Act::Wait(ms) => world.wait(Span::from_millis(ms)),
                Act::Up => {
                    world.verified = false;
                    world.feed(Input::Up);
                }
                Act::Unusable => world.feed(Input::Unusable(gone())),
            }
        }
        world.wait(Span::from_secs(10));
        prop_assert_eq!(world.answers.len() as u64, published, "D1");
        prop_assert_eq!(world.machine.held(), 0);
        prop_assert!(world.copies.values().all(|copies| *copies == 1), "D2");
        for (ticket, answer) in &world.answers {
            let stored = world.stored.get(&PublicationId(u128::from(ticket.0)).to_string());
            match answer {
                Ok(sequence) => prop_assert_eq!(stored.map(|(at, _)| *at), Some(*sequence)),
                Err(Refusal::Unknown) => {}
                // D3: what is said to be nowhere is nowhere.
                Err(_) => prop_assert_eq!(stored, None),
            }
        }
    }
}

/// A stream that is verified, and one publication of which nobody knows whether it is stored.
fn in_doubt(within: Span) -> World {
    let mut world = World::new(Limits::default(), false);
    for _ in 0..3 {
        world.answer(true, true);
    }
    world.publish(1, within);
    world.answer(true, false);
    world
}

/// What a publication is told that is refused once, and has no other answer until its deadline.
fn refused_once(replicated: bool) -> Result<Sequence, Refusal> {
    let mut world = World::new(Limits::default(), replicated);
    for _ in 0..3 {
        world.answer(true, true);
    }
    world.publish(1, Span::from_millis(1));
    world.answer(false, true);
    world.wait(Span::from_secs(1));
    world.answers.remove(&Ticket(1)).expect("D1: an answer")
}

#[test]
fn what_a_leader_refused_its_successor_may_have_stored() {
    assert_eq!(refused_once(false), Err(Refusal::Deadline));
    assert_eq!(refused_once(true), Err(Refusal::Unknown));
}

#[test]
fn a_publication_of_unknown_end_is_sent_again_with_its_id() {
    let mut world = in_doubt(Span::from_secs(5));
    world.wait(Span::from_secs(2));
    world.answer(true, true);
    assert_eq!(world.answers[&Ticket(1)], Ok(Sequence(1)));
    assert_eq!(world.copies.len(), 1);
}

#[test]
fn nothing_is_sent_again_when_the_store_may_have_forgotten_its_id() {
    let mut world = in_doubt(Span::from_secs(600));
    let first = world.now;
    // The connection is gone, and comes back when the store has forgotten the id.
    world.feed(Input::Up);
    world.wait(Span::from_secs(300));
    for _ in 0..8 {
        world.answer(true, true);
    }
    assert!(world.now.since(first) > AGAIN_MAX);
    assert_eq!(world.answers[&Ticket(1)], Err(Refusal::Unknown));
    assert!(
        world.copies.values().all(|copies| *copies == 1),
        "{:?}",
        world.copies
    );
}

#[test]
fn what_has_no_room_is_refused_and_the_rest_goes_on() {
    let mut limits = Limits::default();
    limits.publications_max = 2;
    let mut world = World::new(limits, false);
    let all: BTreeSet<u64> = (1..=3).collect();
    for n in &all {
        world.publish(*n, Span::from_secs(5));
    }
    assert_eq!(
        world.answers[&Ticket(3)],
        Err(Refusal::Overloaded { held: 2 })
    );
    for _ in 0..5 {
        world.answer(true, true);
    }
    assert!(world.answers[&Ticket(1)].is_ok() && world.answers[&Ticket(2)].is_ok());
}

#[test]
fn a_namespace_that_is_gone_is_told_to_all() {
    let mut world = in_doubt(Span::from_secs(600));
    // The connection is gone and comes back, and the stream is not looked at yet.
    world.feed(Input::Up);
    world.publish(2, Span::from_secs(600));
    world.feed(Input::Unusable(gone()));
    world.publish(3, Span::from_secs(600));
    assert_eq!(world.answers[&Ticket(1)], Err(Refusal::Unknown));
    for n in [2, 3] {
        assert_eq!(world.answers[&Ticket(n)], Err(Refusal::Space(gone())));
    }
}

#[test]
fn a_stream_that_cannot_be_used_is_told_to_all() {
    let mut world = World::new(Limits::default(), false);
    world.publish(1, Span::from_secs(5));
    world.answer(true, true);
    let (op, _) = world.asked.pop_first().unwrap();
    world.feed(Input::Stored {
        op,
        reply: Outcome::Refused(Refused::Denied("no right".to_owned())),
    });
    let answer = &world.answers[&Ticket(1)];
    assert!(matches!(answer, Err(Refusal::Space(_))), "{answer:?}");
    world.publish(2, Span::from_secs(5));
    let Err(Refusal::Space(error)) = &world.answers[&Ticket(2)] else {
        panic!("{:?}", world.answers);
    };
    let _: &SpaceError = error;
}
