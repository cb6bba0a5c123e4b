//! Places, leases and the end of the node.

use super::actors::*;
use super::rig::{EPOCH, Kinds, PLACE, Rig};
use crate::api::actor::{ActorError, LateAnswer};
use crate::driver::actors::ActorSeat;
use crate::step::{Span, Time};
use std::sync::atomic::Ordering;

fn rig() -> Rig {
    Rig::placed(Kinds::new().with::<Counter>())
}

#[test]
fn what_is_not_owned_goes_back_to_routing() {
    let mut rig = rig();
    rig.with(|seat, env| seat.lost(env, PLACE));
    let told = rig.get(rig.actor::<Counter>("alice").ask(Add { by: 1 }));
    assert!(matches!(told, Err(ActorError::NoOwner(_))));
    assert_eq!(rig.not_owned.len(), 1);
    rig.with(|seat, env| seat.own(env, PLACE, EPOCH));
    assert_eq!(
        rig.get(rig.actor::<Counter>("alice").ask(Add { by: 1 })),
        Ok(1)
    );
}

#[test]
fn a_lost_place_drops_what_runs_and_returns_what_waits() {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    let mut nap = rig.begin(alice.ask(Nap { ms: 100 }));
    let mut add = rig.begin(alice.ask(Add { by: 1 }));
    rig.with(|seat, env| seat.lost(env, PLACE));
    rig.pump();
    assert!(matches!(
        nap.told(),
        Some(Err(ActorError::Unknown {
            late: LateAnswer::Lost,
            ..
        }))
    ));
    assert!(matches!(add.told(), Some(Err(ActorError::NoOwner(_)))));
    assert_eq!(rig.hand.tasks(), 0, "its future was dropped");
    let counters = rig.counted();
    assert_eq!((counters.actors_held, counters.actor_letters), (0, 0));
}

#[test]
fn a_hand_over_lets_the_turn_end_and_holds_what_comes() {
    let mut rig = rig();
    let before = STOPS.load(Ordering::Relaxed);
    let alice = rig.actor::<Counter>("hook of a hand-over");
    let mut nap = rig.begin(alice.ask(Nap { ms: 100 }));
    let mut first = rig.begin(alice.ask(Add { by: 1 }));
    let mut told = rig.begin(alice.tell(Add { by: 10 }));
    let mut waits = rig.begin(alice.ask(Add { by: 1 }));
    assert_eq!(told.told(), Some(Ok(())));
    rig.with(|seat, env| seat.hand_over(env, PLACE));
    let mut comes = rig.begin(rig.actor::<Counter>("bob").ask(Add { by: 1 }));
    assert!(rig.drained.is_empty());
    rig.pass(Span::from_millis(100));
    assert_eq!(nap.told(), Some(Ok(false)));
    assert_eq!(rig.drained, [PLACE]);
    assert!(STOPS.load(Ordering::Relaxed) > before);
    assert_eq!(
        (waits.told(), comes.told()),
        (None, None),
        "they wait for the next owner"
    );
    assert_eq!(
        (first.told(), rig.counted().actor_turns),
        (Some(Ok(1)), 3),
        "what was told ran before the end, after what came before it"
    );
    rig.with(|seat, env| seat.lost(env, PLACE));
    rig.pump();
    assert!(matches!(waits.told(), Some(Err(ActorError::NoOwner(_)))));
    assert!(matches!(comes.told(), Some(Err(ActorError::NoOwner(_)))));
    assert_eq!(rig.not_owned.len(), 2);
}

#[test]
fn a_hand_over_goes_on_when_its_log_seals() {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    let mut nap = rig.begin(alice.ask(Nap { ms: 100 }));
    rig.with(|seat, env| seat.hand_over(env, PLACE));
    rig.with(|seat, env| seat.own(env, PLACE, EPOCH));
    let mut add = rig.begin(rig.actor::<Counter>("bob").ask(Add { by: 1 }));
    rig.pass(Span::from_millis(100));
    assert_eq!(nap.told(), Some(Ok(false)));
    assert_eq!(rig.drained, [PLACE]);
    // Nothing lives there now, and nothing does after another seal.
    rig.with(|seat, env| seat.own(env, PLACE, EPOCH));
    rig.pump();
    assert_eq!(add.told(), None, "it waits for the next owner");
    rig.with(|seat, env| seat.lost(env, PLACE));
    rig.with(|seat, env| seat.own(env, PLACE, EPOCH));
    rig.pump();
    assert!(matches!(add.told(), Some(Err(ActorError::NoOwner(_)))));
    assert_eq!(rig.get(alice.ask(Add { by: 1 })), Ok(1));
}

#[test]
fn a_place_is_drained_when_the_tasks_of_its_actors_have_ended_too() {
    let mut rig = rig();
    let work = Work {
        ms: 2_000,
        tasks: 1,
    };
    assert_eq!(rig.get(rig.actor::<Counter>("alice").ask(work)), Ok(1));
    rig.with(|seat, env| seat.hand_over(env, PLACE));
    while rig.seat.has_work() {
        rig.with(ActorSeat::turn);
    }
    assert_eq!(rig.counted().actors_held, 0);
    // The task was aborted, and has not come to its next await.
    assert_eq!(rig.hand.tasks(), 1);
    assert!(rig.seat.take_events().is_empty() && rig.seat.lives_in(PLACE));
    rig.pump();
    assert_eq!(rig.hand.tasks(), 0);
    assert!(!rig.seat.lives_in(PLACE));
    assert_eq!(rig.drained, [PLACE]);
}

#[test]
fn a_place_that_is_not_held_is_drained_at_once() {
    let mut rig = rig();
    rig.with(|seat, env| seat.lost(env, PLACE));
    rig.with(|seat, env| seat.hand_over(env, PLACE));
    rig.pump();
    assert_eq!(rig.drained, [PLACE]);
}

#[test]
fn no_turn_begins_after_the_end_of_the_lease() {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    let until = Time::ZERO + Span::from_secs(1);
    rig.lease.tell(Some(until));
    let mut nap = rig.begin(alice.ask(Nap { ms: 2_000 }));
    let mut add = rig.begin(alice.ask(Add { by: 1 }));
    rig.pass(Span::from_secs(1));
    assert!(matches!(
        nap.told(),
        Some(Err(ActorError::Unknown {
            late: LateAnswer::Lost,
            ..
        }))
    ));
    assert!(matches!(add.told(), Some(Err(ActorError::NoOwner(_)))));
    // Lost and taken anew: nobody is served before the place is owned anew.
    rig.lease.tell(None);
    rig.lease.tell(Some(until + Span::from_secs(100)));
    assert!(matches!(
        rig.get(alice.ask(Add { by: 1 })),
        Err(ActorError::NoOwner(_))
    ));
    rig.with(|seat, env| seat.own(env, PLACE, EPOCH));
    assert_eq!(rig.get(alice.ask(Add { by: 1 })), Ok(1));
    let turns = rig.counted().actor_turns;
    assert_eq!(turns, 2);
}

#[test]
fn a_lane_that_was_busy_longer_than_its_lease_goes_on_with_it() {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    assert_eq!(rig.get(alice.ask(Add { by: 1 })), Ok(1));
    let end = |secs| Some(Time::ZERO + Span::from_secs(secs));
    rig.lease.tell(end(3));
    rig.pass(Span::from_secs(1));
    // Something held the lane up for longer than the lease, which lane 0 went on with meanwhile.
    rig.late(Span::from_secs(9));
    rig.lease.tell(end(12));
    assert_eq!(rig.get(alice.ask(Add { by: 1 })), Ok(2), "nothing is lost");
    // The lane comes just before lane 0 does: what lived is gone, the place is not.
    rig.late(Span::from_secs(9));
    assert!(matches!(
        rig.get(alice.ask(Add { by: 1 })),
        Err(ActorError::NoOwner(_))
    ));
    rig.lease.tell(end(30));
    assert_eq!(rig.get(alice.ask(Add { by: 1 })), Ok(1));
}

#[test]
fn nothing_is_polled_after_the_end_of_the_lease() {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    let work = Work {
        ms: 2_000,
        tasks: 1,
    };
    assert_eq!(rig.get(alice.ask(work)), Ok(1));
    let nap = NapAndTell { ms: 2_000 };
    let mut nap = rig.begin(rig.actor::<Counter>("bob").ask(nap));
    assert_eq!(rig.hand.tasks(), 2);
    rig.lease.tell(Some(Time::ZERO + Span::from_secs(1)));
    // The lane does not come to abort them: both have slept long enough, and neither goes on.
    rig.late(Span::from_secs(2));
    rig.hand.run();
    assert_eq!(rig.hand.tasks(), 0, "they are dropped");
    rig.pump();
    assert_eq!(rig.counted().actor_messages, 2, "neither told anyone");
    assert!(matches!(
        nap.told(),
        Some(Err(ActorError::Unknown {
            late: LateAnswer::Lost,
            ..
        }))
    ));
}

#[test]
fn what_began_under_an_earlier_lease_does_not_go_on() {
    let mut rig = rig();
    let nap = NapAndTell { ms: 2_000 };
    let mut nap = rig.begin(rig.actor::<Counter>("alice").ask(nap));
    // Others may have acted between the two.
    rig.lease.tell(None);
    rig.lease.tell(Some(Time::ZERO + Span::from_secs(100)));
    rig.late(Span::from_secs(2));
    rig.hand.run();
    assert_eq!(rig.hand.tasks(), 0, "it is dropped");
    rig.pump();
    assert_eq!(rig.counted().actor_messages, 1, "it told nobody");
    assert!(matches!(
        nap.told(),
        Some(Err(ActorError::Unknown {
            late: LateAnswer::Lost,
            ..
        }))
    ));
}

#[test]
fn a_node_that_stops_refuses_and_ends_what_runs() {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    let mut nap = rig.begin(alice.ask(Nap { ms: 100 }));
    let mut add = rig.begin(alice.ask(Add { by: 1 }));
    rig.with(|seat, env| seat.stop(env));
    rig.pump();
    assert!(matches!(add.told(), Some(Err(ActorError::Stopped(_)))));
    let told = rig.get(rig.actor::<Counter>("bob").ask(Add { by: 1 }));
    assert!(matches!(told, Err(ActorError::Stopped(_))));
    assert!(!rig.stopped);
    rig.pass(Span::from_millis(100));
    assert_eq!(nap.told(), Some(Ok(false)));
    assert!(rig.stopped);
}

#[test]
fn a_node_without_time_tells_everyone() {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    let mut nap = rig.begin(alice.ask(Nap { ms: 100 }));
    rig.with(|seat, env| seat.cut(env));
    rig.pump();
    assert!(matches!(
        nap.told(),
        Some(Err(ActorError::Unknown {
            late: LateAnswer::Lost,
            ..
        }))
    ));
}
