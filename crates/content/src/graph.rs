//! What a document leads to: read from the document once, when it is named, and kept as edges.
//!
//! gc walks the edges and opens no document: it is as fast as the database, and a document that was damaged later does
//! not cost its layers their lives.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use taru_oci::document::chain_ids;
use taru_oci::{Descriptor, Digest, Document, Image, limits, media};
use taru_stdx::{Error, Kind, Result};

use crate::db::{CHILD, Explain, LAYER, PART};
use crate::layout::Layout;
use crate::whole;

/// What documents say, and what is missing of it.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Parent, child, kind.
    edges: Vec<(Digest, Digest, i64)>,
    /// Blobs that have to be there: the document itself, its configuration and layers, or one whole manifest of an index.
    pub(crate) needed: Vec<Descriptor>,
    /// Those of them that are not.
    pub(crate) missing: Vec<Descriptor>,
}

/// Follows `descriptor` through the documents that are there.
pub(crate) fn explore(layout: &Layout, descriptor: &Descriptor) -> Result<Facts> {
    let mut facts = Facts::default();
    let mut visited = HashSet::new();
    walk(layout, descriptor, limits::INDEX_DEPTH, &mut visited, &mut facts)?;
    Ok(facts)
}

/// Whether the blob is there with its size.
fn is_there(layout: &Layout, descriptor: &Descriptor) -> bool {
    let meta = std::fs::symlink_metadata(layout.blob(&descriptor.digest));
    meta.is_ok_and(|meta| meta.is_file() && meta.len() == descriptor.size)
}

fn need(layout: &Layout, descriptor: &Descriptor, facts: &mut Facts) -> bool {
    let there = is_there(layout, descriptor);
    if !there {
        facts.missing.push(descriptor.clone());
    }
    facts.needed.push(descriptor.clone());
    there
}

fn edge(facts: &mut Facts, parent: &Descriptor, child: &Digest, kind: i64) -> Result<()> {
    if facts.edges.len() == limits::PARTS {
        let text = format!("read the index `{}`: more than {} parts", parent.digest, limits::PARTS);
        return Err(Error::new(Kind::Limit, text));
    }
    facts.edges.push((parent.digest.clone(), child.clone(), kind));
    Ok(())
}

fn walk(
    layout: &Layout,
    descriptor: &Descriptor,
    depth: usize,
    visited: &mut HashSet<Digest>,
    facts: &mut Facts,
) -> Result<()> {
    if !need(layout, descriptor, facts) || !visited.insert(descriptor.digest.clone()) {
        return Ok(());
    }
    if !media::is_index(&descriptor.media_type) && !media::is_manifest(&descriptor.media_type) {
        return Ok(());
    }
    let bytes = whole::read(layout, descriptor, limits::MANIFEST)?;
    match Document::parse(&bytes, &descriptor.media_type)? {
        Document::Manifest(manifest) => {
            for part in std::iter::once(&manifest.config).chain(&manifest.layers) {
                edge(facts, descriptor, &part.digest, PART)?;
                need(layout, part, facts);
            }
            if media::is_config(&manifest.config.media_type) && is_there(layout, &manifest.config) {
                let image = Image::parse(&whole::read(layout, &manifest.config, limits::CONFIG)?)?;
                image.agree_with(manifest.layers.len())?;
                for chain in chain_ids(&image.rootfs.diff_ids) {
                    edge(facts, descriptor, &chain, LAYER)?;
                }
            }
        }
        Document::Index(index) => {
            if depth == 0 {
                return Err(Error::new(
                    Kind::Limit,
                    format!("read the index `{}`: indexes within indexes, too deep", descriptor.digest),
                ));
            }
            // Other platforms' manifests are not there, and one that is may be without its layers: one whole suffices.
            let mut best: Option<Facts> = None;
            for child in &index.manifests {
                edge(facts, descriptor, &child.digest, CHILD)?;
                if !is_there(layout, child) {
                    continue;
                }
                // The edges are all of one list, which has a bound.
                let edges = std::mem::take(&mut facts.edges);
                let mut of_child = Facts { edges, ..Facts::default() };
                let walked = walk(layout, child, depth - 1, visited, &mut of_child);
                facts.edges = std::mem::take(&mut of_child.edges);
                walked?;
                let is_better = best.as_ref().is_none_or(|best| of_child.missing.len() < best.missing.len());
                if is_better {
                    best = Some(of_child);
                }
            }
            match best {
                Some(best) => {
                    facts.needed.extend(best.needed);
                    facts.missing.extend(best.missing);
                }
                None => facts.missing.extend(index.manifests.first().cloned()),
            }
        }
    }
    Ok(())
}

/// The descriptor of a document of which only the digest and the size are known; `None` if it is no document.
pub(crate) fn describe(layout: &Layout, digest: &Digest, size: u64) -> Option<Descriptor> {
    let mut descriptor = Descriptor::new("", digest.clone(), size);
    let bytes = whole::read(layout, &descriptor, limits::MANIFEST).ok()?;
    descriptor.media_type = match Document::parse(&bytes, "").ok()? {
        Document::Manifest(manifest) => manifest.media_type.unwrap_or(media::MANIFEST.to_owned()),
        Document::Index(index) => index.media_type.unwrap_or(media::INDEX.to_owned()),
    };
    Some(descriptor)
}

/// Records what was found.
pub(crate) fn record(tx: &Transaction<'_>, facts: &Facts) -> Result<()> {
    let what = || "record what an image is made of".to_owned();
    let mut insert = tx.prepare("INSERT OR IGNORE INTO edge VALUES (?1, ?2, ?3)").told(what)?;
    for (parent, child, kind) in &facts.edges {
        insert.execute(params![parent.to_string(), child.to_string(), kind]).told(what)?;
    }
    Ok(())
}

/// Whether it is known what `digest` leads to.
pub(crate) fn is_known(db: &Connection, digest: &Digest) -> Result<bool> {
    let found: Option<i64> = db
        .query_row("SELECT 1 FROM edge WHERE parent = ?1 LIMIT 1", [digest.to_string()], |row| row.get(0))
        .optional()
        .told(|| "read what an image is made of".to_owned())?;
    Ok(found.is_some())
}

/// What names, holds and leases reach.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(crate) blobs: HashSet<String>,
    pub(crate) layers: HashSet<String>,
}

/// Walks all that is named and held. Rows of dead leases must be gone.
pub(crate) fn live(db: &Connection) -> Result<Live> {
    let what = || "find what is reachable".to_owned();
    let mut statement = db
        .prepare(
            "WITH RECURSIVE live (digest, layer) AS (
                 SELECT digest, 0 FROM image
                 UNION SELECT digest, kind = 2 FROM held
                 UNION SELECT edge.child, edge.kind = 2 FROM live JOIN edge ON edge.parent = live.digest
                     WHERE live.layer = 0
             ) SELECT digest, layer FROM live",
        )
        .told(what)?;
    let mut rows = statement.query([]).told(what)?;
    let mut live = Live::default();
    while let Some(row) = rows.next().told(what)? {
        let digest: String = row.get(0).told(what)?;
        let is_layer: bool = row.get(1).told(what)?;
        if is_layer { &mut live.layers } else { &mut live.blobs }.insert(digest);
    }
    Ok(live)
}

/// The images (names, or digests of those without) and holds that lead to the blob.
pub(crate) fn users(db: &Connection, digest: &str) -> Result<(Vec<String>, Vec<String>)> {
    const UP: &str = "WITH RECURSIVE up (digest) AS (
        SELECT ?1 UNION SELECT edge.parent FROM up JOIN edge ON edge.child = up.digest WHERE edge.kind <> 2
    )";
    let list = |select: &str| {
        let what = || format!("find what needs `{digest}`");
        let mut statement = db.prepare(&format!("{UP} {select}")).told(what)?;
        let rows = statement.query_map([digest], |row| row.get::<_, String>(0)).told(what)?;
        rows.collect::<rusqlite::Result<Vec<_>>>().told(what)
    };
    let images = list("SELECT DISTINCT coalesce(name, digest) FROM image WHERE digest IN up ORDER BY 1")?;
    let held =
        "SELECT DISTINCT hold FROM held WHERE hold IS NOT NULL AND kind = 0 AND digest IN up ORDER BY 1";
    Ok((images, list(held)?))
}
