//! Export and import as machines, over the model store: whatever a namespace holds, in whatever order
//! answers come and however many are lost, it is the same in the other one, and each commit is there once.

mod chance;
mod drawn;
#[cfg(feature = "driver")]
mod golden;
mod story;
mod world;

use chance::{Drawn, namespaces};
use proptest::prelude::*;
use tenure_core::format::{ExportRecord, Selection};
use world::{Fate, World};

/// What becomes of the next requests.
fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        6 => (any::<u8>()).prop_map(Fate::Answered),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Unheard),
        1 => Just(Fate::Refused),
        1 => Just(Fate::Late),
    ];
    proptest::collection::vec(fate, 1..200)
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_exported_and_imported_is_the_same(
        drawn in namespaces(),
        fates in fates(),
        (shards, streams) in (1_u16..9, 1_u16..4),
        crash_after in proptest::option::of(1_usize..60),
        entities_max in 1_usize..6,
    ) {
        let Drawn { commits, indexes, from } = drawn;
        let mut world = World::new(fates);
        world.fill("old", from, &commits, &indexes);
        let exported = world.export("old", Selection::default());
        let commits_there = exported.iter().filter(|it| matches!(it, ExportRecord::Commit(_)));
        prop_assert_eq!(commits_there.count(), commits.len());

        let shape = (shards, streams.min(shards));
        world.begin_import("new", shape, &exported);
        if let Some(after) = crash_after {
            // A run that ends in the middle; the next one begins with the file again.
            let ended = world.import("new", &exported, entities_max, Some(after));
            prop_assert!(!matches!(&ended, Err(Some(_))), "{:?}", ended);
        }
        let imported = world.import("new", &exported, entities_max, None);
        prop_assert!(imported.is_ok(), "{:?}", imported);
        world.is_marked_done("new");

        let again = world.export("new", Selection::default());
        prop_assert_eq!(exported.last(), again.last());
        world.agrees_on_what_is_undone(("old", &exported), ("new", &again));
        world.chains_are_whole("new");
    }

    #[test]
    fn an_export_goes_on_from_any_of_its_records(
        drawn in namespaces(),
        fates in fates(),
        kept in any::<prop::sample::Index>(),
    ) {
        let Drawn { commits, indexes, from } = drawn;
        let mut world = World::new(fates);
        world.fill("old", from, &commits, &indexes);
        let exported = world.export("old", Selection::default());
        let head = exported.iter().filter(|it| {
            matches!(it, ExportRecord::Header(_) | ExportRecord::Agenda(_))
        });
        let head = head.count();
        let kept = head + kept.index(exported.len() - head);
        let rest = world.resume("old", &exported[..kept]);
        let mut again = exported[..kept].to_vec();
        again.extend(rest);
        prop_assert_eq!(exported.last(), again.last());
        prop_assert_eq!(exported.len(), again.len());
    }
}

#[cfg(feature = "driver")]
mod files {
    use super::*;
    use tenure_core::api::transfer::ExportFormat;
    use tenure_core::api::transfer::testing::{read, written};

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn a_file_is_read_as_it_was_written_and_no_cut_or_altered_one_is(
            drawn in namespaces(),
            at in any::<prop::sample::Index>(),
            bit in 0_u32..8,
        ) {
            let Drawn { commits, indexes, from } = drawn;
            let mut world = World::new(Vec::new());
            world.fill("old", from, &commits, &indexes);
            let records = world.export("old", Selection::default());
            for format in [ExportFormat::JsonLines, ExportFormat::CborSequence] {
                let bytes = written(format, &records).unwrap();
                prop_assert_eq!(&read(&bytes).unwrap(), &records);
                let at = at.index(bytes.len());
                prop_assert!(read(&bytes[..at]).is_err());
                let mut altered = bytes.clone();
                altered[at] ^= 1 << bit;
                // In JSON another spelling may say the same.
                if let Ok(read) = read(&altered) {
                    prop_assert_eq!(&read, &records);
                }
            }
        }
    }
}
