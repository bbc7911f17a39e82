//! A file of a root that is not mounted: its directories, seen as overlay shows them when they are stacked.
//!
//! No descriptor outlives a look at one directory, but those of the uppermost images, whose mounts cost more than a call:
//! hundreds of layers need no more of them than a few.

use std::cell::OnceCell;
use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::path::{Component, Path, PathBuf};

use taru_rootdir::RootDir;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::{FileType, OpenFlags};
use taru_sys::{errno, xattr};

use crate::attribute::OPAQUE;
use crate::driver::Rootfs;
use crate::levels::MAX_LINKS;
use crate::lower::Lower;
use crate::tree::is_whiteout;

/// Images that stay mounted from look to look.
const MOUNTED: usize = 32;

/// A layer.
struct Layer {
    files: Lower,
    /// Whether the handle on it is kept for the next look.
    stays: bool,
    /// That handle, once there was a look.
    opened: OnceCell<RootDir>,
}

/// A directory as all layers together show it.
struct Dir<'a> {
    /// Below the root; no part of it is a symbolic link.
    path: PathBuf,
    /// The layers that have it and show through, the topmost first.
    layers: Vec<&'a Layer>,
}

/// What a name in a directory is.
enum Seen<'a> {
    Nothing,
    Directory(Dir<'a>),
    /// Where the link leads.
    Link(PathBuf),
    /// Something else, in this layer.
    File(RootDir, PathBuf),
}

impl Rootfs {
    /// The content of the regular file `path`, at most `limit` bytes. What upper layers took away or replaced is not found;
    /// symbolic links are followed inside the root, from layer to layer.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Limit`] if it is larger; [`Kind::Invalid`] for what is no regular file.
    pub fn read_bounded(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        let layers = match self {
            Rootfs::Directory { path } => vec![Lower::Directory(path.clone())],
            Rootfs::Overlay { lower, upper, .. } => {
                std::iter::once(Lower::Directory(upper.clone())).chain(lower.iter().cloned()).collect()
            }
        };
        let layers: Vec<Layer> =
            layers.into_iter().enumerate().map(|(at, files)| Layer::new(at, files)).collect();
        // Of roots there is no mark to be heeded: none of the layers is below one that hides all.
        let root = Dir { path: PathBuf::new(), layers: layers.iter().collect() };
        read(root, path, limit).context(|| format!("read `{}` of the image", path.display()))
    }
}

fn read(root: Dir<'_>, path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut dirs = vec![root];
    let mut rest = parts(path);
    let mut links = 0;
    while let (Some(dir), Some(part)) = (dirs.last(), rest.pop()) {
        if part == ".." {
            dirs.truncate((dirs.len() - 1).max(1));
            continue;
        }
        match dir.look(&part)? {
            Seen::Directory(below) => dirs.push(below),
            Seen::Link(target) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Error::invalid("follow links: too many"));
                }
                if target.is_absolute() {
                    dirs.truncate(1);
                }
                rest.extend(parts(&target));
            }
            Seen::File(root, path) if rest.is_empty() => return root.read_bounded(&path, limit),
            Seen::File(..) | Seen::Nothing => {
                let path = dir.path.join(&part);
                return Err(Error::new(Kind::NotFound, format!("find `{}`: no such file", path.display())));
            }
        }
    }
    Err(Error::invalid("read a file: it is a directory"))
}

/// The names of a path, the last first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    });
    parts.collect()
}

impl Layer {
    fn new(at: usize, files: Lower) -> Layer {
        Layer { stays: files.is_image() && at <= MOUNTED, files, opened: OnceCell::new() }
    }

    /// A handle on its files.
    fn open(&self) -> Result<RootDir> {
        if !self.stays {
            return self.files.open();
        }
        let root = match self.opened.get() {
            Some(root) => root,
            None => {
                let root = self.files.open()?;
                self.opened.get_or_init(|| root)
            }
        };
        root.as_fd().try_clone_to_owned().map(RootDir::from_fd).context(|| "keep a layer open")
    }
}

impl<'a> Dir<'a> {
    /// What `name` is in here.
    fn look(&self, name: &OsStr) -> Result<Seen<'a>> {
        let path = self.path.join(name);
        let mut having = Vec::new();
        for (at, &layer) in self.layers.iter().enumerate() {
            let root = layer.open()?;
            let stat = match root.symlink_metadata(&path) {
                Err(e) if e.kind() == Kind::NotFound => continue,
                other => other?,
            };
            if stat.is_dir() {
                having.push(layer);
                // The mark of the lowest hides nothing.
                if at + 1 < self.layers.len() && is_opaque(&root, &path)? {
                    break;
                }
            } else if is_whiteout(&stat) || !having.is_empty() {
                // Either way it hides what is below.
                break;
            } else if stat.file_type() == FileType::Symlink {
                return root.read_link(&path).map(Seen::Link);
            } else {
                return Ok(Seen::File(root, path));
            }
        }
        Ok(match having.is_empty() {
            true => Seen::Nothing,
            false => Seen::Directory(Dir { path, layers: having }),
        })
    }
}

/// Whether the directory hides what layers below have of it.
fn is_opaque(root: &RootDir, path: &Path) -> Result<bool> {
    // Attributes are not to be had from a handle that is good for nothing but paths.
    let dir = root.open_file(path, OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW)?;
    match xattr::fgetxattr(dir.as_fd(), OPAQUE.as_ref()) {
        Err(e) if [errno::NODATA, errno::NOTSUP].contains(&e.errno()) => Ok(false),
        value => value.map(|value| value == b"y").context(|| format!("look at `{}`", path.display())),
    }
}
