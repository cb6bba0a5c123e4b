//! An event of the bus as a subscriber gets it.

use super::DecodeError;
use crate::api::Message;
use crate::api::metadata::EMPTY;
use crate::bus::Topic;
use crate::format::{Codec, Metadata, Publication};
use crate::id::{PublicationId, WallTime};
use crate::name::Namespace;
use crate::port::Heard;

/// An event of the bus.
#[derive(Clone, Debug)]
pub struct BusEvent {
    namespace: Namespace,
    topic: Topic,
    publication: Publication,
    durable: bool,
}

impl BusEvent {
    /// What was heard; `None` when it is no event of a bus.
    pub(super) fn of(heard: &Heard) -> Option<Self> {
        let (namespace, topic) = heard.subject.split_once(".cast.")?;
        let publication = Publication::decode(&heard.payload);
        let publication = publication.inspect_err(|error| {
            tracing::warn!(subject = heard.subject.as_str(), %error, "publication_unreadable");
        });
        Some(Self {
            namespace: Namespace::new(namespace).ok()?,
            topic: Topic::new(topic).ok()?,
            publication: publication.ok()?,
            durable: heard.sequence.is_some(),
        })
    }

    /// The namespace on whose bus it was published.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Where it was published.
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Its id: of no other event.
    pub fn id(&self) -> PublicationId {
        self.publication.id
    }

    /// The stable name of its type.
    pub fn name(&self) -> &str {
        &self.publication.name
    }

    /// The version of its type.
    pub fn version(&self) -> u16 {
        self.publication.schema
    }

    /// When it was published, on the publisher's wall clock.
    pub fn time(&self) -> WallTime {
        self.publication.time
    }

    /// The node that published it.
    pub fn node(&self) -> &str {
        &self.publication.node
    }

    /// Whether it is stored.
    pub fn is_durable(&self) -> bool {
        self.durable
    }

    /// What it says of itself.
    pub fn metadata(&self) -> &Metadata {
        self.publication.metadata.as_deref().unwrap_or(&EMPTY)
    }

    /// Its value.
    ///
    /// # Errors
    ///
    /// When it is of another type, or of another version of it.
    pub fn decode<M: Message>(&self) -> Result<M, DecodeError> {
        decode(self.name(), self.version(), &self.publication.data)
    }
}

pub(crate) fn decode<M: Message>(name: &str, version: u16, data: &[u8]) -> Result<M, DecodeError> {
    if (name, version) != (M::NAME, M::VERSION) {
        return Err(DecodeError::Other {
            found: name.to_owned(),
            found_version: version,
            wanted: M::NAME,
            wanted_version: M::VERSION,
        });
    }
    Codec::Cbor
        .decode(data)
        .map_err(|cause| DecodeError::Value {
            name: name.to_owned(),
            cause,
        })
}
