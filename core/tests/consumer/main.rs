//! A consumer under any order of answers, any loss of them, crashes and reconnects: each event is handled
//! at least once, in order per entity, and no stored checkpoint is ahead of what was handled.

mod world;

use proptest::prelude::*;
use tenure_core::consumer::{Order, Then};
use world::{Setup, World};

/// What a run does next: which of the things that can be done, and how.
type Choice = (u8, u16);

fn choices() -> impl Strategy<Value = Vec<Choice>> {
    proptest::collection::vec((any::<u8>(), any::<u16>()), 20..400)
}

fn orders() -> impl Strategy<Value = Order> {
    prop_oneof![
        Just(Order::Serial),
        (1_u32..4).prop_map(|handlers_max| Order::PerEntity { handlers_max }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn each_event_is_handled_in_order_and_no_checkpoint_is_ahead(
        order in orders(),
        then in prop_oneof![Just(Then::Skip), Just(Then::DeadLetter)],
        streams in 1_u16..3,
        retries_max in 0_u32..3,
        choices in choices(),
    ) {
        let mut world = World::new(Setup { order, then, streams, retries_max });
        for choice in choices {
            world.act(choice);
        }
        world.end_well();
    }
}

/// State stays as it is over any number of retries and reconnects: what one run of them takes, ten take.
#[test]
fn nothing_is_kept_of_retries_and_reconnects() {
    let size = |rounds: u32| {
        let setup = Setup {
            order: Order::PerEntity { handlers_max: 2 },
            then: Then::Skip,
            streams: 1,
            retries_max: u32::MAX,
        };
        let mut world = World::new(setup);
        world.commit(0, 1);
        world.settle();
        for round in 0..rounds {
            world.fail_all();
            world.next_deadline();
            if round % 7 == 0 {
                world.reconnect();
            }
            world.settle();
        }
        world.size()
    };
    let (some, many) = (size(50), size(2_000));
    // Counters have more digits.
    assert!(many < some + 200, "{some} bytes became {many}");
}
