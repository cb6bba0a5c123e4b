//! A lane that comes late: deadlines that have passed when something else is fed first.

use super::actors::*;
use super::rig::{Begun, Kinds, Rig};
use crate::api::actor::{ActorError, LateAnswer};
use crate::driver::actors::{ActorEnv, ActorSeat};
use crate::id::Ticket;
use crate::step::Span;
use std::time::Duration;

fn is_late<T>(told: &Option<Told<T>>) -> bool {
    let late = LateAnswer::Deadline;
    matches!(told, Some(Err(ActorError::Unknown { late: how, .. })) if *how == late)
}

fn is_refused<T>(told: &Option<Told<T>>) -> bool {
    matches!(told, Some(Err(ActorError::Deadline(_))))
}

fn rig() -> Rig {
    Rig::new(Kinds::new().with::<Counter>())
}

/// More than a lane lets begin in two turns; each waits 20 ms.
fn ask_many(rig: &mut Rig) -> Vec<Begun<Told<u64>>> {
    (0..300)
        .map(|n| {
            let ask = rig.actor::<Counter>(&format!("c{n}")).ask(Add { by: 1 });
            rig.send(ask.timeout(Duration::from_millis(20)))
        })
        .collect()
}

#[test]
fn a_message_may_be_withdrawn_at_its_deadline() {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    let soon = Duration::from_millis(20);
    let mut nap = rig.begin(alice.ask(Nap { ms: 100 }).timeout(soon));
    let mut add = rig.begin(alice.ask(Add { by: 1 }).timeout(soon));
    rig.late(Span::from_millis(20));
    for ticket in [1, 2] {
        rig.with(|seat, env| seat.withdraw(env, Ticket(ticket)));
    }
    rig.pass(Span::from_millis(100));
    assert!(is_late(&nap.told()));
    assert!(is_refused(&add.told()));
    assert_eq!(rig.get(alice.ask(Add { by: 1 })), Ok(1), "no seat halts");
}

#[test]
fn turns_of_callers_who_went_away_are_not_begun_at_their_deadline_either() {
    let mut rig = rig();
    let asks = ask_many(&mut rig);
    // All are made, and the lane's budget ends among the turns that were let begin.
    rig.with(ActorSeat::turn);
    rig.with(ActorSeat::turn);
    let begun = rig.counted().actor_turns;
    drop(asks);
    rig.late(Span::from_millis(20));
    rig.with(ActorSeat::turn);
    rig.pump();
    assert_eq!(rig.counted().actor_turns, begun);
    let other = rig.actor::<Counter>("c299").ask(Add { by: 1 });
    assert_eq!(rig.get(other), Ok(1), "no seat halts");
}

#[test]
fn what_waited_to_begin_until_its_deadline_is_not_begun() {
    let mut rig = rig();
    let mut asks = ask_many(&mut rig);
    rig.with(ActorSeat::turn);
    rig.with(ActorSeat::turn);
    let begun = rig.counted().actor_turns;
    assert!(begun < 300, "some wait for the lane's next turn");
    rig.late(Span::from_millis(20));
    rig.pump();
    assert_eq!(rig.counted().actor_turns, begun);
    let told: Vec<_> = asks.iter_mut().map(|ask| ask.told()).collect();
    let ran = told.iter().filter(|told| **told == Some(Ok(1))).count();
    let is_late = |told: &&Option<_>| is_late(told) || is_refused(told);
    assert_eq!(
        (ran as u64, told.iter().filter(is_late).count()),
        (begun, 300 - ran)
    );
    let other = rig.actor::<Counter>("c299").ask(Add { by: 1 });
    assert_eq!(rig.get(other), Ok(1));
}

#[test]
fn a_seat_is_broken_by_its_scheduler_and_not_by_the_end_of_its_node() {
    let mut broken = rig();
    assert_eq!(broken.seat.broken(), None);
    broken.with(|seat, env| seat.halt(env, "it cannot be".to_owned()));
    assert_eq!(broken.seat.broken(), Some("it cannot be"));
    let mut stopped = rig();
    stopped.with(ActorSeat::cut);
    assert_eq!(stopped.seat.broken(), None);
}

/// What is told when all of a seat ends: of a turn that was begun, of a message behind it, and of two messages
/// that nobody waits for, one of them of an actor that was begun to be made.
fn ended_with(
    end: impl FnOnce(&mut ActorSeat, &mut ActorEnv<'_>),
) -> (Option<Told<bool>>, Option<Told<u64>>, u64) {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    let mut nap = rig.begin(alice.ask(Nap { ms: 100 }));
    let mut add = rig.begin(alice.ask(Add { by: 1 }));
    assert_eq!(rig.begin(alice.tell(Add { by: 2 })).told(), Some(Ok(())));
    let bob = rig.actor::<Counter>("bob").tell(Add { by: 2 });
    let mut told = rig.send(bob);
    assert_eq!(told.told(), Some(Ok(())));
    rig.with(end);
    rig.pump();
    (nap.told(), add.told(), rig.counted().actor_undelivered)
}

#[test]
fn nobody_is_told_that_a_turn_which_was_begun_did_not_run() {
    let is_lost = |told: &Option<Told<bool>>| {
        let lost = LateAnswer::Lost;
        matches!(told, Some(Err(ActorError::Unknown { late, .. })) if *late == lost)
    };
    let (nap, add, undelivered) = ended_with(|seat, env| seat.halt(env, "it cannot be".to_owned()));
    assert!(is_lost(&nap), "{nap:?}");
    assert_eq!(
        add,
        Some(Err(ActorError::Halted("it cannot be".to_owned())))
    );
    assert_eq!(undelivered, 2);

    let (nap, add, undelivered) = ended_with(ActorSeat::cut);
    assert!(is_lost(&nap), "{nap:?}");
    assert!(matches!(add, Some(Err(ActorError::Stopped(_)))), "{add:?}");
    assert_eq!(undelivered, 2);
}
