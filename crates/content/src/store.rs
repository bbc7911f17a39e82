//! The open store.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, Transaction};
use taru_oci::Descriptor;
use taru_stdx::{Error, Kind, Result};

use crate::db::{Db, Durability, Explain};
use crate::gate::Gate;
use crate::layout::Layout;
use crate::recover;
use crate::reserve::Reserve;
use crate::sqlite;

/// A store of blobs, open. Copies are the same store; threads may share one.
#[derive(Debug, Clone)]
pub struct Content(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) layout: Layout,
    pub(crate) gate: Gate,
    pub(crate) reserve: Reserve,
    /// `/proc/sys/kernel/random/boot_id`, without its dashes.
    pub(crate) boot: String,
    /// Tells the unfinished files of this process apart.
    pub(crate) counter: AtomicU64,
    db: Mutex<Db>,
}

impl Content {
    /// Opens the store in `dir`, making it if there is none; removes what dead processes left unfinished.
    ///
    /// A damaged database is set aside as `content.db.damaged`, with its log, and made anew from index.json and the blobs; until
    /// [`crate::RECOVERED`] is let go, nothing is collected then.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] for a store of a newer taru; any error of SQLite and of the file system.
    pub fn open(dir: &Path) -> Result<Content> {
        let reserve = Reserve::new(dir);
        let content = match Content::try_open(dir) {
            // Opening writes the index of the write-ahead log.
            Err(e) if is_want_of_room(&e) && reserve.release() => Content::try_open(dir)?,
            other => other?,
        };
        match content.clear_up() {
            // Not every damage is seen when a database is opened.
            Err(e) if sqlite::is_damage(&e) => {
                content.0.make_anew()?;
                content.clear_up()?;
            }
            other => other?,
        }
        Ok(content)
    }

    fn try_open(dir: &Path) -> Result<Content> {
        let layout = Layout::make(dir)?;
        let gate = Gate::new(dir);
        let db = recover::open(&layout, &gate)?;
        Ok(Content(Arc::new(Inner {
            layout,
            gate,
            reserve: Reserve::new(dir),
            boot: boot_id()?,
            counter: AtomicU64::new(0),
            db: Mutex::new(db),
        })))
    }

    fn clear_up(&self) -> Result<()> {
        let store = &self.0;
        store.reap()?;
        store.remove_unfinished(false)?;
        let state = store.read(|db| {
            let read = |key: &str| {
                db.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get::<_, String>(0))
                    .optional()
                    .told(|| "read the records".to_owned())
            };
            Ok((read("index_boot")?, read("index_dirty")?))
        })?;
        if state.0.as_deref() != Some(&store.boot) || state.1.as_deref() == Some("1") {
            match store.refresh_index() {
                // The names are in the database; index.json is written again by whoever next opens the store with room.
                Err(e) if is_want_of_room(&e) || e.kind() == Kind::Permission => {}
                other => other?,
            }
        }
        store.reserve.ensure();
        Ok(())
    }

    /// The directory it is in: an OCI image layout.
    pub fn dir(&self) -> &Path {
        self.0.layout.dir()
    }
}

impl Inner {
    pub(crate) fn write<T>(
        &self,
        durability: Durability,
        body: impl FnOnce(&Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner).write(durability, body)
    }

    /// As [`Inner::write`], for what removes: on a full disk it takes the room kept aside.
    pub(crate) fn write_in_need<T>(
        &self,
        durability: Durability,
        mut body: impl FnMut(&Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        match self.write(durability, &mut body) {
            Err(e) if is_want_of_room(&e) && self.reserve.release() => self.write(durability, &mut body),
            other => other,
        }
    }

    pub(crate) fn read<T>(&self, body: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner).read(body)
    }

    /// Sets the damaged database aside and makes another from what is there.
    pub(crate) fn make_anew(&self) -> Result<()> {
        let _alone = self.gate.alone()?;
        let mut db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        recover::set_aside(&self.layout, &self.gate)?;
        *db = recover::open_alone(&self.layout)?;
        Ok(())
    }

    /// Writes index.json from the database; nobody else writes either meanwhile.
    pub(crate) fn refresh_index(&self) -> Result<()> {
        self.write(Durability::Lazy, |tx| {
            let what = || "read the names of images".to_owned();
            let mut statement = tx
                .prepare("SELECT name, descriptor FROM image ORDER BY name IS NULL, name, id")
                .told(what)?;
            let rows = statement
                .query_map([], |row| Ok((row.get::<_, Option<String>>(0)?, row.get::<_, String>(1)?)))
                .and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
                .told(what)?;
            // A record that does not parse harms no other; check names it.
            let images: Vec<(Option<String>, Descriptor)> = rows
                .into_iter()
                .filter_map(|(name, text)| Some((name, serde_json::from_str(&text).ok()?)))
                .collect();
            self.layout.write_index(&images)?;
            tx.execute(
                "INSERT OR REPLACE INTO meta VALUES ('index_boot', ?1), ('index_dirty', '0')",
                [&self.boot],
            )
            .told(|| "record that index.json is written".to_owned())
            .map(drop)
        })
    }
}

/// Whether the disk was full: SQLite says so in several ways, as its index is a mapped file.
pub(crate) fn is_want_of_room(error: &Error) -> bool {
    error.kind() == Kind::Limit || error.chain().to_string().contains("disk I/O error")
}

fn boot_id() -> Result<String> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let text = taru_stdx::fs::read_bounded(path, 256)?;
    Ok(String::from_utf8_lossy(&text).chars().filter(char::is_ascii_hexdigit).collect())
}
