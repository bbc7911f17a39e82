//! Labels: notes about a blob that go with it ("which repository it came from").

use std::collections::BTreeMap;

use rusqlite::params;
use taru_oci::Digest;
use taru_stdx::{Error, Kind, Result};

use crate::Content;
use crate::db::{Durability, Explain};

impl Content {
    /// Notes `value` under `key` at the blob; `None` takes the note away.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if the blob is not there; any error of SQLite.
    pub fn label(&self, digest: &Digest, key: &str, value: Option<&str>) -> Result<()> {
        let (text, what) = (digest.to_string(), || format!("label the blob `{digest}`"));
        self.0.write(Durability::Lazy, |tx| {
            let there: bool = tx
                .query_row("SELECT EXISTS (SELECT 1 FROM blob WHERE digest = ?1)", [&text], |row| row.get(0))
                .told(what)?;
            if !there {
                let text = format!("{}: it is not in the store", what());
                return Err(Error::new(Kind::NotFound, text));
            }
            match value {
                Some(value) => tx
                    .execute("INSERT OR REPLACE INTO label VALUES (?1, ?2, ?3)", params![text, key, value])
                    .told(what),
                None => tx
                    .execute("DELETE FROM label WHERE digest = ?1 AND key = ?2", params![text, key])
                    .told(what),
            }
            .map(drop)
        })
    }

    /// The notes at the blob; none if it is not there.
    ///
    /// # Errors
    /// Any error of SQLite.
    pub fn labels(&self, digest: &Digest) -> Result<BTreeMap<String, String>> {
        let what = || format!("read the labels of `{digest}`");
        self.0.read(|db| {
            let mut statement = db.prepare("SELECT key, value FROM label WHERE digest = ?1").told(what)?;
            let rows =
                statement.query_map([digest.to_string()], |row| Ok((row.get(0)?, row.get(1)?))).told(what)?;
            rows.collect::<rusqlite::Result<_>>().told(what)
        })
    }
}
