//! Rows into the file: one transaction for all that waited, and the forgetting of what is old.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::engine::arrived::Minute;
use crate::engine::units::Timestamp;
use crate::store::batch::{Batch, State};
use crate::store::key::{Identity, Key};
use crate::store::seal;

/// For how long what was learned is kept after the last tick: a workload that comes back after two
/// weeks has another model, other hardware or other users.
pub(super) const STATES_FOR: Duration = Duration::from_hours(24 * 14);

/// For how long minutes are kept: the longest `forecastHistory` from the midnight before it, and a day to spare.
pub(super) const MINUTES_FOR: Duration = Duration::from_hours(24 * 32);

/// Workloads that are kept: as many as there may ever be scalers (limits.scalers). New ones beyond have
/// to wait until old ones are forgotten, so that names that come and go do not fill the disk.
const WORKLOADS_MAX: i64 = 100_000;

/// Triggers of one workload that are kept, the newest: an edited one is needed until the next has
/// ticked, and nobody has more at once.
const TRIGGERS_MAX: i64 = 16;

/// Workloads looked through at once: some milliseconds, so that nothing has to wait.
const PRUNED_AT_ONCE: i64 = 500;

/// Rows of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Written {
    pub(super) rows: u64,
    /// Those of workloads for which there was no room.
    pub(super) refused: u64,
}

impl Written {
    fn count(&mut self, written: bool) {
        self.rows += u64::from(written);
        self.refused += u64::from(!written);
    }
}

/// Writes all of `batch`, or nothing.
pub(super) fn batch(connection: &mut Connection, batch: &Batch) -> rusqlite::Result<Written> {
    let transaction = connection.transaction()?;
    let mut written = Written::default();
    for (key, state) in &batch.states {
        let id = id_for(&transaction, &key.identity)?;
        written.count(
            id.map(|id| write_state(&transaction, id, (key, &**state))).transpose()?.is_some(),
        );
    }
    for (identity, minutes) in &batch.minutes {
        let id = id_for(&transaction, identity)?;
        let base = seal::identity(identity);
        for minute in minutes.values() {
            let minute = id.map(|id| write_minute(&transaction, id, base, minute));
            written.count(minute.transpose()?.is_some());
        }
    }
    for (identity, until) in &batch.cursors {
        let id = id_for(&transaction, identity)?;
        let base = seal::identity(identity);
        let cursor = id.map(|id| write_cursor(&transaction, id, base, until.unix_ms()));
        written.count(cursor.transpose()?.is_some());
    }
    transaction.commit()?;
    Ok(written)
}

/// Forgets what is older than it is kept, of some workloads after `after`; returns where to go on,
/// or `None` at the end.
pub(super) fn prune(
    connection: &mut Connection,
    after: i64,
    now: Timestamp,
) -> rusqlite::Result<Option<i64>> {
    let transaction = connection.transaction()?;
    let ids: Vec<i64> = transaction
        .prepare_cached("SELECT id FROM scaler WHERE id > ? ORDER BY id LIMIT ?")?
        .query_map(params![after, PRUNED_AT_ONCE], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let states_from = now.minus(STATES_FOR).unix_ms();
    let minutes_from = now.minus(MINUTES_FOR).unix_ms();
    for id in &ids {
        transaction
            .prepare_cached("DELETE FROM state WHERE scaler = ? AND at < ?")?
            .execute(params![id, states_from])?;
        transaction
            .prepare_cached(
                "DELETE FROM state WHERE scaler = ?1 AND rowid NOT IN \
                 (SELECT rowid FROM state WHERE scaler = ?1 ORDER BY at DESC LIMIT ?2)",
            )?
            .execute(params![id, TRIGGERS_MAX])?;
        transaction
            .prepare_cached("DELETE FROM minute WHERE scaler = ? AND at < ?")?
            .execute(params![id, minutes_from])?;
        forget_if_empty(&transaction, *id)?;
    }
    transaction.commit()?;
    Ok(ids.last().copied())
}

/// A cursor alone says nothing: the past that it speaks of is gone.
fn forget_if_empty(transaction: &Transaction<'_>, id: i64) -> rusqlite::Result<()> {
    let sql = "SELECT EXISTS (SELECT 1 FROM state WHERE scaler = ?1) \
               OR EXISTS (SELECT 1 FROM minute WHERE scaler = ?1)";
    if transaction.prepare_cached(sql)?.query_row([id], |row| row.get(0))? {
        return Ok(());
    }
    transaction.prepare_cached("DELETE FROM cursor WHERE scaler = ?")?.execute([id])?;
    transaction.prepare_cached("DELETE FROM scaler WHERE id = ?")?.execute([id])?;
    Ok(())
}

fn write_state(
    transaction: &Transaction<'_>,
    id: i64,
    (key, State { memory, decision }): (&Key, &State),
) -> rusqlite::Result<()> {
    let at = decision.at.unix_ms();
    let (memory, decision) = (json(memory)?, json(&**decision)?);
    let seal = seal::state(key, at, &memory, &decision);
    transaction
        .prepare_cached("INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?, ?)")?
        .execute(params![id, key.trigger, at, memory, decision, seal])?;
    Ok(())
}

fn write_minute(
    transaction: &Transaction<'_>,
    id: i64,
    base: u32,
    minute: &Minute,
) -> rusqlite::Result<()> {
    let Minute { at, requests, work, replicas } = *minute;
    // What is no number is not known; and there is one zero, for the file keeps no sign of it.
    let known = |value: Option<f64>| value.filter(|it| it.is_finite()).map(|it| it + 0.0);
    let (requests, work, replicas) = (known(requests), known(work), known(replicas));
    let minute = Minute { at, requests, work, replicas };
    let seal = seal::minute(base, &minute);
    // Who could not read takes nothing away from who could: another trigger, or the past.
    let sql = if minute.is_known() {
        "INSERT OR REPLACE INTO minute VALUES (?, ?, ?, ?, ?, ?)"
    } else {
        "INSERT OR IGNORE INTO minute VALUES (?, ?, ?, ?, ?, ?)"
    };
    transaction.prepare_cached(sql)?.execute(params![
        id,
        at.unix_ms(),
        requests,
        work,
        replicas,
        seal
    ])?;
    Ok(())
}

fn write_cursor(
    transaction: &Transaction<'_>,
    id: i64,
    base: u32,
    until: i64,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO cursor VALUES (?, ?, ?)")?
        .execute(params![id, until, seal::cursor(base, until)])?;
    Ok(())
}

/// The number of a workload, given at its first row; `None` when there are too many.
fn id_for(transaction: &Transaction<'_>, identity: &Identity) -> rusqlite::Result<Option<i64>> {
    if let Some(id) = id_of(transaction, identity)? {
        return Ok(Some(id));
    }
    let count: i64 = transaction
        .prepare_cached("SELECT count(*) FROM scaler")?
        .query_row((), |row| row.get(0))?;
    if count >= WORKLOADS_MAX {
        return Ok(None);
    }
    let sql = "INSERT INTO scaler (namespace, name, workload, engine) VALUES (?, ?, ?, ?)";
    transaction.prepare_cached(sql)?.insert(identity.parts()).map(Some)
}

/// The number of a workload, if it has rows.
pub(super) fn id_of(connection: &Connection, identity: &Identity) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT id FROM scaler \
               WHERE namespace = ? AND name = ? AND workload = ? AND engine = ?";
    connection.prepare_cached(sql)?.query_row(identity.parts(), |row| row.get(0)).optional()
}

/// As JSON, which a later version reads although it has more fields, and a person reads at all.
fn json<T: serde::Serialize>(value: &T) -> rusqlite::Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
