//! The host's `/etc` below that of a container with the `host` root.
//!
//! It is a layer of an overlay, but where an ordinary user's container is to see it and something is mounted below it, as
//! in other engines' containers (`/etc/hosts`): behind a new user namespace the kernel lets nobody look beneath such a mount,
//! and refuses the layer (EINVAL; `has_locked_children` in its fs/namespace.c). Then it is a copy of what the user may read, mounts
//! included, made for each start beside the container's bundle.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use taru_mount::mountinfo;
use taru_rootdir::Proc;
use taru_stdx::{Context, Error, Kind, Result};

const ETC: &str = "/etc";
/// Bytes of a copy; a host has a few megabytes there.
const BYTES: u64 = 64 << 20;
/// Files and directories of a copy.
const FILES: u32 = 20_000;

/// The layer: the host's directory itself, or else a copy in `place`, which must not be there yet.
///
/// # Errors
/// [`Kind::Limit`] for more than a copy may hold; any error of the file system.
pub fn layer(place: PathBuf, by_root: bool) -> Result<PathBuf> {
    // Root's runtime opens it before there is a user namespace.
    if by_root || !mountinfo::read(&Proc::open()?)?.iter().any(|mount| is_below(&mount.point)) {
        return Ok(ETC.into());
    }
    let mut room = Room { bytes: BYTES, files: FILES };
    room.copy(Path::new(ETC), &place)
        .context(|| format!("copy the host's `{ETC}`, where something is mounted"))?;
    Ok(place)
}

fn is_below(point: &Path) -> bool {
    point != Path::new(ETC) && point.starts_with(ETC)
}

/// What a copy may still hold.
struct Room {
    bytes: u64,
    files: u32,
}

impl Room {
    /// Copies a directory; what may not be read is left out, as it would not be seen either.
    fn copy(&mut self, from: &Path, to: &Path) -> Result<()> {
        let what = || format!("copy `{}`", from.display());
        fs::create_dir(to).context(what)?;
        for entry in fs::read_dir(from).context(what)? {
            let path = entry.context(what)?.path();
            let Some(name) = path.file_name() else { continue };
            let target = to.join(name);
            let Ok(meta) = fs::symlink_metadata(&path) else { continue };
            self.files = self
                .files
                .checked_sub(1)
                .ok_or_else(|| Error::new(Kind::Limit, format!("{}: more than {FILES} files", what())))?;
            let copied = if meta.is_dir() {
                // One that cannot be listed is there and empty.
                match fs::read_dir(&path) {
                    Ok(_) => self.copy(&path, &target),
                    Err(_) => fs::create_dir(&target).context(what),
                }
            } else if meta.is_symlink() {
                fs::read_link(&path).and_then(|link| symlink(link, &target)).context(what)
            } else if meta.is_file() {
                self.file(&path, &target)
            } else {
                continue;
            };
            copied?;
        }
        // With the last of it, as a directory need not be writable to its owner.
        let mode = fs::metadata(from).context(what)?.permissions().mode();
        fs::set_permissions(to, fs::Permissions::from_mode(mode & 0o1777)).context(what)
    }

    fn file(&mut self, from: &Path, to: &Path) -> Result<()> {
        let what = || format!("copy `{}`", from.display());
        let mut source = match File::open(from) {
            Err(e) if matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound) => {
                return Ok(());
            }
            opened => opened.context(what)?,
        };
        let mut target = File::create_new(to).context(what)?;
        // Its size is not asked for: some that are mounted there tell none.
        let copied = io::copy(&mut source.by_ref().take(self.bytes + 1), &mut target).context(what)?;
        self.bytes = self.bytes.checked_sub(copied).ok_or_else(|| {
            Error::new(Kind::Limit, format!("{}: more than {} MiB in all", what(), BYTES >> 20))
        })?;
        let mode = source.metadata().context(what)?.permissions().mode();
        target.set_permissions(fs::Permissions::from_mode(mode & 0o777)).context(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_below_counts() {
        for (point, is) in
            [("/etc", false), ("/etc/hosts", true), ("/etc/a/b", true), ("/etcetera", false), ("/", false)]
        {
            assert_eq!(is_below(Path::new(point)), is, "{point}");
        }
    }
}
