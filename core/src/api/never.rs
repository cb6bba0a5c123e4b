//! The rejection that does not happen.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The error of a command that is never rejected. It has no value, as
/// [`Infallible`](std::convert::Infallible) has none, and is a serde type, as
/// [`Decide::Error`](super::Decide::Error) has to be.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use tenure_core::api::*;
/// # #[derive(Clone, Default)] struct Door { open: bool }
/// # #[derive(Debug, tenure_macros::Event)] #[event(crate = "tenure_core::api")]
/// # enum DoorEvent { #[event(name = "closed", version = 1)] Closed }
/// # impl Aggregate for Door {
/// #     type Event = DoorEvent;
/// #     const KIND: &'static str = "door";
/// #     fn evolve(&mut self, _: &DoorEvent) { self.open = false; }
/// # }
/// # #[derive(Serialize, Deserialize, tenure_macros::Message)]
/// # #[message(name = "close", version = 1, crate = "tenure_core::api")]
/// # struct Close;
/// impl Decide<Close> for Door {
///     type Reply = ();
///     type Error = Never;
///
///     fn decide(&self, _: &Close, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
///         Ok(match self.open {
///             true => Decision::event(DoorEvent::Closed),
///             false => Decision::nothing(()),
///         })
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Never {}

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl std::error::Error for Never {}

impl Serialize for Never {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        match *self {}
    }
}

impl<'de> Deserialize<'de> for Never {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom(
            "a rejection of a command that is never rejected",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::Never;
    use crate::format::Codec;

    #[test]
    fn there_is_no_value_of_it() {
        for codec in [Codec::Cbor, Codec::Json] {
            let nothing = codec.encode(&()).unwrap();
            let error = codec.decode::<Never>(&nothing).unwrap_err();
            assert!(error.to_string().contains("never rejected"), "{error}");
        }
    }
}
