//! Collection: whatever no name, hold or live lease reaches is removed.

use std::collections::HashSet;
use std::io::ErrorKind;

use rusqlite::OptionalExtension;
use taru_oci::Digest;
use taru_stdx::{Context, Result};

use crate::db::{Durability, Explain};
use crate::recover::RECOVERED;
use crate::{Content, graph};

/// The unpacked layers, which lie elsewhere and live as long as an image or a hold reaches their chain id.
pub trait LayerStore {
    /// The chain ids of all layers.
    ///
    /// # Errors
    /// Those of the store.
    fn list(&self) -> Result<Vec<Digest>>;

    /// Takes a layer away. All writers of the store wait meanwhile: a rename, whose remains [`LayerStore::sweep`] removes,
    /// serves them better than a removal of many files. The bytes it frees, or 0 where that is not known.
    ///
    /// # Errors
    /// Those of the store.
    fn remove(&self, chain: &Digest) -> Result<u64>;

    /// Removes what was taken away. Called last, when nobody waits any more.
    ///
    /// # Errors
    /// Those of the store.
    fn sweep(&self) -> Result<()> {
        Ok(())
    }
}

/// No layers.
#[derive(Debug, Clone, Copy)]
pub struct NoLayers;

impl LayerStore for NoLayers {
    fn list(&self) -> Result<Vec<Digest>> {
        Ok(Vec::new())
    }

    fn remove(&self, _: &Digest) -> Result<u64> {
        Ok(0)
    }
}

/// What a collection removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freed {
    /// Blobs.
    pub blobs: u64,
    /// Their bytes, and those of unfinished files.
    pub bytes: u64,
    /// Unpacked layers.
    pub layers: u64,
    /// Their bytes, where known.
    pub layer_bytes: u64,
}

impl Content {
    /// Removes every blob and unpacked layer that nothing reaches, and every unfinished file that nobody writes.
    ///
    /// # Errors
    /// Any error of SQLite, the file system and `layers`; what was removed until then is removed. On a full disk it works
    /// with the room kept aside.
    pub fn gc(&self, layers: &dyn LayerStore) -> Result<Freed> {
        let store = &self.0;
        store.reap()?;
        let mut freed = Freed::default();
        {
            let _alone = store.gate.alone()?;
            freed.bytes += store.remove_unfinished(true)?;
            store.write_in_need(Durability::Lazy, |tx| {
                let live = graph::live(tx)?;
                // From the directory, not from the rows: also what never got one goes.
                for (digest, path, size) in store.layout.files()? {
                    if digest.is_some_and(|digest| live.blobs.contains(&digest.to_string())) {
                        continue;
                    }
                    match std::fs::remove_file(&path) {
                        // A directory is not ours: a check reports it.
                        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) => {}
                        other => {
                            other.context(|| format!("remove `{}`", path.display()))?;
                            freed.blobs += 1;
                            freed.bytes += size;
                        }
                    }
                }
                forget(tx, "blob", "digest", &live.blobs)?;
                forget(tx, "edge", "parent", &live.blobs)?;
                let is_recovered: Option<i64> = tx
                    .query_row("SELECT 1 FROM hold WHERE name = ?1", [RECOVERED], |row| row.get(0))
                    .optional()
                    .told(|| "read what is held".to_owned())?;
                if is_recovered.is_none() {
                    for chain in layers.list()? {
                        if !live.layers.contains(&chain.to_string()) {
                            freed.layer_bytes += layers.remove(&chain)?;
                            freed.layers += 1;
                        }
                    }
                }
                Ok(())
            })?;
        }
        layers.sweep()?;
        store.reserve.ensure();
        Ok(freed)
    }
}

/// Deletes the rows of `table` whose `column` is not among `live`.
fn forget(tx: &rusqlite::Transaction<'_>, table: &str, column: &str, live: &HashSet<String>) -> Result<()> {
    let what = || "forget what was removed".to_owned();
    let sql = format!("SELECT DISTINCT {column} FROM {table}");
    let mut statement = tx.prepare(&sql).told(what)?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).told(what)?;
    let all: Vec<String> = rows.collect::<rusqlite::Result<_>>().told(what)?;
    let mut delete = tx.prepare(&format!("DELETE FROM {table} WHERE {column} = ?1")).told(what)?;
    for digest in all.into_iter().filter(|digest| !live.contains(digest)) {
        delete.execute([digest]).told(what)?;
    }
    Ok(())
}
