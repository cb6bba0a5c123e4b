//! Which file is the projection's now: one row of the database at the path that the user names.

use crate::file::{Synced, connect, sorted};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::path::{Path, PathBuf};
use tenure_core::api::projection::StoreError;

pub(crate) struct Pointer {
    path: PathBuf,
    connection: Connection,
}

impl Pointer {
    /// Opens it, or makes one that names nothing yet.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        Self::with(path, OpenFlags::SQLITE_OPEN_CREATE)
    }

    /// Opens one that was there.
    pub(crate) fn there(path: &Path) -> Result<Self, StoreError> {
        Self::with(path, OpenFlags::empty())
    }

    fn with(path: &Path, more: OpenFlags) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | more;
        // A file is deleted because another one is named: that is to be so after a power failure, too.
        let connection = connect(path, flags, Synced::Each).map_err(sorted)?;
        let table = "CREATE TABLE IF NOT EXISTS tenure_current (
            id INTEGER PRIMARY KEY CHECK (id = 1), life INTEGER NOT NULL, file TEXT NOT NULL)";
        connection.execute_batch(table).map_err(sorted)?;
        Ok(Self {
            path: path.to_owned(),
            connection,
        })
    }

    /// The file of a life.
    pub(crate) fn file(&self, life: u64) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".{life}"));
        name.into()
    }

    /// The life that is the projection's; `None` before the first.
    pub(crate) fn life(&self) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT life FROM tenure_current WHERE id = 1";
        let life = self
            .connection
            .query_row(sql, (), |row| row.get::<_, i64>(0));
        let life = life.optional().map_err(sorted)?;
        Ok(life.and_then(|life| u64::try_from(life).ok()))
    }

    /// Puts a life in the place of the one that is there; `false`: another one is.
    pub(crate) fn change(&self, from: Option<u64>, to: u64) -> Result<bool, StoreError> {
        let file = self.file(to);
        let file = file
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let number = |life: u64| i64::try_from(life).unwrap_or(i64::MAX);
        let (to, file) = (number(to), file.unwrap_or_default());
        let changed = match from {
            None => {
                let sql = "INSERT INTO tenure_current VALUES (1, ?1, ?2) ON CONFLICT DO NOTHING";
                self.connection.execute(sql, (to, file))
            }
            Some(from) => {
                let sql = "UPDATE tenure_current SET life = ?1, file = ?2 WHERE life = ?3";
                self.connection.execute(sql, (to, file, number(from)))
            }
        };
        Ok(changed.map_err(sorted)? == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::Pointer;
    use tenure_core::api::projection::StoreError;

    #[test]
    fn what_it_names_outlasts_a_power_failure() {
        let name = format!("tenure-sqlite-pointer-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        assert!(matches!(Pointer::there(&path), Err(StoreError::Away(_))));
        let full = 2;
        for pointer in [
            Pointer::open(&path).unwrap(),
            Pointer::there(&path).unwrap(),
        ] {
            let synchronous = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
            let found = pointer
                .connection
                .query_row("PRAGMA synchronous", (), synchronous);
            assert_eq!(found.unwrap(), full);
        }
        crate::file::remove(&path).unwrap();
    }
}
