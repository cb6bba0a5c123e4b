//! T2: whatever comes in whatever order, each message of an actor is answered once, keys run one
//! message at a time and in order, and all of them get their turns.

mod model;

use model::{Act, End, Model};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tenure_core::actor::{Ask, Effect, Ending, Input, KindConfig, Scheduler, Trail};
use tenure_core::id::Ticket;
use tenure_core::log::KindIndex;
use tenure_core::name::{EntityId, KindName};
use tenure_core::step::{CountingProbe, Limits};
use tenure_core::{Cx, Dice, Effects, Machine, Span, Time};

fn act() -> impl Strategy<Value = Act> {
    let end = prop_oneof![
        12 => Just(End::Ok),
        1 => Just(End::Timer),
        1 => Just(End::Leave),
        1 => Just(End::Fails),
        2 => Just(End::Panics),
        1 => Just(End::Dropped),
        1 => Just(End::Withdrawn),
    ];
    prop_oneof![
        12 => (0..3_u16, 0..6_u8, 1..200_u64, prop::bool::weighted(0.8))
            .prop_map(|(kind, key, ms, answered)| Act::Ask { kind, key, ms, answered }),
        1 => (0..3_u16, 0..6_u8, 1..200_u64).prop_map(|(kind, key, ms)| Act::Watch { kind, key, ms }),
        2 => any::<usize>().prop_map(Act::Withdraw),
        14 => (any::<usize>(), end).prop_map(|(which, end)| Act::End(which, end)),
        8 => Just(Act::Turn),
        4 => (0..60_u64).prop_map(Act::Pass),
        2 => (0..60_u64).prop_map(Act::Late),
        2 => (0..2_u8).prop_map(Act::Own),
        1 => (0..2_u8).prop_map(Act::Lost),
        1 => (0..2_u8).prop_map(Act::HandOver),
        1 => prop::option::of(1..400_u64).prop_map(Act::Lease),
        1 => (0..6_u8).prop_map(Act::Pause),
        1 => (0..6_u8).prop_map(Act::Resume),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn each_message_is_answered_once_and_keys_run_one_at_a_time(
        acts in vec(act(), 1..300),
        stops in any::<bool>(),
    ) {
        let mut model = Model::new();
        for act in &acts {
            model.act(act);
        }
        model.finish(stops);
    }

    #[test]
    fn between_two_turns_of_one_every_other_that_has_mail_has_a_turn(
        mails in vec(1..5_usize, 2..12),
        turns_max in 1..6_usize,
    ) {
        let mut limits = Limits::default();
        limits.actor_turns_max = turns_max;
        let mut scheduler = Scheduler::new(limits, 0, 1);
        let mut probe = CountingProbe::default();
        let mut out = Effects::new(100_000);
        let mut pending: VecDeque<Effect> = VecDeque::new();
        let mut feed = |input| {
            let now = Time::ZERO;
            let mut cx = Cx { now, dice: Dice::new(1), probe: &mut probe };
            scheduler.step(&mut cx, input, &mut out);
            (out.drain().collect::<Vec<_>>(), scheduler.is_ready())
        };
        let done = |slot, op| Input::Done {
            slot,
            op,
            ending: Ending::Ok,
            orders: Vec::new(),
            background: 0,
        };
        feed(Input::Kind(KindConfig::new(KindName::new("counter").expect("a name"))));
        let mut ticket = 0;
        // All are made before anyone has a turn.
        for (n, mail) in mails.iter().enumerate() {
            for _ in 0..*mail {
                ticket += 1;
                pending.extend(feed(Input::Ask(Ask {
                    ticket: Ticket(ticket),
                    kind: KindIndex(0),
                    key: EntityId::new(&n.to_string()).expect("a key"),
                    place: None,
                    deadline: Time::ZERO + Span::from_secs(1),
                    trail: Trail::default(),
                    crosses: false,
                    answered: true,
                })).0);
            }
        }
        let mut left: BTreeMap<String, usize> = BTreeMap::new();
        for (n, mail) in mails.iter().enumerate() {
            left.insert(n.to_string(), *mail);
        }
        let mut since: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        loop {
            let Some(effect) = pending.pop_front() else {
                let (effects, _) = feed(Input::Turn);
                if effects.is_empty() {
                    break;
                }
                pending.extend(effects);
                continue;
            };
            match effect {
                Effect::Activate { slot, op, .. } => pending.extend(feed(done(slot, op)).0),
                Effect::Run { slot, op, key, .. } => {
                    let key = key.to_string();
                    // A6: since its last turn all that still have mail had one.
                    if let Some(others) = since.get(&key) {
                        for (other, mail) in &left {
                            prop_assert!(*mail == 0 || *other == key || others.contains(other));
                        }
                    }
                    for others in since.values_mut() {
                        others.insert(key.clone());
                    }
                    since.insert(key.clone(), BTreeSet::new());
                    *left.get_mut(&key).expect("a key of this test") -= 1;
                    pending.extend(feed(done(slot, op)).0);
                }
                Effect::Reply { .. } | Effect::Note(_) => {}
                Effect::Stop { .. }
                | Effect::Abort { .. }
                | Effect::Cancel { .. }
                | Effect::Forget { .. }
                | Effect::Undelivered { .. }
                | Effect::Drained { .. }
                | Effect::Kept { .. }
                | Effect::Stopped
                | Effect::Halt(_) => panic!("not in this run: {effect:?}"),
            }
        }
        prop_assert!(left.values().all(|mail| *mail == 0), "{left:?}");
    }
}

/// A property found it: the deadline of the last mail of an actor that was asked to leave, and the loss
/// of its place, in one step.
#[test]
fn what_is_lost_does_not_begin_to_stop() {
    let mut model = Model::new();
    for act in [
        Act::Lease(Some(59)),
        Act::Own(1),
        Act::Ask {
            kind: 2,
            key: 2,
            ms: 1,
            answered: true,
        },
        Act::End(0, End::Leave),
        Act::Late(1),
        Act::Lost(1),
    ] {
        model.act(&act);
    }
    model.finish(false);
}
