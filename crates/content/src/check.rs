//! Checking: every blob is hashed again, every record read, and what is missing is named.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};
use taru_oci::{Descriptor, Digest, Reference};
use taru_stdx::{Context, Error, Result};

use crate::db::{Durability, Explain};
use crate::recover::now;
use crate::store::Inner;
use crate::verify::{Identity, Verified, verify_all};
use crate::{Content, graph};

/// What a check found. Everything is well if all its lists are empty.
#[derive(Debug, Default)]
pub struct Report {
    /// Blobs that are what their names say.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs that are not; a repair removed them.
    pub broken: Vec<Broken>,
    /// Blobs that images need and that are not there (after a repair: also those that were broken).
    pub missing: Vec<Missing>,
    /// What no blob is named like; a repair removed it, but for directories with something in them.
    pub strays: Vec<PathBuf>,
    /// What is wrong with the records, a sentence each; a repair righted it.
    pub records: Vec<String>,
}

/// A blob that is not what its name says.
#[derive(Debug)]
pub struct Broken {
    /// Its name.
    pub digest: Digest,
    /// What is wrong: another digest, or an error of reading.
    pub why: Error,
    /// The images it belongs to: names, or digests of those without.
    pub images: Vec<String>,
    /// The holds it belongs to.
    pub holds: Vec<String>,
}

/// A blob that is not there.
#[derive(Debug)]
pub struct Missing {
    /// What is missing.
    pub descriptor: Descriptor,
    /// The images that need it: names, or digests of those without.
    pub images: Vec<String>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.broken.is_empty() && self.missing.is_empty() && self.strays.is_empty() && self.records.is_empty()
    }
}

impl Content {
    /// Verifies every blob and every record. With `repair`, what is broken is removed, so that the next pull of an image
    /// fetches it again, and damaged records are righted or made anew. `progress` is told how many bytes were read since
    /// it was last called, by several threads.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Busy`] if damaged records are to be made anew while others use them; any error of SQLite and of
    /// the file system that is not itself what is looked for.
    pub fn check(&self, repair: bool, progress: &(dyn Fn(u64) + Sync)) -> Result<Report> {
        let mut report = Report::default();
        let store = &self.0;
        report.records = store.damage();
        if !report.records.is_empty() {
            if !repair {
                // What the records say of images is not to be trusted either.
                return Ok(report);
            }
            store.make_anew()?;
        }
        self.check_images(repair, &mut report)?;

        let mut whole = Vec::new();
        let mut files = Vec::new();
        for (digest, path, _) in store.layout.files()? {
            match digest {
                Some(digest) => files.push((digest, path)),
                None => report.strays.push(path),
            }
        }
        for Verified { digest, path, seen, verdict } in verify_all(files, progress) {
            match verdict {
                Ok(size) => {
                    report.blobs += 1;
                    report.bytes += size;
                    whole.push((digest.to_string(), size));
                }
                Err(why) => {
                    let (images, holds) = store.read(|db| graph::users(db, &digest.to_string()))?;
                    if repair {
                        store.remove_broken(&digest, &path, seen)?;
                    }
                    report.broken.push(Broken { digest, why, images, holds });
                }
            }
        }
        store.check_sizes(&whole, repair, &mut report)?;
        if repair {
            for path in &report.strays {
                remove_stray(path).context(|| format!("remove `{}`", path.display()))?;
            }
        }
        report.missing = self.all_missing()?;
        if repair {
            store.refresh_index()?;
        }
        Ok(report)
    }

    /// Hashes one blob again, for whoever doubts it (a layer that does not unpack); one that is broken is removed, so that
    /// it is wanted and fetched again. Whether it is there and whole.
    ///
    /// # Errors
    /// Any error of SQLite and of the file system when removing.
    pub fn verify(&self, digest: &Digest) -> Result<bool> {
        let path = self.0.layout.blob(digest);
        if !path.exists() {
            return Ok(false);
        }
        for Verified { digest, path, seen, verdict } in verify_all(vec![(digest.clone(), path)], &|_| ()) {
            if verdict.is_err() {
                self.0.remove_broken(&digest, &path, seen)?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads every record of an image.
    fn check_images(&self, repair: bool, report: &mut Report) -> Result<()> {
        let what = || "read the records of images".to_owned();
        let rows: Vec<(i64, Option<String>, String, String)> = self.0.read(|db| {
            let mut statement = db.prepare("SELECT id, name, digest, descriptor FROM image").told(what)?;
            let rows = statement
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
                .told(what)?;
            rows.collect::<rusqlite::Result<_>>().told(what)
        })?;
        for (id, name, digest, text) in rows {
            let label = name.as_deref().unwrap_or(&digest).to_owned();
            if name.is_some_and(|name| name.parse::<Reference>().is_err()) {
                report.records.push(format!("the record of the image `{label}` has a name that is none"));
                if repair {
                    self.0.write(Durability::Synced, |tx| {
                        tx.execute("UPDATE image SET name = NULL WHERE id = ?1", [id]).told(what)
                    })?;
                }
            }
            let descriptor = serde_json::from_str::<Descriptor>(&text);
            if descriptor.is_ok_and(|descriptor| descriptor.digest.to_string() == digest) {
                continue;
            }
            report.records.push(format!("the record of the image `{label}` is damaged"));
            if repair {
                let again = digest.parse::<Digest>().ok().and_then(|digest| {
                    let size = std::fs::metadata(self.0.layout.blob(&digest)).ok()?.len();
                    graph::describe(&self.0.layout, &digest, size)
                });
                let again = again.map(|descriptor| serde_json::to_string(&descriptor)).transpose();
                let again = again.context(what)?;
                self.0.write(Durability::Synced, |tx| {
                    match again {
                        Some(text) => {
                            tx.execute("UPDATE image SET descriptor = ?2 WHERE id = ?1", params![id, text])
                        }
                        None => tx.execute("DELETE FROM image WHERE id = ?1", [id]),
                    }
                    .told(what)
                })?;
            }
        }
        Ok(())
    }

    /// What images need and is not there.
    fn all_missing(&self) -> Result<Vec<Missing>> {
        let mut missing: BTreeMap<Digest, Missing> = BTreeMap::new();
        for record in self.images()? {
            let name = match &record.name {
                Some(name) => name.to_string(),
                None => record.descriptor.digest.to_string(),
            };
            // A document that is broken is in the report already; what it leads to is not known.
            let Ok(facts) = graph::explore(&self.0.layout, &record.descriptor) else { continue };
            for descriptor in facts.missing {
                let entry = missing
                    .entry(descriptor.digest.clone())
                    .or_insert_with(|| Missing { descriptor, images: Vec::new() });
                entry.images.push(name.clone());
            }
        }
        Ok(missing.into_values().collect())
    }
}

/// Removes a file, or an empty directory.
fn remove_stray(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == ErrorKind::IsADirectory => match std::fs::remove_dir(path) {
            // Whoever put something there is asked, by the report.
            Err(e) if e.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
            removed => removed,
        },
        removed => removed,
    }
}

impl Inner {
    /// What SQLite itself finds wrong with the database.
    fn damage(&self) -> Vec<String> {
        let check = |db: &Connection| {
            let what = || "check the records".to_owned();
            let mut statement = db.prepare("PRAGMA integrity_check(20)").told(what)?;
            let rows = statement.query_map([], |row| row.get::<_, String>(0)).told(what)?;
            rows.collect::<rusqlite::Result<Vec<_>>>().told(what)
        };
        match self.read(check) {
            Ok(lines) => lines.into_iter().filter(|line| line != "ok").collect(),
            Err(e) => vec![e.chain().to_string()],
        }
    }

    /// Removes a blob that was seen to be broken, unless somebody put a good one in its place meanwhile.
    fn remove_broken(&self, digest: &Digest, path: &Path, seen: Option<Identity>) -> Result<()> {
        let what = || format!("remove the blob `{digest}`");
        let _alone = self.gate.alone()?;
        match std::fs::symlink_metadata(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            Ok(now) if seen.is_some_and(|seen| seen != Identity::of(&now)) => return Ok(()),
            other => other.context(what)?,
        };
        std::fs::remove_file(path).context(what)?;
        self.write_in_need(Durability::Synced, |tx| {
            tx.execute("DELETE FROM blob WHERE digest = ?1", [digest.to_string()]).told(what).map(drop)
        })
    }

    /// Compares the recorded sizes of whole blobs with the real ones.
    fn check_sizes(&self, whole: &[(String, u64)], repair: bool, report: &mut Report) -> Result<()> {
        let what = || "check the records of blobs".to_owned();
        let mut recorded: BTreeMap<String, i64> = self.read(|db| {
            let mut statement = db.prepare("SELECT digest, size FROM blob").told(what)?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).told(what)?;
            rows.collect::<rusqlite::Result<_>>().told(what)
        })?;
        let mut wrong = Vec::new();
        for (digest, size) in whole {
            let size = i64::try_from(*size).unwrap_or(i64::MAX);
            // One without a row is garbage, or being written: not wrong.
            if recorded.remove(digest).is_some_and(|other| other != size) {
                report.records.push(format!("the record of the blob `{digest}` has another size"));
                wrong.push((digest, size));
            }
        }
        if repair && !wrong.is_empty() {
            self.write(Durability::Synced, |tx| {
                for (digest, size) in &wrong {
                    tx.execute(
                        "INSERT OR REPLACE INTO blob VALUES (?1, ?2, ?3)",
                        params![digest, size, now()],
                    )
                    .told(what)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}
