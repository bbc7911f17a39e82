//! The records: one SQLite database (write-ahead log) that any number of `taru` processes share.
//!
//! ```text
//! STATE/taru.db     user_version = 1
//!   container       one row a container
//!     id            64 hexadecimal digits
//!     name          unique
//!     created       nanoseconds since 1970
//!     config        ContainerConfig as JSON, with its own version
//!     phase         begun | ended | removing
//!     boot          boot id of the last start
//!     starter_pid, starter_time      the `taru` that last started it: pid and start time
//!     uid_base      first of its 65536 host ids, unique; null without
//!     status, finished, reason       once ended
//! ```
//! What is acknowledged to a caller who goes away (a detached container) is synced to the disk before.
//! A container in the foreground is as durable as its caller: its record reaches the disk at leisure, so
//! that `taru run` waits for no disk. A power cut ends both.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use taru_content::sqlite;
use taru_runtime::state::Process;
use taru_stdx::{Context, Error, Kind, Result};

use crate::config::{ContainerConfig, VERSION};
use crate::record::{Ended, Phase, Record, from_nanoseconds, to_nanoseconds};
use crate::{idmap, names};

/// The version of the schema, kept in the database's `user_version`.
const SCHEMA: i64 = 1;

const CREATE: &str = "
    CREATE TABLE container (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        created INTEGER NOT NULL,
        config TEXT NOT NULL,
        phase TEXT NOT NULL CHECK (phase IN ('begun', 'ended', 'removing')),
        boot TEXT NOT NULL,
        starter_pid INTEGER NOT NULL,
        starter_time INTEGER NOT NULL,
        uid_base INTEGER UNIQUE,
        status INTEGER,
        finished INTEGER,
        reason TEXT
    ) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 1;";

const COLUMNS: &str =
    "id, name, created, config, phase, boot, starter_pid, starter_time, uid_base, status, finished, reason";

/// The open database.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    log: PathBuf,
    /// What [`Store::sync`] chose last.
    is_durable: Cell<Option<bool>>,
}

/// How long others are waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// A log of more bytes is written back when that costs nobody a wait: 128 pages.
const LONG_LOG: u64 = 128 << 10;

/// Who starts a container, and when in the life of the host.
#[derive(Debug, Clone)]
pub struct Starter {
    /// This process.
    pub process: Process,
    /// The boot it runs in.
    pub boot: String,
}

/// A container to be recorded.
#[derive(Debug)]
pub struct New<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its name; `None` to find one.
    pub name: Option<&'a str>,
    /// What it is asked to be.
    pub config: &'a ContainerConfig,
    /// Who starts it.
    pub starter: &'a Starter,
    /// Whether it is to have 65536 host ids of its own.
    pub own_ids: bool,
    /// Whether the record is on the disk when this returns.
    pub durable: bool,
}

impl Store {
    /// Opens the database in `state`, making it if there is none.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] for a schema of a newer taru; any error of SQLite, with a hint for a damaged file.
    pub fn open(state: &Path) -> Result<Store> {
        let path = state.join("taru.db");
        let what = || format!("open the records `{}`", path.display());
        let db = sqlite::open(&path, PATIENCE).context(what)?;
        let mut store = Store { db, log: state.join("taru.db-wal"), is_durable: Cell::new(None) };
        let version = store.prepare().map_err(explain).context(what)?;
        if version != SCHEMA {
            return Err(Error::new(
                Kind::Unsupported,
                format!("open the records `{}`: version {version}, this taru knows {SCHEMA}", path.display()),
            )
            .hint("a newer taru made them: use that one, or another directory with --root"));
        }
        Ok(store)
    }

    /// Makes the schema where there is none, and gives its version.
    fn prepare(&mut self) -> rusqlite::Result<i64> {
        let version = sqlite::version(&self.db)?;
        if version != 0 {
            return Ok(version);
        }
        // Rows are small, and each start reads what the log holds.
        self.db.pragma_update(None, "page_size", 1024)?;
        sqlite::to_wal(&self.db)?;
        self.sync(false)?;
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have been first.
        if sqlite::version(&tx)? == 0 {
            tx.execute_batch(CREATE)?;
        }
        tx.commit()?;
        sqlite::version(&self.db)
    }

    /// Whether the next transactions wait for the disk. A later synced one syncs all before it.
    /// They also write back what the log has gathered (in pages) before one that is not would have to: whoever opens the
    /// database alone reads the whole log, so that a long one costs every command; writing it back costs one a sync.
    fn sync(&self, durable: bool) -> rusqlite::Result<()> {
        if self.is_durable.get() == Some(durable) {
            return Ok(());
        }
        let (synchronous, pages) = if durable { ("full", 64) } else { ("normal", 256) };
        self.db.pragma_update(None, "synchronous", synchronous)?;
        self.db.pragma_update(None, "wal_autocheckpoint", pages)?;
        self.is_durable.set(Some(durable));
        Ok(())
    }

    /// As the last transaction did: what ends a container is as durable as what began it.
    fn sync_as_before(&self) -> rusqlite::Result<()> {
        self.sync(self.is_durable.get().unwrap_or(false))
    }

    /// Writes back a log that has become long, which waits for the disk: for a process that has nothing else to do. What
    /// cannot be done now, since others read the log, is left to whoever comes next.
    pub fn write_back(&self) {
        let write_back = || -> rusqlite::Result<()> {
            self.db.busy_timeout(Duration::ZERO)?;
            let done = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            self.db.busy_timeout(PATIENCE)?;
            done
        };
        if std::fs::metadata(&self.log).is_ok_and(|log| log.len() > LONG_LOG) {
            let _ = write_back();
        }
    }

    /// Records a container that is about to start, with a name and host ids nobody else has.
    ///
    /// # Errors
    /// [`Kind::Exists`] if the name is taken; [`Kind::Limit`] if there are no more names or ids.
    pub fn insert(&mut self, new: &New<'_>) -> Result<Record> {
        let config = serde_json::to_string(new.config).context(|| "write the container's configuration")?;
        let created = SystemTime::now();
        let inserted = self.try_insert(new, &config, created).map_err(explain);
        let (name, uid_base) = inserted.context(|| "record the container")??;
        Ok(Record {
            id: new.id.to_owned(),
            name,
            created,
            config: Ok(new.config.clone()),
            phase: Phase::Begun,
            boot: new.starter.boot.clone(),
            starter: new.starter.process,
            uid_base,
        })
    }

    #[allow(clippy::type_complexity, reason = "outer: SQLite's failures; inner: ours")]
    fn try_insert(
        &mut self,
        new: &New<'_>,
        config: &str,
        created: SystemTime,
    ) -> rusqlite::Result<Result<(String, Option<u32>)>> {
        self.sync(new.durable)?;
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let taken = |name: &str| -> rusqlite::Result<bool> {
            let found: Option<i64> =
                tx.query_row("SELECT 1 FROM container WHERE name = ?1", [name], |r| r.get(0)).optional()?;
            Ok(found.is_some())
        };
        let name = match new.name {
            Some(name) if taken(name)? => {
                let error = Error::new(Kind::Exists, format!("name a container `{name}`: the name is taken"));
                return Ok(Err(error.hint(format!("`taru rm {name}` removes the one that has it"))));
            }
            Some(name) => name.to_owned(),
            None => {
                let mut free = None;
                for name in names::candidates(new.id) {
                    if !taken(&name)? {
                        free = Some(name);
                        break;
                    }
                }
                // The id is unique, so its beginning is as good a name as any.
                free.unwrap_or_else(|| new.id.get(..32).unwrap_or(new.id).to_owned())
            }
        };
        let uid_base = match new.own_ids.then(|| free_block(&tx)).transpose()? {
            Some(None) => {
                return Ok(Err(Error::new(Kind::Limit, "give the container ids of its own: none is left")));
            }
            Some(base) => base,
            None => None,
        };
        tx.execute(
            "INSERT INTO container (id, name, created, config, phase, boot, starter_pid, starter_time, uid_base)
             VALUES (?1, ?2, ?3, ?4, 'begun', ?5, ?6, ?7, ?8)",
            params![
                new.id,
                name,
                to_nanoseconds(created),
                config,
                new.starter.boot,
                new.starter.process.pid,
                new.starter.process.start_time.cast_signed(),
                uid_base
            ],
        )?;
        tx.commit()?;
        Ok(Ok((name, uid_base)))
    }

    /// Every record, the newest first.
    ///
    /// # Errors
    /// Any error of SQLite.
    pub fn list(&self) -> Result<Vec<Record>> {
        let sql = format!("SELECT {COLUMNS} FROM container ORDER BY created DESC, id");
        let read =
            || -> rusqlite::Result<Vec<Record>> { self.db.prepare(&sql)?.query_map([], record)?.collect() };
        read().map_err(explain).context(|| "read the records")
    }

    /// Whether there is a container with this id.
    ///
    /// # Errors
    /// Any error of SQLite.
    pub fn has(&self, id: &str) -> Result<bool> {
        let find = || self.db.query_row("SELECT 1 FROM container WHERE id = ?1", [id], |_| Ok(())).optional();
        Ok(find().map_err(explain).context(|| format!("look for container `{id}`"))?.is_some())
    }

    /// The container with the name `key`, or whose id is or begins with it.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none; [`Kind::Invalid`] if several ids begin so.
    pub fn find(&self, key: &str) -> Result<Record> {
        let what = || format!("find container `{key}`");
        let by_name =
            format!("SELECT {COLUMNS} FROM container WHERE name = ?1 OR id = ?1 ORDER BY name = ?1 DESC");
        let by_prefix = format!("SELECT {COLUMNS} FROM container WHERE substr(id, 1, ?2) = ?1 LIMIT 2");
        let read = || -> rusqlite::Result<Vec<Record>> {
            let mut found: Vec<Record> =
                self.db.prepare(&by_name)?.query_map([key], record)?.collect::<rusqlite::Result<_>>()?;
            if found.is_empty() && !key.is_empty() {
                let length = i64::try_from(key.len()).unwrap_or(i64::MAX);
                found = self
                    .db
                    .prepare(&by_prefix)?
                    .query_map(params![key, length], record)?
                    .collect::<rusqlite::Result<_>>()?;
                return Ok(found);
            }
            found.truncate(1);
            Ok(found)
        };
        let mut found = read().map_err(explain).context(what)?;
        match (found.pop(), found.pop()) {
            (Some(record), None) => Ok(record),
            (None, _) => Err(Error::new(Kind::NotFound, format!("{}: no such container", what()))
                .hint("`taru ps -a` lists them all")),
            (Some(_), Some(_)) => {
                Err(Error::invalid(format!("{}: several ids begin with it", what()))
                    .hint("type more of the id"))
            }
        }
    }

    /// Notes that the run of a container that `record` tells of ended; does nothing if somebody else noted it, began it
    /// anew, or began to remove it. Its host ids are given back unless it keeps what it wrote.
    ///
    /// # Errors
    /// Any error of SQLite.
    pub fn end(&mut self, record: &Record, ended: &Ended, keep_ids: bool) -> Result<bool> {
        let id = &record.id;
        let write = || -> rusqlite::Result<usize> {
            self.sync_as_before()?;
            self.db.execute(
                "UPDATE container SET phase = 'ended', status = ?2, finished = ?3, reason = ?4,
                     uid_base = CASE WHEN ?5 THEN uid_base END
                 WHERE id = ?1 AND phase = 'begun' AND boot = ?6 AND starter_pid = ?7 AND starter_time = ?8",
                params![
                    id,
                    ended.status,
                    ended.finished.map(to_nanoseconds),
                    ended.reason,
                    keep_ids,
                    record.boot,
                    record.starter.pid,
                    record.starter.start_time.cast_signed()
                ],
            )
        };
        Ok(write().map_err(explain).context(|| format!("record the end of `{id}`"))? == 1)
    }

    /// Notes that an ended container is started again; gives it host ids if `own_ids` and it has none.
    ///
    /// # Errors
    /// [`Kind::State`] if it has not ended.
    pub(crate) fn begin_again(&mut self, id: &str, starter: &Starter, own_ids: bool) -> Result<Record> {
        let mut write = || -> rusqlite::Result<usize> {
            self.sync(true)?;
            let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let base = if own_ids { free_block(&tx)? } else { None };
            let changed = tx.execute(
                "UPDATE container SET phase = 'begun', boot = ?2, starter_pid = ?3, starter_time = ?4,
                     uid_base = coalesce(uid_base, ?5), status = NULL, finished = NULL, reason = NULL
                 WHERE id = ?1 AND phase = 'ended'",
                params![
                    id,
                    starter.boot,
                    starter.process.pid,
                    starter.process.start_time.cast_signed(),
                    base
                ],
            )?;
            tx.commit()?;
            Ok(changed)
        };
        if write().map_err(explain).context(|| format!("record the start of `{id}`"))? == 1 {
            return self.find(id);
        }
        Err(Error::new(Kind::State, format!("start `{id}`: it has not ended")))
    }

    /// Notes that a container is being removed: from now on it can only be removed.
    ///
    /// # Errors
    /// [`Kind::State`] if somebody began it anew since `record` was read; any error of SQLite.
    pub(crate) fn removing(&mut self, record: &Record) -> Result<()> {
        let write = || {
            self.sync_as_before()?;
            self.db.execute(
                "UPDATE container SET phase = 'removing'
                 WHERE id = ?1 AND (phase <> 'begun' OR boot = ?2 AND starter_pid = ?3 AND starter_time = ?4)",
                params![
                    record.id,
                    record.boot,
                    record.starter.pid,
                    record.starter.start_time.cast_signed()
                ],
            )
        };
        let what = || format!("remove `{}`", record.name);
        match write().map_err(explain).context(what)? {
            0 if self.has(&record.id)? => {
                Err(Error::new(Kind::State, format!("{}: it was started meanwhile", what())))
            }
            _ => Ok(()),
        }
    }

    /// Forgets a container. Its directories must be gone.
    ///
    /// # Errors
    /// Any error of SQLite.
    pub fn delete(&mut self, id: &str, durable: bool) -> Result<()> {
        let write = || -> rusqlite::Result<usize> {
            self.sync(durable)?;
            self.db.execute("DELETE FROM container WHERE id = ?1", [id])
        };
        write().map_err(explain).context(|| format!("forget `{id}`")).map(drop)
    }
}

/// The lowest block of host ids that no container has.
fn free_block(db: &Connection) -> rusqlite::Result<Option<u32>> {
    let mut statement =
        db.prepare("SELECT uid_base FROM container WHERE uid_base IS NOT NULL ORDER BY uid_base")?;
    let taken: Vec<u32> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(idmap::free_block(&taken))
}

/// Reads a row. A configuration that does not parse harms only its own container.
fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let phase: String = row.get(4)?;
    let finished: Option<i64> = row.get(10)?;
    Ok(Record {
        id: row.get(0)?,
        name: row.get(1)?,
        created: from_nanoseconds(row.get(2)?),
        config: parse_config(&row.get::<_, String>(3)?),
        phase: match phase.as_str() {
            "begun" => Phase::Begun,
            "removing" => Phase::Removing,
            _ => Phase::Ended(Ended {
                status: row.get::<_, Option<u8>>(9)?,
                finished: finished.map(from_nanoseconds),
                reason: row.get::<_, Option<String>>(11)?.unwrap_or_default(),
            }),
        },
        boot: row.get(5)?,
        starter: Process { pid: row.get(6)?, start_time: row.get::<_, i64>(7)?.cast_unsigned() },
        uid_base: row.get(8)?,
    })
}

fn parse_config(text: &str) -> std::result::Result<ContainerConfig, String> {
    #[derive(serde::Deserialize)]
    struct Head {
        version: u32,
    }
    let head: Head = serde_json::from_str(text).map_err(|e| e.to_string())?;
    if !(1..=VERSION).contains(&head.version) {
        return Err(format!("version {}, this taru knows up to {VERSION}", head.version));
    }
    serde_json::from_str(text).map_err(|e| e.to_string())
}

/// SQLite's errors in our classes, with what helps against damage here.
fn explain(error: rusqlite::Error) -> Error {
    let error = sqlite::explain(error);
    match sqlite::is_damage(&error) {
        true => error.hint("the file is damaged; restore it, or move it away to begin with no records: `taru store gc` removes the files of containers that have none"),
        false => error,
    }
}
