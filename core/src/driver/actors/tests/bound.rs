//! Places, leases and the end of the node.

use super::actors::*;
use super::rig::{EPOCH, Kinds, PLACE, Rig};
use crate::api::actor::{AskError, LateAnswer};
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
    assert_eq!(told, Err(AskError::NoOwner));
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
    assert_eq!(nap.told(), Some(Err(AskError::Unknown(LateAnswer::Lost))));
    assert_eq!(add.told(), Some(Err(AskError::NoOwner)));
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
    let mut waits = rig.begin(alice.ask(Add { by: 1 }));
    let mut told = rig.begin(alice.tell(Add { by: 10 }));
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
        rig.counted().actor_turns,
        2,
        "what was told ran before the end"
    );
    rig.with(|seat, env| seat.lost(env, PLACE));
    rig.pump();
    assert_eq!(waits.told(), Some(Err(AskError::NoOwner)));
    assert_eq!(comes.told(), Some(Err(AskError::NoOwner)));
    assert_eq!(rig.not_owned.len(), 2);
}

#[test]
fn a_hand_over_that_is_given_up_serves_who_waited() {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    assert_eq!(rig.get(alice.ask(Add { by: 1 })), Ok(1));
    rig.with(|seat, env| seat.hand_over(env, PLACE));
    rig.pump();
    let mut add = rig.begin(alice.ask(Add { by: 1 }));
    assert_eq!(add.told(), None);
    rig.with(|seat, env| seat.own(env, PLACE, EPOCH));
    rig.pump();
    assert_eq!(add.told(), Some(Ok(1)), "the state of before is gone");
}

#[test]
fn no_turn_begins_after_the_end_of_the_lease() {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    let until = Time::ZERO + Span::from_secs(1);
    rig.with(|seat, env| seat.lease(env, Some(until)));
    let mut nap = rig.begin(alice.ask(Nap { ms: 2_000 }));
    let mut add = rig.begin(alice.ask(Add { by: 1 }));
    rig.pass(Span::from_secs(1));
    assert_eq!(nap.told(), Some(Err(AskError::Unknown(LateAnswer::Lost))));
    assert_eq!(add.told(), Some(Err(AskError::NoOwner)));
    // Renewed, and owned anew: before that nobody is served.
    rig.with(|seat, env| seat.lease(env, Some(until + Span::from_secs(100))));
    assert_eq!(rig.get(alice.ask(Add { by: 1 })), Err(AskError::NoOwner));
    rig.with(|seat, env| seat.own(env, PLACE, EPOCH));
    assert_eq!(rig.get(alice.ask(Add { by: 1 })), Ok(1));
    let turns = rig.counted().actor_turns;
    assert_eq!(turns, 2);
}

#[test]
fn a_node_that_stops_refuses_and_ends_what_runs() {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    let mut nap = rig.begin(alice.ask(Nap { ms: 100 }));
    let mut add = rig.begin(alice.ask(Add { by: 1 }));
    rig.with(|seat, env| seat.stop(env));
    rig.pump();
    assert_eq!(add.told(), Some(Err(AskError::Stopped)));
    let told = rig.get(rig.actor::<Counter>("bob").ask(Add { by: 1 }));
    assert_eq!(told, Err(AskError::Stopped));
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
    assert_eq!(nap.told(), Some(Err(AskError::Unknown(LateAnswer::Lost))));
}
