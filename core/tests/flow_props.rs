//! What a node keeps, takes in and sends out at once stays within its limits, whatever comes (C1, C2,
//! F1 to F3).

use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use tenure_core::cache::Cache;
use tenure_core::flow::{Admission, Room, Window};
use tenure_core::log::Stock;
use tenure_core::{Limits, Time};

const SHARDS: u8 = 4;

/// What happens to one of a few entities in one of a few shards.
#[derive(Clone, Copy, Debug)]
enum Use {
    /// It is wanted, and comes into memory if it is not there.
    Wanted { shard: u8, entity: u8 },
    /// Nothing is under way for it any more.
    Rests { shard: u8, entity: u8, bytes: usize },
}

fn uses() -> impl Strategy<Value = Vec<Use>> {
    let entity = || (0..SHARDS, 0..6_u8);
    let one = prop_oneof![
        entity().prop_map(|(shard, entity)| Use::Wanted { shard, entity }),
        (entity(), 1..500_usize).prop_map(|((shard, entity), bytes)| Use::Rests {
            shard,
            entity,
            bytes
        }),
    ];
    vec(one, 1..120)
}

/// Entities in memory: busy ones, and resting ones with when they came to rest and their bytes.
#[derive(Default)]
struct Memory {
    busy: BTreeSet<(u8, u8)>,
    resting: BTreeMap<(u8, u8), (u64, usize)>,
}

impl Memory {
    fn stock(&self, shard: u8) -> Stock {
        let of = |(key, _): &(&(u8, u8), &(u64, usize))| key.0 == shard;
        let mine = || self.resting.iter().filter(of);
        Stock {
            entities: self.busy.iter().filter(|key| key.0 == shard).count() + mine().count(),
            resting_bytes: mine().map(|(_, (_, bytes))| bytes).sum(),
            oldest: mine().map(|(_, (at, _))| Time::from_nanos(*at)).min(),
        }
    }

    /// Who rests longest, over all shards.
    fn oldest(&self) -> Option<(u8, u8)> {
        let resting = self.resting.iter();
        resting.min_by_key(|(_, (at, _))| *at).map(|(key, _)| *key)
    }

    fn bytes(&self) -> usize {
        self.resting.values().map(|(_, bytes)| bytes).sum()
    }
}

proptest! {
    #[test]
    fn the_one_that_rests_longest_goes_and_no_more_than_must(
        uses in uses(),
        entities_max in 0..8_usize,
        resting_bytes_max in prop_oneof![0..3_000_usize, Just(usize::MAX)],
    ) {
        let mut limits = Limits::default();
        limits.entities_max = entities_max;
        limits.resting_bytes_max = resting_bytes_max;
        let mut cache = Cache::new(&limits, 0, 1);
        // In another order than theirs: who goes does not depend on it.
        let mut stocks: Vec<_> = (0..SHARDS).rev().map(|shard| cache.enter(shard)).collect();
        stocks.reverse();
        let mut memory = Memory::default();
        for (at, event) in (0..).zip(uses) {
            let shard = match event {
                Use::Wanted { shard, entity } => {
                    memory.resting.remove(&(shard, entity));
                    memory.busy.insert((shard, entity));
                    shard
                }
                Use::Rests { shard, entity, bytes } => {
                    if memory.busy.remove(&(shard, entity)) {
                        memory.resting.insert((shard, entity), (at, bytes));
                    }
                    shard
                }
            };
            cache.set(stocks[usize::from(shard)], memory.stock(shard));
            let count = |memory: &Memory| memory.busy.len() + memory.resting.len();
            while let Some(shard) = cache.excess() {
                // It was too much, and who goes is who rests longest (C2).
                prop_assert!(count(&memory) > entities_max || memory.bytes() > resting_bytes_max);
                let oldest = memory.oldest().expect("somebody rests");
                prop_assert_eq!(oldest.0, shard);
                memory.resting.remove(&oldest);
                cache.set(stocks[usize::from(shard)], memory.stock(shard));
            }
            prop_assert_eq!(cache.entities(), count(&memory));
            prop_assert_eq!(cache.resting_bytes(), memory.bytes());
            // C1
            let fits = count(&memory) <= entities_max && memory.bytes() <= resting_bytes_max;
            prop_assert!(fits || memory.resting.is_empty());
        }
    }

    #[test]
    fn the_shares_of_all_lanes_add_up(entities_max in 0..10_000_usize, lanes in 1..17_usize) {
        let mut limits = Limits::default();
        limits.entities_max = entities_max;
        let kept = |lane| {
            let mut cache = Cache::new(&limits, lane, lanes);
            let at = cache.enter(());
            let mut entities = 0;
            // What fits in a lane is found by filling it.
            loop {
                let stock = Stock { entities: entities + 1, resting_bytes: 0, oldest: Some(Time::ZERO) };
                cache.set(at, stock);
                if cache.excess().is_some() {
                    return entities;
                }
                entities += 1;
            }
        };
        let kept: Vec<usize> = (0..lanes).map(kept).collect();
        prop_assert_eq!(kept.iter().sum::<usize>(), entities_max);
        let most = kept.iter().max().zip(kept.iter().min());
        prop_assert!(most.is_some_and(|(most, least)| most - least <= 1));
    }

    #[test]
    fn a_window_begins_each_request_once_in_order_and_never_too_many(
        acts in vec((0..3_u8, any::<bool>()), 1..300),
        in_flight_max in 1..5_usize,
        waiting_max in 0..6_usize,
    ) {
        let mut limits = Limits::default();
        limits.store_in_flight_max = in_flight_max;
        limits.store_waiting_max = waiting_max;
        let mut window = Window::new(&limits);
        let mut offered: BTreeMap<u8, Vec<u32>> = BTreeMap::new();
        let mut begun: BTreeMap<u8, Vec<u32>> = BTreeMap::new();
        let mut answered: BTreeMap<u8, usize> = BTreeMap::new();
        let mut places = BTreeMap::new();
        for (n, (stream, offers)) in (0..).zip(acts) {
            let begun = begun.entry(stream).or_default();
            let answered = answered.entry(stream).or_default();
            let next = if offers {
                offered.entry(stream).or_default().push(n);
                match window.enter(&stream) {
                    Room::Entered(at) => {
                        places.insert(stream, at);
                        Some(n)
                    }
                    Room::Full(at) => {
                        prop_assert_eq!(places.get(&stream), Some(&at));
                        window.wait(at, n);
                        None
                    }
                }
            } else if begun.len() > *answered {
                *answered += 1;
                window.answered(places[&stream])
            } else {
                None
            };
            begun.extend(next);
            let offered = offered.get(&stream).map_or(&[][..], Vec::as_slice);
            // F3: in their order, none twice, none that was not offered.
            prop_assert_eq!(begun.as_slice(), &offered[..begun.len()]);
            // F2
            let in_flight = begun.len() - *answered;
            let waiting = offered.len() - begun.len();
            prop_assert!(in_flight <= in_flight_max);
            prop_assert!(waiting == 0 || in_flight == in_flight_max);
            prop_assert_eq!(window.is_full(&stream), waiting_max <= waiting && !offered.is_empty());
        }
        let offered: usize = offered.values().map(Vec::len).sum();
        let begun: usize = begun.values().map(Vec::len).sum();
        let answered: usize = answered.values().sum();
        prop_assert_eq!(window.waiting(), offered - begun);
        prop_assert_eq!(window.in_flight(), begun - answered);
    }

    #[test]
    fn a_node_takes_in_no_more_than_it_may(
        acts in vec((0..3_usize, any::<bool>()), 1..200),
        requests_max in 0..20_usize,
    ) {
        let mut limits = Limits::default();
        limits.requests_max = requests_max;
        let admission = Admission::new(&limits, 3);
        let mut waiting = [0_usize; 3];
        for (lane, asks) in acts {
            if asks {
                let admits = admission.admits();
                prop_assert_eq!(admits, waiting.iter().sum::<usize>() < requests_max);
                waiting[lane] += usize::from(admits);
            } else {
                waiting[lane] = waiting[lane].saturating_sub(1);
            }
            admission.set(lane, waiting[lane]);
            prop_assert_eq!(admission.waiting(), waiting.iter().sum::<usize>());
            prop_assert!(admission.waiting() <= requests_max);
        }
    }
}
