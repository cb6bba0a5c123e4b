//! What the shard map promises, over random members and weights.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use std::collections::BTreeMap;
use tenure_core::format::TakeOver;
use tenure_core::id::ShardId;
use tenure_core::name::NodeName;
use tenure_core::shard::{Place, ShardMap};

const SHARDS: u16 = 256;

fn name(text: &str) -> NodeName {
    NodeName::new(text).expect("a node's name")
}

fn places(shards: u16) -> impl Iterator<Item = Place> {
    let classes = [TakeOver::Fenced, TakeOver::Leased];
    classes.into_iter().flat_map(move |class| {
        (0..shards).map(move |shard| Place {
            class,
            shard: ShardId(shard),
        })
    })
}

fn owners(members: &BTreeMap<String, u16>, shards: u16) -> BTreeMap<Place, NodeName> {
    let map = ShardMap::new(members.iter().map(|(node, weight)| (name(node), *weight)));
    places(shards)
        .filter_map(|place| Some((place, map.owner(place)?.clone())))
        .collect()
}

fn members(count: std::ops::Range<usize>) -> impl Strategy<Value = BTreeMap<String, u16>> {
    let weight = prop_oneof![4 => Just(100_u16), 2 => 1..400_u16, 1 => Just(u16::MAX)];
    btree_map("[a-z]{1,8}", weight, count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn all_agree_whatever_the_order_of_the_members(
        members in members(1..12),
        swaps in vec(any::<prop::sample::Index>(), 12),
    ) {
        let mut shuffled: Vec<_> = members.iter().map(|(n, w)| (name(n), *w)).collect();
        let count = shuffled.len();
        for (n, swap) in swaps.iter().enumerate() {
            shuffled.swap(n % count, swap.index(count));
        }
        let (one, other) = (
            ShardMap::new(members.iter().map(|(n, w)| (name(n), *w))),
            ShardMap::new(shuffled),
        );
        for place in places(SHARDS) {
            prop_assert_eq!(one.owner(place), other.owner(place));
            let ranked = one.rank(place, count);
            prop_assert_eq!(&ranked, &other.rank(place, count));
            prop_assert_eq!(ranked.len(), count);
            prop_assert_eq!(one.owner(place), ranked.first().copied());
        }
    }

    #[test]
    fn who_joins_takes_and_nothing_else_moves(
        members in members(1..12),
        joining in "[A-Z]{1,8}",
        weight in 0..400_u16,
    ) {
        let before = owners(&members, SHARDS);
        let mut more = members.clone();
        more.insert(joining.clone(), weight);
        let after = owners(&more, SHARDS);
        for (place, owner) in &after {
            prop_assert!(before[place] == *owner || *owner == name(&joining));
            prop_assert!(weight > 0 || *owner != name(&joining));
        }
    }

    #[test]
    fn who_leaves_gives_to_who_came_next_and_nothing_else_moves(
        members in members(2..12),
        leaving in any::<prop::sample::Index>(),
    ) {
        let leaving = members.keys().nth(leaving.index(members.len())).unwrap().clone();
        let before = owners(&members, SHARDS);
        let map = ShardMap::new(members.iter().map(|(n, w)| (name(n), *w)));
        let mut fewer = members.clone();
        fewer.remove(&leaving);
        for (place, owner) in owners(&fewer, SHARDS) {
            if before[&place] == name(&leaving) {
                prop_assert_eq!(&owner, map.rank(place, 2)[1]);
            } else {
                prop_assert_eq!(&owner, &before[&place]);
            }
        }
    }

    #[test]
    fn a_weight_that_changes_moves_its_own_places_only(
        members in members(2..12),
        changed in any::<prop::sample::Index>(),
        weight in 0..1_000_u16,
    ) {
        let changed = members.keys().nth(changed.index(members.len())).unwrap().clone();
        let before = owners(&members, SHARDS);
        let mut others = members.clone();
        let was = others.insert(changed.clone(), weight).unwrap();
        for (place, owner) in owners(&others, SHARDS) {
            let before = &before[&place];
            if owner == *before {
                continue;
            }
            // A greater weight only takes, a smaller one only gives.
            let (taker, giver) = (owner == name(&changed), *before == name(&changed));
            let right = if weight > was { taker } else { giver };
            prop_assert!(right);
        }
    }

    /// The draws are independent, so a share is binomial: within six standard deviations and two.
    #[test]
    fn each_owns_its_share(members in members(1..9)) {
        let total: f64 = members.values().map(|weight| f64::from(*weight)).sum();
        let owners = owners(&members, 1_024);
        let count = owners.len() as f64;
        for (node, weight) in &members {
            let share = f64::from(*weight) / total;
            let got = owners.values().filter(|owner| **owner == name(node)).count() as f64;
            let bound = 6.0 * (count * share * (1.0 - share)).sqrt() + 2.0;
            prop_assert!((got - count * share).abs() <= bound, "{node}: {got} of {count}, {share}");
        }
    }
}

/// How many of `shards` places of one class each node owns.
fn loads(nodes: &[String], shards: u16) -> Vec<usize> {
    let map = ShardMap::new(nodes.iter().map(|node| (name(node), 100)));
    let owned = |node: &String| {
        let mine = |place: &Place| map.owner(*place) == Some(&name(node));
        let fenced = places(shards).filter(|place| place.class == TakeOver::Fenced);
        fenced.filter(mine).count()
    };
    nodes.iter().map(owned).collect()
}

fn nodes(set: usize, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("s{set}-node-{n}")).collect()
}

/// The figures of DESIGN.md: over a thousand sets of names, 64 shards and 7 nodes that become 8.
#[test]
fn a_join_moves_an_eighth() {
    let moved: Vec<usize> = (0..1_000).map(|set| loads(&nodes(set, 8), 64)[7]).collect();
    let mean = moved.iter().sum::<usize>() as f64 / moved.len() as f64 / 64.0;
    println!("moved on average: {:.2} % of the shards", 100.0 * mean);
    // An eighth and a tenth of it.
    assert!((0.1125..=0.1375).contains(&mean), "{mean}");
    // An eighth and a tenth of all shards.
    let most = moved.iter().filter(|moved| **moved * 40 > 64 * 9).count();
    println!("more than 22.5 %: {most} of 1,000 sets of names");
    assert!(most <= 20, "{most}");
    // The names that the counter example gives.
    let counter: Vec<_> = (1..=8).map(|n| format!("node-{n}")).collect();
    let loads = loads(&counter, 64);
    println!("node-1 to node-8: {loads:?}");
    assert!(loads[7] * 40 <= 64 * 9, "{loads:?}");
}

#[test]
fn the_fullest_node_is_within_its_bound() {
    for (shards, count, most) in [
        (64, 8, 2.3),
        (256, 3, 1.25),
        (256, 8, 1.6),
        (1_024, 8, 1.25),
    ] {
        let fair = f64::from(shards) / count as f64;
        let mut worst: Vec<f64> = (0..200)
            .map(|set| loads(&nodes(set, count), shards).into_iter().max().unwrap() as f64 / fair)
            .collect();
        worst.sort_by(f64::total_cmp);
        let (mean, last) = (worst.iter().sum::<f64>() / 200.0, worst[197]);
        println!(
            "{shards} shards, {count} nodes: the fullest has {mean:.2} times its share, in 99 of 100 sets at most {last:.2}"
        );
        assert!(last <= most, "{last}");
    }
}

/// Draws and tickets are part of the protocol: nodes of two builds have to agree.
#[test]
fn the_map_is_the_same_in_every_build() {
    let even = ShardMap::new(["ada", "bea", "cy"].map(|n| (name(n), 100)));
    let uneven = ShardMap::new([("ada", 100), ("bea", 50), ("cy", 7)].map(|(n, w)| (name(n), w)));
    let told = |map: &ShardMap| -> String {
        let owners = places(16).map(|place| map.owner(place).unwrap().as_str().chars().next());
        owners.map(Option::unwrap).collect()
    };
    assert_eq!(told(&even), "cccbabccbacccaaaabaccbcbcacccbaa");
    assert_eq!(told(&uneven), "bbabaaaabaaaaaaaaaababaabaaaabaa");
}
