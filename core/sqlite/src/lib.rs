//! Projections of Tenure in SQLite: rows and mark in one transaction.
//!
//! Folds get a [`Transaction`] and write what they like with it; the projection's mark goes into the same
//! one. So each event is in the tables once, whatever crashes, and a run that was taken over stores nothing
//! more (P6).
//!
//! ```no_run
//! use tenure_core::api::consumer::Consumed;
//! use tenure_core::api::projection::ProjectionError;
//! use tenure_sqlite::{Sqlite, Transaction};
//! # use tenure_core::api::*;
//! # #[derive(Clone, Default)] struct Account;
//! # #[derive(Debug)] enum AccountEvent { Deposited { cents: i64 } }
//! # impl Event for AccountEvent {
//! #     const TYPES: &'static [(&'static str, u16)] = &[("deposited", 1)];
//! #     fn name(&self) -> &'static str { "deposited" }
//! #     fn schema(&self) -> u16 { 1 }
//! #     fn encode(&self, _: tenure_core::format::Codec) -> Result<Bytes, CodecError> { Ok(Bytes::new()) }
//! #     fn decode(_: &str, _: u16, _: tenure_core::format::Codec, _: &[u8])
//! #         -> Result<Option<Self>, CodecError> { Ok(None) }
//! # }
//! # impl Aggregate for Account {
//! #     type Event = AccountEvent;
//! #     const KIND: &'static str = "account";
//! #     fn evolve(&mut self, _: &AccountEvent) {}
//! # }
//!
//! # async fn example(tenure: Tenure) -> Result<(), Box<dyn std::error::Error>> {
//! let tables = "CREATE TABLE balances (id TEXT PRIMARY KEY, cents INTEGER NOT NULL)";
//! let balances = tenure
//!     .projection("balances", Sqlite::new("balances.db", tables))
//!     .fold::<Account>(|tx: &mut Transaction, event: &Consumed<AccountEvent>| {
//!         let AccountEvent::Deposited { cents } = event.event;
//!         let sql = "INSERT INTO balances VALUES (?1, ?2) ON CONFLICT DO UPDATE SET cents = cents + ?2";
//!         tx.prepare_cached(sql)?.execute((event.id().as_str(), cents)).map(drop)
//!     })
//!     .start()
//!     .await?;
//! balances.live().await?;
//! let sum = |db: &rusqlite::Connection| db.query_row("SELECT sum(cents) FROM balances", (), |row| row.get(0));
//! let sum: i64 = balances.store().query(sum).await?;
//! # Ok(()) }
//! ```
//!
//! # Files
//!
//! The tables are in a file of their own for each life of the projection, `<path>.<n>`, and the database at
//! `<path>` says which one it is (`SELECT file FROM tenure_current`). A rebuild fills the next file and
//! changes that row: readers in other programs look there first. A file that nobody needs any more is
//! deleted.

mod file;
mod life;
mod pointer;
mod store;
mod worker;

pub use file::Transaction;
pub use rusqlite;
pub use store::{QueryError, Sqlite};
