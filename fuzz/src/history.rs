//! Histories (`core/tests/history`): ranges of an entity's log, pages of them, and states of the past, over
//! answers that are lost and replicas that lag. What comes out is what a naive filter leaves of the log.

#[path = "../../core/tests/history/naive.rs"]
mod naive;
#[path = "../../core/tests/history/world.rs"]
#[allow(dead_code, reason = "its own tests use more of it")]
mod world;

use crate::chance::Chance;
use naive::{bounds, naive};
use std::collections::BTreeSet;
use tenure_core::format::Snapshot;
use tenure_core::id::Sequence;
use tenure_core::log::{Bounds, Cursor, HistoryRefusal, LoggedCommit, Range};
use tenure_core::port::{Refused, StoreRequest};
use tenure_core::step::Outcome;
use world::World;

/// So many reads at most.
const READS_MAX: usize = 40;

/// What was read, oldest first.
struct Told {
    snapshot: Option<Box<Snapshot>>,
    commits: Vec<LoggedCommit>,
}

/// Reads all pages; `None` when answers were lost for as long as somebody waits.
fn read(
    world: &mut World,
    chance: &mut Chance,
    cursor: Cursor,
    range: Range,
    commits_max: u32,
) -> Option<Told> {
    let faulty = chance.one_in(2);
    let backward = cursor == Cursor::Newest;
    let (mut commits, mut snapshot) = (Vec::new(), None);
    let mut next = Some(cursor);
    while let Some(cursor) = next {
        // A replica that lags lacks a message once.
        let mut lacked = BTreeSet::new();
        let ask = world.ask(cursor, range, commits_max);
        let (page, _) = world.page_of(ask, |_, request| {
            match (request, faulty.then(|| chance.below(8))) {
                (_, Some(0)) => Some(Outcome::Unknown),
                (_, Some(1)) => Some(Outcome::Refused(Refused::NoResponders)),
                (StoreRequest::Get { sequence, .. }, Some(2 | 3)) if lacked.insert(*sequence) => {
                    Some(Outcome::Refused(Refused::NotFound))
                }
                (_, _) => None,
            }
        });
        let page = match page {
            Ok(page) => page,
            Err(HistoryRefusal::Deadline) if faulty => return None,
            Err(refusal) => panic!("{refusal:?}"),
        };
        assert!(page.commits.len() <= commits_max as usize);
        commits.extend(page.commits);
        snapshot = snapshot.or(page.snapshot);
        next = page.next;
    }
    if backward {
        commits.reverse();
    }
    Some(Told { snapshot, commits })
}

/// What a state is made of follows a snapshot that is whole, or nothing.
fn state(world: &mut World, chance: &mut Chance, spoiled: &BTreeSet<Sequence>) {
    let lower = Bounds::default();
    let upper = bounds(chance, world);
    let range = Range { lower, upper };
    let cursor = Cursor::State(chance.below(4).ne(&0).then(World::bodies));
    let Some(told) = read(world, chance, cursor, range, 256) else {
        return;
    };
    let floor = told.snapshot.map_or(Sequence::NONE, |it| it.sequence);
    assert!(!spoiled.contains(&floor), "a spoiled snapshot at {floor}");
    let whole = naive(&world.log, range);
    let expected = whole.iter().filter(|logged| logged.sequence > floor);
    assert!(told.commits.iter().eq(expected), "{range:?}");
    assert!(
        whole.last().map_or(Sequence::NONE, |last| last.sequence) >= floor,
        "a snapshot at {floor} is past the end of {range:?}"
    );
}

/// Plays what the bytes say.
///
/// # Panics
///
/// When something is left out, told twice or not in the range.
pub(crate) fn play(bytes: &[u8]) {
    let mut chance = Chance::new(bytes);
    let mut world = World::drawn(&mut chance);
    let mut spoiled = BTreeSet::new();
    for named in world.named_ever.clone() {
        if chance.one_in(3) {
            world.spoil(&named);
            spoiled.insert(named.sequence);
        }
    }
    for _ in 0..READS_MAX {
        if !chance.is_left() {
            break;
        }
        let cursor = match chance.below(3) {
            0 => Cursor::Oldest,
            1 => Cursor::Newest,
            _ => {
                state(&mut world, &mut chance, &spoiled);
                continue;
            }
        };
        let range = Range {
            lower: bounds(&mut chance, &world),
            upper: bounds(&mut chance, &world),
        };
        let commits_max = [1, 3, 64][usize::try_from(chance.below(3)).expect("small")];
        if let Some(told) = read(&mut world, &mut chance, cursor, range, commits_max) {
            assert_eq!(told.commits, naive(&world.log, range), "{range:?}");
        }
    }
}
