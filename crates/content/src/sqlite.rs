//! SQLite as taru uses it, for the database of the store and for whoever keeps another beside it.

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};
use taru_stdx::{Context, Error, Kind, Result};

/// Opens the database `path`, for its owner alone, or makes an empty one. Others are waited for so long.
///
/// # Errors
/// As [`explain`].
pub fn open(path: &Path, busy: Duration) -> Result<Connection> {
    // SQLite gives its other files the bits of this one.
    std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .context(|| format!("open `{}`", path.display()))?;
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(busy)?;
        // The last process to close would otherwise write everything back, and wait for the disk.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        Ok(connection)
    };
    open().map_err(explain)
}

/// The version of the schema.
///
/// # Errors
/// SQLite's.
pub fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Turns the write-ahead log on. Of several processes that find a new database at once, SQLite tells all but one at once
/// that it is locked, without waiting as it does elsewhere.
///
/// # Errors
/// SQLite's.
pub fn to_wal(connection: &Connection) -> rusqlite::Result<()> {
    const TRIES: u32 = 1000;
    for _ in 0..TRIES {
        match connection.pragma_update(None, "journal_mode", "wal") {
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                std::thread::sleep(Duration::from_millis(10));
            }
            other => return other,
        }
    }
    connection.pragma_update(None, "journal_mode", "wal")
}

/// The file is damaged, or no database; in SQLite's words.
#[derive(Debug)]
struct Damage(String);

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Damage {}

/// Whether SQLite said that the file is damaged or no database: nothing else is a reason to make another.
pub fn is_damage(error: &Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if cause.is::<Damage>() {
            return true;
        }
        next = cause.source();
    }
    false
}

/// SQLite's errors in our classes.
pub fn explain(error: rusqlite::Error) -> Error {
    let (kind, hint) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            return Error::invalid("read the database").because(Damage(error.to_string()));
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (Kind::Busy, Some("another taru is writing; try again"))
        }
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
            (Kind::Permission, None)
        }
        Some(ErrorCode::DiskFull) => (Kind::Limit, Some("the disk is full")),
        _ => (Kind::System, None),
    };
    let error = Error::new(kind, error.to_string());
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
