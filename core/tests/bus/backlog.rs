//! What waits for one subscriber, held against what came (E1 to E3).

use proptest::prelude::*;
use tenure_core::bus::{Backlog, Gap, Next, Overflow};

#[derive(Clone, Debug)]
enum Act {
    Push,
    Missed,
    Pop,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![5 => Just(Act::Push), 1 => Just(Act::Missed), 3 => Just(Act::Pop)];
    proptest::collection::vec(act, 0..80)
}

fn overflows() -> impl Strategy<Value = Overflow> {
    prop_oneof![
        Just(Overflow::DropOldest),
        Just(Overflow::DropNewest),
        Just(Overflow::Disconnect),
    ]
}

/// What a reader got, in its order: numbers of events, and gaps.
fn play(acts: &[Act], room: usize, overflow: Overflow) -> (Vec<Next<u64>>, u64, Backlog<u64>) {
    let mut backlog = Backlog::new(room, overflow);
    let (mut pushed, mut read) = (0, Vec::new());
    for act in acts {
        match act {
            Act::Push => {
                backlog.push(pushed);
                pushed += 1;
            }
            Act::Missed => backlog.missed(),
            Act::Pop => read.extend(backlog.pop()),
        }
        assert!(backlog.len() <= room, "E1");
    }
    while let Some(next) = backlog.pop() {
        read.push(next);
    }
    (read, pushed, backlog)
}

proptest! {
    #[test]
    fn each_event_is_read_or_counted_where_it_would_have_been(
        acts in acts(), room in 1_usize..6, overflow in overflows()
    ) {
        let (read, pushed, backlog) = play(&acts, room, overflow);
        let mut expected = 0;
        for next in &read {
            match next {
                // Each gap counts exactly the events between those beside it.
                Next::Event(number) => {
                    prop_assert_eq!(*number, expected);
                    expected += 1;
                }
                Next::Gap(gap) => {
                    prop_assert!(!gap.is_none());
                    expected += gap.dropped;
                }
            }
        }
        if backlog.is_closed() {
            prop_assert_eq!(overflow, Overflow::Disconnect);
            // The one that found no room, and nothing after it.
            prop_assert_eq!(backlog.dropped(), 1);
            prop_assert!(expected <= pushed && backlog.is_over());
        } else {
            prop_assert_eq!(expected, pushed);
            prop_assert!(!backlog.is_over());
        }
        let dropped: u64 = read.iter().map(|next| match next {
            Next::Gap(gap) => gap.dropped,
            Next::Event(_) => 0,
        }).sum();
        prop_assert_eq!(dropped, backlog.dropped());
    }

    #[test]
    fn what_may_have_been_missed_is_told(acts in acts(), room in 1_usize..6) {
        let missed = acts.iter().any(|act| matches!(act, Act::Missed));
        let (read, _, _) = play(&acts, room, Overflow::DropOldest);
        let told = read.iter().any(|next| matches!(next, Next::Gap(gap) if gap.unheard));
        prop_assert_eq!(told, missed);
    }
}

#[test]
fn the_gap_of_a_lost_link_stands_between_what_came_before_and_after() {
    let mut backlog = Backlog::new(4, Overflow::DropOldest);
    backlog.push(1);
    backlog.missed();
    backlog.push(2);
    let gap = Gap::default();
    let unheard = |next| {
        matches!(
            next,
            Some(Next::Gap(Gap {
                unheard: true,
                dropped: 0,
                ..
            }))
        )
    };
    assert_eq!(backlog.pop(), Some(Next::Event(1)));
    assert!(unheard(backlog.pop()));
    assert_eq!(backlog.pop(), Some(Next::Event(2)));
    assert_eq!(backlog.pop(), None);
    assert!(gap.is_none());
}
