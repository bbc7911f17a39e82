//! Equal files of different layers are stored once: the new one becomes a further name of the one that is there.
//!
//! Which files could be equal is told by the manifests; that they are is seen by comparing them, since a manifest is the
//! word of a child that read foreign data. Everything that an inode holds must be the same: content, mode, owner, time,
//! attributes. Layers are never written to, so nothing can change under another; one that is removed takes its names
//! along, not the content. Only for root: an ordinary user may not look into files of its subordinate ids.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use taru_rootdir::RootDir;
use taru_stdx::{Context, Result};
use taru_sys::fs::{AtFlags, OpenFlags, RenameFlags, fstat, linkat, renameat2, utimensat};
use taru_sys::{errno, xattr};
use taru_tar::Xattrs;

use crate::layout::{LAYERS, MANIFEST, TREE};
use crate::lower::Lower;
use crate::manifest::{Hash, Kind, Lines, Record};
use crate::name::split;
use crate::tree::name;

/// Smaller files take a block each, and a comparison costs more than that.
const SMALLEST: u64 = 4096;
/// Files of a layer that are looked for; what they are is held in memory.
const MOST: usize = 50_000;

/// All that must be the same.
#[derive(PartialEq, Eq, Hash)]
struct Same {
    hash: Hash,
    size: u64,
    mode: u32,
    ids: (u32, u32),
    mtime: (i64, u32),
    xattrs: Xattrs,
}

impl Same {
    fn of(record: &Record) -> Option<Same> {
        let Kind::File { size, hash } = record.kind else { return None };
        let Record { mode, uid, gid, mtime, ref xattrs, .. } = *record;
        (size >= SMALLEST).then(|| Same { hash, size, mode, ids: (uid, gid), mtime, xattrs: xattrs.clone() })
    }
}

/// Replaces files of the layer that is made in `staging` by further names of equal files of the layers in `store`.
pub(crate) fn share(store: &Path, staging: &Path) -> Result<()> {
    // An image is one file: there is nothing in it to have further names.
    if Lower::of(staging).is_image() {
        return Ok(());
    }
    let layers = store.join(LAYERS);
    let what = || format!("list `{}`", layers.display());
    let mut others: Vec<_> =
        fs::read_dir(&layers).context(what)?.flatten().map(|entry| entry.path()).collect();
    others.retain(|other| !Lower::of(other).is_image());
    if others.is_empty() {
        return Ok(());
    }
    let mut wanted: HashMap<Same, Vec<u8>> = HashMap::new();
    let mut linked = Vec::new();
    each(&staging.join(MANIFEST), |record| {
        if let Kind::Link { target } = &record.kind {
            linked.push(target.clone());
        }
        if wanted.len() < MOST
            && let Some(same) = Same::of(&record)
        {
            wanted.insert(same, record.path);
        }
    })?;
    // A file with names of its own would lose them.
    linked.sort();
    wanted.retain(|_, path| linked.binary_search(path).is_err());
    let mine = RootDir::open(&staging.join(TREE))?;
    for other in others {
        let mut found = Vec::new();
        // A layer that is being removed, or is damaged, has nothing to share.
        let read = each(&other.join(MANIFEST), |record| {
            if let Some(path) = Same::of(&record).and_then(|same| wanted.remove(&same)) {
                found.push((record.path, path));
            }
        });
        let (Ok(()), Ok(theirs)) = (read, RootDir::open(&other.join(TREE))) else { continue };
        for (from, to) in found {
            link(&theirs, &from, &mine, &to)?;
        }
    }
    Ok(())
}

fn each(manifest: &Path, mut take: impl FnMut(Record)) -> Result<()> {
    let file = File::open(manifest).context(|| format!("open `{}`", manifest.display()))?;
    let mut lines = Lines::new(file)?;
    while let Some(record) = lines.next()? {
        take(record);
    }
    Ok(())
}

/// Makes `to` a name of `from`, if both are equal indeed.
fn link(theirs: &RootDir, from: &[u8], mine: &RootDir, to: &[u8]) -> Result<()> {
    const TEMPORARY: &str = ".taru-share";
    let what = || format!("share `{}`", to.escape_ascii());
    let flags = OpenFlags::NOFOLLOW | OpenFlags::NONBLOCK;
    let (Ok(there), Ok(here)) = (theirs.open_file(name(from), flags), mine.open_file(name(to), flags)) else {
        return Ok(());
    };
    let (old, new) = (fstat(there.as_fd()).context(what)?, fstat(here.as_fd()).context(what)?);
    let alike = |stat: &taru_sys::fs::Stat| (stat.mode, stat.uid, stat.gid, stat.size, stat.mtime);
    let are_alike = alike(&old) == alike(&new) && new.nlink == 1;
    if !are_alike || attributes(&there)? != attributes(&here)? || !are_equal(&there, &here)? {
        return Ok(());
    }
    let (dir, last) = split(to);
    let dir = mine.open_file(name(dir), OpenFlags::DIRECTORY).context(what)?;
    let time = fstat(dir.as_fd()).context(what)?.mtime;
    // The very file that was compared, whatever its name is by now. One that has all the names it can have stays alone.
    let temporary = Path::new(TEMPORARY);
    if linkat(there.as_fd(), Path::new(""), dir.as_fd(), temporary, AtFlags::EMPTY_PATH).is_ok() {
        let name = Path::new(std::ffi::OsStr::from_bytes(last));
        renameat2(dir.as_fd(), temporary, dir.as_fd(), name, RenameFlags::empty()).context(what)?;
        utimensat(dir.as_fd(), Path::new("."), time, time, AtFlags::empty()).context(what)?;
    }
    Ok(())
}

/// All extended attributes, sorted.
fn attributes(file: &File) -> Result<Vec<(OsString, Vec<u8>)>> {
    let what = || "compare the attributes of files";
    let mut names = match xattr::flistxattr(file.as_fd()) {
        Err(e) if e.errno() == errno::NOTSUP => Vec::new(),
        names => names.context(what)?,
    };
    names.sort();
    names
        .into_iter()
        .map(|name| {
            let value = xattr::fgetxattr(file.as_fd(), &name).context(what)?;
            Ok((name, value))
        })
        .collect()
}

fn are_equal(one: &File, two: &File) -> Result<bool> {
    let (mut left, mut right) = (vec![0; 128 << 10], vec![0; 128 << 10]);
    let mut at = 0;
    loop {
        let length = one.read_at(&mut left, at).context(|| "compare files")?;
        if length == 0 {
            return Ok(true);
        }
        let same = right.get_mut(..length).is_some_and(|right| two.read_exact_at(right, at).is_ok());
        if !same || left.get(..length) != right.get(..length) {
            return Ok(false);
        }
        at += length as u64;
    }
}
