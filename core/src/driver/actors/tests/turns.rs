//! Messages, replies, and what callers are told.

use super::actors::*;
use super::rig::{EPOCH, Kinds, Rig, Wired};
use crate::api::Metadata;
use crate::api::actor::{ActorError, ActorId, LateAnswer};
use crate::driver::actors::ActorSeat;
use crate::driver::actors::host::ActorAnswer;
use crate::format::Codec;
use crate::id::{ShardId, Ticket};
use crate::name::KindName;
use crate::step::Span;
use std::sync::Arc;
use std::time::Duration;

fn rig() -> Rig {
    Rig::new(Kinds::new().with::<Counter>().with::<Tough>())
}

#[test]
fn a_message_makes_its_actor_and_is_answered() {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    assert_eq!(rig.get(alice.ask(Add { by: 2 })), Ok(2));
    assert_eq!(rig.get(alice.ask(Add { by: 3 })), Ok(5));
    let bob = rig.actor::<Counter>("bob");
    assert_eq!(rig.get(bob.ask(Add { by: 1 })), Ok(1));
    let denied = rig.get(alice.ask(Deny { why: "no".into() }));
    assert_eq!(denied, Err(ActorError::Rejected("no".to_owned())));
    let counters = rig.counted();
    assert_eq!((counters.actor_activations, counters.actors_held), (2, 2));
    assert_eq!((counters.actor_turns, counters.actor_tasks), (4, 0));
    assert_eq!((counters.actor_messages, counters.actor_answers), (4, 4));
}

#[test]
fn messages_of_a_key_run_one_after_another_in_order() {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    let mut nap = rig.begin(alice.ask(Nap { ms: 100 }));
    let mut adds: Vec<_> = (1..=3).map(|by| rig.begin(alice.ask(Add { by }))).collect();
    let mut bob = rig.begin(rig.actor::<Counter>("bob").ask(Add { by: 1 }));
    assert_eq!(bob.told(), Some(Ok(1)), "a slow key holds nobody up");
    assert!(nap.told().is_none() && adds.iter_mut().all(|add| add.told().is_none()));
    rig.pass(Span::from_millis(100));
    assert_eq!(nap.told(), Some(Ok(false)));
    let told: Vec<Told<u64>> = adds.iter_mut().filter_map(|add| add.told()).collect();
    assert_eq!(told, [Ok(1), Ok(3), Ok(6)]);
}

#[test]
fn a_full_mailbox_refuses() {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    let mut nap = rig.begin(alice.ask(Nap { ms: 100 }));
    let mut adds: Vec<_> = (0..6)
        .map(|_| rig.begin(alice.ask(Add { by: 1 })))
        .collect();
    let told: Vec<_> = adds.iter_mut().map(|add| add.told()).collect();
    assert_eq!(told[..4], [None, None, None, None]);
    for told in &told[4..] {
        let Some(Err(error @ ActorError::Overloaded(_))) = told else {
            panic!("{told:?}");
        };
        assert!(error.to_string().contains("counter \"alice\""), "{error}");
    }
    rig.pass(Span::from_millis(100));
    assert!(nap.told().is_some_and(|nap| nap.is_ok()));
    assert_eq!(adds[3].told(), Some(Ok(4)));
    assert_eq!(rig.counted().overloaded, 2);
}

#[test]
fn deadlines_are_kept_before_and_during_the_turn() {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    let mut nap = rig.begin(
        alice
            .ask(Nap { ms: 100 })
            .timeout(Duration::from_millis(50)),
    );
    let mut add = rig.begin(alice.ask(Add { by: 1 }).timeout(Duration::from_millis(20)));
    rig.pass(Span::from_millis(20));
    assert!(matches!(add.told(), Some(Err(ActorError::Deadline(_)))));
    rig.pass(Span::from_millis(30));
    let late = LateAnswer::Deadline;
    let told = nap.told();
    assert!(
        matches!(told, Some(Err(ActorError::Unknown { late: how, .. })) if how == late),
        "{told:?}"
    );
    rig.pass(Span::from_millis(60));
    assert_eq!(
        rig.get(alice.ask(Add { by: 0 })),
        Ok(0),
        "what expired was not run"
    );
}

#[test]
fn a_caller_that_goes_away_is_seen_and_its_message_not_begun() {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    let mut nap = rig.begin(alice.ask(Nap { ms: 100 }));
    let add = rig.begin(alice.ask(Add { by: 1 }));
    drop(add);
    rig.pass(Span::from_millis(100));
    assert_eq!(nap.told(), Some(Ok(false)));
    assert_eq!(rig.get(alice.ask(Add { by: 0 })), Ok(0));
}

#[test]
fn a_message_that_is_withdrawn_before_its_turn_is_begun_leaves_its_actor_alone() {
    let mut rig = rig();
    let mut asks = Vec::new();
    for n in 0..300 {
        let ask = rig.actor::<Counter>(&format!("c{n}")).ask(Add { by: 1 });
        asks.push(rig.send(ask));
    }
    // All are made, and the lane's budget ends among the turns that were let begin.
    rig.with(ActorSeat::turn);
    rig.with(ActorSeat::turn);
    rig.with(|seat, env| seat.withdraw(env, Ticket(250)));
    rig.pump();
    let counters = rig.counted();
    assert_eq!((counters.actor_restarts, counters.actor_turns), (0, 299));
    assert_eq!(
        rig.get(rig.actor::<Counter>("c249").ask(Add { by: 1 })),
        Ok(1)
    );
    drop(asks);
}

#[test]
fn a_request_that_would_wait_for_itself_is_refused() {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    let told: Told<String> = rig.get(alice.ask(AskMe {}));
    let is_cycle = |told: Told<String>| told.is_ok_and(|told| told.contains("Cycle(ActorId"));
    assert!(is_cycle(told));
    // alice asks bob, who asks alice back.
    let told: Told<String> = rig.get(alice.ask(AskOther { key: "bob".into() }));
    assert!(is_cycle(told));
    assert_eq!(
        rig.get(alice.ask(TellMe {})),
        Ok(true),
        "a tell waits for nobody"
    );
    assert_eq!(rig.get(alice.ask(Add { by: 0 })), Ok(1));
}

#[test]
fn a_message_that_the_kind_does_not_take_is_refused_or_taken_raw() {
    let mut rig = rig();
    let told = rig.get(rig.actor::<Counter>("alice").ask(Strange { n: 1 }));
    let unknown = ActorError::UnknownMessage {
        name: "strange".into(),
        version: 1,
        actor: alice(),
    };
    assert_eq!(told, Err(unknown));
    let told = rig.get(rig.actor::<Tough>("alice").ask(Strange { n: 1 }));
    assert_eq!(told, Ok("strange of 4 bytes".to_owned()));
    let told = rig.get(rig.actor::<Counter>("").ask(Add { by: 1 }));
    assert!(matches!(told, Err(ActorError::Name(_))), "{told:?}");
    let mut other = Rig::new(Kinds::new());
    let told = other.get(other.actor::<Counter>("alice").ask(Add { by: 1 }));
    assert_eq!(told, Err(ActorError::UnknownKind("counter".into())));
}

#[test]
fn the_context_knows_where_and_for_whom() {
    let mut rig = Rig::placed(Kinds::new().with::<Counter>());
    let alice = rig.actor::<Counter>("alice");
    let metadata = Metadata::new().header("user", "zoe");
    let told = rig.get(alice.ask(Where {}).metadata(metadata));
    let expected = ("alice on here for zoe".to_owned(), Some(EPOCH.sequence.0));
    assert_eq!(told, Ok(expected));
}

#[test]
fn each_message_comes_to_one_end() {
    let mut rig = rig();
    let alice = rig.actor::<Counter>("alice");
    assert_eq!(rig.get(alice.ask(Add { by: 1 })), Ok(1));
    assert!(rig.get(alice.ask(Strange { n: 1 })).is_err());
    let mut nap = rig.begin(alice.ask(Nap { ms: 100 }));
    drop(rig.begin(alice.ask(Add { by: 1 })));
    let soon = Duration::from_millis(20);
    let mut late = rig.begin(alice.ask(Add { by: 1 }).timeout(soon));
    rig.pass(Span::from_millis(200));
    assert!(nap.told().is_some() && late.told().is_some());
    assert_eq!(rig.get(alice.ask(Add { by: 1 })), Ok(2));
    let counted = rig.counted();
    assert_eq!((counted.actor_messages, counted.actor_answers), (6, 6));
}

fn alice() -> ActorId {
    ActorId {
        kind: KindName::new("counter").unwrap(),
        key: Rig::key("alice"),
        shard: Some(ShardId(7)),
    }
}

#[test]
fn a_message_from_the_wire_is_decoded_and_its_outcome_encoded() {
    let mut rig = rig();
    let (tell, told) = std::sync::mpsc::channel();
    let wire = |rig: &mut Rig, ticket: u64, name, data| {
        let (entry, caller) = (rig.entry::<Counter>(), Arc::new(Wired(tell.clone())));
        let ticket = Ticket(1_000_000 + ticket);
        rig.wire(ticket, (entry, "alice"), (name, data), (true, caller));
    };
    let codec = Codec::Cbor;
    wire(&mut rig, 0, "add", codec.encode(&Add { by: 7 }).unwrap());
    let Ok(ActorAnswer::Ran(outcome, _)) = told.recv() else {
        panic!("it ran");
    };
    use crate::driver::actors::host::Told;
    assert_eq!(
        outcome.encode(codec),
        Ok(Told::Reply(codec.encode(&7_u64).unwrap()))
    );
    wire(
        &mut rig,
        1,
        "deny",
        codec.encode(&Deny { why: "no".into() }).unwrap(),
    );
    let Ok(ActorAnswer::Ran(outcome, _)) = told.recv() else {
        panic!("it ran");
    };
    assert_eq!(
        outcome.encode(codec),
        Ok(Told::Rejected(codec.encode("no").unwrap()))
    );
    wire(&mut rig, 2, "add", codec.encode("not a map").unwrap());
    let answer: ActorError<()> = ActorError::of(told.recv().unwrap(), alice());
    assert!(
        matches!(answer, ActorError::Undecodable { .. }),
        "{answer:?}"
    );
    wire(&mut rig, 3, "add_2", codec.encode("new").unwrap());
    let answer: ActorError<()> = ActorError::of(told.recv().unwrap(), alice());
    assert!(
        matches!(answer, ActorError::UnknownMessage { .. }),
        "{answer:?}"
    );
}
