//! Groups of consumers under any order of answers, any loss of them, late writes, ends of leases, deaths,
//! joins and leaves: of each partition at most one node acts (P3), nothing of a former owner is stored
//! (P6), and each event is handled at least once, in order per entity. And who is to own what.

#[path = "../common/circle.rs"]
mod circle;
mod map;
mod world;

use proptest::prelude::*;
use world::World;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 384,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn one_node_acts_and_nothing_of_a_former_owner_is_stored(
        choices in proptest::collection::vec((any::<u8>(), any::<u16>()), 50..600),
    ) {
        let mut world = World::new();
        for choice in choices {
            world.act(choice);
        }
        world.end_well();
    }
}
