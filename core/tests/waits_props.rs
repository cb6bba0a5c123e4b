//! T2: of requests that wait for each other in a ring one is found (A10), on one node whatever chains the
//! ring is made of, and between two actors wherever they are; and none is found where there is no ring.

use proptest::collection::vec;
use proptest::prelude::*;
use tenure_core::actor::{Hop, Trail, Waits};
use tenure_core::name::{EntityId, KindName};

/// As many turns as a way may have.
const TURNS_MAX: usize = 32;

fn actor(number: usize) -> Hop {
    Hop {
        kind: KindName::new("ring").unwrap(),
        key: EntityId::new(&number.to_string()).unwrap(),
    }
}

/// What becomes of the request of one actor to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives(usize),
    Sent(usize),
}

/// When each request is sent and comes: where the turn of an actor runs the request before, it sends its
/// own after that came.
fn order(of: &[(u32, u32)], joined: &[bool]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut came = 0;
    for (number, (waits, travels)) in of.iter().enumerate() {
        let sent = if joined[number] {
            came + 1 + waits
        } else {
            *waits
        };
        came = sent + 1 + travels;
        events.push((sent, Event::Sent(number)));
        events.push((came, Event::Arrives(number)));
    }
    events.sort_unstable();
    events.into_iter().map(|(_, event)| event).collect()
}

/// Which requests are found as they come; actor `n` asks actor `n + 1`, the last one the first if it is a
/// ring. `nodes`: where each actor is.
fn found(of: &[(u32, u32)], joined: &[bool], nodes: &[usize], ring: bool) -> Vec<usize> {
    let count = of.len();
    let mut tables = vec![Waits::default(); 2];
    let trail = |number: usize| -> Trail {
        let begin = (0..=number).rev().find(|n| !joined[*n]).unwrap_or(0);
        (begin..=number).map(actor).collect()
    };
    let whom = |number: usize| {
        if ring {
            (number + 1) % count
        } else {
            number + 1
        }
    };
    let mut found = Vec::new();
    for event in order(of, joined) {
        match event {
            Event::Sent(number) => {
                tables[nodes[number]].begin(actor(number), actor(whom(number)));
            }
            Event::Arrives(number) => {
                let (to, trail) = (actor(whom(number)), trail(number));
                // The last one of a line waits for nobody.
                let table = &tables[*nodes.get(whom(number)).unwrap_or(&0)];
                if trail.has(&to.kind, &to.key) || table.closes(&to, &trail, TURNS_MAX) {
                    found.push(number);
                }
            }
        }
    }
    found
}

fn times(
    count: impl Into<proptest::collection::SizeRange>,
) -> impl Strategy<Value = Vec<(u32, u32)>> {
    vec((0_u32..12, 0_u32..12), count)
}

proptest! {
    #[test]
    fn a_ring_on_one_node_is_found(
        (of, mut joined) in (2_usize..9).prop_flat_map(|n| (times(n), vec(any::<bool>(), n))),
    ) {
        joined[0] = false;
        let nodes = vec![0; of.len()];
        prop_assert!(!found(&of, &joined, &nodes, true).is_empty());
    }

    #[test]
    fn two_that_ask_each_other_are_found_wherever_they_are(
        of in times(2),
        nodes in vec(0_usize..2, 2),
    ) {
        prop_assert!(!found(&of, &[false, false], &nodes, true).is_empty());
    }

    #[test]
    fn one_chain_that_comes_back_is_found_wherever_its_actors_are(
        (of, nodes) in (2_usize..9).prop_flat_map(|n| (times(n), vec(0_usize..2, n))),
    ) {
        let joined: Vec<bool> = (0..of.len()).map(|n| n > 0).collect();
        prop_assert!(!found(&of, &joined, &nodes, true).is_empty());
    }

    #[test]
    fn what_waits_in_a_line_is_not_found(
        (of, mut joined, nodes) in (1_usize..9)
            .prop_flat_map(|n| (times(n), vec(any::<bool>(), n), vec(0_usize..2, n))),
    ) {
        joined[0] = false;
        prop_assert_eq!(found(&of, &joined, &nodes, false), Vec::<usize>::new());
    }
}

#[test]
fn what_is_over_is_not_kept() {
    let mut waits = Waits::default();
    let first = waits.begin(actor(0), actor(1));
    let second = waits.begin(actor(0), actor(2));
    waits.end(&actor(0), first);
    assert!(waits.closes(&actor(0), &Trail::default().and(actor(2)), TURNS_MAX));
    assert!(!waits.closes(&actor(0), &Trail::default().and(actor(1)), TURNS_MAX));
    waits.end(&actor(0), second);
    assert!(waits.is_empty());
}
