//! One connection to the file: opened, recognised, and made anew where it cannot be used.
//!
//! Promises that whatever lies at the path (nothing, garbage, somebody else's database, a version
//! that we do not read, broken pages) becomes either our file or a sentence that says why not.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

/// "pres" in ASCII: marks the file as ours.
const APPLICATION_ID: i32 = 0x7072_6573;

/// The version of what is below; one that we do not know is set aside.
const FORMAT: i32 = 1;

/// Waits for a person who looks into the file; nobody else writes it.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// Files up to this size are checked whole when they are opened, which takes some 10 ms per 10 MiB; in
/// larger ones a broken page is found when it is read, and what does not match its seal is not there.
const CHECKED_MAX: u64 = 64 << 20;

/// The tables. `at` and `until` are milliseconds since the epoch; `seal`: see `store::seal`.
const TABLES: [&str; 4] = [
    "CREATE TABLE scaler (id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL, \
     workload TEXT NOT NULL, engine TEXT NOT NULL, UNIQUE (namespace, name, workload, engine)) \
     STRICT",
    "CREATE TABLE state (scaler INTEGER NOT NULL, \"trigger\" TEXT NOT NULL, at INTEGER NOT NULL, \
     memory BLOB NOT NULL, decision BLOB NOT NULL, seal INTEGER NOT NULL, \
     PRIMARY KEY (scaler, \"trigger\")) STRICT",
    "CREATE TABLE minute (scaler INTEGER NOT NULL, at INTEGER NOT NULL, requests REAL, work REAL, \
     replicas REAL, seal INTEGER NOT NULL, PRIMARY KEY (scaler, at)) STRICT, WITHOUT ROWID",
    "CREATE TABLE cursor (scaler INTEGER PRIMARY KEY, until INTEGER NOT NULL, \
     seal INTEGER NOT NULL) STRICT",
];

/// Why a file cannot be opened.
#[derive(Debug)]
pub(super) enum Unusable {
    /// What is there is not ours, or not whole; the text says how.
    Unknown(String),
    /// The system failed; what is there may be in order.
    Failed(rusqlite::Error),
}

/// While a file is opened, whatever is not the system's fault is the file's: a wrong byte in its
/// head shows as any kind of error.
impl From<rusqlite::Error> for Unusable {
    fn from(error: rusqlite::Error) -> Self {
        if is_of_the_system(&error) {
            Self::Failed(error)
        } else {
            Self::Unknown(crate::report::one_line(&error.to_string()))
        }
    }
}

fn is_of_the_system(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::PermissionDenied
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
                | ErrorCode::ReadOnly
                | ErrorCode::SystemIoFailure
                | ErrorCode::DiskFull
                | ErrorCode::CannotOpen
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::NoLargeFileSupport
        )
    )
}

/// Whether an error speaks of what is in the file, not of how it went.
pub(super) fn is_broken(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Whether the disk is at fault: full, or failing. It may be better later.
pub(super) fn is_disk(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure))
}

/// A connection that writes; the file is made if there is none.
pub(super) fn open(path: &Path) -> Result<Connection, Unusable> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection)?;
    if connection.is_readonly("main")? {
        let readonly = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY);
        return Err(Unusable::Failed(rusqlite::Error::SqliteFailure(readonly, None)));
    }
    let begun = pragma(&connection, "application_id")?;
    let version = pragma(&connection, "user_version")?;
    let found = schema(&connection)?;
    if (begun, version, found.len()) == (0, 0, 0) {
        keep_log(&connection)?;
        create(&mut connection)?;
        return Ok(connection);
    }
    if begun != APPLICATION_ID {
        return Err(Unusable::Unknown("not a file of prescale".to_owned()));
    }
    if version != FORMAT {
        let text = format!("format version {version}, this prescale reads {FORMAT}");
        return Err(Unusable::Unknown(text));
    }
    if found != TABLES {
        return Err(Unusable::Unknown("its tables are not those of prescale".to_owned()));
    }
    keep_log(&connection)?;
    check(&connection, path)?;
    Ok(connection)
}

/// A connection that only reads, beside one that writes.
pub(super) fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection)?;
    Ok(connection)
}

/// Broken cells are errors instead of guesses, and nothing that a schema says is run.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_MAX)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)
}

/// A log beside the file: a commit is one append, readers never wait, and a process that is killed
/// loses nothing it committed. `NORMAL` waits for the disk only when the log is worked in: a power cut
/// may take the last seconds and breaks nothing.
fn keep_log(connection: &Connection) -> Result<(), Unusable> {
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(Unusable::Unknown(format!("cannot keep a log, journal_mode is {mode}")));
    }
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    Ok(())
}

fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for table in TABLES {
        transaction.execute_batch(table)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

/// The statements that made the file's tables, in order of their making.
fn schema(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT CAST(sql AS TEXT) FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map((), |row| {
        // Bytes that are no text are none of ours.
        Ok(String::from_utf8_lossy(row.get_ref(0)?.as_bytes().unwrap_or_default()).into_owned())
    })?;
    rows.collect()
}

fn check(connection: &Connection, path: &Path) -> Result<(), Unusable> {
    if std::fs::metadata(path).is_ok_and(|file| file.len() > CHECKED_MAX) {
        return Ok(());
    }
    let first = connection
        .query_row("PRAGMA integrity_check(1)", (), |row| row.get::<_, String>(0))
        .optional()?;
    match first.as_deref() {
        Some("ok") => Ok(()),
        Some(fault) => Err(Unusable::Unknown(crate::report::one_line(fault))),
        None => Err(Unusable::Unknown("cannot be checked".to_owned())),
    }
}
