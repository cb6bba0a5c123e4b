//! Projections: a state of yours, folded from the events of a namespace.
//!
//! A projection has a name, a version, folds and a store. The store keeps the state together with where it
//! stands (its [`Mark`]), so that each event is in the state once, whatever crashes (P6): [`Memory`] in this
//! process with snapshots in the namespace, or a database of yours by [`ProjectionStore`].
//!
//! A fold gets the state and one event; it depends on nothing else, so that folding the log again comes to
//! the same. What fails or panics leaves no trace in the state.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use std::collections::BTreeMap;
//! use tenure_core::api::consumer::Consumed;
//! use tenure_core::api::projection::{Memory, ProjectionError};
//! # use tenure_core::api::*;
//! # #[derive(Clone, Default)] struct Account;
//! # #[derive(Debug, tenure_macros::Event)] #[event(crate = "tenure_core::api")]
//! # enum AccountEvent { #[event(name = "deposited", version = 1)] Deposited { cents: u64 } }
//! # impl Aggregate for Account {
//! #     type Event = AccountEvent;
//! #     const KIND: &'static str = "account";
//! #     fn evolve(&mut self, _: &AccountEvent) {}
//! # }
//! #[derive(Clone, Default, Serialize, Deserialize)]
//! struct Balances(BTreeMap<String, u64>);
//!
//! # async fn example(tenure: Tenure) -> Result<(), ProjectionError> {
//! let balances = tenure
//!     .projection("balances", Memory::<Balances>::default())
//!     .fold::<Account>(|balances: &mut Balances, event: &Consumed<AccountEvent>| {
//!         let AccountEvent::Deposited { cents } = event.event;
//!         *balances.0.entry(event.id().as_str().to_owned()).or_default() += cents;
//!     })
//!     .start()
//!     .await?;
//! balances.live().await?;
//! println!("{} accounts", balances.read(|balances| balances.0.len()));
//! # Ok(()) }
//! ```

mod builder;
mod claim;
mod error;
mod fold;
mod handle;
mod host;
pub(in crate::api) mod keeper;
mod kv;
mod memory;
mod middleware;
mod rebuild;
mod run;
mod store;

pub use builder::ProjectionBuilder;
pub use claim::{Claim, Standing};
pub use error::{ProjectionError, RebuildError, StoreError};
pub use fold::{Fold, FoldBatch, FoldEvent};
pub use handle::{Projection, ProjectionStatus};
#[doc(hidden)]
pub use kv::testing;
pub use kv::{KeyError, Kv, KvEntries, KvValue, kv_key};
pub use memory::{Memory, MemoryState, MemoryStatus, Snapshots};
pub use middleware::{FoldMiddleware, FoldOutcome, FoldRun};
pub use store::{ProjectionStore, Settle};

pub use crate::format::Mark;
pub use crate::projection::StateFault;
