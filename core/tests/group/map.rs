//! Who is to own which partition: all nodes agree, a node that comes or goes moves nothing between two that
//! stay, and shares are fair on average.

use crate::circle::{group, namespace};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tenure_core::consumer::group::{Group, GroupConfig, Input};
use tenure_core::consumer::{Definition, Filter, Keeping, Order, Source, Start};
use tenure_core::format::{Layout, LayoutKey};
use tenure_core::id::{Incarnation, LayoutId, WallTime};
use tenure_core::name::NodeName;
use tenure_core::node::{About, Peer, PeerState, Role, Standing, View};
use tenure_core::space::SpaceWish;
use tenure_core::step::SilentProbe;
use tenure_core::{Cx, Dice, Effects, Limits, Machine, Time};

/// Who is to own each partition, as one of these nodes sees it.
fn owners(names: &BTreeSet<String>, of: &str, partitions: u16) -> Vec<String> {
    let config = GroupConfig {
        wish: SpaceWish::new(namespace()),
        layout: Layout::new(LayoutId(1), LayoutKey(2), WallTime(3), 256, 1),
        node: NodeName::new(of).unwrap(),
        incarnation: Incarnation(1),
        definition: Definition {
            name: group(),
            source: Source::Log,
            filter: Filter::default(),
            order: Order::Serial,
            start: Start::Beginning,
            keeping: Keeping::Stored,
        },
        partitions,
    };
    let mut machine = Group::new(config, Limits::default()).unwrap();
    let mut view = View::default();
    for (name, run) in names.iter().zip(1_u128..) {
        let mut about = About::new(Role::Owner);
        about.groups.insert(group());
        let peer = Peer {
            incarnation: Incarnation(run),
            about,
            state: PeerState::Up,
            standing: Standing::Living,
        };
        view.peers.insert(NodeName::new(name).unwrap(), peer);
    }
    let mut cx = Cx {
        now: Time::ZERO,
        dice: Dice::new(1),
        probe: &mut SilentProbe,
    };
    machine.step(&mut cx, Input::View(Arc::new(view)), &mut Effects::new(16));
    let partitions = machine.status().partitions.into_iter();
    let best = partitions.map(|part| part.best.expect("somebody").to_string());
    best.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_node_that_comes_or_goes_moves_its_share_alone(
        names in proptest::collection::btree_set("[a-z]{1,8}", 1..9),
        partitions in 1_u16..257,
    ) {
        let mut more = names.clone();
        more.insert("newcomer-1".to_owned());
        let (some, any) = (names.iter().next().unwrap(), names.iter().last().unwrap());
        let before = owners(&names, some, partitions);
        prop_assert_eq!(&before, &owners(&names, any, partitions), "they agree");
        let after = owners(&more, some, partitions);
        for (before, after) in before.iter().zip(&after) {
            prop_assert!(before == after || after == "newcomer-1", "{} went to {}", before, after);
        }
    }
}

/// The fullest node's share, beside an even one, over a hundred sets of names.
#[test]
fn shares_are_fair_on_average() {
    let (mut fullest, mut empty) = (0.0, 0);
    for set in 0..100 {
        let names: BTreeSet<String> = (0..4).map(|n| format!("node-{set}-{n}")).collect();
        let some = names.iter().next().unwrap();
        let mut shares: BTreeMap<String, u32> = BTreeMap::new();
        for owner in owners(&names, some, 48) {
            *shares.entry(owner).or_default() += 1;
        }
        fullest += f64::from(*shares.values().max().unwrap()) / 12.0;
        empty += 4 - shares.len();
    }
    let fullest = fullest / 100.0;
    assert!(
        (1.0..1.4).contains(&fullest),
        "the fullest has {fullest:.2} of its share"
    );
    assert!(empty < 2, "{empty} of 400 nodes had none of 48 partitions");
}
