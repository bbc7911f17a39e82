//! A tree that files are read from: a context's directory, or the layers of an image put over one another.
//!
//! Layers are read as overlay does it (Documentation/filesystems/overlayfs.rst): the uppermost file counts, directories
//! merge, a character device 0:0 hides what is below it, and so does a directory with the attribute `opaque`. Nothing is
//! mounted. Every path is walked component by component from the roots' handles, so that no link leads out of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use taru_rootdir::RootDir;
use taru_snapshot::attribute::is_kept;
use taru_snapshot::{IdMaps, Lower};
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::{Device, FileType, OpenFlags, Stat};
use taru_sys::{dir, xattr};

use crate::attribute::{self, Owners};
use crate::ids;

/// How many links may lead to one another.
const LINKS: usize = 40;
/// Entries of one directory.
const ENTRIES: usize = 1 << 20;

/// A tree.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The uppermost first.
    layers: Vec<RootDir>,
    /// Whether hidden files mean that something is gone, and owners something in the image.
    is_image: bool,
    /// What the ids on disk are in the image, where they are not the same.
    ids: Option<IdMaps>,
}

/// Something in a tree.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Where it is: no link leads to it. Relative to the root; empty for the root itself.
    pub path: PathBuf,
    /// What it is.
    pub stat: Stat,
    /// The layers it is in: of a directory all, else one.
    layers: Vec<usize>,
}

impl Node {
    /// Whether it is a directory.
    pub(crate) fn is_dir(&self) -> bool {
        self.stat.is_dir()
    }

    /// A name for the file itself, equal for all its hard links. (The store links equal files of different layers to save
    /// space, but never two of one.)
    pub(crate) fn identity(&self) -> (usize, Device, u64) {
        (self.layers.first().copied().unwrap_or_default(), self.stat.device, self.stat.ino)
    }
}

impl Tree {
    /// The tree of nothing.
    pub(crate) fn empty() -> Tree {
        Tree { layers: Vec::new(), is_image: false, ids: None }
    }

    /// A directory as it is.
    ///
    /// # Errors
    /// As open(2).
    pub(crate) fn directory(path: &Path) -> Result<Tree> {
        Ok(Tree { layers: vec![RootDir::open(path)?], is_image: false, ids: None })
    }

    /// Layers on disk, the uppermost first. `ids`: what ids inside are outside, on disk.
    ///
    /// # Errors
    /// As [`Lower::open`].
    pub(crate) fn layers(all: &[Lower], ids: Option<&IdMaps>) -> Result<Tree> {
        let layers = all.iter().map(Lower::open).collect::<Result<_>>()?;
        Ok(Tree { layers, is_image: true, ids: ids.cloned() })
    }

    /// The root.
    pub(crate) fn root(&self) -> Result<Option<Node>> {
        let mut found: Option<Node> = None;
        for (at, layer) in self.layers.iter().enumerate() {
            match &mut found {
                None => {
                    let stat = self.as_image(layer.metadata(Path::new("/"))?);
                    found = Some(Node { path: PathBuf::new(), stat, layers: vec![at] });
                }
                Some(node) => node.layers.push(at),
            }
        }
        Ok(found)
    }

    /// What `name` is in the directory `dir`; links are not followed.
    ///
    /// # Errors
    /// Any error of the file system but that it does not exist.
    pub(crate) fn child(&self, dir: &Node, name: &OsStr) -> Result<Option<Node>> {
        let path = dir.path.join(name);
        let mut found: Option<Node> = None;
        for &at in &dir.layers {
            let Some(layer) = self.layers.get(at) else { continue };
            let stat = match layer.symlink_metadata(&path) {
                Err(e) if e.kind() == Kind::NotFound => continue,
                stat => self.as_image(stat?),
            };
            if self.is_image && is_whiteout(&stat) {
                break;
            }
            match &mut found {
                // A file below a directory is hidden, and hides what is below it.
                Some(_) if !stat.is_dir() => break,
                Some(node) => node.layers.push(at),
                None => found = Some(Node { path: path.clone(), stat, layers: vec![at] }),
            }
            if !stat.is_dir() || (self.is_image && is_opaque(layer, &path)?) {
                break;
            }
        }
        Ok(found)
    }

    /// The names in a directory.
    ///
    /// # Errors
    /// Any error of the file system.
    pub(crate) fn names(&self, node: &Node) -> Result<Vec<OsString>> {
        let mut names = BTreeMap::new();
        for &at in &node.layers {
            let Some(layer) = self.layers.get(at) else { continue };
            let file = layer
                .open_file(&node.path, OpenFlags::RDONLY | OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW)?;
            let entries = dir::read_dir(file.as_fd(), ENTRIES).map_err(|e| e.errno());
            for entry in entries.context(|| format!("list `{}`", node.path.display()))? {
                names.entry(entry.name).or_insert(());
            }
        }
        if !self.is_image {
            return Ok(names.into_keys().collect());
        }
        let mut visible = Vec::new();
        for name in names.into_keys() {
            if self.child(node, &name)?.is_some() {
                visible.push(name);
            }
        }
        Ok(visible)
    }

    /// What `path` leads to inside the tree, links followed; `None` where it does not exist.
    ///
    /// # Errors
    /// [`Kind::Limit`] for links without end; any error of the file system.
    pub(crate) fn find(&self, path: &Path) -> Result<Option<Node>> {
        self.walk(path, true)
    }

    /// As [`Tree::find`], but a link as the last component is itself what is found.
    ///
    /// # Errors
    /// As [`Tree::find`].
    pub(crate) fn find_nofollow(&self, path: &Path) -> Result<Option<Node>> {
        self.walk(path, false)
    }

    fn walk(&self, path: &Path, follow: bool) -> Result<Option<Node>> {
        let Some(root) = self.root()? else { return Ok(None) };
        let mut todo: Vec<OsString> = parts(path);
        let mut stack = vec![root];
        let mut links = 0;
        while let Some(name) = todo.pop() {
            if name == ".." {
                if stack.len() > 1 {
                    stack.pop();
                }
                continue;
            }
            let Some(dir) = stack.last() else { return Ok(None) };
            if !dir.is_dir() {
                return Ok(None);
            }
            let Some(node) = self.child(dir, &name)? else { return Ok(None) };
            let is_link = node.stat.file_type() == FileType::Symlink;
            if !is_link || (todo.is_empty() && !follow) {
                stack.push(node);
                continue;
            }
            links += 1;
            if links > LINKS {
                return Err(Error::new(Kind::Limit, format!("resolve `{}`: too many links", path.display())));
            }
            let target = self.link(&node)?;
            if target.is_absolute() {
                stack.truncate(1);
            }
            todo.extend(parts(&target));
        }
        Ok(stack.pop())
    }

    /// The text of a link.
    ///
    /// # Errors
    /// As readlink(2).
    pub(crate) fn link(&self, node: &Node) -> Result<PathBuf> {
        self.layer(node)?.read_link(&node.path)
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// As open(2); [`Kind::State`] if it is no regular file any more.
    pub(crate) fn open(&self, node: &Node) -> Result<File> {
        let flags = OpenFlags::RDONLY | OpenFlags::NOFOLLOW | OpenFlags::NONBLOCK | OpenFlags::NOCTTY;
        let file = self.layer(node)?.open_file(&node.path, flags)?;
        let kind = file.metadata().context(|| format!("look at `{}`", node.path.display()))?;
        if !kind.is_file() && !kind.is_dir() {
            return Err(Error::new(
                Kind::State,
                format!("open `{}`: it was replaced meanwhile", node.path.display()),
            ));
        }
        Ok(file)
    }

    /// The attributes of a file or directory that are copied with it.
    ///
    /// # Errors
    /// Any error of the file system but that it has none.
    pub(crate) fn attributes(&self, node: &Node) -> Result<Vec<(OsString, Vec<u8>)>> {
        if !matches!(node.stat.file_type(), FileType::Regular | FileType::Directory) {
            return Ok(Vec::new());
        }
        let file = self.open(node)?;
        let mut all = Vec::new();
        let owners = match self.is_image {
            true => Owners::Image(self.ids.as_ref()),
            false => Owners::Host(taru_sys::user::geteuid()),
        };
        let Ok(names) = xattr::flistxattr(file.as_fd()) else { return Ok(all) };
        for name in names {
            if !is_kept(name.as_bytes()) {
                continue;
            }
            let value = xattr::fgetxattr(file.as_fd(), &name).map_err(|e| e.errno());
            let value = value.context(|| format!("read the attributes of `{}`", node.path.display()))?;
            all.extend(attribute::of_image(name.as_bytes(), value, owners).map(|value| (name, value)));
        }
        all.sort();
        Ok(all)
    }

    /// What is known of a file, with the owners that it has in the image.
    fn as_image(&self, mut stat: Stat) -> Stat {
        if let Some(maps) = &self.ids {
            stat.uid = ids::inside(&maps.uids, stat.uid).unwrap_or(ids::NOBODY);
            stat.gid = ids::inside(&maps.gids, stat.gid).unwrap_or(ids::NOBODY);
        }
        stat
    }

    /// The content of a small file that `path` leads to; nothing where there is none.
    ///
    /// # Errors
    /// Any error of reading; [`Kind::Limit`] if it is larger.
    pub(crate) fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>> {
        match self.find(Path::new(path))? {
            Some(node) if node.stat.file_type() == FileType::Regular => {
                taru_stdx::fs::read_file_bounded(&self.open(&node)?, limit, || format!("read `{path}`"))
            }
            _ => Ok(Vec::new()),
        }
    }

    fn layer(&self, node: &Node) -> Result<&RootDir> {
        let layer = node.layers.first().and_then(|at| self.layers.get(*at));
        layer.ok_or_else(|| Error::new(Kind::State, format!("open `{}`: it is nowhere", node.path.display())))
    }
}

/// The components of a path in reverse; `.` and `/` are none.
pub(crate) fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter_map(|c| match c {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    parts.rev().collect()
}

/// All names below `node`, depth first, each directory before what is in it. `visit` says whether to go in.
///
/// # Errors
/// Any error of the file system, and those of `visit`.
pub(crate) fn visit_below(
    tree: &Tree,
    node: &Node,
    visit: &mut dyn FnMut(&Node) -> Result<bool>,
) -> Result<()> {
    let mut stack = vec![node.clone()];
    while let Some(dir) = stack.pop() {
        let mut dirs = Vec::new();
        for name in tree.names(&dir)? {
            let Some(child) = tree.child(&dir, &name)? else { continue };
            if visit(&child)? && child.is_dir() {
                dirs.push(child);
            }
        }
        stack.extend(dirs.into_iter().rev());
    }
    Ok(())
}

fn is_whiteout(stat: &Stat) -> bool {
    stat.file_type() == FileType::CharDevice && stat.rdev == Device::new(0, 0)
}

fn is_opaque(layer: &RootDir, path: &Path) -> Result<bool> {
    let file = layer.open_file(path, OpenFlags::RDONLY | OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW)?;
    let names: BTreeSet<OsString> = xattr::flistxattr(file.as_fd()).unwrap_or_default().into_iter().collect();
    for name in ["user.overlay.opaque", "trusted.overlay.opaque"] {
        if names.contains(OsStr::new(name))
            && xattr::fgetxattr(file.as_fd(), OsStr::new(name)).is_ok_and(|value| value == b"y")
        {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_stay_inside_and_the_uppermost_counts() {
        let dir = crate::scratch::Scratch::new(&std::env::temp_dir()).unwrap();
        let (upper, lower) = (dir.path().join("upper"), dir.path().join("lower"));
        std::fs::create_dir_all(upper.join("d")).unwrap();
        std::fs::create_dir_all(lower.join("d/e")).unwrap();
        std::fs::write(upper.join("d/f"), "new").unwrap();
        std::fs::write(lower.join("d/f"), "old").unwrap();
        std::fs::write(lower.join("d/g"), "g").unwrap();
        symlink("/../../d", lower.join("out")).unwrap();
        symlink("loop", lower.join("loop")).unwrap();
        let tree = Tree::layers(&[Lower::Directory(upper), Lower::Directory(lower)], None).unwrap();
        assert_eq!(tree.read("/out/f", 10).unwrap(), b"new");
        assert_eq!(tree.read("d/../out/g", 10).unwrap(), b"g");
        let node = tree.find(Path::new("out")).unwrap().unwrap();
        assert_eq!(tree.names(&node).unwrap(), ["e", "f", "g"]);
        assert!(tree.find(Path::new("loop")).is_err());
        assert!(tree.find(Path::new("d/f/x")).unwrap().is_none());
        let mut seen = Vec::new();
        let root = tree.root().unwrap().unwrap();
        visit_below(&tree, &root, &mut |n| {
            Ok({
                seen.push(n.path.clone());
                true
            })
        })
        .unwrap();
        assert_eq!(seen, ["d", "loop", "out", "d/e", "d/f", "d/g"].map(PathBuf::from));
    }
}
