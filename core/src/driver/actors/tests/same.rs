//! Why a message has no reply is the same error where it was told and after it crossed the wire.

use super::rig::Rig;
use crate::actor::Refusal;
use crate::api::CodecError;
use crate::api::actor::{ActorError, ActorId};
use crate::driver::actors::host::{ActorAnswer, NotUnderstood};
use crate::format::{Codec, Return};
use crate::id::ShardId;
use crate::name::KindName;
use crate::step::Span;

fn alice() -> ActorId {
    ActorId {
        kind: KindName::new("counter").unwrap(),
        key: Rig::key("alice"),
        shard: Some(ShardId(7)),
    }
}

fn here(answer: ActorAnswer) -> ActorError<()> {
    ActorError::of(answer, alice())
}

fn there(answer: ActorAnswer) -> ActorError<()> {
    let answered = answer.encode(Codec::Cbor, "counter", "alice");
    let (node, epoch) = ("there", None);
    let bytes = Return {
        answered,
        node,
        epoch,
    }
    .encode();
    let returned = Return::decode(&bytes).expect("what was encoded");
    here(ActorAnswer::of_message(returned, false))
}

#[test]
fn an_error_is_the_same_from_another_node() {
    let text = || "x".to_owned();
    let refusals = [
        Refusal::Overloaded,
        Refusal::TooManyWatchers,
        Refusal::Deadline,
        Refusal::Late,
        Refusal::NotOwner,
        Refusal::Lost,
        Refusal::Aborted,
        Refusal::Cycle,
        Refusal::TooDeep {
            hops: 33,
            hops_max: 32,
        },
        Refusal::Panicked(text()),
        Refusal::Failed {
            cause: text(),
            retry_after: Span::from_millis(250),
        },
    ];
    for refusal in refusals {
        let answer = || ActorAnswer::Refused(refusal.clone());
        assert_eq!(here(answer()), there(answer()));
    }
    let (name, version) = (text(), 3);
    let not_understood = [
        NotUnderstood::Unknown { name, version },
        NotUnderstood::Version {
            name: text(),
            sent: 3,
            taken: 2,
        },
        NotUnderstood::Undecodable {
            name: text(),
            cause: CodecError::new("c"),
        },
    ];
    for why in not_understood {
        let answer = || ActorAnswer::NotUnderstood(why.clone());
        assert_eq!(here(answer()), there(answer()));
    }
    let halted = || ActorAnswer::Halted(text());
    assert_eq!(here(halted()), ActorError::Halted(text()));
    assert_eq!(here(halted()), there(halted()));
    assert_eq!(here(ActorAnswer::Cut), there(ActorAnswer::Cut));
}

#[test]
fn a_node_that_stops_is_left_for_the_next_owner() {
    assert_eq!(here(ActorAnswer::Stopped), ActorError::Stopped(alice()));
    let elsewhere = there(ActorAnswer::Stopped);
    assert_eq!(elsewhere, ActorError::NoOwner(alice()));
    assert!(elsewhere.is_retryable() && !here(ActorAnswer::Stopped).is_retryable());
}
