//! One machine of ownership by hand: answers that come after the order that they are of, and records
//! that are gone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
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
    dice: Dice,
    /// Reads that are not answered.
    asked: VecDeque<OpId>,
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
        Self::drawing(class, Dice::new(1))
    }

    fn drawing(class: TakeOver, dice: Dice) -> Self {
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
            dice,
            asked: VecDeque::new(),
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
            dice: self.dice,
            probe: &mut probe,
        };
        self.owners.step(&mut cx, input, &mut out);
        let effects: Vec<_> = out.drain().collect();
        for effect in &effects {
            if let Effect::Store { op, .. } = effect {
                self.asked.push_back(*op);
            }
        }
        effects
    }

    /// Time passes until records are read; how long that took.
    fn until_read(&mut self) -> Span {
        let since = self.now;
        for _ in 0..100 {
            let next = self.owners.next_deadline().expect("it waits for something");
            self.now = next.at;
            if asks(&self.step(Input::Tick)) > 0 {
                return self.now.since(since);
            }
        }
        panic!("nothing is read");
    }

    fn pass(&mut self, span: Span) -> Vec<Order> {
        self.now = self.now + span;
        orders(self.step(Input::Tick))
    }

    fn report(&mut self, report: Report) -> Vec<Order> {
        let place = self.place;
        orders(self.step(Input::Report { place, report }))
    }

    /// The reads that were asked are answered, and so are those that follow from it.
    fn answer(&mut self, record: Option<Epoch>, up_to: u64) -> Vec<Order> {
        let mut told = Vec::new();
        while let Some(op) = self.asked.pop_front() {
            let reply = self.reply(record, up_to);
            told.extend(orders(self.step(Input::Stored { op, reply })));
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

/// How many reads are asked for.
fn asks(effects: &[Effect]) -> usize {
    let asked = effects.iter();
    asked
        .filter(|it| matches!(it, Effect::Store { .. }))
        .count()
}

/// All waits are in a range, and in each quarter of it some.
fn are_spread(waits: &[Span], (least, most): (u64, u64)) {
    let mut quarters = BTreeSet::new();
    for wait in waits.iter().map(|wait| wait.as_nanos()) {
        assert!((least..=most).contains(&wait), "{wait} in {least}..={most}");
        quarters.insert(4 * (wait - least) / (most - least + 1));
    }
    assert_eq!(quarters.len(), 4, "{waits:?}");
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

#[test]
fn a_record_that_is_gone_is_found_by_an_answer_as_of_its_place() {
    let mut alone = Alone::claiming(TakeOver::Leased);
    alone.report(Report::Owned(epoch(5)));
    let (epoch_7, to) = (epoch(7), Incarnation(9));
    alone.report(Report::HandedOver { epoch: epoch_7, to });
    alone.pass(Span::from_secs(10));
    assert!(alone.answer(Some(epoch(2)), 6).is_empty(), "it lags");
    alone.pass(Span::from_secs(10));
    let adopt = Order::Adopt(epoch(2));
    assert_eq!(alone.answer(Some(epoch(2)), 7), [adopt]);
}

#[test]
fn a_place_with_an_order_under_way_is_not_read() {
    let mut alone = Alone::claiming(TakeOver::Fenced);
    assert_eq!(alone.owners.orders_count(), 1);
    // All that is known is doubted, and all places are due to be read again.
    assert_eq!(asks(&alone.step(Input::Up)), 0);
    alone.now = alone.now + alone.limits.owners_reread;
    assert_eq!(asks(&alone.step(Input::Tick)), 0);
    let (place, report) = (alone.place, LOST);
    assert_eq!(asks(&alone.step(Input::Report { place, report })), 1);
    assert_eq!(alone.owners.orders_count(), 0);
}

#[test]
fn a_hand_over_that_came_to_nothing_is_put_off_for_twice_as_long_each_time() {
    let mut alone = Alone::claiming(TakeOver::Fenced);
    alone.report(Report::Owned(epoch(2)));
    assert_eq!(orders(alone.step(Input::Drain)), [Order::Release]);
    let mut after = alone.limits.hand_over_patience;
    let nanosecond = Span::from_nanos(1);
    for _ in 0..6 {
        let epoch = epoch(2);
        assert!(alone.report(Report::Kept { epoch }).is_empty());
        assert_eq!(alone.owners.held_count(), 1, "it serves meanwhile");
        assert!(
            alone
                .pass(Span::from_nanos(after.as_nanos() - 1))
                .is_empty()
        );
        assert_eq!(alone.pass(nanosecond), [Order::Release]);
        let longest = alone.limits.hand_over_again_max;
        after = after.saturating_mul(2).min(longest);
    }
    assert_eq!(after, alone.limits.hand_over_again_max);
}

#[test]
fn a_claim_that_came_to_nothing_waits_twice_as_long_each_time_and_half_of_it_is_drawn() {
    let mut waits = [const { Vec::new() }; 11];
    for seed in 0..30 {
        let mut alone = Alone::drawing(TakeOver::Fenced, Dice::new(seed));
        for wait in &mut waits {
            let cause = "no room".to_owned();
            let (place, report) = (alone.place, Report::Failed { cause });
            assert_eq!(asks(&alone.step(Input::Report { place, report })), 0);
            wait.push(alone.until_read());
            let over = Sequence::NONE;
            assert_eq!(alone.answer(None, 0), [Order::Claim { over }]);
        }
    }
    let limits = Limits::default();
    let mut full = limits.retry_delay_min;
    for waits in &waits {
        are_spread(waits, (full.as_nanos() / 2, full.as_nanos()));
        full = full.saturating_mul(2).min(limits.retry_delay_max);
    }
}

#[test]
fn records_are_read_again_now_and_then() {
    let mut waits = Vec::new();
    for seed in 0..10 {
        let mut alone = Alone::drawing(TakeOver::Fenced, Dice::new(seed));
        alone.report(Report::Owned(epoch(2)));
        for _ in 0..4 {
            waits.push(alone.until_read());
            assert!(alone.answer(Some(epoch(2)), 2).is_empty());
        }
    }
    // The first was under way before it was owned.
    let waits: Vec<_> = waits.chunks(4).flat_map(|of| &of[1..]).copied().collect();
    let every = Limits::default().owners_reread.as_nanos();
    are_spread(&waits, (every - every / 4, every + every / 4));
}

#[test]
fn after_a_reconnect_not_all_nodes_read_at_once() {
    let mut waits = Vec::new();
    for seed in 0..30 {
        let mut alone = Alone::drawing(TakeOver::Fenced, Dice::new(seed));
        alone.report(Report::Owned(epoch(2)));
        alone.until_read();
        alone.answer(Some(epoch(2)), 2);
        alone.step(Input::Down);
        alone.now = alone.now + Span::from_secs(1);
        alone.step(Input::Up);
        waits.push(alone.until_read());
    }
    let most = Limits::default().retry_delay_max.as_nanos() / 4;
    are_spread(&waits, (0, most));
}
