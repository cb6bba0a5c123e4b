//! Ranges: what comes out is what a naive filter leaves of the whole log, and little else is read.

use crate::chance::Chance;
use crate::naive::{bounds, naive};
use crate::world::{Cost, World};
use std::cell::Cell;
use tenure_core::id::{Version, WallTime};
use tenure_core::log::{Bounds, Cursor, Range};
use tenure_core::port::{Refused, StoreRequest};
use tenure_core::step::Outcome;

#[test]
fn what_comes_out_is_what_a_naive_filter_leaves() {
    for seed in 0..40 {
        let mut chance = Chance::new(seed);
        let mut world = World::drawn(&mut chance);
        for _ in 0..40 {
            let range = Range {
                lower: bounds(&mut chance, &world),
                upper: bounds(&mut chance, &world),
            };
            let page = [1, 3, 64][chance.below(3) as usize];
            let context = format!("seed {seed}, pages of {page}, {range:?}");
            let expected = naive(&world.log, range);
            let (forward, _) = world.commits(Cursor::Oldest, range, page);
            assert_eq!(forward, expected, "forward, {context}");
            let (mut backward, _) = world.commits(Cursor::Newest, range, page);
            backward.reverse();
            assert_eq!(backward, expected, "backward, {context}");
        }
    }
}

/// An answer that is lost, and a replica that does not have what is listed, change nothing.
#[test]
fn a_place_is_found_though_answers_are_lost() {
    for seed in 0..40 {
        let mut chance = Chance::new(seed);
        let mut world = World::drawn(&mut chance);
        let range = Range {
            lower: bounds(&mut chance, &world),
            upper: bounds(&mut chance, &world),
        };
        let expected = naive(&world.log, range);
        for cursor in [Cursor::Oldest, Cursor::Newest] {
            let ask = world.ask(cursor.clone(), range, 256);
            let count = Cell::new(0_u64);
            let (page, _) = world.page_of(ask, |_, request| {
                count.set(count.get() + 1);
                let get = matches!(request, StoreRequest::Get { .. });
                if get && count.get() % 3 == 1 {
                    return Some(Outcome::Refused(Refused::NotFound));
                }
                (count.get() % 4 == 2).then_some(Outcome::Unknown)
            });
            let mut commits = page.unwrap().commits;
            if cursor == Cursor::Newest {
                commits.reverse();
                // A page may end early; what it has is the end.
                assert!(expected.ends_with(&commits), "seed {seed}, {range:?}");
            } else {
                assert!(expected.starts_with(&commits), "seed {seed}, {range:?}");
            }
            assert_eq!(
                commits.is_empty(),
                expected.is_empty(),
                "seed {seed}, {range:?}"
            );
        }
    }
}

/// What one page of a history of 2,000 commits costs.
fn cost(world: &mut World, cursor: Cursor, range: Range, page: u32) -> (usize, Cost) {
    let ask = world.ask(cursor, range, page);
    let (page, cost) = world.page_of(ask, |_, _| None);
    (page.unwrap().commits.len(), cost)
}

#[test]
fn a_start_in_the_middle_reads_a_few_commits() {
    let mut world = World::new(2_000);
    let none = Bounds::default();
    let version = |version| Bounds {
        version: Some(Version(version)),
        ..none
    };
    let time = |time| Bounds {
        time: Some(WallTime(time)),
        ..none
    };
    let requests = |(commits, cost): (usize, Cost)| (commits, cost.requests);
    // The head, the one commit that has it, and a scan.
    let lower = version(1_990);
    let range = Range { lower, upper: none };
    assert_eq!(
        requests(cost(&mut world, Cursor::Oldest, range, 64)),
        (11, 3)
    );
    // Backward nothing is looked for: the list is cut where the range begins.
    assert_eq!(
        requests(cost(&mut world, Cursor::Newest, range, 64)),
        (11, 11)
    );
    // A scan begins at a sequence.
    let sequence = Some(world.sequence(1_500));
    let lower = Bounds { sequence, ..none };
    let range = Range { lower, upper: none };
    assert_eq!(
        requests(cost(&mut world, Cursor::Oldest, range, 64)),
        (64, 2)
    );
    let range = Range {
        lower: none,
        upper: lower,
    };
    let (
        commits,
        Cost {
            requests: count, ..
        },
    ) = cost(&mut world, Cursor::Newest, range, 10);
    assert_eq!(commits, 10);
    assert!(count <= 10 + 1 + 500 / 64 + 1, "{count} requests");
    // Each further look goes as far back as a commit lists.
    let range = Range {
        lower: none,
        upper: version(700),
    };
    let (
        commits,
        Cost {
            requests: count, ..
        },
    ) = cost(&mut world, Cursor::Newest, range, 10);
    assert_eq!(commits, 10);
    assert!(count <= 10 + 1300 / 64 + 2, "{count} requests");
    // By time the place is not known beforehand, but closed in on.
    for ago in [1, 5, 60, 64, 65, 500, 1_999] {
        let lower = time(world.now.0 - ago);
        let range = Range { lower, upper: none };
        let (
            commits,
            Cost {
                requests: count, ..
            },
        ) = cost(&mut world, Cursor::Oldest, range, 64);
        assert_eq!(commits as u64, (ago + 1).min(64));
        let most = 2 + 7 + ago / 64 + 7;
        assert!(count as u64 <= most, "{ago} ago: {count} requests");
    }
}

/// A page asks for no more than the rest of its range can have.
#[test]
fn the_end_of_a_range_is_not_read_past() {
    let mut world = World::new(300);
    let none = Bounds::default();
    let version = Some(Version(5));
    let upper = Bounds { version, ..none };
    let asked = Cell::new(0);
    let ask = world.ask(Cursor::Oldest, Range { lower: none, upper }, 64);
    let (page, cost) = world.page_of(ask, |_, request| {
        if let StoreRequest::Scan { messages_max, .. } = request {
            asked.set(*messages_max);
        }
        None
    });
    let page = page.unwrap();
    assert_eq!((page.commits.len(), page.next), (5, None));
    assert_eq!((asked.get(), cost.requests), (5, 2));
}
