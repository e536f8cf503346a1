//! Rows out of the file. What does not match its seal or cannot be understood is not there, and is
//! counted.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params_from_iter};

use crate::engine::arrived::Minute;
use crate::engine::decision::Decision;
use crate::engine::step::Memory;
use crate::engine::units::Timestamp;
use crate::store::key::{Identity, Key};
use crate::store::seal;
use crate::store::write::id_of;

/// Rows that could be read, and how many there are besides.
#[derive(Debug)]
pub(super) struct Found<T> {
    pub(super) rows: Vec<T>,
    pub(super) broken: u64,
}

/// What is kept of one trigger.
#[derive(Debug)]
pub(super) struct Triggered {
    pub(super) trigger: String,
    pub(super) at: Timestamp,
    pub(super) memory: Memory,
    /// `None`: of a version that decided in other words.
    pub(super) decision: Option<Decision>,
}

/// All triggers of a workload.
pub(super) fn states(
    connection: &Connection,
    identity: &Identity,
) -> rusqlite::Result<Found<Triggered>> {
    let sql = "SELECT \"trigger\", at, memory, decision, seal FROM state WHERE scaler = ?";
    rows(connection, identity, (sql, None), |row| {
        let trigger = std::str::from_utf8(row.get_ref(0).ok()?.as_bytes().ok()?).ok()?;
        let key = Key { identity: identity.clone(), trigger: trigger.to_owned() };
        let at = whole(row, 1)?;
        let (memory, decision) = (row.get_ref(2).ok()?, row.get_ref(3).ok()?);
        let (memory, decision) = (memory.as_bytes().ok()?, decision.as_bytes().ok()?);
        if seal::state(&key, at, memory, decision) != whole(row, 4)? {
            return None;
        }
        Some(Triggered {
            trigger: key.trigger,
            at: Timestamp::from_unix_ms(at),
            memory: serde_json::from_slice(memory).ok()?,
            decision: serde_json::from_slice(decision).ok(),
        })
    })
}

/// The minutes of a workload from `since` on, in order.
pub(super) fn minutes(
    connection: &Connection,
    identity: &Identity,
    since: Timestamp,
) -> rusqlite::Result<Found<Minute>> {
    let sql = "SELECT at, requests, work, replicas, seal FROM minute \
               WHERE scaler = ? AND at >= ? ORDER BY at";
    let base = seal::identity(identity);
    let since = since.unix_ms();
    rows(connection, identity, (sql, Some(since)), |row| {
        let minute = Minute {
            at: Timestamp::from_unix_ms(whole(row, 0)?),
            requests: number(row, 1)?,
            work: number(row, 2)?,
            replicas: number(row, 3)?,
        };
        (seal::minute(base, &minute) == whole(row, 4)?).then_some(minute)
    })
}

/// Up to when the past of a workload is there.
pub(super) fn cursor(
    connection: &Connection,
    identity: &Identity,
) -> rusqlite::Result<Found<Timestamp>> {
    let base = seal::identity(identity);
    let sql = "SELECT until, seal FROM cursor WHERE scaler = ?";
    rows(connection, identity, (sql, None), |row| {
        let until = whole(row, 0)?;
        let intact = seal::cursor(base, until) == whole(row, 1)?;
        intact.then(|| Timestamp::from_unix_ms(until))
    })
}

/// The rows that a statement finds by the workload's number and, if given, one more.
fn rows<T>(
    connection: &Connection,
    identity: &Identity,
    (sql, more): (&str, Option<i64>),
    mut read: impl FnMut(&Row<'_>) -> Option<T>,
) -> rusqlite::Result<Found<T>> {
    let mut found = Found { rows: Vec::new(), broken: 0 };
    let Some(id) = id_of(connection, identity)? else { return Ok(found) };
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params_from_iter([Some(id), more].into_iter().flatten()))?;
    while let Some(row) = rows.next()? {
        match read(row) {
            Some(row) => found.rows.push(row),
            None => found.broken += 1,
        }
    }
    Ok(found)
}

fn whole(row: &Row<'_>, column: usize) -> Option<i64> {
    row.get(column).ok()
}

/// A number, or that it is not known; `None` when the column holds neither.
fn number(row: &Row<'_>, column: usize) -> Option<Option<f64>> {
    match row.get_ref(column).ok()? {
        ValueRef::Null => Some(None),
        ValueRef::Real(value) => Some(Some(value)),
        ValueRef::Integer(_) | ValueRef::Text(_) | ValueRef::Blob(_) => None,
    }
}
