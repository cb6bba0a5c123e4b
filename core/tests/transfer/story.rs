//! What an import asks of the store, told as a text.

use crate::drawn::{ENTITIES, Step};
use crate::world::{Fate, World};
use tenure_core::format::Selection;

fn told(fates: Vec<Fate>, crash_after: Option<usize>) -> String {
    let steps = [
        Step::of(ENTITIES[0], "account"),
        Step::of(ENTITIES[0], "account"),
        Step::of(ENTITIES[1], "till").sending(),
    ];
    let mut world = World::new(Vec::new());
    world.fill("old", (1, 1), &steps, &[]);
    let exported = world.export("old", Selection::default());
    world.begin_import("new", (1, 1), &exported);
    world.lines.clear();
    world.fate(fates);
    if let Some(after) = crash_after {
        let ended = world.import("new", &exported, 8, Some(after));
        world
            .lines
            .push(format!("the run ends: {}", ended.is_err()));
    }
    let imported = world.import("new", &exported, 8, None).unwrap();
    world
        .lines
        .push(format!("imported: {} commits", imported.commits));
    world.lines.join("\n")
}

#[test]
fn an_import_looks_stores_reads_back_and_is_done() {
    insta::assert_snapshot!(told(Vec::new(), None));
}

#[test]
fn an_import_whose_answers_are_lost_looks_at_what_stands_there() {
    let fates = vec![
        Fate::Answered(0),
        Fate::Answered(0),
        Fate::Unheard,
        Fate::Unheard,
    ];
    insta::assert_snapshot!(told(fates, None));
}

#[test]
fn an_import_that_ended_goes_on_after_what_is_stored() {
    insta::assert_snapshot!(told(Vec::new(), Some(2)));
}
