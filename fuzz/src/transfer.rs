//! Exports and imports (`core/tests/transfer`): whatever a namespace holds and whatever becomes of requests,
//! what is imported is what was exported.

#[path = "../../core/tests/transfer/drawn.rs"]
#[allow(dead_code, reason = "properties and golden files use more of it")]
mod drawn;
#[path = "../../core/tests/transfer/world.rs"]
#[allow(dead_code, reason = "properties and stories use more of it")]
mod world;

use crate::chance::Chance;
use drawn::{Done, ENTITIES, Step, kept};
use tenure_core::format::{Selection, TakeOver};
use world::{Fate, World};

/// So many commits at most.
const COMMITS_MAX: u64 = 40;

/// So many requests have a fate of their own at most.
const FATES_MAX: u64 = 120;

fn small(chance: &mut Chance, below: u64) -> u8 {
    u8::try_from(chance.below(below)).expect("small")
}

fn index(chance: &mut Chance, below: usize) -> usize {
    usize::try_from(chance.below(below as u64)).expect("small")
}

fn step(chance: &mut Chance) -> Step {
    let kind = index(chance, 3);
    let tombstone = chance.one_in(20);
    let events = chance.below(3);
    Step {
        entity: index(chance, ENTITIES.len()),
        kind,
        events: (0..events)
            .map(|_| (1 + chance.below(3), vec![small(chance, 256)]))
            .collect(),
        commands: small(chance, 3),
        arms: (kind > 0 && chance.one_in(3)).then(|| small(chance, 3)),
        cancels: kind > 0 && chance.one_in(3),
        sends: if kind > 0 { small(chance, 3) } else { 0 },
        metadata: chance.one_in(3),
        snapshot: chance.one_in(5),
        unknown: chance.one_in(10),
        tombstone,
    }
}

fn fate(chance: &mut Chance) -> Fate {
    match chance.below(10) {
        0 => Fate::Lost,
        1 => Fate::Unheard,
        2 => Fate::Refused,
        3 => Fate::Late,
        _ => Fate::Answered(small(chance, 256)),
    }
}

/// Plays what the bytes say.
///
/// # Panics
///
/// When something is lost, stored twice or altered.
pub(crate) fn play(bytes: &[u8]) {
    let mut chance = Chance::new(bytes);
    let shards = 1 + u16::from(small(&mut chance, 8));
    let (to_shards, streams) = (
        1 + u16::from(small(&mut chance, 8)),
        1 + u16::from(small(&mut chance, 3)),
    );
    let commits = chance.below(COMMITS_MAX);
    let steps = kept((0..commits).map(|_| step(&mut chance)).collect());
    let indexes: Vec<Done> = (0..chance.below(3))
        .map(|_| Done {
            class: match chance.one_in(2) {
                true => TakeOver::Fenced,
                false => TakeOver::Leased,
            },
            up_to: small(&mut chance, 101),
            undone_every: 1 + small(&mut chance, 3),
            failed: chance.one_in(2),
            shelved: chance.one_in(2),
        })
        .collect();
    let ends_after = chance.one_in(2).then(|| 1 + index(&mut chance, 60));
    let entities_max = 1 + index(&mut chance, 5);
    let fates = (0..chance.below(FATES_MAX))
        .map(|_| fate(&mut chance))
        .collect();

    let mut world = World::new(fates);
    world.fill("old", (shards, shards.min(2)), &steps, &indexes);
    let exported = world.export("old", Selection::default());
    world.begin_import("new", (to_shards, streams.min(to_shards)), &exported);
    if let Some(after) = ends_after {
        let ended = world.import("new", &exported, entities_max, Some(after));
        assert!(!matches!(&ended, Err(Some(_))), "{ended:?}");
    }
    let imported = world.import("new", &exported, entities_max, None);
    assert!(imported.is_ok(), "{imported:?}");
    world.is_marked_done("new");
    let again = world.export("new", Selection::default());
    assert_eq!(exported.last(), again.last());
    world.agrees_on_what_is_undone(("old", &exported), ("new", &again));
    world.chains_are_whole("new");
}
