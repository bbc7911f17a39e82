//! A tree that a RUN mounts: read, so that its content is in the key; on disk as a layer that stands on nothing.

use std::ffi::OsString;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use taru_engine::Engine;
use taru_rootdir::RootDir;
use taru_stdx::{Context, Error, Kind, Result};

use super::Around;
use super::kept::Kept;
use crate::assembly::{Assembly, Entry};
use crate::cache::Key;
use crate::copy::{self, Match, Rules};
use crate::files::Files;
use crate::pattern::{self, Ignore};
use crate::root;
use crate::scratch::Scratch;
use crate::stage::Mount;
use crate::tree::Tree;

/// Files to be mounted; none for a mount that shows none of the build's.
#[derive(Debug, Default)]
pub(super) struct Bound {
    assembly: Option<Assembly>,
    /// The name of the one file it is, where it is no directory.
    file: Option<OsString>,
}

impl Bound {
    /// What `mount` shows of `files`.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if it is not there; any error of reading.
    pub(super) fn read(mount: &Mount, files: &Files) -> Result<Bound> {
        let rules = Rules {
            owner: None,
            chmod: None,
            ignore: &files.ignore,
            exclude: Ignore::default(),
            keeps_owners: files.keeps_owners,
            now: 0,
            sets_times: false,
            place: &files.name,
        };
        let mut assembly = Assembly::new(Arc::new(Tree::empty()));
        // A mount's source is a name, never a pattern.
        let found = match copy::find(&files.tree, &pattern::escape(&mount.source), &rules) {
            Ok(mut found) => found.pop(),
            // The root of an empty tree is an empty directory.
            Err(_) if mount.source == "/" => None,
            Err(e) => return Err(e).context(|| format!("mount `{}`", mount.source)),
        };
        let Some(Match { node, name }) = found else {
            assembly.make_dirs(Path::new("tree"), &Entry::directory(0o755, (0, 0), 0))?;
            return Ok(Bound { assembly: Some(assembly), file: None });
        };
        let is_dir = node.is_dir();
        let dest = if is_dir { "/tree" } else { "/tree/" };
        let file = (!is_dir).then(|| name.clone());
        copy::copy(&mut assembly, &files.tree, &Match { node, name }, dest, &rules)?;
        Ok(Bound { assembly: Some(assembly), file })
    }

    /// Adds the content to a key.
    ///
    /// # Errors
    /// Any error of reading.
    pub(super) fn fingerprint(&self, key: &mut Key) -> Result<()> {
        self.assembly.as_ref().map_or(Ok(()), |assembly| assembly.fingerprint(|part| key.add(part)))
    }

    /// Whether there are files at all.
    pub(super) fn has_files(&self) -> bool {
        self.assembly.is_some()
    }

    /// Where its files are on disk: a layer, which may be there already; a copy of it if it can be written to, or is an image.
    ///
    /// # Errors
    /// Any error of reading and writing.
    pub(super) fn unpack(
        self,
        engine: &Engine,
        writable: bool,
        around: &Around<'_>,
        kept: &mut Kept,
    ) -> Result<PathBuf> {
        let Some(assembly) = self.assembly else {
            return Err(Error::new(Kind::State, "mount files: none were read"));
        };
        let images = engine.images()?;
        let tmp = around.cache.tmp();
        let chain = root::unpack(assembly, None, around.epoch, &images.snapshots, around.lease, &tmp)?;
        let place = Path::new("tree").join(self.file.unwrap_or_default());
        let layer = images.snapshots.trees(&chain)?.swap_remove(0);
        let files = layer.open()?;
        // From the mount of an image nothing can be bound that nobody has attached (before 6.15).
        if !writable && !layer.is_image() {
            return kept.path(files.resolve(&place)?);
        }
        let copy = Scratch::new(&tmp)?;
        let from = PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), files.as_fd().as_raw_fd()));
        copy_tree(&from.join("tree"), copy.path(), || "copy what is mounted".to_owned())?;
        let handle = RootDir::open(copy.path())?.resolve(&place)?;
        kept.directory(copy);
        kept.path(handle)
    }
}

/// Copies a tree as it is, its links as links: what they lead to is the host's.
pub(super) fn copy_tree(from: &Path, to: &Path, what: impl Fn() -> String) -> Result<()> {
    let done = std::process::Command::new("cp")
        .args(["-a", "--reflink=auto", "--"])
        .args([from, to])
        .stdin(std::process::Stdio::null())
        .output()
        .context(&what)?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    Err(Error::new(Kind::System, what()).because(Error::new(Kind::System, said)))
}
