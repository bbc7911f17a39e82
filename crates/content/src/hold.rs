//! Holds: what containers and builds need, whatever becomes of the names.

use rusqlite::{Transaction, params};
use taru_oci::{Descriptor, Digest, limits};
use taru_stdx::Result;

use crate::db::{Durability, Explain, LAYER, PART};
use crate::{Content, graph, whole};

pub use crate::recover::RECOVERED;

impl Content {
    /// Holds blobs and unpacked layers (chain ids) under a name such as `container/ID`, durably, until
    /// [`Content::unhold`]; replaces what that name held before. A manifest or index holds what it leads to.
    ///
    /// They need not be there; those that are there and not protected otherwise may go until this returns.
    ///
    /// # Errors
    /// Any error of SQLite and of the file system.
    pub fn hold(&self, name: &str, digests: &[Digest], layers: &[Digest]) -> Result<()> {
        self.0.layout.sync_names()?;
        self.hold_with(Durability::Synced, name, digests, layers)
    }

    /// As [`Content::hold`], for what does not outlive a power cut anyway (a container in the foreground): it waits for
    /// no disk.
    ///
    /// # Errors
    /// As [`Content::hold`].
    pub fn hold_lazily(&self, name: &str, digests: &[Digest], layers: &[Digest]) -> Result<()> {
        self.hold_with(Durability::Lazy, name, digests, layers)
    }

    fn hold_with(
        &self,
        durability: Durability,
        name: &str,
        digests: &[Digest],
        layers: &[Digest],
    ) -> Result<()> {
        let mut learned = Vec::new();
        for digest in digests {
            if let Some(document) = self.unknown_document(digest)?
                && let Ok(facts) = graph::explore(&self.0.layout, &document)
            {
                learned.push(facts);
            }
        }
        self.0.write(durability, |tx| {
            let what = || format!("hold what `{name}` needs");
            remove(tx, name)?;
            tx.execute("INSERT INTO hold VALUES (?1)", [name]).told(what)?;
            let all = digests.iter().map(|d| (d, PART)).chain(layers.iter().map(|d| (d, LAYER)));
            for (digest, kind) in all {
                tx.execute(
                    "INSERT OR IGNORE INTO held (hold, kind, digest) VALUES (?1, ?2, ?3)",
                    params![name, kind, digest.to_string()],
                )
                .told(what)?;
            }
            learned.iter().try_for_each(|facts| graph::record(tx, facts))
        })
    }

    /// Lets go of all that the name holds; nothing if it holds nothing.
    ///
    /// # Errors
    /// Any error of SQLite. On a full disk it works with the room kept aside.
    pub fn unhold(&self, name: &str) -> Result<()> {
        // A hold that comes back with a power cut is let go of again by whoever finds its container gone.
        self.0.write_in_need(Durability::Lazy, |tx| remove(tx, name))
    }

    /// The names of holds that begin with `prefix`, sorted.
    ///
    /// # Errors
    /// Any error of SQLite.
    pub fn holds(&self, prefix: &str) -> Result<Vec<String>> {
        let what = || "list what is held".to_owned();
        self.0.read(|db| {
            let mut statement = db
                .prepare("SELECT name FROM hold WHERE substr(name, 1, ?2) = ?1 ORDER BY name")
                .told(what)?;
            let length = i64::try_from(prefix.chars().count()).unwrap_or(i64::MAX);
            let rows = statement.query_map(params![prefix, length], |row| row.get(0)).told(what)?;
            rows.collect::<rusqlite::Result<_>>().told(what)
        })
    }

    /// The names of the holds of an unpacked layer (its chain id), sorted.
    ///
    /// # Errors
    /// Any error of SQLite.
    pub fn holders(&self, layer: &Digest) -> Result<Vec<String>> {
        let what = || format!("look for who holds the layer `{layer}`");
        self.0.read(|db| {
            let mut statement = db
                .prepare("SELECT hold FROM held WHERE kind = ?1 AND digest = ?2 AND hold IS NOT NULL ORDER BY hold")
                .told(what)?;
            let rows = statement.query_map(params![LAYER, layer.to_string()], |row| row.get(0)).told(what)?;
            rows.collect::<rusqlite::Result<_>>().told(what)
        })
    }

    /// The descriptor of a document that is there and that nothing is known of yet: few blobs are this small and parse.
    fn unknown_document(&self, digest: &Digest) -> Result<Option<Descriptor>> {
        let size = self.0.read(|db| {
            Ok(if graph::is_known(db, digest)? { None } else { whole::size(db, &self.0.layout, digest)? })
        })?;
        let Some(size) = size.filter(|size| *size <= limits::MANIFEST) else { return Ok(None) };
        Ok(graph::describe(&self.0.layout, digest, size))
    }
}

fn remove(tx: &Transaction<'_>, name: &str) -> Result<()> {
    tx.execute("DELETE FROM hold WHERE name = ?1", [name]).told(|| format!("let go of `{name}`")).map(drop)
}
