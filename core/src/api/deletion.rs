//! Deleting an entity: the command that every kind decides, and the event by which others are told.

use super::{Aggregate, CodecError, Decide, DecideCx, Decision, Message, Never};
use crate::format::Codec;
use crate::log::NewEvent;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name of the event that a deletion stores when its decision has no event of its own; its version is
/// 1, and it has no fields.
///
/// Consumers and projections get it as the entity's event. A kind whose events name it is told of it by
/// type; for the others it is left out:
///
/// ```
/// # use tenure_core::api::{DELETED, Event};
/// #[derive(Debug, tenure_macros::Event)]
/// # #[event(crate = "tenure_core::api")]
/// enum PersonEvent {
///     #[event(name = "moved", version = 1)]
///     Moved { to: String },
///     #[event(name = "tenure-deleted", version = 1)]
///     Deleted,
/// }
/// assert_eq!(PersonEvent::Deleted.name(), DELETED);
/// ```
pub const DELETED: &str = crate::log::DELETED;

/// The version of [`DELETED`].
const DELETED_VERSION: u16 = 1;

/// Deletes an entity ([`Decision::delete`]). Entities of every kind decide it, so it can be sent to one
/// ([`Decision::send`]) and come to one later ([`Decision::remind`]); nothing lists it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delete;

impl Message for Delete {
    const NAME: &'static str = "tenure-delete";
    const VERSION: u16 = 1;
}

impl Serialize for Delete {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Delete {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <()>::deserialize(deserializer).map(|()| Self)
    }
}

impl<A: Aggregate> Decide<Delete> for A {
    type Reply = ();
    type Error = Never;

    fn decide(&self, _: &Delete, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        Ok(Decision::nothing(()).delete())
    }
}

/// The event that tells of a deletion.
pub(super) fn event(codec: Codec) -> Result<NewEvent, CodecError> {
    Ok(NewEvent {
        version: None,
        name: DELETED.into(),
        schema: DELETED_VERSION,
        data: codec.encode(&())?,
    })
}

/// Whether a stored event that a kind does not name tells of a deletion.
pub(super) fn is_told(name: &str, schema: u16) -> bool {
    (name, schema) == (DELETED, DELETED_VERSION)
}
