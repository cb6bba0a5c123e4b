//! What is stored of an entity goes through code of the user's: to encrypt it, with a key for each perhaps.

use super::Aggregate;
use crate::driver::host::caught;
use crate::format::{Later, MessageRecord};
use crate::name::{EntityId, KindName};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The name of the event that a kind is told in the place of one whose key is gone; its version is 1, and it
/// has no fields.
///
/// A kind whose events name it goes on without what was lost: its `evolve`, its consumers and its projections
/// get it by type. Of a kind that does not name it they are told nothing, and its entities can neither be
/// decided on nor loaded ([`FoldError::Shredded`](crate::log::FoldError::Shredded)): nobody decides on a part of a state without having said so.
///
/// ```
/// # use tenure_core::api::{Event, SHREDDED};
/// #[derive(Debug, tenure_macros::Event)]
/// # #[event(crate = "tenure_core::api")]
/// enum PersonEvent {
///     #[event(name = "moved", version = 1)]
///     Moved { to: String },
///     #[event(name = "tenure-shredded", version = 1)]
///     Shredded,
/// }
/// assert_eq!(PersonEvent::Shredded.name(), SHREDDED);
/// ```
pub const SHREDDED: &str = "tenure-shredded";

/// The version of [`SHREDDED`].
pub(super) const SHREDDED_VERSION: u16 = 1;

/// Turns what is stored of entities into something else and back: encryption, under a key for each entity
/// perhaps, so that who loses the key has lost the data.
///
/// It is given to the nodes of a kind (`Tenure::builder().cipher::<A>(…)`), all of them, from the kind's first event on:
/// what was stored before it has to be told apart by the cipher itself. Fields of events, states in snapshots, replies that
/// are kept under command ids, reminders and messages go through it; ids, names, versions, times and metadata
/// do not.
///
/// It runs in the node's loop: it computes, and waits for nothing. Keys are fetched before. A panic while it
/// encrypts is an error; what it panics at when it is read is [`Damaged`](Decrypted::Damaged).
///
/// ```
/// use tenure_core::api::{Bytes, Cipher, CipherError, Decrypted, Payload};
///
/// /// No secret: it shows where one would be.
/// struct Backwards;
///
/// impl Cipher for Backwards {
///     fn encrypt(&self, _: &Payload<'_>, plain: &[u8]) -> Result<Bytes, CipherError> {
///         Ok(plain.iter().rev().copied().collect())
///     }
///
///     fn decrypt(&self, of: &Payload<'_>, stored: &[u8]) -> Result<Decrypted, CipherError> {
///         match of.id.as_str() {
///             "forgotten" => Ok(Decrypted::Shredded),
///             _ => Ok(Decrypted::Plain(stored.iter().rev().copied().collect())),
///         }
///     }
/// }
/// ```
pub trait Cipher: Send + Sync + 'static {
    /// What is stored in the place of `plain`. At least one byte.
    ///
    /// # Errors
    ///
    /// When there is no key; the command is refused, and nothing is stored.
    fn encrypt(&self, of: &Payload<'_>, plain: &[u8]) -> Result<Bytes, CipherError>;

    /// What was stored, or that it is lost for good. An event that is damaged goes by the consumer's policy for
    /// what cannot be decoded; a reminder or message that is damaged stays, and is tried again.
    ///
    /// # Errors
    ///
    /// When it cannot be told now. What needs it fails, and may be tried again; consumers and projections ask
    /// again by themselves, with growing waits up to 5 s, and count it as no failure of the event.
    fn decrypt(&self, of: &Payload<'_>, stored: &[u8]) -> Result<Decrypted, CipherError>;
}

/// Whose data it is, and what of it. It is the same when it is stored and when it is read, so a cipher can bind the
/// data to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Payload<'a> {
    /// The entity's kind.
    pub kind: &'a KindName,
    /// The entity.
    pub id: &'a EntityId,
    /// What it is.
    pub part: PayloadPart<'a>,
}

/// What part of an entity data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PayloadPart<'a> {
    /// The fields of an event of this stored name and version.
    Event(&'a str, u16),
    /// Its state, in a snapshot.
    Snapshot,
    /// What a command was answered.
    Reply,
    /// A reminder of its own, or a message that it sends, of this stored name and version.
    Message(&'a str, u16),
}

/// What became of stored data.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decrypted {
    /// It is this.
    Plain(Bytes),
    /// Its key is gone: nobody reads it any more.
    Shredded,
    /// It is not what this cipher made of this part of this entity: altered, or made under another key.
    Damaged(String),
}

/// Why a cipher cannot say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cipher failed: {0}")]
pub struct CipherError(pub String);

/// The ciphers of a node's kinds.
#[derive(Clone, Debug, Default)]
pub struct Ciphers(BTreeMap<String, Ciphered>);

impl Ciphers {
    /// And this one, for the entities of a kind.
    #[must_use]
    pub fn of_kind<A: Aggregate>(mut self, cipher: impl Cipher) -> Self {
        let ciphered = Ciphered(Some(Arc::new(cipher)));
        self.0.insert(A::KIND.to_owned(), ciphered);
        self
    }

    /// That of a kind.
    pub(crate) fn of(&self, kind: &KindName) -> Ciphered {
        self.0.get(kind.as_str()).cloned().unwrap_or_default()
    }
}

/// The cipher of a kind, where it has one.
#[derive(Clone, Default)]
pub(crate) struct Ciphered(Option<Arc<dyn Cipher>>);

impl fmt::Debug for Ciphered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ciphered").field(&self.0.is_some()).finish()
    }
}

impl Ciphered {
    /// What is stored of plain bytes.
    pub(crate) fn encrypt(
        &self,
        (kind, id): (&KindName, &EntityId),
        part: PayloadPart<'_>,
        plain: Bytes,
    ) -> Result<Bytes, CipherError> {
        let Some(cipher) = &self.0 else {
            return Ok(plain);
        };
        let of = Payload { kind, id, part };
        let stored = caught(|| cipher.encrypt(&of, &plain))
            .unwrap_or_else(|panic| Err(CipherError(panicked(&panic))))?;
        match stored.is_empty() {
            // No bytes are what a tombstone keeps of a reply.
            true => Err(CipherError("it made nothing of some bytes".to_owned())),
            false => Ok(stored),
        }
    }

    /// The plain bytes of what is stored.
    pub(crate) fn decrypt(
        &self,
        (kind, id): (&KindName, &EntityId),
        part: PayloadPart<'_>,
        stored: &Bytes,
    ) -> Result<Decrypted, CipherError> {
        let Some(cipher) = &self.0 else {
            return Ok(Decrypted::Plain(stored.clone()));
        };
        let of = Payload { kind, id, part };
        // It would at the next try as well.
        caught(|| cipher.decrypt(&of, stored))
            .unwrap_or_else(|panic| Ok(Decrypted::Damaged(panicked(&panic))))
    }

    /// What is stored of a decision's reminders and messages.
    pub(crate) fn encrypt_later(
        &self,
        whose: (&KindName, &EntityId),
        later: &mut Later,
    ) -> Result<(), CipherError> {
        let armed = later.armed.iter_mut().map(|timer| &mut timer.message);
        let sends = later.sends.iter_mut().map(|intent| &mut intent.message);
        for MessageRecord { name, schema, data } in armed.chain(sends) {
            let part = PayloadPart::Message(name, *schema);
            *data = self.encrypt(whose, part, core::mem::take(data))?;
        }
        Ok(())
    }
}

fn panicked(panic: &str) -> String {
    format!("it panicked: {panic}")
}
