//! One publisher over a store that answers or not, and what is known of each publication.

use bytes::Bytes;
use std::collections::BTreeMap;
use tenure_core::bus::{Effect, Input, Order, Publisher, Refusal, Topic};
use tenure_core::id::{OpId, PublicationId, Sequence, Ticket, WallTime};
use tenure_core::name::Namespace;
use tenure_core::port::{
    Ack, Capabilities, Refused, ServerVersion, StoreDone, StoreReply, StoreRequest, StreamInfo,
};
use tenure_core::space::{SpaceError, SpaceWish};
use tenure_core::step::{Limits, Outcome, SilentProbe};
use tenure_core::{Cx, Dice, Effects, Machine, Span, Time};

/// The network loses what it has had for so long.
const ON_ITS_WAY_MAX: Span = Span::from_secs(30);

/// A publisher, a store that stores or not and answers or not, and who waits.
pub(crate) struct World {
    pub(crate) machine: Publisher,
    pub(crate) now: Time,
    pub(crate) asked: BTreeMap<OpId, (Time, StoreRequest)>,
    /// What is stored, by deduplication id, and when.
    stored: BTreeMap<String, (Sequence, Time)>,
    pub(crate) copies: BTreeMap<String, u64>,
    pub(crate) answers: BTreeMap<Ticket, Result<Sequence, Refusal>>,
    verified: bool,
    /// The stream has several servers, and what one that led it refuses its successor may store.
    replicated: bool,
    published: u64,
}

/// What happens next.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Something is published that is answered within so many milliseconds.
    Publish(u16),
    /// The oldest request is carried out or not, and its answer comes or not.
    Answer(bool, bool),
    Succeed,
    /// So many milliseconds pass.
    Wait(u64),
    Up,
    Unusable,
}

impl World {
    pub(crate) fn new(limits: Limits, replicated: bool) -> Self {
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
            published: 0,
        };
        world.feed(Input::Up);
        world
    }

    pub(crate) fn act(&mut self, act: &Act) {
        match act {
            Act::Publish(within_ms) => {
                self.published += 1;
                self.publish(self.published, Span::from_millis(u64::from(*within_ms)));
            }
            Act::Answer(stores, tells) => self.answer(*stores, *tells),
            Act::Succeed => self.succeed(),
            Act::Wait(ms) => self.wait(Span::from_millis(*ms)),
            Act::Up => {
                self.verified = false;
                self.feed(Input::Up);
            }
            Act::Unusable => self.feed(Input::Unusable(gone())),
        }
        self.check();
    }

    /// Nothing is stored twice (D2), and what is said to be nowhere is nowhere (D3).
    fn check(&self) {
        assert!(self.copies.values().all(|copies| *copies == 1), "D2");
        for (ticket, answer) in &self.answers {
            let id = PublicationId(u128::from(ticket.0)).to_string();
            let stored = self.stored.get(&id);
            match answer {
                Ok(sequence) => assert_eq!(stored.map(|(at, _)| *at), Some(*sequence)),
                Err(Refusal::Unknown) => {}
                Err(_) => assert_eq!(stored, None, "D3: {answer:?}"),
            }
        }
    }

    /// When all deadlines are over all are answered (D1), and nothing is held.
    pub(crate) fn end_well(&mut self) {
        self.wait(Span::from_secs(10));
        self.check();
        assert_eq!(self.answers.len() as u64, self.published, "D1");
        assert_eq!(self.machine.held(), 0);
    }

    pub(crate) fn feed(&mut self, input: Input) {
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
                    assert!(self.asked.insert(op, (self.now, request)).is_none());
                }
                Effect::Answer { ticket, answer } => {
                    assert!(self.answers.insert(ticket, answer).is_none(), "D1: once");
                }
                Effect::Halt(reason) => panic!("it halted: {reason}"),
            }
        }
    }

    pub(crate) fn publish(&mut self, n: u64, within: Span) {
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
            && let Some((op, (at, StoreRequest::Publish(publish)))) = self.asked.first_key_value()
        {
            let (op, id) = (*op, publish.dedup.clone().expect("D2: an id"));
            let stores = self.now.since(*at) < ON_ITS_WAY_MAX;
            self.asked.remove(&op);
            let _ = self.store(id, stores, true);
            let reply = Outcome::Refused(Refused::NoSpace);
            self.feed(Input::Stored { op, reply });
        }
    }

    /// Answers the oldest request: carried out or not, and told or not.
    pub(crate) fn answer(&mut self, stores: bool, tells: bool) {
        let Some((op, (at, request))) = self.asked.pop_first() else {
            return;
        };
        let stores = stores && self.now.since(at) < ON_ITS_WAY_MAX;
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
    pub(crate) fn wait(&mut self, span: Span) {
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

pub(crate) fn gone() -> SpaceError {
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
