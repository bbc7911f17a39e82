//! What containers changed, whether layers are whole.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use taru_mount::idmap::IdMaps;
use taru_oci::{Digest, limits};
use taru_stdx::{Context, Error, Kind, Result};

use crate::driver::Tree;
use crate::layout::{self, Info, MANIFEST};
use crate::lower::Lower;
use crate::store::{Key, Snapshots};
use crate::worker::{Compared, Job, Output, Report, Root};

/// How a container is compared with its layers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Diff<'a> {
    /// The id maps of the container (inside, outside): its ids are shifted back. None: it has the host's ids.
    pub maps: Option<&'a IdMaps>,
    /// No file in the tar is newer than this, in seconds since 1970 (`SOURCE_DATE_EPOCH`).
    pub epoch: Option<i64>,
}

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// Its content or its attributes are others.
    Changed,
    /// It is gone.
    Deleted,
}

/// A changed path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// The absolute path in the container.
    pub path: PathBuf,
    /// Whether it is a directory whose time alone changed, as it does when something is made or removed in it.
    pub is_time: bool,
}

/// A path of a layer that is not what it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The absolute path in the layer; the manifest itself and what is known of the layer have none.
    pub path: Option<PathBuf>,
    /// What is wrong: `missing`, `another content`.
    pub why: String,
}

/// What files take on disk. Names of one file count once; files that share content in the file system count each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes.
    pub bytes: u64,
    /// Files and directories.
    pub files: u64,
}

impl Snapshots {
    /// What the container's own files take: what it changed, or all of it where it is a copy.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::NotFound`] where there is no such root; any error of the file system.
    pub fn usage(&self, key: &Key) -> Result<Usage> {
        let what = || format!("count the files of `{}`", key.name());
        let dir = self.root(key);
        Info::read(&dir).context(what)?;
        let (Tree::Upper(path) | Tree::Whole(path)) = self.driver.tree(&dir);
        self.count(&path).context(what)
    }

    /// What the files of a layer take: an image is one file.
    ///
    /// # Errors
    /// As [`Snapshots::usage`].
    pub fn layer_usage(&self, chain: &Digest) -> Result<Usage> {
        let dir = layout::layer(&self.dir, chain);
        let what = || format!("count the files of the layer `{chain}`");
        Info::read(&dir).context(what)?;
        match Lower::of(&dir) {
            Lower::Directory(tree) => self.count(&tree).context(what),
            Lower::Image(image) => {
                let blocks = std::fs::metadata(&image).context(what)?.blocks();
                Ok(Usage { bytes: blocks * 512, files: 1 })
            }
        }
    }

    fn count(&self, path: &Path) -> Result<Usage> {
        let mut worker = self.workers.start(Root::plain(path), Job::Usage, &[])?;
        let mut usage = Usage::default();
        if let Report::Usage { bytes, files } = worker.report()? {
            usage = Usage { bytes, files };
        }
        worker.finish().map(|()| usage)
    }

    /// Writes what the container changed as an OCI layer: a tar, sorted, with whiteouts, hard links, attributes and holes.
    /// The same changes give the same bytes.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::NotFound`] where there is no such root; [`taru_stdx::Kind::Unsupported`] for an overlay with
    /// `redirect_dir` or `metacopy`; any error of the file system or of `to`.
    pub fn diff(&self, key: &Key, how: &Diff<'_>, to: &mut dyn Write) -> Result<()> {
        self.compare(key, how, Output::Layer { epoch: how.epoch }, |mut from| {
            std::io::copy(&mut from, to).map(drop).context(|| "write the layer")
        })
    }

    /// Lists what the container changed, in the order of a walk.
    ///
    /// # Errors
    /// As [`Snapshots::diff`].
    pub fn changes(&self, key: &Key, how: &Diff<'_>) -> Result<Vec<Change>> {
        let mut all = Vec::new();
        self.compare(key, how, Output::List, |from| {
            let mut from = BufReader::new(from);
            while let Some(line) = field(&mut from)? {
                let kind = match line.first() {
                    Some(b'A') => ChangeKind::Added,
                    Some(b'D') => ChangeKind::Deleted,
                    _ => ChangeKind::Changed,
                };
                let path = absolute(line.get(1..).unwrap_or_default());
                all.push(Change { kind, path, is_time: line.first() == Some(&b'T') });
            }
            Ok(())
        })?;
        Ok(all)
    }

    fn compare(
        &self,
        key: &Key,
        how: &Diff<'_>,
        output: Output,
        read: impl FnOnce(File) -> Result<()>,
    ) -> Result<()> {
        let what = || format!("compare the root of `{}`", key.name());
        let dir = self.root(key);
        let info = Info::read(&dir).context(what)?;
        let layers = self.chain(info.parent.as_ref()).context(what)?;
        let is_host = self.workers.is_host();
        let (path, tree) = match self.driver.tree(&dir) {
            Tree::Upper(path) => (path, Compared::Upper),
            Tree::Whole(path) => (path, Compared::Whole),
        };
        let manifests = manifests(&layers);
        // A user's containers have the ids that the worker has; a whole tree is an id-mapped mount in the container.
        let maps = how.maps.filter(|_| is_host && tree == Compared::Upper);
        let job = Job::Compare { manifests, tree, output };
        self.run(Root { maps, ..Root::plain(&path) }, job, read).context(what)
    }

    /// Starts a worker that writes, reads all it writes, and hears how it ended.
    fn run(&self, root: Root<'_>, job: Job, read: impl FnOnce(File) -> Result<()>) -> Result<()> {
        let (from, to) = taru_sys::fd::pipe().context(|| "make a pipe")?;
        let worker = self.workers.start(root, job, &[to.as_fd()])?;
        drop(to);
        let was_read = read(File::from(from));
        match was_read {
            Ok(()) => worker.finish(),
            // The worker is killed. That it could not write any more is not the cause.
            Err(error) => Err(error),
        }
    }

    /// Compares the files of a layer with what its manifest says. None is broken where all is well; a layer that is
    /// broken can be unpacked again, and is marked ([`Snapshots::is_broken`]).
    ///
    /// # Errors
    /// [`taru_stdx::Kind::NotFound`] where there is no such layer; any error but those that are told as broken.
    pub fn check(&self, chain: &Digest) -> Result<Vec<Broken>> {
        let what = || format!("check the layer `{chain}`");
        let dir = layout::layer(&self.dir, chain);
        let mut broken = Vec::new();
        let dirs = match self.driver.is_cumulative() {
            true => self.chain(Some(chain)),
            false => Info::read(&dir).map(|_| vec![dir.clone()]),
        };
        let is_damage = |e: &Error| matches!(e.kind(), Kind::Invalid | Kind::NotFound) && dir.is_dir();
        let dirs = match dirs {
            Err(e) if is_damage(&e) => {
                self.mark(chain, true);
                broken.push(Broken { path: None, why: e.chain().to_string() });
                return Ok(broken);
            }
            dirs => dirs.context(what)?,
        };
        let job = Job::Check { manifests: manifests(&dirs), stacked: self.driver.is_cumulative() };
        let files = Lower::of(&dir);
        let done = self.run(Root::of(&files), job, |from| {
            let mut from = BufReader::new(from);
            while let Some(path) = field(&mut from)? {
                let why = field(&mut from)?.unwrap_or_default();
                let why = String::from_utf8_lossy(&why).into_owned();
                broken.push(Broken { path: Some(absolute(&path)), why });
            }
            Ok(())
        });
        match done {
            // The manifest cannot be read, or contradicts itself.
            Err(e) if is_damage(&e) => {
                broken.push(Broken { path: None, why: e.chain().to_string() });
            }
            done => done.context(what)?,
        }
        self.mark(chain, !broken.is_empty());
        Ok(broken)
    }
}

fn manifests(layers: &[PathBuf]) -> Vec<Vec<u8>> {
    layers.iter().map(|dir| dir.join(MANIFEST).as_os_str().as_bytes().to_vec()).collect()
}

/// The next bytes up to a NUL.
fn field(from: &mut impl BufRead) -> Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let limit = limits::PATH as u64 + 100;
    from.take(limit).read_until(0, &mut bytes).context(|| "hear from the worker")?;
    if bytes.is_empty() {
        return Ok(None);
    }
    bytes.pop();
    Ok(Some(bytes))
}

fn absolute(path: &[u8]) -> PathBuf {
    Path::new("/").join(OsString::from_vec(path.to_vec()))
}
