//! Effects: what a decision wants done outside, once it is stored.
//!
//! A decision says it ([`Decision::effect`](super::Decision::effect)), and it is in the command's commit: so it is
//! intended exactly if the command took effect, and once (P7). The owner of the entity's shard then calls
//! the handler that the node was built with. It is called at least once: after a crash or a take-over
//! perhaps again, perhaps by two nodes at once, always with the same [key](EffectCall::key), by which the
//! outside can tell that it did that already. A call that fails is tried again, each time later; after the
//! last try ([`EffectPolicy`]) the effect is put aside, from where it can be replayed ([`DeadEffects`]).
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use tenure_core::api::effect::{EffectCall, EffectHandler, EffectPolicy};
//! # use tenure_core::api::*;
//!
//! #[derive(Serialize, Deserialize, tenure_macros::Message)]
//! #[message(name = "mail", version = 1, crate = "tenure_core::api")]
//! struct Mail { to: String, text: String }
//!
//! let mails = EffectHandler::new(EffectPolicy::default(), |call: EffectCall<Mail>| async move {
//!     println!("to {}: {} ({})", call.effect.to, call.effect.text, call.key());
//!     Ok::<_, String>(())
//! });
//! # let _ = mails;
//! ```

mod aside;
mod dead;
mod failed;
mod handler;

pub use aside::DeadEffect;
pub use dead::{DeadEffectError, DeadEffects};
pub use failed::{FailedMessage, FailedMessages, FailedMessagesError, FailedPlace};
pub use handler::{EffectCall, EffectHandler, EffectPolicy};

pub(crate) use aside::Aside;

use crate::format::{Codec, Intent, MessageRecord, Metadata};
use crate::name::{EntityId, KindName};
use bytes::Bytes;

/// The headers of a replayed effect's metadata that have its first key, and the entity that wanted it.
pub(crate) const KEY_HEADER: &str = "tenure-effect-key";
pub(crate) const KIND_HEADER: &str = "tenure-effect-kind";
pub(crate) const ID_HEADER: &str = "tenure-effect-id";

/// What is said of an effect that is done once more.
pub(crate) fn replayed(letter: &DeadEffect) -> Metadata {
    let metadata = letter.metadata().header(KEY_HEADER, &letter.key);
    let metadata = metadata.header(KIND_HEADER, &letter.kind);
    metadata.header(ID_HEADER, &letter.id)
}

/// What an effect is dispatched as the kind of.
pub(crate) fn effect_kind(name: &str) -> Result<KindName, String> {
    KindName::new(&format!("effect-{name}"))
        .map_err(|error| format!("the effect {name:?} cannot have that name: {error}"))
}

/// An effect as a commit has it.
pub(crate) fn intent(name: &str, schema: u16, data: Bytes) -> Result<Intent, String> {
    Ok(Intent {
        kind: effect_kind(name)?,
        entity: EntityId::new(name).map_err(|error| error.to_string())?,
        codec: Codec::Cbor,
        message: MessageRecord {
            name: name.to_owned().into(),
            schema,
            data,
        },
        metadata: None,
    })
}
