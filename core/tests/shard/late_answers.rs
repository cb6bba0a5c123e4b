//! One machine of ownership by hand: answers that come after the order that they are of, and records
//! that are gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tenure_core::format::{FrameVersions, Layout, LayoutKey, Ownership, TakeOver, Unknown};
use tenure_core::id::{ClaimId, Epoch, Incarnation, LayoutId, OpId, Sequence, ShardId, WallTime};
use tenure_core::name::NodeName;
use tenure_core::node::{About, Peer, PeerState, Role, Standing, View};
use tenure_core::port::{Message, Proof, Refused, StoreDone, StoreReply};
use tenure_core::shard::{Effect, Input, Order, Owners, OwnersConfig, Place, Report};
use tenure_core::step::{CountingProbe, Outcome};
use tenure_core::{Cx, Dice, Effects, Limits, Machine, Span, Time};

const RUN: Incarnation = Incarnation(1);
const LAYOUT: LayoutId = LayoutId(1);

struct Alone {
    owners: Owners,
    now: Time,
    place: Place,
    limits: Limits,
}

fn epoch(sequence: u64) -> Epoch {
    let (sequence, claim) = (Sequence(sequence), ClaimId(u128::from(sequence)));
    Epoch { sequence, claim }
}

fn peer(run: Incarnation) -> Peer {
    Peer {
        incarnation: run,
        about: About {
            role: Role::Owner,
            labels: BTreeMap::new(),
            zone: None,
            weight: 100,
            lanes: 1,
            classes: BTreeSet::from([TakeOver::Leased]),
            frames: FrameVersions::default(),
            program: String::new(),
            kinds: None,
            groups: BTreeSet::new(),
        },
        state: PeerState::Up,
        standing: Standing::Living,
    }
}

impl Alone {
    /// A node that is alone in its cluster of one shard, has its lease, and was ordered to claim.
    fn claiming(class: TakeOver) -> Self {
        let limits = Limits::default();
        let name = NodeName::new("a").expect("a name");
        let layout = Layout::new(LAYOUT, LayoutKey(1), WallTime(0), 1, 1);
        let config = OwnersConfig {
            namespace: crate::owners::namespace(),
            layout: Arc::new(layout),
            name: name.clone(),
            incarnation: RUN,
            classes: BTreeSet::from([class]),
        };
        let shard = ShardId(0);
        let mut alone = Self {
            owners: Owners::new(config, limits),
            now: Time::ZERO,
            place: Place { class, shard },
            limits,
        };
        let mut me = peer(RUN);
        me.about.classes = BTreeSet::from([class]);
        let mut view = View::default();
        (view.revision, view.listed) = (1, 1);
        view.peers.insert(name, me);
        alone.step(Input::Up);
        alone.lease();
        alone.step(Input::View(Arc::new(view)));
        alone.answer(None, 0);
        alone.pass(Span::from_secs(2));
        alone
    }

    fn lease(&mut self) -> Vec<Effect> {
        self.step(Input::Lease(Some(self.now + Span::from_secs(1_000))))
    }

    fn step(&mut self, input: Input) -> Vec<Effect> {
        let mut probe = CountingProbe::default();
        let mut out = Effects::new(self.limits.effects_max);
        let mut cx = Cx {
            now: self.now,
            dice: Dice::new(1),
            probe: &mut probe,
        };
        self.owners.step(&mut cx, input, &mut out);
        out.drain().collect()
    }

    fn pass(&mut self, span: Span) -> Vec<Order> {
        self.now = self.now + span;
        orders(self.step(Input::Tick))
    }

    fn report(&mut self, report: Report) -> Vec<Order> {
        let place = self.place;
        orders(self.step(Input::Report { place, report }))
    }

    /// The first read that was asked is answered, and so are those that follow from it.
    fn answer(&mut self, record: Option<Epoch>, up_to: u64) -> Vec<Order> {
        let mut told = Vec::new();
        for op in 0..1_000 {
            // An operation that was not asked halts the machine: each is tried on a copy first.
            let reply = self.reply(record, up_to);
            let op = OpId(op);
            let before = self.owners.clone();
            let effects = self.step(Input::Stored { op, reply });
            let is_asked = !effects.iter().any(|it| matches!(it, Effect::Halt(_)));
            if is_asked {
                told.extend(orders(effects));
            } else {
                self.owners = before;
            }
        }
        told
    }

    fn reply(&self, record: Option<Epoch>, up_to: u64) -> StoreReply {
        let Some(record) = record else {
            return Outcome::Refused(Refused::NotFound);
        };
        let namespace = crate::owners::namespace();
        let ownership = Ownership {
            layout: LAYOUT,
            claim: record.claim,
            owner: Some(RUN),
            node: "a".to_owned(),
            unknown: Unknown::default(),
        };
        let message = Message {
            subject: namespace.ownership_subject(self.place.class, self.place.shard),
            sequence: record.sequence,
            stored: WallTime(0),
            expired_marker: false,
            payload: ownership.encode(),
        };
        let up_to = Sequence(up_to);
        let messages = vec![message];
        Outcome::Done(StoreDone::Latest(Proof { messages, up_to }))
    }
}

fn orders(effects: Vec<Effect>) -> Vec<Order> {
    let order = |effect| {
        if let Effect::Order { order, .. } = effect {
            Some(order)
        } else {
            None
        }
    };
    effects.into_iter().filter_map(order).collect()
}

const LOST: Report = Report::Lost {
    was: None,
    tail: false,
};

#[test]
fn a_claim_that_was_taken_for_lost_is_owned_when_it_is_stored() {
    for class in [TakeOver::Fenced, TakeOver::Leased] {
        let mut alone = Alone::claiming(class);
        // The answer to a drop that was ordered before comes after the claim was: two orders ago.
        assert!(alone.report(LOST).is_empty());
        assert_eq!(alone.owners.held_count(), 0);
        // The claim is stored; nothing is announced.
        assert!(alone.report(Report::Owned(epoch(2))).is_empty());
        assert_eq!(alone.owners.held_count(), 1, "{class:?}");
        let rows = &alone.owners.table().rows;
        assert_eq!(rows.get(&alone.place).map(|row| row.epoch), Some(epoch(2)));
    }
}

#[test]
fn without_a_lease_it_is_dropped() {
    let mut alone = Alone::claiming(TakeOver::Leased);
    assert!(alone.report(LOST).is_empty());
    alone.step(Input::Lease(None));
    assert_eq!(alone.report(Report::Owned(epoch(2))), [Order::Drop]);
    assert!(alone.report(LOST).is_empty());
    assert_eq!(alone.owners.held_count(), 0);
    // Its record names this run still.
    alone.lease();
    assert_eq!(alone.answer(Some(epoch(2)), 2), [Order::Adopt(epoch(2))]);
}

#[test]
fn what_is_held_under_a_record_that_is_gone_is_dropped() {
    let mut alone = Alone::claiming(TakeOver::Leased);
    alone.report(Report::Owned(epoch(7)));
    // A server that lags says so too.
    alone.pass(Span::from_secs(10));
    assert!(alone.answer(Some(epoch(2)), 5).is_empty());
    assert_eq!(alone.owners.held_count(), 1);
    // This one knows more than that record, and it is not there.
    alone.pass(Span::from_secs(10));
    assert_eq!(alone.answer(Some(epoch(2)), 9), [Order::Drop]);
}
