//! Whatever is lost, late or cut on the way, all processes come to one layout, one anchor per
//! stream and one record per kind (N2, N3).

use crate::world::{Fault, PROCESSES, World};
use proptest::prelude::*;

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => Just(Fault::None),
        1 => Just(Fault::AnswerLost),
        1 => Just(Fault::Lost),
        1 => Just(Fault::Late),
        1 => Just(Fault::NoResponders),
        1 => Just(Fault::Stale),
        1 => Just(Fault::Cut),
        1 => Just(Fault::Crash),
    ]
}

proptest! {
    #[test]
    fn all_processes_come_to_one_namespace(
        steps in proptest::collection::vec((0..PROCESSES, fault()), 0..80),
        clustered: bool,
    ) {
        let mut world = World::new(clustered);
        for (n, fault) in steps {
            world.act(n, fault);
        }
        world.end_well();
    }
}
