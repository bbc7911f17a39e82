//! Directories and files that are gone when nobody needs them any more.

use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use taru_rootdir::RootDir;
use taru_stdx::{Context, Result};

/// A directory that is removed with all in it when it is dropped. Its name begins with the process that made it, so that
/// [`sweep`] finds what a killed one left.
#[derive(Debug)]
pub(crate) struct Scratch {
    parent: RootDir,
    name: String,
    path: PathBuf,
}

static COUNT: AtomicU64 = AtomicU64::new(0);

impl Scratch {
    /// A new, empty directory in `parent`, for its maker alone.
    ///
    /// # Errors
    /// As mkdir(2).
    pub(crate) fn new(parent: &Path) -> Result<Scratch> {
        let name = format!("{}-{}", owner(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = parent.join(&name);
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .context(|| format!("create `{}`", path.display()))?;
        Ok(Scratch { parent: RootDir::open(parent)?, name, path })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next build.
        let _ = self.parent.remove_all(Path::new(&self.name));
    }
}

/// `taru-PID-STARTTIME`: no later process has the same.
fn owner() -> String {
    let pid = std::process::id();
    format!("taru-{pid}-{}", start_time(pid).unwrap_or_default())
}

/// When a process began, in clock ticks since boot: field 22 of proc_pid_stat(5). One that ended and was not waited for
/// is none any more.
fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Removes what processes left in `parent` that are no more.
///
/// # Errors
/// Any error of the file system but those of a directory that somebody else removes.
pub(crate) fn sweep(parent: &Path) -> Result<()> {
    let root = RootDir::open(parent)?;
    for entry in std::fs::read_dir(parent).context(|| format!("list `{}`", parent.display()))? {
        let Ok(entry) = entry else { continue };
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|n| n.strip_prefix("taru-")) else { continue };
        let mut words = rest.split('-').map(str::parse::<u64>);
        let (Some(Ok(pid)), Some(Ok(started))) = (words.next(), words.next()) else { continue };
        let is_alive = u32::try_from(pid).ok().and_then(start_time) == Some(started);
        if !is_alive {
            root.remove_all(Path::new(&name))?;
        }
    }
    Ok(())
}

/// A file without a name in `dir` (O_TMPFILE), or one whose name is removed at once.
///
/// # Errors
/// As open(2).
pub(crate) fn nameless(dir: &Path) -> Result<File> {
    let path = dir.join(format!("{}-{}.file", owner(), COUNT.fetch_add(1, Ordering::Relaxed)));
    let what = || format!("create a temporary file in `{}`", dir.display());
    let file =
        File::options().read(true).write(true).create_new(true).mode(0o600).open(&path).context(what)?;
    std::fs::remove_file(&path).context(what)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_dead_left_is_swept_and_what_the_living_have_stays() {
        let dir = Scratch::new(&std::env::temp_dir()).unwrap();
        let mine = Scratch::new(dir.path()).unwrap();
        let dead = dir.path().join("taru-4194304-1-0");
        std::fs::create_dir_all(dead.join("x/y")).unwrap();
        std::fs::create_dir(dir.path().join("other")).unwrap();
        sweep(dir.path()).unwrap();
        assert!(mine.path().exists() && !dead.exists() && dir.path().join("other").exists());
        let path = dir.path().to_owned();
        drop((mine, dir));
        assert!(!path.exists());
    }
}
