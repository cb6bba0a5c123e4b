//! Event-sourced, highly available applications on NATS JetStream, or in memory.
//!
//! What a program needs: an aggregate (a state built from events), what each command decides, and
//! a place to run. The place is a value; the rest of the program is the same line for line.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use tenure::prelude::*;
//!
//! #[derive(Clone, Debug, Default)]
//! struct Account {
//!     cents: i64,
//! }
//!
//! #[derive(Debug, Event)]
//! enum AccountEvent {
//!     #[event(name = "deposited", version = 1)]
//!     Deposited { cents: i64 },
//!     #[event(name = "withdrawn", version = 1)]
//!     Withdrawn { cents: i64 },
//! }
//!
//! impl Aggregate for Account {
//!     type Event = AccountEvent;
//!     const KIND: &'static str = "account";
//!
//!     fn evolve(&mut self, event: &AccountEvent) {
//!         match event {
//!             AccountEvent::Deposited { cents } => self.cents += cents,
//!             AccountEvent::Withdrawn { cents } => self.cents -= cents,
//!         }
//!     }
//! }
//!
//! #[derive(Serialize, Deserialize, Message)]
//! #[message(name = "deposit", version = 1)]
//! struct Deposit {
//!     cents: i64,
//! }
//!
//! impl Decide<Deposit> for Account {
//!     type Reply = i64;
//!     type Error = Refused;
//!
//!     fn decide(&self, command: &Deposit, _: &DecideCx<'_>) -> Result<Decision<Self, i64>, Refused> {
//!         let Deposit { cents } = *command;
//!         if cents <= 0 {
//!             return Err(Refused::NotPositive);
//!         }
//!         Ok(Decision::event(AccountEvent::Deposited { cents }).reply(self.cents + cents))
//!     }
//! }
//!
//! #[derive(Serialize, Deserialize, Message)]
//! #[message(name = "withdraw", version = 1)]
//! struct Withdraw {
//!     cents: i64,
//! }
//!
//! impl Decide<Withdraw> for Account {
//!     type Reply = i64;
//!     type Error = Refused;
//!
//!     fn decide(&self, command: &Withdraw, _: &DecideCx<'_>) -> Result<Decision<Self, i64>, Refused> {
//!         let Withdraw { cents } = *command;
//!         if cents > self.cents {
//!             return Err(Refused::Insufficient { balance: self.cents });
//!         }
//!         Ok(Decision::event(AccountEvent::Withdrawn { cents }).reply(self.cents - cents))
//!     }
//! }
//!
//! #[derive(Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
//! enum Refused {
//!     #[error("an amount is positive")]
//!     NotPositive,
//!     #[error("the balance is {balance}")]
//!     Insufficient { balance: i64 },
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let tenure = Tenure::builder().namespace("bank").start("mem:").await?;
//! let accounts = tenure.repository::<Account>().await?;
//!
//! assert_eq!(accounts.execute("alice", Deposit { cents: 150 }).await?, 150);
//! assert_eq!(accounts.execute("alice", Withdraw { cents: 30 }).await?, 120);
//!
//! let refused = accounts.execute("alice", Withdraw { cents: 500 }).await;
//! assert!(matches!(refused, Err(ExecuteError::Rejected(Refused::Insufficient { balance: 120 }))));
//!
//! assert_eq!(accounts.load("alice").await?.state.cents, 120);
//! tenure.stop().await;
//! # Ok::<_, Box<dyn std::error::Error>>(()) })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! - `mem` (default): the places `mem:` and `mem:<name>`.
//! - `nats`: the places `nats://…`, and clients of your own.
//! - `schema`: the fields of events as JSON Schema, for programs in other languages.
//! - `sqlite`: projections in SQLite, the module `sqlite`.
//! - `sim`: tests on simulated clusters, `sim_test` and the module `sim`.

mod builder;
mod place;
mod transfers;

pub use builder::{Builder, Tenure, TenureError};
pub use place::Place;
pub use tenure_core::api::Bytes;
pub use tenure_core::api::actor;
pub use tenure_core::api::bus;
pub use tenure_core::api::consumer;
pub use tenure_core::api::effect;
pub use tenure_core::api::model;
pub use tenure_core::api::projection;
pub use tenure_core::api::saga;
pub use tenure_core::api::{
    Aggregate, Answer, AnswerCx, Append, AppendError, Appended, Ask, AskError, AskServed, Cipher,
    CipherError, Ciphers, Closure, Cluster, ClusterHandle, ClusterView, CodecError, Command,
    CommandOf, DELETED, Decide, DecideCx, Decider, Decision, Decrypted, Delete, DescribeError,
    Entity, EntityRef, Event, EventReader, EventType, Execute, ExecuteCommand, ExecuteError,
    ExecuteReceipt, Fields, Freshness, History, KindError, KindSettings, LoadError, Loaded, Log,
    Message, Messages, Metadata, MetadataError, Mistake, Never, NodeChange, NodeInfo, NodeRef,
    NodeView, OwnedShard, Parts, Past, Payload, PayloadPart, Point, RawEvent, Read, ReadError,
    ReadReply, ReadServed, Receipt, Repository, RouteError, SHREDDED, Served, ShardRef, StartError,
    StartOptions, TraceContext, TraceError, Transact, UnknownEvents, Upcasters, UpcastersError,
    Value, WaitError, When, check_upcasters, kit,
};
pub use tenure_core::driver::{
    Counters, Flight, FlightError, FlightFault, FlightWriteError, Flights, Recording, Shell,
};
pub use tenure_core::format::Denial;
pub use tenure_core::format::{Codec, Placement, TakeOver, WriteMode};
pub use tenure_core::id::{
    CommandId, CommitId, Epoch, Incarnation, NotVersion7, PublicationId, Sequence, ShardId,
    Version, WallTime,
};
pub use tenure_core::lease::Terms;
pub use tenure_core::log::{Damage, FoldError, SnapshotPolicy, SnapshotPolicyError, Undelivered};
pub use tenure_core::name::{EntityId, KindName, NameError, Namespace};
pub use tenure_core::node::{JoinError, Standing};
pub use tenure_core::port::{Refused as StoreRefused, StoreRequest};
pub use tenure_core::shard::Place as ShardPlace;
pub use tenure_core::space::{Grants, SpaceError};
pub use tenure_core::step::{Limits, Span};
#[cfg(feature = "sim")]
pub use tenure_macros::sim_test;
pub use tenure_macros::{Event, Message};

/// Export and import: a namespace to a file, and a file to a new namespace.
///
/// See [`Tenure::export`], [`Tenure::import`] and [`Tenure::verify`].
pub mod transfer {
    pub use tenure_core::api::transfer::{
        ExportFileError, ExportFormat, ExportOptions, ImportOptions, RestoreError, TransferError,
        TransferFault, TransferProgress, TransferReport, TransferStage, VerifyOptions,
    };
    pub use tenure_core::format::ExportTotals;
}

/// Simulated clusters of a program's own entities and actors: one seed, one run.
#[cfg(feature = "sim")]
pub mod sim {
    pub use tenure_sim::{
        Broken, Class, Deviation, Ending, Fault, Found, Profile, Promise, Ran, Seeds, Sim,
        SimCluster, SimTask, Timing, Verdict, Violation, cluster,
    };
}

#[cfg(feature = "sqlite")]
pub use tenure_sqlite as sqlite;

#[cfg(feature = "mem")]
pub use tenure_mem::MemShell;
#[cfg(feature = "nats")]
pub use tenure_nats::{ConnectError, NatsOptions, NatsShell};

/// The names that most programs use.
pub mod prelude {
    pub use crate::{
        Aggregate, Answer, AnswerCx, AskError, Cluster, CommandId, Decide, DecideCx, Decision,
        Entity, Event, ExecuteError, Freshness, KindSettings, LoadError, Loaded, Message, Messages,
        Metadata, Never, ReadError, Repository, Tenure, UnknownEvents, Upcasters, Version,
        actor::{Actor, ActorCx, Handle, Handlers, InitError},
    };
}

#[doc(hidden)]
pub use tenure_core::api::__private;

/// The README's code, compiled and run as it stands there.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
