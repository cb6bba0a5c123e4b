//! What is published durably, whatever the store answers and in whatever order (D1 to D4).

use crate::world::{Act, World, gone};
use proptest::prelude::*;
use std::collections::BTreeSet;
use tenure_core::Span;
use tenure_core::bus::{AGAIN_MAX, Input, Refusal};
use tenure_core::id::{Sequence, Ticket};
use tenure_core::port::Refused;
use tenure_core::space::SpaceError;
use tenure_core::step::{Limits, Outcome};

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        2 => (1_u16..5_000).prop_map(Act::Publish),
        6 => (any::<bool>(), any::<bool>()).prop_map(|(a, b)| Act::Answer(a, b)),
        1 => Just(Act::Succeed),
        2 => (0_u64..3_000).prop_map(Act::Wait),
        1 => Just(Act::Up),
        1 => Just(Act::Unusable),
    ];
    proptest::collection::vec(act, 0..120)
}

proptest! {
    #[test]
    fn each_is_answered_once_and_stored_once_at_most(acts in acts(), replicated in any::<bool>()) {
        let mut world = World::new(Limits::default(), replicated);
        for act in acts {
            world.act(&act);
        }
        world.end_well();
    }
}

/// A stream that is verified, and one publication of which nobody knows whether it is stored.
fn in_doubt(within: Span) -> World {
    let mut world = World::new(Limits::default(), false);
    for _ in 0..3 {
        world.answer(true, true);
    }
    world.publish(1, within);
    world.answer(true, false);
    world
}

/// What a publication is told that is refused once, and has no other answer until its deadline.
fn refused_once(replicated: bool) -> Result<Sequence, Refusal> {
    let mut world = World::new(Limits::default(), replicated);
    for _ in 0..3 {
        world.answer(true, true);
    }
    world.publish(1, Span::from_millis(1));
    world.answer(false, true);
    world.wait(Span::from_secs(1));
    world.answers.remove(&Ticket(1)).expect("D1: an answer")
}

#[test]
fn what_a_leader_refused_its_successor_may_have_stored() {
    assert_eq!(refused_once(false), Err(Refusal::Deadline));
    assert_eq!(refused_once(true), Err(Refusal::Unknown));
}

#[test]
fn a_publication_of_unknown_end_is_sent_again_with_its_id() {
    let mut world = in_doubt(Span::from_secs(5));
    world.wait(Span::from_secs(2));
    world.answer(true, true);
    assert_eq!(world.answers[&Ticket(1)], Ok(Sequence(1)));
    assert_eq!(world.copies.len(), 1);
}

#[test]
fn nothing_is_sent_again_when_the_store_may_have_forgotten_its_id() {
    let mut world = in_doubt(Span::from_secs(600));
    let first = world.now;
    // The connection is gone, and comes back when the store has forgotten the id.
    world.feed(Input::Up);
    world.wait(Span::from_secs(300));
    for _ in 0..8 {
        world.answer(true, true);
    }
    assert!(world.now.since(first) > AGAIN_MAX);
    assert_eq!(world.answers[&Ticket(1)], Err(Refusal::Unknown));
    assert!(
        world.copies.values().all(|copies| *copies == 1),
        "{:?}",
        world.copies
    );
}

#[test]
fn what_has_no_room_is_refused_and_the_rest_goes_on() {
    let mut limits = Limits::default();
    limits.publications_max = 2;
    let mut world = World::new(limits, false);
    let all: BTreeSet<u64> = (1..=3).collect();
    for n in &all {
        world.publish(*n, Span::from_secs(5));
    }
    assert_eq!(
        world.answers[&Ticket(3)],
        Err(Refusal::Overloaded { held: 2 })
    );
    for _ in 0..5 {
        world.answer(true, true);
    }
    assert!(world.answers[&Ticket(1)].is_ok() && world.answers[&Ticket(2)].is_ok());
}

#[test]
fn a_namespace_that_is_gone_is_told_to_all() {
    let mut world = in_doubt(Span::from_secs(600));
    // The connection is gone and comes back, and the stream is not looked at yet.
    world.feed(Input::Up);
    world.publish(2, Span::from_secs(600));
    world.feed(Input::Unusable(gone()));
    world.publish(3, Span::from_secs(600));
    assert_eq!(world.answers[&Ticket(1)], Err(Refusal::Unknown));
    for n in [2, 3] {
        assert_eq!(world.answers[&Ticket(n)], Err(Refusal::Space(gone())));
    }
}

#[test]
fn a_stream_that_cannot_be_used_is_told_to_all() {
    let mut world = World::new(Limits::default(), false);
    world.publish(1, Span::from_secs(5));
    world.answer(true, true);
    let (op, _) = world.asked.pop_first().unwrap();
    world.feed(Input::Stored {
        op,
        reply: Outcome::Refused(Refused::Denied("no right".to_owned())),
    });
    let answer = &world.answers[&Ticket(1)];
    assert!(matches!(answer, Err(Refusal::Space(_))), "{answer:?}");
    world.publish(2, Span::from_secs(5));
    let Err(Refusal::Space(error)) = &world.answers[&Ticket(2)] else {
        panic!("{:?}", world.answers);
    };
    let _: &SpaceError = error;
}
