//! Registers: written, read, and changed where they hold what their caller expects. There are three
//! kinds: of the fenced class, of the leased class, and in direct mode, which any node writes. Each takes
//! snapshots, by another rule.

use serde::{Deserialize, Serialize};
use tenure_core::api::{
    Aggregate, Answer, AnswerCx, CodecError, Decide, DecideCx, Decision, Entity, KindSettings,
    Messages, Never, SnapshotPolicy,
};
use tenure_core::format::Codec;

/// It was written.
#[derive(Clone, Copy, Debug, tenure_macros::Event)]
#[event(name = "wrote", version = 1, crate = "tenure_core::api")]
pub(super) struct Wrote {
    value: u64,
}

/// Writes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, tenure_macros::Message)]
#[message(name = "write", version = 1, crate = "tenure_core::api")]
pub(super) struct Write {
    pub(super) value: u64,
}

/// Writes the second where it holds the first.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, tenure_macros::Message)]
#[message(name = "swap", version = 1, crate = "tenure_core::api")]
pub(super) struct Swap {
    pub(super) from: u64,
    pub(super) to: u64,
}

/// Asks what it holds by a command without events.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, tenure_macros::Message)]
#[message(name = "look", version = 1, crate = "tenure_core::api")]
pub(super) struct Look;

/// Asks what it holds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, tenure_macros::Message)]
#[message(name = "held", version = 1, crate = "tenure_core::api")]
pub(super) struct Held;

/// What a register of any kind is asked.
pub(super) trait Holds:
    Aggregate
    + Decide<Write, Reply = (), Error = Never>
    + Decide<Swap, Reply = bool, Error = Never>
    + Decide<Look, Reply = u64, Error = Never>
{
}

macro_rules! register {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $settings:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
        pub(super) struct $name {
            held: u64,
        }

        impl Aggregate for $name {
            type Event = Wrote;
            const KIND: &'static str = $kind;

            fn evolve(&mut self, wrote: &Wrote) {
                self.held = wrote.value;
            }

            fn settings() -> KindSettings {
                $settings
            }

            fn snapshot(&self, codec: Codec) -> Option<Result<bytes::Bytes, CodecError>> {
                Some(codec.encode(self))
            }

            fn restore(state: &[u8], codec: Codec) -> Option<Result<Self, CodecError>> {
                Some(codec.decode(state))
            }
        }

        impl Decide<Write> for $name {
            type Reply = ();
            type Error = Never;

            fn decide(&self, write: &Write, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
                let value = write.value;
                Ok(Decision::event(Wrote { value }))
            }
        }

        impl Decide<Swap> for $name {
            type Reply = bool;
            type Error = Never;

            fn decide(&self, swap: &Swap, _: &DecideCx<'_>) -> Result<Decision<Self, bool>, Never> {
                let value = swap.to;
                Ok(match self.held == swap.from {
                    true => Decision::event(Wrote { value }).reply(true),
                    // A no that is stored: asked again under its id it is no yes (P4).
                    false => Decision::nothing(false).record(),
                })
            }
        }

        impl Decide<Look> for $name {
            type Reply = u64;
            type Error = Never;

            fn decide(&self, _: &Look, _: &DecideCx<'_>) -> Result<Decision<Self, u64>, Never> {
                Ok(Decision::nothing(self.held))
            }
        }

        impl Holds for $name {}
    };
}

register! {
    /// A register of the fenced class.
    Register, "register", KindSettings::default().owned().snapshots(SnapshotPolicy::every(5).keep(2))
}

register! {
    /// A register of the leased class, of which nothing is kept in memory.
    Kept, "kept", KindSettings::default()
        .leased()
        .snapshots(SnapshotPolicy::after_load(3))
        .cached(false)
}

impl Plain {
    pub(super) fn held(&self) -> u64 {
        self.held
    }
}

register! {
    /// A register in direct mode.
    Plain, "plain", KindSettings::default().snapshots(SnapshotPolicy::every(4).or_after_load(6))
}

macro_rules! served {
    ($($name:ident)*) => {$(
        impl Answer<Held> for $name {
            type Reply = u64;

            fn answer(&self, _: &Held, _: &AnswerCx<'_>) -> u64 {
                self.held
            }
        }

        impl Entity for $name {
            fn messages() -> Messages<Self> {
                Messages::new()
                    .command::<Write>()
                    .command::<Swap>()
                    .command::<Look>()
                    .query::<Held>()
            }
        }
    )*};
}

served!(Register Kept);
