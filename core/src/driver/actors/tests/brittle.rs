//! Users' code that panics where no turn catches it, which is not the end of its lane.

use super::actors::*;
use super::rig::{Kinds, Rig};
use crate::api::actor::{Actor, ActorCx, ActorError, Handle, Handlers, InitError};
use crate::api::{CodecError, Never};
use crate::format::Codec;
use serde::{Serialize, Serializer};

/// Panics when it is dropped.
struct Brittle;

impl Drop for Brittle {
    fn drop(&mut self) {
        panic!("it breaks");
    }
}

impl Actor for Brittle {
    const KIND: &'static str = "brittle";

    async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> {
        Ok(Self)
    }

    fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
        handlers.on::<Leave>()
    }
}

impl Handle<Leave> for Brittle {
    type Reply = ();
    type Error = Never;

    async fn handle(&mut self, _: Leave, cx: &mut ActorCx<Self>) -> Result<(), Never> {
        cx.passivate();
        Ok(())
    }
}

#[test]
fn an_actor_that_panics_when_it_is_dropped_takes_nobody_along() {
    let mut rig = Rig::new(Kinds::new().with::<Brittle>().with::<Counter>());
    assert_eq!(rig.get(rig.actor::<Brittle>("a").ask(Leave {})), Ok(()));
    let counters = rig.counted();
    assert_eq!((counters.actors_held, counters.actor_panics), (0, 1));
    assert_eq!(rig.get(rig.actor::<Brittle>("a").ask(Leave {})), Ok(()));
    let told: Told<u64> = rig.get(rig.actor::<Counter>("b").ask(Add { by: 1 }));
    assert_eq!(told, Ok::<_, ActorError<Never>>(1));
}

/// Panics when it is written.
struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("not this one")
    }
}

#[test]
fn a_value_that_panics_when_it_is_written_is_one_that_cannot_be() {
    for codec in [Codec::Cbor, Codec::Json] {
        let written = codec.encode(&Unwritable);
        let cause = "its code panicked: not this one";
        assert_eq!(written, Err(CodecError::new(cause)));
        assert!(codec.encode(&1).is_ok());
    }
}
