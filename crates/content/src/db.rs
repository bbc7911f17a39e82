//! The database: what is known of the blobs.
//!
//! ```text
//! content.db   user_version = 1
//!   blob       a file below blobs/: digest, size, added (nanoseconds since 1970)
//!   image      name (null: untagged but kept), digest, descriptor (JSON), created
//!   edge       what a document leads to: parent -> child; kind 0 a part of it (config, layer), 1 a manifest of an
//!              index (may be absent), 2 the chain id of an unpacked layer. Facts: a digest's edges never change
//!   lease      id, what for, pid and boot (for people; it lives as long as byte `id` of `lock` is locked)
//!   hold       name ("container/ID", "build/KEY")
//!   held       what a lease or a hold protects: digest and kind (0 blob, 2 chain id)
//!   label      digest, key, value; gone with the blob
//!   meta       index_boot: the boot in which index.json was written last; index_dirty
//! ```
//! A transaction that somebody is answered for waits for the disk. Others (leases, rows of blobs that nothing durable
//! names yet) do not: the next synced one syncs them too, since the log is written in order.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use taru_stdx::{Context, Error, Kind, Result};

use crate::sqlite::{self, to_wal, version};

/// The version of the schema, kept in the database's `user_version`.
const SCHEMA: i64 = 1;

/// How many pages the log gathers before they are written back. Whoever opens the database alone reads the whole log
/// (6 us a page), so that a long one costs every command; writing it back costs one of them a sync.
const LOG_PAGES: i64 = 128;

/// The file in the store.
pub(crate) const FILE: &str = "content.db";

/// Kinds of `edge` and `held`.
pub(crate) const PART: i64 = 0;
pub(crate) const CHILD: i64 = 1;
pub(crate) const LAYER: i64 = 2;

const CREATE: &str = "
    CREATE TABLE blob (
        digest TEXT PRIMARY KEY, size INTEGER NOT NULL, added INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE image (
        id INTEGER PRIMARY KEY, name TEXT UNIQUE, digest TEXT NOT NULL, descriptor TEXT NOT NULL,
        created INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX image_digest ON image (digest);
    CREATE TABLE edge (
        parent TEXT NOT NULL, child TEXT NOT NULL, kind INTEGER NOT NULL, PRIMARY KEY (parent, child, kind)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX edge_child ON edge (child);
    CREATE TABLE lease (
        id INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT NOT NULL, pid INTEGER NOT NULL, boot TEXT NOT NULL
    ) STRICT;
    CREATE TABLE hold (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
    CREATE TABLE held (
        lease INTEGER REFERENCES lease ON DELETE CASCADE,
        hold TEXT REFERENCES hold ON DELETE CASCADE,
        kind INTEGER NOT NULL, digest TEXT NOT NULL,
        CHECK ((lease IS NULL) <> (hold IS NULL))
    ) STRICT;
    CREATE UNIQUE INDEX held_lease ON held (lease, kind, digest) WHERE lease IS NOT NULL;
    CREATE UNIQUE INDEX held_hold ON held (hold, kind, digest) WHERE hold IS NOT NULL;
    CREATE TABLE label (
        digest TEXT NOT NULL REFERENCES blob ON DELETE CASCADE, key TEXT NOT NULL, value TEXT NOT NULL,
        PRIMARY KEY (digest, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 1;";

/// The open database.
#[derive(Debug)]
pub(crate) struct Db {
    connection: Connection,
}

/// Whether a transaction is on the disk when it is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Yes, and all before it.
    Synced,
    /// With the next synced one.
    Lazy,
}

impl Db {
    /// Opens the database in `dir`. `fresh` is called in the transaction that makes one.
    pub(crate) fn open(dir: &Path, fresh: impl FnOnce(&Transaction<'_>) -> Result<()>) -> Result<Db> {
        let path = dir.join(FILE);
        let what = || format!("open the records `{}`", path.display());
        // As long as a gc may take that removes many layers.
        let connection = sqlite::open(&path, Duration::from_secs(120)).context(what)?;
        let mut db = Db { connection };
        let made = db.prepare().map_err(explain).context(what)?;
        if made {
            let tx = db
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(explain)
                .context(what)?;
            // Another process may have been first.
            if version(&tx).map_err(explain).context(what)? == 0 {
                tx.execute_batch(CREATE).map_err(explain).context(what)?;
                fresh(&tx)?;
            }
            tx.commit().map_err(explain).context(what)?;
        }
        let version = version(&db.connection).map_err(explain).context(what)?;
        if version != SCHEMA {
            return Err(Error::new(
                Kind::Unsupported,
                format!("{}: version {version}, this taru knows {SCHEMA}", what()),
            )
            .hint("a newer taru made them: use that one, or another directory with --root"));
        }
        Ok(db)
    }

    /// Whether the schema is still to be made.
    fn prepare(&mut self) -> rusqlite::Result<bool> {
        // No temporary files: they need room when there may be none.
        self.connection.pragma_update(None, "temp_store", "memory")?;
        self.connection.pragma_update(None, "foreign_keys", true)?;
        let made = version(&self.connection)? == 0;
        if made {
            to_wal(&self.connection)?;
        }
        self.connection.pragma_update(None, "synchronous", "full")?;
        self.connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
        Ok(made)
    }

    /// Runs `body` in a write transaction; nobody else writes meanwhile.
    pub(crate) fn write<T>(
        &mut self,
        durability: Durability,
        body: impl FnOnce(&Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        let what = || "write the records";
        let level = if durability == Durability::Synced { "full" } else { "normal" };
        self.connection.pragma_update(None, "synchronous", level).map_err(explain).context(what)?;
        let tx = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(explain)
            .context(what)?;
        let value = body(&tx)?;
        tx.commit().map_err(explain).context(what)?;
        Ok(value)
    }

    /// Runs `body` over one state of the database.
    pub(crate) fn read<T>(&mut self, body: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let tx = self.connection.transaction().map_err(explain).context(|| "read the records")?;
        body(&tx)
    }
}

/// Says what was being done when SQLite failed, in our classes.
pub(crate) trait Explain<T> {
    fn told(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Explain<T> for rusqlite::Result<T> {
    fn told(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(explain).context(what)
    }
}

/// SQLite's errors in our classes, with what helps against damage here.
fn explain(error: rusqlite::Error) -> Error {
    let error = sqlite::explain(error);
    match sqlite::is_damage(&error) {
        true => error.hint("the records are damaged; `taru store check --repair` makes them anew"),
        false => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_words_of_sqlite_are_damage() {
        let dir = std::env::temp_dir().join(format!("taru-content-db-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join(FILE), [0xa5; 8192]).unwrap();
        let error = Db::open(&dir, |_| Ok(())).unwrap_err();
        assert!(sqlite::is_damage(&error) && error.kind() == Kind::Invalid, "{error:?}");
        std::fs::remove_file(dir.join(FILE)).unwrap();
        let error = Db::open(&dir, |_| Err(Error::invalid("read a document"))).unwrap_err();
        assert!(!sqlite::is_damage(&error) && error.kind() == Kind::Invalid, "{error:?}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
