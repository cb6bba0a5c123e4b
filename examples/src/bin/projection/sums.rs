//! What is projected: how often each counter was added to, and what it comes to.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use tenure::Tenure;
use tenure::consumer::Consumed;
use tenure::projection::{Memory, ProjectionBuilder, Snapshots};
use tenure::sqlite::rusqlite::{self, Connection};
use tenure::sqlite::{Sqlite, Transaction};
use tenure_examples::Failure;
use tenure_examples::counter::{Counter, CounterEvent};

/// Of each counter how many events, and their sum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sums(pub(crate) BTreeMap<String, (u64, u64)>);

impl Sums {
    pub(crate) fn events(&self) -> u64 {
        self.0.values().map(|(events, _)| events).sum()
    }
}

fn add(sums: &mut Sums, event: &Consumed<CounterEvent>) {
    let CounterEvent::Added { amount } = event.event;
    let id = event.id().as_str();
    let (events, sum) = match sums.0.get_mut(id) {
        Some(counter) => counter,
        None => sums.0.entry(id.to_owned()).or_default(),
    };
    *events += 1;
    *sum += amount;
}

/// In memory, under a name.
pub(crate) fn in_memory(
    tenure: &Tenure,
    name: &str,
    snapshots: Snapshots,
) -> ProjectionBuilder<Memory<Sums>> {
    let memory = Memory::with(snapshots);
    tenure.projection(name, memory).fold::<Counter>(add)
}

const TABLES: &str = "CREATE TABLE sums (
    id TEXT PRIMARY KEY, events INTEGER NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID";

/// In SQLite.
pub(crate) fn in_sqlite(tenure: &Tenure, folder: &Path) -> ProjectionBuilder<Sqlite> {
    let store = Sqlite::new(folder.join("sums.db"), TABLES);
    tenure.projection("table", store).fold::<Counter>(write)
}

fn write(tx: &mut Transaction, event: &Consumed<CounterEvent>) -> rusqlite::Result<()> {
    let CounterEvent::Added { amount } = event.event;
    let sql = "INSERT INTO sums VALUES (?1, 1, ?2)
        ON CONFLICT DO UPDATE SET events = events + 1, sum = sum + ?2";
    let amount = i64::try_from(amount).unwrap_or(i64::MAX);
    let mut statement = tx.prepare_cached(sql)?;
    statement.execute((event.id().as_str(), amount)).map(drop)
}

/// What is in SQLite, read by a program that knows nothing of the projection but where its tables are.
pub(crate) fn read_sqlite(folder: &Path) -> Result<Sums, Failure> {
    let pointer = Connection::open(folder.join("sums.db"))?;
    let sql = "SELECT file FROM tenure_current";
    let file: String = pointer.query_row(sql, (), |row| row.get(0))?;
    let tables = Connection::open(folder.join(file))?;
    let mut statement = tables.prepare("SELECT id, events, sum FROM sums")?;
    let rows = statement.query_map((), |row| {
        let (events, sum): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok((row.get(0)?, (events.unsigned_abs(), sum.unsigned_abs())))
    })?;
    Ok(Sums(rows.collect::<rusqlite::Result<_>>()?))
}
