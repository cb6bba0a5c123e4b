//! What can go wrong on the bus, and what to do about it.

use crate::api::CodecError;
use crate::bus::{Refusal, TopicError};
use crate::driver::NotSent;
use crate::driver::bus::PublishFailure;
use crate::format::MetadataError;
use crate::name::{NameError, Namespace};
use crate::port::SendRefused;

/// Why something was not published, or nobody listens.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// A topic or a pattern cannot be one.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// A name cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The node was not started with a right to another namespace's bus.
    #[error(
        "this node of namespace {own} may not use the bus of {namespace}: name it where the node is built (bus_namespaces)"
    )]
    NamespaceNotAllowed {
        /// The other one.
        namespace: Namespace,
        /// The node's.
        own: Namespace,
    },
    /// The node was not started with a right to the buses of all namespaces.
    #[error(
        "this node of namespace {own} may not listen to all namespaces: name \"*\" where the node is built (bus_namespaces)"
    )]
    AllNotAllowed {
        /// The node's.
        own: Namespace,
    },
    /// Something is published in one namespace.
    #[error("an event is published in one namespace, not in all: use bus() or bus_of()")]
    OneNamespace,
    /// What is durable is of the node's own namespace.
    #[error(
        "what is durable is stored by nodes of its namespace, and this one is of {own}: have one of them publish it or subscribe to it"
    )]
    DurableElsewhere {
        /// The node's.
        own: Namespace,
    },
    /// The event cannot be encoded.
    #[error("the event cannot be encoded: {0}")]
    Encode(#[from] CodecError),
    /// What it says of itself is too much.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// It is kept for no time, or for longer than can be said.
    #[error("an event is kept for 1 s to 10 years, in whole seconds")]
    Keep,
    /// It is larger than the server takes. Nothing was published.
    #[error(
        "an event of {bytes} bytes is larger than the {bytes_max} that the server takes: publish less, or where it is"
    )]
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// What the server takes, in bytes.
        bytes_max: usize,
    },
    /// There is no connection, so nobody was told. Nothing was published.
    #[error("there is no connection: nobody was told; publish it durably if somebody must be")]
    NotConnected,
    /// The connection's queue is full: more is published than goes out. Nothing was published.
    #[error("the connection's queue is full: publish less, or later")]
    Full,
    /// It was not stored, or nobody knows.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The queue of requests stayed full. Nothing was published.
    #[error("the node has too much to do: publish less, or later")]
    Overloaded,
    /// The node has stopped. Nothing was published.
    #[error("the node has stopped")]
    NodeStopped,
    /// The node stopped or halted before there was an answer. It may be published.
    #[error("the node ended before there was an answer; it may have been published")]
    Cut,
}

impl BusError {
    /// Whether it may have been published all the same.
    pub fn may_be_published(&self) -> bool {
        matches!(self, Self::Refused(Refusal::Unknown) | Self::Cut)
    }
}

impl From<SendRefused> for BusError {
    fn from(refused: SendRefused) -> Self {
        match refused {
            SendRefused::NotConnected => Self::NotConnected,
            SendRefused::Full => Self::Full,
            SendRefused::TooLarge { bytes, bytes_max } => Self::TooLarge { bytes, bytes_max },
        }
    }
}

impl From<PublishFailure> for BusError {
    fn from(failure: PublishFailure) -> Self {
        match failure {
            PublishFailure::Refused(refusal) => Self::Refused(refusal),
            PublishFailure::NotSent(NotSent::Overloaded) => Self::Overloaded,
            PublishFailure::NotSent(NotSent::Stopped) => Self::NodeStopped,
            PublishFailure::Cut => Self::Cut,
        }
    }
}

/// Why an event is not of a type.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It has another name, or another version.
    #[error("the event is {found} v{found_version}, and {wanted} v{wanted_version} was asked for")]
    Other {
        /// What it is.
        found: String,
        /// Its version.
        found_version: u16,
        /// What was asked for.
        wanted: &'static str,
        /// In this version.
        wanted_version: u16,
    },
    /// Its bytes are no value of the type.
    #[error("the event {name} cannot be decoded: {cause}")]
    Value {
        /// What it is.
        name: String,
        /// Why.
        cause: CodecError,
    },
}
