//! Random schedules. Each failure names its seed.

use crate::acts::{Faults, happen, heal, in_order, overloaded};
use crate::chance::Chance;
use crate::world::{World, place};
use proptest::prelude::*;
use tenure_core::Span;
use tenure_core::route::Repeat;

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

    /// Requests wait for company only while others are on their way: one that is alone never does, however
    /// often and with how many others it asked before.
    #[test]
    fn what_is_alone_has_no_company(seed: u64) {
        let mut world = World::new(Chance::new(seed));
        world.hand(place(0), Some(1));
        world.show_table(0);
        world.show_table(1);
        for _ in 0..50 {
            prop_assert!(!world.has_company(0, 0), "nothing is on its way");
            let (asked, held) = (1 + world.below(7) as usize, 1 + world.below(3) as usize);
            for key in 0..asked {
                world.ask(0, place(0), key as u64, (Span::from_secs(5), Repeat::Never));
            }
            // As long as all of them are in the frame that is to go.
            prop_assert!(!world.has_company(0, asked));
            prop_assert_eq!(world.has_company(0, held.min(asked)), held < asked);
            world.settle();
        }
    }
}
