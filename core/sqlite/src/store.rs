//! The store itself.

use crate::file::Transaction;
use crate::life::Life;
use crate::worker::Worker;
use rusqlite::Connection;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use tenure_core::api::projection::{Claim, FoldBatch, Mark, ProjectionStore, StoreError};

/// Keeps a projection in SQLite: its tables and its mark change in one transaction.
///
/// Statements run on a thread of their own. One run uses a database at a time: another one takes it over,
/// and the first one ends with an error. A database that is locked, full or gone is waited for.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    tables: String,
    in_place: bool,
    /// The life that it is filled beside.
    beside: Option<u64>,
    /// Whether it is filled beside one that serves.
    is_beside: AtomicBool,
    worker: OnceLock<Worker>,
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The database is not there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The query itself.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The query panicked. The database is as it was.
    #[error("the query panicked: {text}")]
    Panicked {
        /// What it said.
        text: String,
    },
}

impl Sqlite {
    /// A projection at a path, with the statements that make its tables. They run once for each life of
    /// it; a change of them wants another [version](tenure_core::api::projection::ProjectionBuilder::version).
    pub fn new(path: impl AsRef<Path>, tables: impl Into<String>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            tables: tables.into(),
            in_place: false,
            beside: None,
            is_beside: AtomicBool::new(false),
            worker: OnceLock::new(),
        }
    }

    /// Runs statements where the projection runs, without a thread: for a simulation, whose one thread
    /// they hold up.
    #[must_use]
    pub fn in_place(mut self) -> Self {
        self.in_place = true;
        self
    }

    /// Reads the tables, between two batches: a query that takes long holds the projection up. A
    /// connection of one's own to the file that `<path>` names does not. While a new version is built, the
    /// tables of the old one are read.
    ///
    /// # Errors
    ///
    /// The query's own, and when the database is away.
    pub async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, QueryError> {
        let queried = self.worker()?.run(move |life| match life.connection() {
            Ok(connection) => read(connection, query),
            Err(error) => Err(QueryError::Store(error)),
        });
        queried.await?
    }

    fn worker(&self) -> Result<&Worker, StoreError> {
        if let Some(worker) = self.worker.get() {
            return Ok(worker);
        }
        let life = Life::new(&self.path, &self.tables, self.beside);
        let worker = match self.in_place {
            true => Worker::in_place(life),
            false => Worker::thread(life).map_err(StoreError::away)?,
        };
        Ok(self.worker.get_or_init(|| worker))
    }
}

/// Runs a query that changes nothing, whatever it does.
fn read<T>(
    connection: &Connection,
    query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, QueryError> {
    connection.pragma_update(None, "query_only", true)?;
    let answer = catch_unwind(AssertUnwindSafe(|| query(connection)));
    if !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    connection.pragma_update(None, "query_only", false)?;
    match answer {
        Ok(answer) => Ok(answer?),
        Err(panic) => Err(QueryError::Panicked {
            text: text_of(&*panic),
        }),
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it did not say why".to_owned())
}

impl ProjectionStore for Sqlite {
    type State = Transaction;

    async fn open(&self, claim: &Claim) -> Result<Option<Mark>, StoreError> {
        let claim = claim.clone();
        let opened = self.worker()?.run(move |life| {
            let mark = life.open(&claim)?;
            Ok::<_, StoreError>((mark, life.is_beside()))
        });
        let (mark, is_beside) = opened.await??;
        self.is_beside.store(is_beside, Ordering::Release);
        Ok(Some(mark))
    }

    async fn store(&self, batch: FoldBatch<Transaction>) -> Result<(), StoreError> {
        self.worker()?.run(move |life| life.fold(&batch)).await?
    }

    async fn green(&self) -> Result<Self, StoreError> {
        let number = self.worker()?.run(|life| life.number()).await?;
        let number = number.ok_or_else(|| StoreError::failed("no run has opened it"))?;
        let green = Self::new(&self.path, self.tables.clone());
        Ok(Self {
            in_place: self.in_place,
            beside: Some(number),
            ..green
        })
    }

    fn is_beside(&self) -> bool {
        self.is_beside.load(Ordering::Acquire)
    }

    async fn promote(&self) -> Result<(), StoreError> {
        self.worker()?.run(Life::promote).await??;
        self.is_beside.store(false, Ordering::Release);
        Ok(())
    }

    async fn discard(&self) {
        if let Ok(worker) = self.worker() {
            // What cannot be deleted stays; the next life of that number is made over it.
            let _ = worker.run(Life::discard).await;
        }
    }
}
