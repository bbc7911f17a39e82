//! Where the state lies.

use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use taru_stdx::fs::make_dir;
use taru_stdx::{Context, Error, Result};

/// The permission bits of every directory of the tree: to a container of root's, whose users are others, the way to its
/// root leads through them.
const MODE: u32 = 0o711;

/// The directories of one state tree, drawn in [`crate`].
#[derive(Debug, Clone)]
pub struct Dirs {
    state: PathBuf,
    run: PathBuf,
}

impl Dirs {
    /// The tree below `root` if one was asked for, else this user's.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Invalid`] if an ordinary user's environment does not tell where.
    pub fn choose(root: Option<&Path>, uid: u32) -> Result<Dirs> {
        if let Some(root) = root {
            let state = std::path::absolute(root).context(|| format!("find `{}`", root.display()))?;
            return Ok(Dirs { run: state.join("run"), state });
        }
        if uid == 0 {
            return Ok(Dirs { state: "/var/lib/taru".into(), run: "/run/taru".into() });
        }
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let data = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
        let state = data.ok_or_else(|| {
            Error::invalid("find a state directory: neither HOME nor XDG_DATA_HOME is set")
                .hint("name one: taru --root DIR ...")
        })?;
        let state = state.join("taru");
        // Without a login session there is no run-time directory; the reboot is then told by the boot id alone.
        let session = PathBuf::from(format!("/run/user/{uid}"));
        let session = session.metadata().is_ok_and(|m| m.uid() == uid).then_some(session);
        let run =
            absolute("XDG_RUNTIME_DIR").or(session).map_or_else(|| state.join("run"), |d| d.join("taru"));
        Ok(Dirs { state, run })
    }

    /// The root of what does not outlive a reboot.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// The root of what outlives a reboot.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// What outlives the container's run.
    pub fn container(&self, id: &str) -> PathBuf {
        self.state.join("containers").join(id)
    }

    /// What lives as long as the container runs: its bundle.
    pub fn bundle(&self, id: &str) -> PathBuf {
        self.run.join("containers").join(id)
    }

    /// The skeletons of the host root.
    pub fn host_roots(&self) -> PathBuf {
        self.run.join("host")
    }

    /// The state directory of the runtime.
    pub fn runtime(&self) -> PathBuf {
        self.run.join("runtime")
    }
}

/// Makes `dir` and what is missing above it.
///
/// # Errors
/// Any error of the file system, with the path.
pub fn ensure(dir: &Path) -> Result<()> {
    ensure_mode(dir, MODE)
}

/// As [`ensure`], but `dir` itself gets `mode`.
///
/// # Errors
/// Any error of the file system, with the path.
pub(crate) fn ensure_mode(dir: &Path, mode: u32) -> Result<()> {
    let mut made = make_dir(dir, mode);
    if let Err(e) = &made
        && e.kind() == ErrorKind::NotFound
        && let Some(parent) = dir.parent()
    {
        ensure(parent)?;
        made = make_dir(dir, mode);
    }
    match made {
        Err(e) if e.kind() == ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        made => made.context(|| format!("make the directory `{}`", dir.display())),
    }
}

/// Lets others through `dir`, which exists, if whoever made it did not.
///
/// # Errors
/// Any error of the file system, with the path.
pub(crate) fn open_up(dir: &Path) -> Result<()> {
    let what = || format!("look at the directory `{}`", dir.display());
    let meta = dir.metadata().context(what)?;
    if meta.mode() & 0o011 == 0o011 {
        return Ok(());
    }
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(MODE)).context(what)
}

/// Removes `dir` and all below it, if it is there. Symbolic links are removed, not followed.
///
/// # Errors
/// Any error of the file system, with the path.
pub fn remove(dir: &Path) -> Result<()> {
    let what = || format!("remove the directory `{}`", dir.display());
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        // A directory that its owner may not read: a container made it so, or overlay, whose work directory is so.
        Err(e) if e.kind() == ErrorKind::PermissionDenied => {
            open_all(dir).context(what)?;
            std::fs::remove_dir_all(dir).context(what)
        }
        other => other.context(what),
    }
}

/// Gives the owner of each directory below `dir` the right to empty it.
fn open_all(dir: &Path) -> std::io::Result<()> {
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))?;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        // The type of the entry itself: a symbolic link is no directory.
        if entry.file_type()?.is_dir() {
            open_all(&entry.path())?;
        }
    }
    Ok(())
}
