//! Names of images.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{OptionalExtension, Transaction, params};
use taru_oci::{Descriptor, Digest, Reference};
use taru_stdx::{Context, Error, Kind, Result};

use crate::db::{Durability, Explain};
use crate::recover::now;
use crate::{Content, graph, whole};

/// An image that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRecord {
    /// Its name; `None` for one that lost its name to another, or never had one, and was not removed.
    pub name: Option<Reference>,
    /// The index or manifest.
    pub descriptor: Descriptor,
    /// When it was named.
    pub created: SystemTime,
}

impl Content {
    /// Names images, all or none, and durably. What had such a name before is kept without one, unless it has another.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if anything of an image is not in the store; [`Kind::Invalid`] or [`Kind::Limit`] if its documents
    /// are not sound; any error of SQLite and of the file system.
    pub fn tag(&self, images: &[(Reference, Descriptor)]) -> Result<()> {
        let images: Vec<_> =
            images.iter().map(|(name, descriptor)| (Some(name.to_string()), descriptor)).collect();
        self.name(&images)
    }

    /// Keeps images without a name, durably, until [`Content::forget`] or [`Content::prune`].
    ///
    /// # Errors
    /// As [`Content::tag`].
    pub fn keep(&self, images: &[Descriptor]) -> Result<()> {
        let images: Vec<_> = images.iter().map(|descriptor| (None, descriptor)).collect();
        self.name(&images)
    }

    fn name(&self, images: &[(Option<String>, &Descriptor)]) -> Result<()> {
        let mut explored = Vec::with_capacity(images.len());
        for (name, descriptor) in images {
            let what = || format!("name the image `{}`", name.as_deref().unwrap_or("<none>"));
            let facts = graph::explore(&self.0.layout, descriptor).context(what)?;
            if let Some(missing) = facts.missing.first() {
                return Err(Error::new(
                    Kind::NotFound,
                    format!("{}: the blob `{}` is not in the store", what(), missing.digest),
                ));
            }
            explored.push(facts);
        }
        self.0.layout.sync_names()?;
        self.0.write(Durability::Synced, |tx| {
            for ((name, descriptor), facts) in images.iter().zip(&explored) {
                let what = || format!("name the image `{}`", name.as_deref().unwrap_or("<none>"));
                // Without a lease a gc may have come in between.
                for needed in &facts.needed {
                    if whole::size(tx, &self.0.layout, &needed.digest)? != Some(needed.size) {
                        let text = format!("{}: the blob `{}` is not in the store", what(), needed.digest);
                        return Err(Error::new(Kind::NotFound, text));
                    }
                }
                graph::record(tx, facts)?;
                insert(tx, name.as_deref(), descriptor)?;
            }
            dirty(tx)
        })?;
        // Named and durable by now: a failure to write index.json is no failure to name. Open writes it again.
        let _ = self.0.refresh_index();
        Ok(())
    }

    /// Takes a name away, durably; what it named, if it named anything. The image goes with the next gc unless something
    /// else keeps it.
    ///
    /// # Errors
    /// Any error of SQLite. On a full disk it works with the room kept aside.
    pub fn untag(&self, name: &Reference) -> Result<Option<Descriptor>> {
        let text = name.to_string();
        let what = || format!("untag `{name}`");
        let found = self.0.write_in_need(Durability::Synced, |tx| {
            let found: Option<String> = tx
                .query_row("DELETE FROM image WHERE name = ?1 RETURNING descriptor", [&text], |row| {
                    row.get(0)
                })
                .optional()
                .told(what)?;
            dirty(tx)?;
            Ok(found)
        })?;
        let _ = self.0.refresh_index();
        found.map(|text| serde_json::from_str(&text).context(what)).transpose()
    }

    /// Removes every record of the image with this digest, named or not, durably; the names it had.
    ///
    /// # Errors
    /// As [`Content::untag`].
    pub fn forget(&self, digest: &Digest) -> Result<Vec<Option<Reference>>> {
        self.remove_where("digest = ?1", &digest.to_string())
    }

    /// Removes the records of all images without a name, durably; how many there were.
    ///
    /// # Errors
    /// As [`Content::untag`].
    pub fn prune(&self) -> Result<usize> {
        Ok(self.remove_where("name IS NULL AND ?1 = ''", "")?.len())
    }

    fn remove_where(&self, condition: &str, value: &str) -> Result<Vec<Option<Reference>>> {
        let what = || "remove images".to_owned();
        let sql = format!("DELETE FROM image WHERE {condition} RETURNING name");
        let names = self.0.write_in_need(Durability::Synced, |tx| {
            let mut statement = tx.prepare(&sql).told(what)?;
            let rows = statement.query_map([value], |row| row.get::<_, Option<String>>(0)).told(what)?;
            let names: Vec<Option<String>> = rows.collect::<rusqlite::Result<_>>().told(what)?;
            dirty(tx)?;
            Ok(names)
        })?;
        let _ = self.0.refresh_index();
        Ok(names.into_iter().map(|name| name.and_then(|name| name.parse().ok())).collect())
    }

    /// What a name leads to.
    ///
    /// # Errors
    /// Any error of SQLite; [`Kind::Invalid`] if the record is damaged.
    pub fn resolve(&self, name: &Reference) -> Result<Option<Descriptor>> {
        let what = || format!("resolve `{name}`");
        let text: Option<String> = self.0.read(|db| {
            db.query_row("SELECT descriptor FROM image WHERE name = ?1", [name.to_string()], |row| row.get(0))
                .optional()
                .told(what)
        })?;
        text.map(|text| serde_json::from_str(&text).context_as(Kind::Invalid, what)).transpose()
    }

    /// Every image, the newest first. A record that does not parse is left out here and named by check.
    ///
    /// # Errors
    /// Any error of SQLite.
    pub fn images(&self) -> Result<Vec<ImageRecord>> {
        let what = || "list the images".to_owned();
        let rows: Vec<(Option<String>, String, i64)> = self.0.read(|db| {
            let sql = "SELECT name, descriptor, created FROM image ORDER BY created DESC, id DESC";
            let mut statement = db.prepare(sql).told(what)?;
            let rows =
                statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).told(what)?;
            rows.collect::<rusqlite::Result<_>>().told(what)
        })?;
        let parse = |(name, descriptor, created): (Option<String>, String, i64)| {
            Some(ImageRecord {
                name: name.map(|name| name.parse().ok()).map_or(Some(None), |name| name.map(Some))?,
                descriptor: serde_json::from_str(&descriptor).ok()?,
                created: UNIX_EPOCH + Duration::from_nanos(u64::try_from(created).unwrap_or_default()),
            })
        };
        Ok(rows.into_iter().filter_map(parse).collect())
    }

    /// What is missing in the store of the image that `descriptor` leads to; of an index, of its most complete manifest.
    ///
    /// # Errors
    /// [`Kind::Invalid`] if a document of it is damaged; any error of the file system.
    pub fn missing(&self, descriptor: &Descriptor) -> Result<Vec<Descriptor>> {
        Ok(graph::explore(&self.0.layout, descriptor)?.missing)
    }
}

/// Records an image, and what it takes the name of as one without.
fn insert(tx: &Transaction<'_>, name: Option<&str>, descriptor: &Descriptor) -> Result<()> {
    let what = || format!("name the image `{}`", name.unwrap_or("<none>"));
    let text = serde_json::to_string(descriptor).context(what)?;
    let digest = descriptor.digest.to_string();
    match name {
        Some(name) => {
            // The name alone goes away, unless that very image gets it again, or has another name, or a record without.
            tx.execute(
                "UPDATE image SET name = NULL WHERE name = ?1 AND digest <> ?2 AND NOT EXISTS
                     (SELECT 1 FROM image AS other WHERE other.digest = image.digest AND other.id <> image.id)",
                params![name, digest],
            )
            .told(what)?;
            // Named, it needs no record without a name.
            tx.execute(
                "DELETE FROM image WHERE name = ?1 OR (name IS NULL AND digest = ?2)",
                params![name, digest],
            )
            .told(what)?;
        }
        None => {
            let there: bool = tx
                .query_row("SELECT EXISTS (SELECT 1 FROM image WHERE digest = ?1)", [&digest], |row| {
                    row.get(0)
                })
                .told(what)?;
            if there {
                return Ok(());
            }
        }
    }
    tx.execute(
        "INSERT INTO image (name, digest, descriptor, created) VALUES (?1, ?2, ?3, ?4)",
        params![name, digest, text, now()],
    )
    .told(what)
    .map(drop)
}

/// Notes in the very transaction that index.json is to be written.
fn dirty(tx: &Transaction<'_>) -> Result<()> {
    tx.execute("INSERT OR REPLACE INTO meta VALUES ('index_dirty', '1')", [])
        .told(|| "record that index.json is to be written".to_owned())
        .map(drop)
}
