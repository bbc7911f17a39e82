//! Files that are replaced as a whole or not at all, and directories whose mode no umask changes.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::{Context, Error, Kind, Result};

/// Makes the directory `path` with exactly the permission bits `mode`: mkdir(2) alone leaves out those that the umask of
/// whoever started this process has.
///
/// # Errors
/// Any error of mkdir(2).
pub fn make_dir(path: &Path, mode: u32) -> std::io::Result<()> {
    std::fs::DirBuilder::new().mode(mode).create(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// How far [`replace`] goes before it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// The content and its name survive a power cut: file and directory are synced.
    Durable,
    /// The file is whole at every instant as other processes see it; for directories that a reboot clears.
    Atomic,
}

/// Replaces the file `path` by one with `content` and permission bits `mode`.
///
/// Other processes and threads see the old content or the new, never a part. The temporary file lies beside
/// `path` as `.NAME.PID.N.tmp`.
///
/// # Errors
/// Any error of the file system, with the path. The old file is then still there.
pub fn replace(path: &Path, content: &[u8], mode: u32, sync: Sync) -> Result<()> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if path.file_name().is_none() {
        return Err(Error::invalid(format!("replace `{}`: no file name", path.display())));
    }
    let what = || format!("write `{}`", path.display());
    let create = |name: &Path| OpenOptions::new().write(true).create_new(true).mode(mode).open(name);
    let (mut file, temporary) = make_beside(path, create).context(what)?;
    let mut write = || -> std::io::Result<()> {
        file.write_all(content)?;
        if sync == Sync::Durable {
            file.sync_all()?;
        }
        std::fs::rename(&temporary, path)
    };
    write().inspect_err(|_| drop(std::fs::remove_file(&temporary))).context(what)?;
    if sync == Sync::Durable {
        File::open(dir).and_then(|dir| dir.sync_all()).context(what)?;
    }
    Ok(())
}

/// Has `make` make the first file beside `path` whose name `.NAME.PID.N.tmp` is free, and gives its path too: nobody
/// else's, neither another thread's nor what a dead process with our number left.
///
/// # Errors
/// Those of `make`, but that there is such a file.
pub fn make_beside<T>(
    path: &Path,
    make: impl Fn(&Path) -> std::io::Result<T>,
) -> std::io::Result<(T, PathBuf)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut number = 0;
    loop {
        let free = path.with_file_name(format!(".{name}.{}.{number}.tmp", std::process::id()));
        match make(&free) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            made => return made.map(|made| (made, free)),
        }
    }
}

/// Reads the file `path`, refusing one of more than `limit` bytes.
///
/// # Errors
/// Any error of the file system; [`Kind::Limit`] if the file is larger.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let what = || format!("read `{}`", path.display());
    let file = File::open(path).context(what)?;
    read_file_bounded(&file, limit, what)
}

/// Reads the open `file` to its end, refusing more than `limit` bytes; `what` names it in errors.
///
/// # Errors
/// Any error of reading; [`Kind::Limit`] if there is more.
pub fn read_file_bounded(file: &File, limit: u64, what: impl Fn() -> String) -> Result<Vec<u8>> {
    // With room from the start, a file of a page is one read and one that finds its end.
    let mut content = Vec::with_capacity(limit.min(4096) as usize);
    file.take(limit + 1).read_to_end(&mut content).context(&what)?;
    if content.len() as u64 > limit {
        return Err(Error::new(Kind::Limit, format!("{}: larger than {limit} bytes", what())));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_files_and_bounds_reads() {
        let dir = std::env::temp_dir().join(format!("taru-stdx-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let path = dir.join("f");
        replace(&path, b"one", 0o600, Sync::Durable).unwrap();
        replace(&path, b"two!", 0o600, Sync::Atomic).unwrap();
        assert_eq!(read_bounded(&path, 4).unwrap(), b"two!");
        assert_eq!(read_bounded(&path, 3).unwrap_err().kind(), Kind::Limit);
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
        // Threads that replace one file: each writes a whole one.
        let contents: Vec<Vec<u8>> = (0..8u8).map(|n| vec![n; 1000 * (usize::from(n) + 1)]).collect();
        std::thread::scope(|scope| {
            for content in &contents {
                scope.spawn(|| {
                    for _ in 0..50 {
                        replace(&path, content, 0o600, Sync::Atomic).unwrap();
                        assert!(contents.contains(&std::fs::read(&path).unwrap()));
                    }
                });
            }
        });
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
        std::fs::remove_dir_all(&dir).unwrap();
        let e = replace(&path, b"x", 0o600, Sync::Atomic).unwrap_err();
        assert_eq!(e.kind(), Kind::NotFound);
    }
}
