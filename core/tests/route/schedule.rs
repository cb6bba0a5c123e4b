//! Random schedules. Each failure names its seed.

use crate::acts::{Faults, happen, heal, in_order, overloaded};
use crate::chance::Chance;
use crate::world::World;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// R1, R2, R3, R6, R7 whatever happens; and once all is well again, requests are answered.
    #[test]
    fn each_request_ends_once_and_runs_as_often_as_it_may(seed: u64) {
        let mut world = World::new(Chance::new(seed));
        let faults = Faults { network: true, hands: true };
        for _ in 0..1_200 {
            happen(&mut world, faults);
        }
        heal(&mut world);
    }

    /// R4, however often the place changes hands.
    #[test]
    fn requests_of_one_key_run_in_their_order(seed: u64) {
        let mut world = World::new(Chance::new(seed));
        let faults = Faults { network: false, hands: true };
        for _ in 0..600 {
            happen(&mut world, faults);
            // Nothing stays on its way for as long as a former owner is waited for.
            if world.below(40) == 0 {
                world.settle();
            }
        }
        in_order(&mut world);
        prop_assert!(overloaded(&world) < world.asked.len(), "most are not refused");
    }
}
