//! Requests from one node to another: two routers, and the frames between them.

use crate::allocations::{Measured, measure};
use bytes::Bytes;
use criterion::Criterion;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tenure_core::format::{
    Answered, Body, Call, CallTarget, FrameReader, FrameVersions, FrameWriter, Return, TakeOver,
};
use tenure_core::id::{ClaimId, Epoch, Incarnation, OpId, Sequence, ShardId, Ticket};
use tenure_core::name::NodeName;
use tenure_core::node::{About, Peer, PeerState, Role, Standing, View};
use tenure_core::route::{
    Address, Asked, Effect, Input, Repeat, Returned, Router, RouterConfig, Target,
};
use tenure_core::shard::{Place, Row, Table};
use tenure_core::step::SilentProbe;
use tenure_core::{Cx, Dice, Effects, Limits, Machine, Span, Time};

/// Requests that are on their way at once, and in one frame.
const TOGETHER: u64 = 64;

/// More than so many are on their way beside them, as in a node that is in use.
const BESIDE: u64 = 1_000;

const EPOCH: Epoch = Epoch {
    sequence: Sequence(1_000_000),
    claim: ClaimId(u128::MAX),
};

/// A node that asks and one that owns all but one shard.
struct Pair {
    asker: Router,
    owner: Router,
    out: Effects<Effect>,
    there: Effects<Effect>,
    frames: [FrameWriter; 2],
    tickets: u64,
    told: u64,
}

fn address(node: u128) -> Address {
    Address {
        incarnation: Incarnation(node),
        lane: 0,
    }
}

fn place(shard: u16) -> Place {
    Place {
        class: TakeOver::Leased,
        shard: ShardId(shard),
    }
}

fn view() -> View {
    let peer = |node: u128| {
        let about = About {
            role: Role::Owner,
            labels: BTreeMap::new(),
            zone: None,
            weight: 100,
            classes: [TakeOver::Leased].into(),
            kinds: None,
            groups: BTreeSet::new(),
            lanes: 1,
            frames: FrameVersions::THIS,
            program: String::new(),
        };
        let peer = Peer {
            incarnation: Incarnation(node),
            about,
            state: PeerState::Up,
            standing: Standing::Living,
        };
        (NodeName::new(&format!("n{node}")).expect("a name"), peer)
    };
    View {
        revision: 1,
        peers: (1..8).map(peer).collect(),
        ..View::default()
    }
}

fn step(router: &mut Router, input: Input, out: &mut Effects<Effect>) {
    let mut probe = SilentProbe;
    let mut cx = Cx {
        now: Time::ZERO,
        dice: Dice::new(1),
        probe: &mut probe,
    };
    router.step(&mut cx, input, out);
}

impl Pair {
    fn new() -> Self {
        let router = |node| {
            let Address { incarnation, lane } = address(node);
            let config = RouterConfig {
                incarnation,
                lane,
                lanes: 1,
            };
            let mut router = Router::new(config, Limits::default());
            let mut out = Effects::new(16);
            let owned = |shard: u16| {
                let owner = Incarnation(if shard == 0 { 1 } else { 2 });
                let row = Row {
                    owner,
                    epoch: EPOCH,
                };
                (place(shard), row)
            };
            let table = Table {
                revision: 1,
                rows: (0..256).map(owned).collect(),
            };
            for input in [
                Input::Up,
                Input::View(Arc::new(view())),
                Input::Table(Arc::new(table)),
            ] {
                step(&mut router, input, &mut out);
            }
            router
        };
        let mut pair = Self {
            asker: router(1),
            owner: router(2),
            out: Effects::new(4_096),
            there: Effects::new(4_096),
            frames: [1, 2].map(|node| FrameWriter::new(address(node), 1 << 20)),
            tickets: 0,
            told: 0,
        };
        (0..BESIDE).for_each(|n| pair.ask(1 + (n % 255) as u16));
        let beside = pair.out.drain();
        drop(beside);
        pair
    }

    fn ask(&mut self, shard: u16) {
        self.tickets += 1;
        let asked = Asked {
            ticket: Ticket(self.tickets),
            target: Target::Place(place(shard)),
            key: self.tickets,
            deadline: Time::ZERO + Span::from_secs(5),
            repeat: Repeat::Never,
            answered: true,
            doubt: None,
        };
        step(&mut self.asker, Input::Ask(asked), &mut self.out);
    }

    fn here(&mut self) {
        self.ask(0);
        assert_eq!(self.out.drain().count(), 1);
    }

    /// So many requests there and back, routed only.
    fn routed(&mut self) {
        (0..TOGETHER).for_each(|n| self.ask(1 + n as u16));
        let from = address(1);
        for effect in self.out.drain() {
            let Effect::Forward {
                ticket, op, ttl, ..
            } = effect
            else {
                unreachable!("{effect:?}");
            };
            let target = Target::Place(place(1 + ((ticket.0 - BESIDE - 1) % TOGETHER) as u16));
            let request = Input::Request {
                from,
                op,
                target,
                ttl,
            };
            step(&mut self.owner, request, &mut self.there);
        }
        self.serve();
        for effect in self.there.drain() {
            let Effect::Answer { op, .. } = effect else {
                unreachable!("{effect:?}");
            };
            let returned = Returned::Answer;
            step(
                &mut self.asker,
                Input::Returned { op, returned },
                &mut self.out,
            );
        }
        self.told += self.out.drain().count() as u64;
    }

    /// What came in is done at once.
    fn serve(&mut self) {
        let serves: Vec<Effect> = self.there.drain().collect();
        for effect in serves {
            let Effect::Serve { ticket, .. } = effect else {
                unreachable!("{effect:?}");
            };
            step(&mut self.owner, Input::Served(ticket), &mut self.there);
        }
    }

    /// So many requests there and back in two frames, each decoded.
    fn framed(&mut self, body: &Bytes) {
        (0..TOGETHER).for_each(|n| self.ask(1 + n as u16));
        let [there, back] = &mut self.frames;
        for effect in self.out.drain() {
            let Effect::Forward { op, ticket, .. } = effect else {
                unreachable!("{effect:?}");
            };
            let place = place(1 + ((ticket.0 - BESIDE - 1) % TOGETHER) as u16);
            let (kind, key) = ("counter", "page-000017");
            let target = CallTarget::Actor { place, kind, key };
            let call = Call::new(target, "increment", 1, body.clone());
            there.request(op, 5_000, &call).expect("room");
        }
        let frame = there.take().expect("a frame");
        let reader = FrameReader::open(&frame).expect("a frame");
        let from = reader.sender();
        for entry in reader {
            let entry = entry.expect("an entry");
            let Body::Request { ttl_ms, call } = entry.body else {
                unreachable!("{entry:?}");
            };
            let call = Call::decode(&call).expect("a call");
            let request = Input::Request {
                from,
                op: entry.op,
                target: Target::Place(call.target.place().expect("a place")),
                ttl: Span::from_millis(u64::from(ttl_ms)),
            };
            step(&mut self.owner, request, &mut self.there);
        }
        let serves: Vec<Effect> = self.there.drain().collect();
        for effect in serves {
            let Effect::Serve { ticket, .. } = effect else {
                unreachable!("{effect:?}");
            };
            step(&mut self.owner, Input::Served(ticket), &mut self.there);
        }
        for effect in self.there.drain() {
            let Effect::Answer { op, .. } = effect else {
                unreachable!("{effect:?}");
            };
            let answer = Return {
                epoch: Some(EPOCH),
                ..Return::new("node-b", Answered::done(body.clone()))
            };
            back.answer(op, &answer).expect("room");
        }
        let frame = back.take().expect("a frame");
        for entry in FrameReader::open(&frame).expect("a frame") {
            let entry = entry.expect("an entry");
            let Body::Answer { returned } = entry.body else {
                unreachable!("{entry:?}");
            };
            let answer = Return::decode(&returned).expect("an answer");
            assert!(matches!(answer.answered, Answered::Done { .. }));
            self.returned(entry.op);
        }
        self.told += self.out.drain().count() as u64;
    }

    fn returned(&mut self, op: OpId) {
        let returned = Returned::Answer;
        step(
            &mut self.asker,
            Input::Returned { op, returned },
            &mut self.out,
        );
    }
}

/// Requests that run here, that are routed to another node, and that are framed as well.
pub(crate) fn routes(c: &mut Criterion) {
    let pair = RefCell::new(Pair::new());
    let here = Measured {
        name: "route/here",
        elements: 1,
    };
    measure(c, here, || (), |()| pair.borrow_mut().here());

    let pair = RefCell::new(Pair::new());
    let routed = Measured {
        name: "route/there and back",
        elements: TOGETHER,
    };
    measure(c, routed, || (), |()| pair.borrow_mut().routed());
    let told = pair.borrow().told;
    assert!(told > 0 && told.is_multiple_of(TOGETHER));

    let pair = RefCell::new(Pair::new());
    let body = Bytes::from_static(b"\x01");
    let framed = Measured {
        name: "route/there and back in frames",
        elements: TOGETHER,
    };
    measure(c, framed, || (), |()| pair.borrow_mut().framed(&body));
    let told = pair.borrow().told;
    assert!(told > 0 && told.is_multiple_of(TOGETHER));
}
