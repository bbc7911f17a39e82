//! A tar into a directory, with cp(1)'s rules of what it is called there.
//!
//! | what comes | the destination | it becomes |
//! |---|---|---|
//! | a file | is a directory | DESTINATION/NAME |
//! | a file | is a file, or nothing | DESTINATION, where a link that it is leads |
//! | a file | is a device, a FIFO, a socket | an error |
//! | a directory | is a directory | DESTINATION/NAME, or with `/.` behind the source its content in DESTINATION |
//! | a directory | is nothing | DESTINATION |
//! | a directory | is a file | an error |
//!
//! Runs with the destination's file system as its own: for a container, in the child whose root is the container's. Within
//! a tree that is being written names lead nowhere else: the tar library refuses what leaves the directory, through
//! symbolic links too.

use std::io::Read;
use std::path::{Component, Path, PathBuf};

use taru_stdx::{Context, Error, Kind, Result};

/// Entries of one archive.
const MAX_ENTRIES: usize = 10_000_000;

/// What is to become of what comes.
#[derive(Debug, Clone)]
pub struct Target {
    /// As typed, or absolute in a container.
    pub path: PathBuf,
    /// What the source is called.
    pub name: PathBuf,
    /// Only the content of the source directory is meant (`/.`).
    pub content_only: bool,
    /// Owners as the archive says; else whoever writes.
    pub owners: bool,
    /// Programs that run as their owner stay so: in a container alone. On the host they would be root's for everybody.
    pub set_ids: bool,
}

/// Unpacks what [`super::pack::pack`] packed.
///
/// # Errors
/// [`Kind::Invalid`] for a destination that does not fit; any error of the file system or of reading.
pub fn receive(from: impl Read, target: &Target) -> Result<()> {
    let mut archive = archive(from, target.owners);
    if !target.set_ids {
        archive.set_mask(0o6000);
    }
    place(&mut archive, target)?;
    drain(archive.into_inner());
    Ok(())
}

/// Reads what is left behind the last entry that counts, or whoever writes it would be told that nobody reads.
fn drain(rest: impl Read) {
    /// Archives are filled up with zeros, to 1 MiB at most.
    const MOST: u64 = 16 << 20;
    let _ = std::io::copy(&mut rest.take(MOST), &mut std::io::sink());
}

fn place<R: Read>(archive: &mut tar::Archive<R>, target: &Target) -> Result<()> {
    let what = || format!("copy to `{}`", target.path.display());
    let mut entries = archive.entries().context(what)?;
    let first = entries.next().ok_or_else(|| Error::invalid(format!("{}: nothing came", what())))?;
    let mut first = first.context(what)?;
    let meta = std::fs::metadata(&target.path);
    let is_dir = meta.as_ref().is_ok_and(std::fs::Metadata::is_dir);
    let wants_dir = target.path.as_os_str().as_encoded_bytes().ends_with(b"/");
    let parent = target.path.parent().filter(|dir| !dir.as_os_str().is_empty());
    if let Some(parent) = parent.filter(|dir| meta.is_err() && !dir.is_dir()) {
        return Err(Error::new(
            Kind::NotFound,
            format!("{}: no such directory `{}`", what(), parent.display()),
        ));
    }
    if !first.header().entry_type().is_dir() {
        if wants_dir && !is_dir {
            return Err(Error::new(Kind::NotFound, format!("{}: no such directory", what())));
        }
        let path = if is_dir { target.path.join(&target.name) } else { followed(&target.path) };
        match std::fs::metadata(&path) {
            Ok(there) if there.is_dir() => {
                return Err(Error::invalid(format!("{}: `{}` is a directory", what(), path.display())));
            }
            // The file would take its place: of /dev/null, for all of this host.
            Ok(there) if !there.is_file() => {
                let text = format!("{}: `{}` is neither a file nor a directory", what(), path.display());
                return Err(
                    Error::invalid(text).hint("`-` as the destination writes a tar to standard output")
                );
            }
            _ => {}
        }
        return first.unpack(&path).context(what).map(drop);
    }
    let root = match (is_dir, &meta) {
        (true, _) if target.content_only => target.path.clone(),
        (true, _) => target.path.join(&target.name),
        (false, Ok(_)) => {
            return Err(Error::invalid(format!("{}: a directory over a file", what())));
        }
        (false, Err(_)) => target.path.clone(),
    };
    if !root.is_dir() {
        std::fs::create_dir(&root).context(|| format!("make the directory `{}`", root.display()))?;
    }
    // Directories last: one that must not be written to could not be filled.
    let mut directories = vec![];
    let is_new = !(is_dir && target.content_only);
    if is_new {
        directories.push(first);
    }
    for (count, entry) in entries.enumerate() {
        if count > MAX_ENTRIES {
            return Err(Error::new(Kind::Limit, format!("{}: too many entries", what())));
        }
        let mut entry = entry.context(what)?;
        if entry.header().entry_type().is_dir() {
            let path = inner(&root, &entry.path().context(what)?)?;
            if !path.is_dir() {
                std::fs::create_dir(&path).context(|| format!("make the directory `{}`", path.display()))?;
            }
            directories.push(entry);
        } else {
            unpack(&mut entry, &root).context(what)?;
        }
    }
    for mut entry in directories.into_iter().rev() {
        unpack(&mut entry, &root).context(what)?;
    }
    Ok(())
}

/// Where `path` leads, through links, as cp(1) goes: the file at their end is replaced.
fn followed(path: &Path) -> PathBuf {
    /// As many links as the kernel follows.
    const MOST: usize = 40;
    let mut at = path.to_owned();
    for _ in 0..MOST {
        let Ok(link) = std::fs::read_link(&at) else { break };
        at = at.parent().unwrap_or(Path::new("")).join(link);
    }
    at
}

/// Unpacks a tar of whoever wrote it into the directory `path` (`-` as the source).
///
/// # Errors
/// As [`receive`].
pub fn extract(from: impl Read, path: &Path, owners: bool) -> Result<()> {
    let what = || format!("unpack into `{}`", path.display());
    if !path.is_dir() {
        return Err(Error::new(Kind::NotFound, format!("{}: no such directory", what())));
    }
    let mut archive = archive(from, owners);
    archive.unpack(path).context(what)?;
    drain(archive.into_inner());
    Ok(())
}

fn archive<R: Read>(from: R, owners: bool) -> tar::Archive<R> {
    let mut archive = tar::Archive::new(from);
    archive.set_preserve_permissions(true);
    archive.set_preserve_mtime(true);
    archive.set_preserve_ownerships(owners);
    archive.set_overwrite(true);
    archive
}

fn unpack<R: Read>(entry: &mut tar::Entry<'_, R>, root: &Path) -> std::io::Result<()> {
    // False: the name leads out of the root, which no tar of ours has.
    match entry.unpack_in(root)? {
        true => Ok(()),
        false => {
            let name = String::from_utf8_lossy(&entry.path_bytes()).escape_debug().to_string();
            Err(std::io::Error::new(std::io::ErrorKind::InvalidData, format!("`{name}` leads elsewhere")))
        }
    }
}

/// `path` below `root`.
fn inner(root: &Path, path: &Path) -> Result<PathBuf> {
    let mut inner = root.to_owned();
    for component in path.components() {
        match component {
            Component::Normal(name) => {
                inner.push(name);
                if inner.is_symlink() {
                    return Err(Error::invalid(format!(
                        "make the directory `{}`: a link is in the way",
                        inner.display()
                    )));
                }
            }
            Component::CurDir => {}
            _ => return Err(Error::invalid(format!("unpack `{}`: it leads elsewhere", path.display()))),
        }
    }
    Ok(inner)
}
