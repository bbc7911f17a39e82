//! Leases: what is being worked with stays until the work is done, or its process ends.

use std::sync::Arc;

use rusqlite::{Transaction, params};
use taru_oci::Digest;
use taru_stdx::{Error, Kind, Result};

use crate::db::{Durability, Explain, LAYER, PART};
use crate::gate::Held;
use crate::store::Inner;
use crate::{Content, whole};

/// Protects what it is told of for as long as it lives: until it is dropped, or its process ends.
#[derive(Debug)]
pub struct Lease {
    pub(crate) id: i64,
    pub(crate) store: Arc<Inner>,
    /// Says to others that it lives.
    _alive: Held,
}

impl Content {
    /// Begins a lease; `what` says to people what for ("pull debian").
    ///
    /// # Errors
    /// Any error of SQLite and of the file system.
    pub fn lease(&self, what: &str) -> Result<Lease> {
        let (id, alive) = self.0.write(Durability::Lazy, |tx| {
            // An id may be locked without a row: by a process that used a database which was made anew since.
            loop {
                tx.execute(
                    "INSERT INTO lease (what, pid, boot) VALUES (?1, ?2, ?3)",
                    params![what, std::process::id(), self.0.boot],
                )
                .told(|| format!("record the lease `{what}`"))?;
                let id = tx.last_insert_rowid();
                // Locked before the row can be seen: nobody takes the lease for dead.
                if let Some(held) = self.0.gate.try_lease(id.unsigned_abs())? {
                    return Ok((id, held));
                }
                delete(tx, id)?;
            }
        })?;
        Ok(Lease { id, store: self.0.clone(), _alive: alive })
    }
}

impl Lease {
    /// Protects the unpacked layer with this chain id, which need not be there yet. One that is there after this
    /// returned stays.
    ///
    /// # Errors
    /// [`Kind::State`] if the lease is over; any error of SQLite.
    pub fn protect_layer(&self, chain: &Digest) -> Result<()> {
        self.store.write(Durability::Lazy, |tx| protect(tx, self.id, LAYER, chain))
    }

    /// Protects the blob, which need not be there yet, and says how large it is if it is there and whole.
    ///
    /// # Errors
    /// [`Kind::State`] if the lease is over; any error of SQLite and of the file system.
    pub fn protect_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        self.store.write(Durability::Lazy, |tx| {
            protect(tx, self.id, PART, digest)?;
            whole::size(tx, &self.store.layout, digest)
        })
    }

    /// Ends it now.
    ///
    /// # Errors
    /// Any error of SQLite.
    pub fn release(mut self) -> Result<()> {
        let id = std::mem::take(&mut self.id);
        self.store.write(Durability::Lazy, |tx| delete(tx, id))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.id != 0 {
            // A row that stays is that of a dead lease: the next open removes it.
            let _ = self.store.write(Durability::Lazy, |tx| delete(tx, self.id));
        }
    }
}

/// Notes that lease `id` protects `digest`.
pub(crate) fn protect(tx: &Transaction<'_>, id: i64, kind: i64, digest: &Digest) -> Result<()> {
    let what = || format!("protect `{digest}`");
    let there: bool = tx
        .query_row("SELECT EXISTS (SELECT 1 FROM lease WHERE id = ?1)", [id], |row| row.get(0))
        .told(what)?;
    if !there {
        return Err(Error::new(Kind::State, format!("{}: the lease is over", what())));
    }
    tx.execute(
        "INSERT OR IGNORE INTO held (lease, kind, digest) VALUES (?1, ?2, ?3)",
        params![id, kind, digest.to_string()],
    )
    .told(what)
    .map(drop)
}

fn delete(tx: &Transaction<'_>, id: i64) -> Result<()> {
    tx.execute("DELETE FROM lease WHERE id = ?1", [id]).told(|| "end a lease".to_owned()).map(drop)
}

impl Inner {
    /// Removes the rows of leases whose owners are gone.
    pub(crate) fn reap(&self) -> Result<()> {
        let ids: Vec<i64> = self.read(|db| {
            let what = || "read the leases".to_owned();
            let mut statement = db.prepare("SELECT id FROM lease").told(what)?;
            let rows = statement.query_map([], |row| row.get(0)).told(what)?;
            rows.collect::<rusqlite::Result<_>>().told(what)
        })?;
        let mut dead = Vec::new();
        for id in ids {
            if !self.gate.is_alive(id.unsigned_abs())? {
                dead.push(id);
            }
        }
        if dead.is_empty() {
            return Ok(());
        }
        // Ids are not given again, so one that was dead is dead.
        self.write_in_need(Durability::Lazy, |tx| dead.iter().try_for_each(|id| delete(tx, *id)))
    }
}
