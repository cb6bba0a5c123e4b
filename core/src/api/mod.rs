//! What users write against: aggregates, commands, repositories, and the log below them.
//!
//! An [`Aggregate`] is a state built from events; [`Decide`] says what a command comes to. Both are
//! pure. A [`Repository`] runs them on the log: it loads, decides, commits, and decides again when
//! another writer was first. No type here knows which world it runs in: that is the [`Shell`] that
//! a node is [started with](start_with).
//!
//! [`Shell`]: crate::driver::Shell

pub mod actor;
mod aggregate;
pub mod bus;
mod call;
mod cbor;
mod cipher;
mod cluster;
mod codec;
pub mod consumer;
mod contexts;
mod decision;
mod deletion;
pub mod effect;
mod entities;
mod entity;
mod error;
mod event;
mod execute;
mod history;
mod kinds;
pub mod kit;
mod load;
mod log;
mod message;
mod metadata;
pub mod model;
mod never;
mod plans;
pub mod projection;
mod raw;
mod repository;
pub mod saga;
mod served;
mod serves;
mod start;
mod stored;
mod tenure;
pub mod transfer;
mod travel;
mod upcast;
mod value;

pub use aggregate::{Aggregate, Decide, KindSettings, UnknownEvents};
pub use call::{Closure, Command, Decider, Receipt};
pub use cipher::{Cipher, CipherError, Ciphers, Decrypted, Payload, PayloadPart, SHREDDED};
pub use cluster::{
    Cluster, ClusterHandle, ClusterView, DescribeError, NodeChange, NodeInfo, NodeRef, NodeView,
    OwnedShard, ShardRef, WaitError,
};
pub use codec::CodecError;
pub use contexts::{AnswerCx, DecideCx};
pub use decision::Decision;
pub use deletion::{DELETED, Delete};
pub use entity::{
    Answer, Ask, AskError, AskServed, Entity, EntityRef, Messages, Read, ReadError, ReadReply,
    ReadServed, RouteError, Tell,
};
pub use error::{AppendError, ExecuteError, LoadError};
pub use event::{Event, RawEvent};
pub use execute::{Execute, ExecuteCommand, ExecuteReceipt, Transact};
pub use history::{History, Past, Point};
pub use kinds::KindError;
pub use load::Loaded;
pub use log::{Append, Appended, Log};
pub use message::Message;
pub use never::Never;
pub use plans::{CommandOf, When};
pub use repository::Repository;
pub use served::Served;
pub use serves::Serves;
pub use start::{StartError, StartOptions, start_with};
pub use tenure::Tenure;
pub use upcast::{
    EventReader, EventType, Mistake, Parts, Upcasters, UpcastersError, check_upcasters,
};
pub use value::{Fields, Value};

pub use crate::format::{Metadata, MetadataError, TraceContext, TraceError};
pub use crate::log::{Freshness, SnapshotPolicy, SnapshotPolicyError};

pub use bytes::Bytes;

pub(crate) use cipher::Ciphered;
pub(crate) use cluster::INFO_CODEC;
pub(crate) use entity::Serving;
pub(crate) use repository::KindHandle;
pub(crate) use tenure::Inner;

/// What the derive macros' output is written with; not for people.
#[doc(hidden)]
pub mod __private {
    pub use super::CodecError;
    pub use crate::format::Codec;
    pub use bytes::Bytes;
    #[cfg(feature = "schema")]
    pub use schemars;
    pub use serde;
}
