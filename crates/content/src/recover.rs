//! A database made anew: from index.json, which says the names, and from the blobs that are there.
//!
//! What cannot be known again is what containers and builds hold. So everything is held under [`RECOVERED`], and no
//! unpacked layer is collected, until that is let go.

use rusqlite::{Transaction, params};
use taru_oci::{Descriptor, Reference};
use taru_stdx::{Context, Error, Kind, Result};

use crate::db::{self, Db, Explain};
use crate::gate::Gate;
use crate::graph;
use crate::layout::{IMAGE_NAME, Layout, REF_NAME};
use crate::sqlite;

/// The hold on everything that was there when a database was made anew. Whoever owns containers and builds holds what
/// they need again, and then lets this go with [`crate::Content::unhold`].
pub const RECOVERED: &str = "recovered";

/// An index.json of ten times as many images as anybody has.
const INDEX: u64 = 64 << 20;

/// An index.json of our own, which may be longer than one that a stranger may send.
#[derive(serde::Deserialize)]
struct Names {
    manifests: Vec<Descriptor>,
}

/// Opens the database; one that is damaged is set aside, one that is missing is made from what is there.
pub(crate) fn open(layout: &Layout, gate: &Gate) -> Result<Db> {
    let make = || open_alone(layout);
    match make() {
        Err(e) if sqlite::is_damage(&e) => {}
        other => return other,
    }
    let _alone = gate.alone()?;
    // Somebody may have been here while we waited.
    match make() {
        Err(e) if sqlite::is_damage(&e) => {}
        other => return other,
    }
    set_aside(layout, gate)?;
    make()
}

/// Opens the database, or makes one from what is there.
pub(crate) fn open_alone(layout: &Layout) -> Result<Db> {
    Db::open(layout.dir(), |tx| import(layout, tx))
}

/// Moves the database out of the way. The caller is [`Gate::alone`].
pub(crate) fn set_aside(layout: &Layout, gate: &Gate) -> Result<()> {
    let path = layout.dir().join(db::FILE);
    if gate.is_any_alive()? {
        return Err(Error::new(Kind::Busy, format!("make `{}` anew: others are using it", path.display())));
    }
    let name = |suffix: &str| layout.dir().join(format!("{}{suffix}", db::FILE));
    // The log first: an old log beside a new database would be read into it. It may be all that is whole, so it is kept, under
    // the name by which it belongs to what was set aside; one that was there before does not.
    for suffix in ["-wal", "-shm"] {
        let (log, aside) = (name(suffix), name(&format!(".damaged{suffix}")));
        let moved = match std::fs::rename(&log, &aside) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => match std::fs::remove_file(&aside) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            },
            moved => moved,
        };
        moved.context(|| format!("set `{}` aside", log.display()))?;
    }
    std::fs::rename(&path, name(".damaged")).context(|| format!("set `{}` aside", path.display()))
}

/// Records what is there.
fn import(layout: &Layout, tx: &Transaction<'_>) -> Result<()> {
    let what = || "record what is there".to_owned();
    let now = now();
    let mut any = false;
    for (digest, _, size) in layout.files()? {
        let Some(digest) = digest else { continue };
        if !any {
            tx.execute("INSERT INTO hold VALUES (?1)", [RECOVERED]).told(what)?;
            any = true;
        }
        let text = digest.to_string();
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        tx.execute("INSERT INTO blob VALUES (?1, ?2, ?3)", params![text, size, now]).told(what)?;
        tx.execute("INSERT INTO held (hold, kind, digest) VALUES (?1, 0, ?2)", params![RECOVERED, text])
            .told(what)?;
    }
    let Ok(bytes) = taru_stdx::fs::read_bounded(&layout.index(), INDEX) else { return Ok(()) };
    // A damaged index.json names nothing. The blobs are held, so an image can be named again by its digest.
    let Ok(index) = serde_json::from_slice::<Names>(&bytes) else { return Ok(()) };
    for mut descriptor in index.manifests {
        let name = descriptor.annotations.remove(REF_NAME);
        descriptor.annotations.remove(IMAGE_NAME);
        let name = name.and_then(|name| name.parse::<Reference>().ok()).map(|name| name.to_string());
        let Ok(facts) = graph::explore(layout, &descriptor) else { continue };
        graph::record(tx, &facts)?;
        let text = serde_json::to_string(&descriptor).context(what)?;
        tx.execute(
            "INSERT OR REPLACE INTO image (name, digest, descriptor, created) VALUES (?1, ?2, ?3, ?4)",
            params![name, descriptor.digest.to_string(), text, now],
        )
        .told(what)?;
    }
    Ok(())
}

/// Nanoseconds since 1970, for the next 265 years.
pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
