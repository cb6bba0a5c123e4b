//! What a mortal is and does.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenure_core::api::{
    Aggregate, CodecError, Decide, DecideCx, Decision, Delete, Entity, KindSettings, Messages,
    Never, SnapshotPolicy,
};
use tenure_core::format::Codec;

/// What happens to a mortal; the numbers of all that any of them ever does differ.
#[derive(Clone, Copy, Debug, tenure_macros::Event)]
#[event(crate = "tenure_core::api")]
pub(in super::super) enum MortalEvent {
    #[event(name = "did", version = 1)]
    Did { number: u64, how: How },
    #[event(name = "heard", version = 1)]
    Heard { number: u64 },
    #[event(name = "rang", version = 1)]
    Rang { number: u64 },
    #[event(name = "tenure-deleted", version = 1)]
    Deleted,
}

/// What comes of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct How {
    pub(super) tells_itself: bool,
    pub(super) tells_heir: bool,
    pub(super) rings_after_ms: Option<u64>,
    /// It has itself deleted then.
    pub(super) ends_after_ms: Option<u64>,
}

/// Does something.
#[derive(Clone, Debug, Serialize, Deserialize, tenure_macros::Message)]
#[message(name = "act", version = 1, crate = "tenure_core::api")]
pub(in super::super) struct Act {
    pub(super) number: u64,
    pub(super) itself: String,
    pub(super) heir: String,
    pub(super) how: How,
}

/// Hears from itself.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, tenure_macros::Message)]
#[message(name = "hear", version = 1, crate = "tenure_core::api")]
pub(in super::super) struct Hear {
    number: u64,
}

/// Its alarm rings.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, tenure_macros::Message)]
#[message(name = "ring", version = 1, crate = "tenure_core::api")]
pub(in super::super) struct Ring {
    number: u64,
}

/// A mortal: how much it did in this life.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(in super::super) struct Mortal {
    done: u64,
}

impl Aggregate for Mortal {
    type Event = MortalEvent;
    const KIND: &'static str = "mortal";

    fn evolve(&mut self, event: &MortalEvent) {
        match event {
            MortalEvent::Did { .. } => self.done += 1,
            MortalEvent::Heard { .. } | MortalEvent::Rang { .. } | MortalEvent::Deleted => {}
        }
    }

    fn settings() -> KindSettings {
        let snapshots = SnapshotPolicy::every(5);
        KindSettings::default().owned().snapshots(snapshots)
    }

    fn snapshot(&self, codec: Codec) -> Option<Result<bytes::Bytes, CodecError>> {
        Some(codec.encode(self))
    }

    fn restore(state: &[u8], codec: Codec) -> Option<Result<Self, CodecError>> {
        Some(codec.decode(state))
    }
}

impl Decide<Act> for Mortal {
    type Reply = u64;
    type Error = Never;

    fn decide(&self, act: &Act, _: &DecideCx<'_>) -> Result<Decision<Self, u64>, Never> {
        let (number, how) = (act.number, act.how);
        let decision = Decision::event(MortalEvent::Did { number, how });
        let mut decision = decision.reply(self.done + 1);
        if how.tells_itself {
            decision = decision.send::<Self>(act.itself.clone(), Hear { number });
        }
        if how.tells_heir {
            decision = decision.send::<Heir>(act.heir.clone(), Inherit { number });
        }
        if let Some(after_ms) = how.rings_after_ms {
            let after = Duration::from_millis(after_ms);
            decision = decision.remind(format!("ring-{number}"), after, Ring { number });
        }
        if let Some(after_ms) = how.ends_after_ms {
            let after = Duration::from_millis(after_ms);
            decision = decision.remind("end", after, Delete);
        }
        Ok(decision)
    }
}

impl Decide<Hear> for Mortal {
    type Reply = ();
    type Error = Never;

    fn decide(&self, hear: &Hear, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        let number = hear.number;
        Ok(Decision::event(MortalEvent::Heard { number }))
    }
}

impl Decide<Ring> for Mortal {
    type Reply = ();
    type Error = Never;

    fn decide(&self, ring: &Ring, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        let number = ring.number;
        Ok(Decision::event(MortalEvent::Rang { number }))
    }
}

impl Entity for Mortal {
    fn messages() -> Messages<Self> {
        Messages::new()
            .command::<Act>()
            .command::<Hear>()
            .command::<Ring>()
    }
}

/// An heir inherited something.
#[derive(Clone, Copy, Debug, tenure_macros::Event)]
#[event(name = "inherited", version = 1, crate = "tenure_core::api")]
pub(in super::super) struct Inherited {
    pub(super) number: u64,
}

/// Inherits what a mortal did.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, tenure_macros::Message)]
#[message(name = "inherit", version = 1, crate = "tenure_core::api")]
pub(in super::super) struct Inherit {
    number: u64,
}

/// An heir, who is never deleted.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Heir;

impl Aggregate for Heir {
    type Event = Inherited;
    const KIND: &'static str = "heir";

    fn evolve(&mut self, _: &Inherited) {}

    fn settings() -> KindSettings {
        KindSettings::default().owned()
    }
}

impl Decide<Inherit> for Heir {
    type Reply = ();
    type Error = Never;

    fn decide(&self, inherit: &Inherit, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        let number = inherit.number;
        Ok(Decision::event(Inherited { number }))
    }
}

impl Entity for Heir {
    fn messages() -> Messages<Self> {
        Messages::new().command::<Inherit>()
    }
}

pub(super) fn heir(number: u64) -> String {
    format!("heir-{number}")
}
