//! One life's file: the user's tables, and the mark of what is in them.

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tenure_core::api::projection::{FoldBatch, Mark, StoreError};

/// How long a statement waits for a lock of another program.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// Statements that are kept prepared.
const STATEMENTS_MAX: usize = 64;

/// SQLite's words for what is no event's fault and passes: a fold's error comes as a text.
const PASSES: [&str; 7] = [
    "database or disk is full",
    "disk I/O error",
    "out of memory",
    "database is locked",
    "database table is locked",
    "locking protocol",
    "unable to open database file",
];

/// What folds write with: all of it is stored, with the mark, or nothing is.
///
/// It is a connection within a transaction; ending that is not a fold's business, neither by a statement nor
/// by a conflict clause (`OR ROLLBACK`).
#[derive(Debug)]
pub struct Transaction(Connection);

impl Deref for Transaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

/// An open file.
#[derive(Debug)]
pub(crate) struct File {
    path: PathBuf,
    /// The file itself, whatever is under its path now.
    identity: u64,
    /// `None` while a batch is folded.
    connection: Option<Connection>,
}

impl File {
    /// Makes a file with the tables and the mark of an empty state, over any that is there.
    pub(crate) fn make(path: &Path, tables: &str, mark: &Mark) -> Result<Self, StoreError> {
        remove(path).map_err(StoreError::away)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut connection = connect(path, flags, Synced::Each).map_err(sorted)?;
        let transaction = connection.transaction().map_err(sorted)?;
        let own =
            "CREATE TABLE tenure_mark (id INTEGER PRIMARY KEY CHECK (id = 1), mark BLOB NOT NULL)";
        transaction.execute_batch(own).map_err(sorted)?;
        transaction.execute_batch(tables).map_err(sorted)?;
        write(&transaction, mark).map_err(sorted)?;
        transaction.commit().map_err(sorted)?;
        sync(&connection, Synced::Some).map_err(sorted)?;
        Self::with(path, connection)
    }

    /// Opens one that is there.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let connection = connect(path, flags, Synced::Some).map_err(sorted)?;
        Self::with(path, connection)
    }

    fn with(path: &Path, connection: Connection) -> Result<Self, StoreError> {
        let identity = identity(path).map_err(StoreError::away)?;
        Ok(Self {
            path: path.to_owned(),
            identity,
            connection: Some(connection),
        })
    }

    /// SQLite writes on into a file that was moved or deleted, and nobody would find it.
    fn is_there(&self) -> Result<(), StoreError> {
        let there = identity(&self.path).map_err(|error| {
            StoreError::away(format!("{} is gone: {error}", self.path.display()))
        })?;
        if there != self.identity {
            let path = self.path.display();
            return Err(StoreError::away(format!("another file is at {path} now")));
        }
        Ok(())
    }

    /// The mark, replaced by what is made of it.
    pub(crate) fn take_over(
        &mut self,
        judge: impl FnOnce(Option<&Mark>) -> Result<Option<Mark>, StoreError>,
    ) -> Result<Option<Mark>, StoreError> {
        self.is_there()?;
        self.within(|transaction| {
            let found = read(transaction)?;
            let mark = judge(found.as_ref())?;
            if let Some(mark) = &mark {
                write(transaction, mark).map_err(sorted)?;
            }
            Ok(mark)
        })
    }

    /// Folds a batch, and stores its mark with it.
    pub(crate) fn fold(&mut self, batch: &FoldBatch<Transaction>) -> Result<(), StoreError> {
        self.is_there()?;
        self.within(|transaction| {
            let found = read(transaction)?;
            if batch.judge(found.as_ref())? {
                fold(batch, transaction)?;
                write(transaction, batch.mark()).map_err(sorted)?;
            }
            Ok(())
        })
    }

    /// Has all that was stored outlast a power failure, too.
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        let lost = || StoreError::away("its connection was lost");
        let all = |connection: &Option<Connection>, synced| {
            let connection = connection.as_ref().ok_or_else(lost)?;
            sync(connection, synced).map_err(sorted)
        };
        all(&self.connection, Synced::Each)?;
        // A commit takes those before it along.
        let stored = self.take_over(|found| Ok(found.cloned()));
        all(&self.connection, Synced::Some)?;
        stored.map(drop)
    }

    /// Who stores into it.
    pub(crate) fn mark(&self) -> Result<Option<Mark>, StoreError> {
        self.connection.as_ref().map_or(Ok(None), read)
    }

    /// Runs within a transaction that is taken back on an error.
    fn within<T>(
        &mut self,
        run: impl FnOnce(&mut Transaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Some(connection) = self.connection.take() else {
            return Err(StoreError::failed("its connection was lost"));
        };
        let mut transaction = Transaction(connection);
        let done = transaction
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(sorted)
            .and_then(|()| run(&mut transaction))
            .and_then(|done| {
                transaction.execute_batch("COMMIT").map_err(sorted)?;
                Ok(done)
            });
        if done.is_err() && !transaction.is_autocommit() {
            // Where that fails as well, the connection goes and takes it back.
            let rolled_back = transaction.execute_batch("ROLLBACK");
            if rolled_back.is_err() {
                return done;
            }
        }
        self.connection = Some(transaction.0);
        done
    }

    pub(crate) fn into_connection(self) -> Option<Connection> {
        self.connection
    }

    /// For what is only read.
    pub(crate) fn connection(&self) -> Option<&Connection> {
        self.connection.as_ref()
    }
}

/// Folds all events of a batch; the store's own trouble is no event's fault.
fn fold(batch: &FoldBatch<Transaction>, transaction: &mut Transaction) -> Result<(), StoreError> {
    for (index, event) in batch.events().iter().enumerate() {
        let Err(error) = event.fold(transaction) else {
            continue;
        };
        let text = error.to_string();
        // SQLite ends a transaction by itself over nothing else.
        let passes = transaction.is_autocommit() || PASSES.iter().any(|it| text.contains(it));
        return Err(match passes {
            true => StoreError::away(error),
            false => StoreError::Fold { index, text },
        });
    }
    match transaction.is_autocommit() {
        false => Ok(()),
        true => Err(StoreError::failed(
            "a fold ended its transaction, or passed over an error for which SQLite did (a full disk): leave BEGIN, COMMIT and ROLLBACK out of folds, and pass their errors on",
        )),
    }
}

/// Deletes a file and what SQLite keeps beside it.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Which commits outlast a power failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Synced {
    /// Each.
    Each,
    /// Those up to some point. The others are taken back with their marks.
    Some,
}

fn sync(connection: &Connection, synced: Synced) -> rusqlite::Result<()> {
    let synchronous = match synced {
        Synced::Each => "FULL",
        Synced::Some => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)
}

/// Opens a database as this crate uses it.
pub(crate) fn connect(
    path: &Path,
    flags: OpenFlags,
    synced: Synced,
) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    sync(&connection, synced)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    Ok(connection)
}

fn read(connection: &Connection) -> Result<Option<Mark>, StoreError> {
    let sql = "SELECT mark FROM tenure_mark WHERE id = 1";
    let statement = connection.prepare_cached(sql);
    let bytes = statement.and_then(|mut statement| {
        statement
            .query_row((), |row| row.get::<_, Vec<u8>>(0))
            .optional()
    });
    let bytes = bytes.map_err(sorted)?.map(bytes::Bytes::from);
    Ok(bytes.as_ref().map(Mark::decode).transpose()?)
}

fn write(connection: &Connection, mark: &Mark) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO tenure_mark VALUES (1, ?1)";
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute([&mark.encode()[..]]).map(drop)
}

/// Which file is under a path.
#[cfg(unix)]
fn identity(path: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::metadata(path)?.ino())
}

/// Which file is under a path; elsewhere than on Unix a file that is open stays where it is.
#[cfg(not(unix))]
fn identity(path: &Path) -> io::Result<u64> {
    std::fs::metadata(path).map(|_| 0)
}

/// Tells errors that pass from those that stay.
pub(crate) fn sorted(error: rusqlite::Error) -> StoreError {
    let passes = matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::CannotOpen
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::OutOfMemory
        )
    );
    match passes {
        true => StoreError::away(error),
        false => StoreError::failed(error),
    }
}
