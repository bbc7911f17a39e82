//! What a RUN changed, as a layer: the upper directory of its overlay, read as overlay means it.
//!
//! ```text
//! upper                                  layer (OCI image specification, layer.md)
//! a character device 0:0 `x`             an empty file `.wh.x`
//! a directory with the mark `opaque`     the directory, and in it an empty file `.wh..wh..opq`
//! anything else                          itself, with the ids of the image
//! ```

use std::path::Path;
use std::sync::Arc;

use taru_engine::idmap::IdMaps;
use taru_stdx::Result;
use taru_sys::fs::{Device, FileType};

use crate::assembly::{Assembly, Content, Entry};
use crate::tree::{Node, Tree, visit_below};

/// Reads the directory `upper`, whose files have the outside ids of `maps`.
///
/// # Errors
/// Any error of reading.
pub(crate) fn assembly(upper: &Path, maps: &IdMaps, by_root: bool) -> Result<Assembly> {
    let ranges = [&maps.uids, &maps.gids];
    let [uids, gids] =
        ranges.map(|list| list.iter().map(|m| (m.container_id, m.host_id, m.size)).collect::<Vec<Range>>());
    let tree = Arc::new(Tree::directory(upper)?);
    let mut assembly = Assembly::new(Arc::new(Tree::empty()));
    let Some(root) = tree.root()? else { return Ok(assembly) };
    visit_below(&tree, &root, &mut |node| {
        let kind = node.stat.file_type();
        if kind == FileType::CharDevice && node.stat.rdev == Device::new(0, 0) {
            let name = node.path.file_name().unwrap_or_default();
            let mut hidden = std::ffi::OsString::from(".wh.");
            hidden.push(name);
            mark(&mut assembly, node, &node.path.with_file_name(hidden))?;
            return Ok(false);
        }
        let content = match kind {
            FileType::Directory => Content::Directory,
            FileType::Regular => Content::File(tree.clone(), node.clone()),
            FileType::Symlink => Content::Symlink(tree.link(node)?),
            FileType::Socket => return Ok(false),
            kind => Content::Node(kind, node.stat.rdev),
        };
        assembly.put(
            node.path.clone(),
            Entry {
                content,
                mode: node.stat.permissions(),
                owner: (inside(node.stat.uid, &uids, by_root), inside(node.stat.gid, &gids, by_root)),
                mtime: node.stat.mtime.0,
                attributes: tree.attributes(node)?,
            },
        )?;
        if node.is_dir() && tree.is_marked_opaque(node)? {
            mark(&mut assembly, node, &node.path.join(".wh..wh..opq"))?;
        }
        Ok(true)
    })?;
    Ok(assembly)
}

fn mark(assembly: &mut Assembly, node: &Node, path: &Path) -> Result<()> {
    let entry = Entry {
        content: Content::Bytes(Arc::from(&b""[..])),
        mode: 0o600,
        owner: (0, 0),
        mtime: node.stat.mtime.0,
        attributes: Vec::new(),
    };
    assembly.put(path.to_owned(), entry)
}

/// First id inside, first id outside, how many.
type Range = (u32, u32, u32);

/// The id in the container of one outside; what is not mapped is nobody's there, and root's in the image.
fn inside(id: u32, maps: &[Range], by_root: bool) -> u32 {
    if maps.is_empty() {
        return id;
    }
    let found = maps.iter().find_map(|(inner, outer, size)| {
        let offset = id.checked_sub(*outer)?;
        (offset < *size).then(|| inner + offset)
    });
    match found {
        Some(id) => id,
        // Ids below those of the container are the image's own, copied up as they were.
        None if by_root => id,
        None => 0,
    }
}
