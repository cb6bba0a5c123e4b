//! The messages that a kind of actor takes, by name.

use super::job::{Carried, Job, Other};
use super::{Actor, Handle, HandleOther};
use crate::api::{CodecError, Message};
use crate::driver::actors::host::{Content, NotUnderstood};
use crate::format::Codec;
use bytes::Bytes;
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;

/// The messages that a kind of actor takes: named in [`Actor::handlers`].
#[must_use]
pub struct Handlers<A: Actor> {
    known: BTreeMap<(&'static str, u16), Known<A>>,
    other: Option<FromOther<A>>,
    twice: Option<(&'static str, u16)>,
}

/// How one message becomes a job: without its type, or from its bytes.
struct Known<A: Actor> {
    typed: FromTyped<A>,
    wire: FromWire<A>,
}

type FromTyped<A> = fn(Box<dyn Any + Send>) -> Option<Box<dyn Job<A>>>;
type FromWire<A> = fn(&[u8], Codec) -> Result<Box<dyn Job<A>>, CodecError>;
type FromOther<A> = fn(RawMessage) -> Box<dyn Job<A>>;

/// A message that the kind has no type for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawMessage {
    /// Its name.
    pub name: String,
    /// The version of its type.
    pub version: u16,
    /// Its bytes, in the kind's codec.
    pub data: Bytes,
}

impl<A: Actor> Handlers<A> {
    pub(crate) fn new() -> Self {
        Self {
            known: BTreeMap::new(),
            other: None,
            twice: None,
        }
    }

    /// The kind takes this message.
    pub fn on<M: Message>(mut self) -> Self
    where
        A: Handle<M>,
    {
        let known = Known {
            typed: |message| Some(message.downcast::<Carried<M>>().ok()? as Box<dyn Job<A>>),
            wire: |data, codec| Ok(Box::new(Carried(codec.decode::<M>(data)?))),
        };
        let name = (M::NAME, M::VERSION);
        if self.known.insert(name, known).is_some() {
            self.twice = Some(name);
        }
        self
    }

    /// What the kind has no handler for goes to [`HandleOther`]; otherwise it is refused
    /// [`ActorError::UnknownMessage`](super::ActorError::UnknownMessage).
    pub fn otherwise(mut self) -> Self
    where
        A: HandleOther,
    {
        self.other = Some(|message| Box::new(Other(message)));
        self
    }

    /// The names of the messages that the kind takes.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.known.keys().map(|(name, _)| *name).collect()
    }

    /// The names and versions of the messages that the kind takes.
    pub(crate) fn types(&self) -> impl Iterator<Item = &(&'static str, u16)> {
        self.known.keys()
    }

    /// A message that is named twice.
    pub(crate) fn twice(&self) -> Option<(&'static str, u16)> {
        self.twice
    }

    /// The newest version in which the kind takes a message.
    fn newest(&self, name: &str) -> Option<u16> {
        let known = self.known.range((name, 0)..=(name, u16::MAX));
        known.last().map(|((_, version), _)| *version)
    }

    /// What a message comes to.
    pub(crate) fn job(
        &self,
        content: Content,
        codec: Codec,
    ) -> Result<Box<dyn Job<A>>, NotUnderstood> {
        let unknown = |name: &str, version| {
            let name = name.to_owned();
            match self.newest(&name) {
                Some(taken) if taken != version => NotUnderstood::Version {
                    name,
                    sent: version,
                    taken,
                },
                Some(_) | None => NotUnderstood::Unknown { name, version },
            }
        };
        let undecodable = |name: &str, cause| NotUnderstood::Undecodable {
            name: name.to_owned(),
            cause,
        };
        match content {
            Content::Typed(message) => {
                let (name, version) = (message.name(), message.version());
                match (self.known.get(&(name, version)), self.other) {
                    (Some(known), _) => {
                        // Of one name two types can be, in two crates: only one is the kind's.
                        (known.typed)(message.into_any()).ok_or_else(|| unknown(name, version))
                    }
                    (None, Some(other)) => Ok(other(RawMessage {
                        name: name.to_owned(),
                        version,
                        data: message.encode(codec).map_err(|e| undecodable(name, e))?,
                    })),
                    (None, None) => Err(unknown(name, version)),
                }
            }
            Content::Wire {
                name,
                version,
                data,
            } => match (self.known.get(&(&*name, version)), self.other) {
                (Some(known), _) => {
                    (known.wire)(&data, codec).map_err(|cause| undecodable(&name, cause))
                }
                (None, Some(other)) => Ok(other(RawMessage {
                    name: name.into_owned(),
                    version,
                    data,
                })),
                (None, None) => Err(unknown(&name, version)),
            },
        }
    }
}

impl<A: Actor> fmt::Debug for Handlers<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handlers")
            .field("known", &self.known.keys())
            .field("other", &self.other.is_some())
            .finish()
    }
}
