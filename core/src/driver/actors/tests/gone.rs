//! What turns of callers of other lanes know of whether these have gone.

use super::actors::*;
use super::rig::{Kinds, Rig, Wired};
use crate::driver::actors::host::ActorAnswer;
use crate::format::Codec;
use crate::id::Ticket;
use crate::step::Span;
use std::sync::{Arc, mpsc};

/// A turn of a second that a caller of another lane asked of alice, and withdrew.
fn withdrawn() -> Rig {
    let mut rig = Rig::new(Kinds::new().with::<Counter>());
    let told = nap(&mut rig, Ticket(1_000_000), "alice", true, 1_000);
    assert_eq!(rig.hand.tasks(), 1);
    rig.with(|seat, env| seat.withdraw(env, Ticket(1_000_000)));
    rig.pump();
    assert_eq!(rig.hand.tasks(), 1, "it goes on");
    assert!(told.recv().is_err(), "nobody is told");
    rig
}

fn nap(
    rig: &mut Rig,
    ticket: Ticket,
    key: &str,
    answered: bool,
    ms: u64,
) -> mpsc::Receiver<ActorAnswer> {
    let (tell, told) = mpsc::channel();
    let data = Codec::Cbor.encode(&NapAndNote { ms }).unwrap();
    let (entry, caller) = (rig.entry::<Counter>(), Arc::new(Wired(tell)));
    let message = ("nap_and_note", data);
    rig.wire(ticket, (entry, key), message, (answered, caller));
    told
}

fn noted(rig: &mut Rig, key: &str) -> Vec<String> {
    let counter = rig.actor::<Counter>(key);
    rig.get(counter.ask(Get {})).unwrap().2
}

#[test]
fn a_turn_that_was_withdrawn_sees_it() {
    let mut rig = withdrawn();
    rig.pass(Span::from_secs(1));
    assert_eq!(noted(&mut rig, "alice"), ["gone: true"]);
}

#[test]
fn other_turns_meanwhile_see_callers_of_their_own() {
    let mut rig = withdrawn();
    let asked = nap(&mut rig, Ticket(1_000_001), "bob", true, 10);
    let sent = nap(&mut rig, Ticket(1_000_002), "carol", false, 10);
    rig.pass(Span::from_millis(20));
    assert_eq!(rig.hand.tasks(), 1, "the first one goes on");
    assert!(matches!(asked.recv(), Ok(ActorAnswer::Ran(..))));
    assert!(matches!(sent.recv(), Ok(ActorAnswer::Taken)));
    for key in ["bob", "carol"] {
        assert_eq!(noted(&mut rig, key), ["gone: false"], "{key}");
    }
    rig.pass(Span::from_secs(1));
    assert_eq!(noted(&mut rig, "alice"), ["gone: true"]);
}
