//! How actors are made, fail, begin anew, rest and go.

use super::actors::*;
use super::rig::{Kinds, Rig};
use crate::api::actor::{ActorError, LateAnswer};
use crate::driver::actors::ActorSeat;
use crate::step::{Limits, Span};
use std::sync::atomic::Ordering;
use std::time::Duration;

fn rig() -> Rig {
    Rig::new(Kinds::new().with::<Counter>().with::<Tough>())
}

#[test]
fn an_actor_that_cannot_be_made_says_so() {
    let mut rig = rig();
    let bad = rig.actor::<Counter>("bad");
    for _ in 0..2 {
        let told = rig.get(bad.ask(Add { by: 1 }));
        let Err(ActorError::Init { cause, .. }) = told else {
            panic!("{told:?}");
        };
        assert_eq!(cause, "a bad key");
    }
    assert_eq!(
        rig.counted().actor_init_failures,
        1,
        "the second one was refused meanwhile"
    );
    rig.pass(Span::from_secs(1));
    let told = rig.get(bad.ask(Add { by: 1 }));
    assert!(matches!(told, Err(ActorError::Init { .. })));
    assert_eq!(rig.counted().actor_init_failures, 2);
}

#[test]
fn messages_wait_while_the_actor_is_made() {
    let mut rig = rig();
    let slow = rig.actor::<Counter>("slow");
    let mut adds: Vec<_> = (0..3).map(|_| rig.begin(slow.ask(Add { by: 1 }))).collect();
    assert!(adds.iter_mut().all(|add| add.told().is_none()));
    rig.pass(Span::from_secs(1));
    let told: Vec<_> = adds.iter_mut().filter_map(|add| add.told()).collect();
    assert_eq!(told, [Ok(1), Ok(2), Ok(3)]);
}

#[test]
fn a_panic_is_told_and_the_actor_begins_anew_after_a_wait() {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    assert_eq!(rig.get(alice.ask(Add { by: 5 })), Ok(5));
    let told = rig.get(alice.ask(Explode {}));
    assert!(matches!(told, Err(ActorError::Panicked { ref cause, .. }) if cause == "boom"));
    let mut add = rig.begin(alice.ask(Add { by: 1 }));
    assert_eq!(add.told(), None, "it waits for the restart");
    rig.pass(Span::from_millis(100));
    assert_eq!(add.told(), Some(Ok(1)));
    // The second restart waits for longer, and after the third panic it has failed.
    assert!(rig.get(alice.ask(Explode {})).is_err());
    rig.pass(Span::from_millis(200));
    assert!(rig.get(alice.ask(Explode {})).is_err());
    let told = rig.get(alice.ask(Add { by: 1 }));
    assert!(matches!(told, Err(ActorError::Init { .. })), "{told:?}");
    let counters = rig.counted();
    assert_eq!((counters.actor_panics, counters.actor_restarts), (3, 2));
    assert_eq!(counters.actor_failures, 1);
    rig.pass(Span::from_secs(61));
    assert_eq!(rig.get(alice.ask(Add { by: 1 })), Ok(1));
}

#[test]
fn an_actor_that_resumes_keeps_its_state() {
    let mut rig = rig();
    let tough = rig.actor::<Tough>("alice");
    assert_eq!(rig.get(tough.ask(Add { by: 5 })), Ok(5));
    assert!(
        matches!(rig.get(tough.ask(Explode {})), Err(ActorError::Panicked { ref cause, .. }) if cause == "boom")
    );
    assert_eq!(rig.get(tough.ask(Add { by: 1 })), Ok(1_006));
    assert!(rig.counted().actor_tasks >= 4, "this kind runs in tasks");
}

#[test]
fn an_actor_that_rests_is_passivated_and_comes_back() {
    let mut rig = rig();
    let before = STOPS.load(Ordering::Relaxed);
    let hook = rig.actor::<Counter>("hook");
    assert_eq!(rig.get(hook.ask(Add { by: 1 })), Ok(1));
    rig.pass(Span::from_secs(59));
    assert_eq!(rig.counted().actors_held, 1);
    rig.pass(Span::from_secs(2));
    assert_eq!(rig.counted().actors_held, 0);
    assert_eq!(STOPS.load(Ordering::Relaxed), before + 1);
    assert_eq!(rig.get(hook.ask(Add { by: 1 })), Ok(1));
    let alice = rig.actor::<Counter>("alice");
    assert_eq!(rig.get(alice.ask(Leave {})), Ok(()));
    assert_eq!(rig.counted().actors_held, 1, "only the other one");
}

#[test]
fn with_too_many_the_one_that_rests_longest_goes() {
    let limits = Limits {
        activations_max: 2,
        ..Limits::default()
    };
    let mut rig = Rig::with_limits(Kinds::new().with::<Counter>(), limits);
    for key in ["a", "b"] {
        assert_eq!(rig.get(rig.actor::<Counter>(key).ask(Add { by: 1 })), Ok(1));
        rig.pass(Span::from_millis(1));
    }
    assert_eq!(rig.get(rig.actor::<Counter>("a").ask(Add { by: 1 })), Ok(2));
    assert_eq!(rig.get(rig.actor::<Counter>("c").ask(Add { by: 1 })), Ok(1));
    assert_eq!(
        rig.get(rig.actor::<Counter>("a").ask(Add { by: 1 })),
        Ok(3),
        "b went"
    );
    // Both are busy: nobody makes room.
    let naps: Vec<_> = ["a", "c"]
        .map(|key| rig.begin(rig.actor::<Counter>(key).ask(Nap { ms: 50 })))
        .into();
    let told = rig.get(rig.actor::<Counter>("d").ask(Add { by: 1 }));
    assert!(matches!(told, Err(ActorError::Overloaded(_))));
    drop(naps);
}

#[test]
fn a_timer_that_is_set_again_is_one_timer() {
    let limits = Limits {
        timers_max: 3,
        ..Limits::default()
    };
    let mut rig = Rig::with_limits(Kinds::new().with::<Counter>(), limits);
    let alice = rig.actor::<Counter>("alice");
    let wind = |names: &str, off: &str| {
        let names = names.split_whitespace().map(str::to_owned).collect();
        let off = off.split_whitespace().map(str::to_owned).collect();
        alice.ask(WindAll { names, off })
    };
    assert_eq!(rig.get(wind("a a a a a b", "")), Ok(6), "within one turn");
    assert_eq!(rig.get(wind("a b c", "")), Ok(3));
    assert_eq!(
        rig.get(wind("a b c d", "")),
        Ok(3),
        "the fourth is too many"
    );
    assert_eq!(rig.get(wind("d e", "c")), Ok(1), "one in place of one");
    assert_eq!(rig.get(wind("c", "a b")), Ok(1));
    rig.pass(Span::from_secs(3_600));
    let ticks = rig.get(alice.ask(Get {})).expect("an answer").1;
    assert_eq!(ticks, 2, "d and c");
}

#[test]
fn timers_send_messages_and_what_was_missed_collapses() {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    let ticks = |rig: &mut Rig| rig.get(alice.ask(Get {})).expect("an answer").1;
    assert_eq!(
        rig.get(alice.ask(Wind {
            after_ms: 100,
            every_ms: 0
        })),
        Ok(true)
    );
    rig.pass(Span::from_millis(99));
    assert_eq!(ticks(&mut rig), 0);
    rig.pass(Span::from_millis(500));
    assert_eq!(ticks(&mut rig), 1);
    assert_eq!(
        rig.get(alice.ask(Wind {
            after_ms: 0,
            every_ms: 100
        })),
        Ok(true)
    );
    rig.pass(Span::from_millis(350));
    assert_eq!(ticks(&mut rig), 4);
    // Ten periods pass during one turn.
    let mut nap = rig.begin(alice.ask(Nap { ms: 1_000 }));
    rig.pass(Span::from_millis(1_000));
    assert_eq!(nap.told(), Some(Ok(false)));
    assert_eq!(ticks(&mut rig), 5);
    assert_eq!(rig.get(alice.ask(Unwind {})), Ok(()));
    rig.pass(Span::from_secs(30));
    assert_eq!(ticks(&mut rig), 5);
}

#[test]
fn tasks_have_a_limit_and_keep_the_actor() {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    assert_eq!(
        rig.get(alice.ask(Work {
            ms: 120_000,
            tasks: 3
        })),
        Ok(2)
    );
    rig.pass(Span::from_secs(100));
    assert_eq!(rig.counted().actors_held, 1, "it rests not while tasks run");
    rig.pass(Span::from_secs(20));
    let two = rig.get(alice.ask(Get {})).expect("an answer").0;
    assert_eq!(two, 2);
    rig.pass(Span::from_secs(61));
    assert_eq!(rig.counted().actors_held, 0);
}

#[test]
fn a_task_ends_with_its_actor() {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    assert_eq!(
        rig.get(alice.ask(Work {
            ms: 1_000_000,
            tasks: 1
        })),
        Ok(1)
    );
    assert_eq!(rig.hand.tasks(), 1);
    assert!(rig.get(alice.ask(Explode {})).is_err());
    rig.pump();
    assert_eq!(rig.hand.tasks(), 0);
}

#[test]
fn who_watches_is_told_of_the_end() {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    let ends = |rig: &mut Rig| rig.get(alice.ask(Get {})).expect("an answer").2;
    assert_eq!(
        rig.get(alice.ask(Look {
            key: "nobody".into()
        })),
        Ok(true)
    );
    assert_eq!(ends(&mut rig), ["Absent"]);
    let bob = rig.actor::<Counter>("bob");
    assert_eq!(rig.get(bob.ask(Add { by: 1 })), Ok(1));
    assert_eq!(rig.get(alice.ask(Look { key: "bob".into() })), Ok(true));
    // Longer than one round of the watch.
    rig.pass(Span::from_secs(45));
    assert_eq!(ends(&mut rig), ["Absent"]);
    rig.pass(Span::from_secs(30));
    assert_eq!(ends(&mut rig), ["Absent", "Stopped"]);
}

#[test]
fn an_end_between_two_rounds_of_a_watch_is_told_too() {
    let mut rig = rig();
    let (alice, bob) = (rig.actor::<Counter>("alice"), rig.actor::<Counter>("bob"));
    assert_eq!(rig.get(bob.ask(Add { by: 1 })), Ok(1));
    assert_eq!(rig.get(alice.ask(Look { key: "bob".into() })), Ok(true));
    // As the round ends bob ends, and is there anew before the next round is asked for.
    rig.late(Span::from_secs(30));
    let leave = rig.send(bob.ask(Leave {}));
    while rig.seat.has_work() {
        rig.with(ActorSeat::turn);
    }
    drop(leave);
    let mut add = rig.send(bob.ask(Add { by: 1 }));
    rig.pump();
    assert_eq!(add.told(), Some(Ok(1)), "it is another bob");
    let ends = rig.get(alice.ask(Get {})).expect("an answer").2;
    assert_eq!(ends, ["Stopped"]);
}

#[test]
fn a_turn_that_never_ends_is_dropped_by_its_kinds_patience() {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    let mut forever = rig.begin(alice.ask(Forever {}).timeout(Duration::from_secs(60)));
    let mut add = rig.begin(alice.ask(Add { by: 1 }).timeout(Duration::from_secs(60)));
    rig.pass(Span::from_secs(9));
    assert_eq!(forever.told(), None);
    rig.pass(Span::from_secs(2));
    assert!(matches!(
        forever.told(),
        Some(Err(ActorError::Unknown {
            late: LateAnswer::Aborted,
            ..
        }))
    ));
    assert_eq!(add.told(), Some(Ok(1)));
    assert_eq!(rig.counted().actor_stuck, 1);
    assert_eq!(rig.hand.tasks(), 0);
}

#[test]
fn a_paused_actor_takes_a_turn_when_it_is_stepped() {
    let mut rig = rig();
    let (entry, key) = (rig.entry::<Counter>(), Rig::key("alice"));
    rig.with(|seat, env| seat.pause(env, &entry, key.clone()));
    let alice = rig.actor::<Counter>("alice");
    let mut adds: Vec<_> = (0..3)
        .map(|_| rig.begin(alice.ask(Add { by: 1 })))
        .collect();
    let told = |adds: &mut Vec<super::rig::Begun<Told<u64>>>| {
        adds.iter_mut().filter_map(|add| add.told()).count()
    };
    assert_eq!(told(&mut adds), 0);
    rig.with(|seat, env| seat.step(env, &entry, key.clone()));
    rig.pump();
    assert_eq!(told(&mut adds), 1);
    rig.pump();
    assert_eq!(told(&mut adds), 0);
    rig.with(|seat, env| seat.resume(env, &entry, key.clone()));
    rig.pump();
    assert_eq!(told(&mut adds), 2);
}
