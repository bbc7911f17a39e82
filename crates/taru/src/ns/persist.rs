//! Namespaces that outlive their processes: their files bound to a place, as iproute2 and util-linux do.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use taru_mount::Mount;
use taru_rootdir::Proc;
use taru_stdx::{Context, Result};
use taru_sys::errno;
use taru_sys::fs::{self, CWD, Device, FileType, OpenFlags};
use taru_sys::ns::Namespaces;

/// A namespace to keep, and where.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its kind.
    pub kind: Namespaces,
    /// The file it is bound to; made if missing.
    pub file: PathBuf,
}

/// Binds namespaces of the process that `proc` knows as `name` to their files, in this process's mount
/// namespace.
///
/// # Errors
/// For a mount namespace kept on a shared mount: it could hold itself for ever.
pub fn bind(proc: &Proc, name: &str, kept: &[Kept]) -> Result<()> {
    for Kept { kind, file } in kept {
        let what = || format!("keep the namespace at `{}`", file.display());
        // What later children are in, not the process itself.
        let entry = match *kind {
            Namespaces::PID => "pid_for_children",
            Namespaces::TIME => "time_for_children",
            kind => kind.names().next().map_or("", |(_, name)| name),
        };
        let namespace = proc.follow(&format!("{name}/ns/{entry}"), OpenFlags::RDONLY).context(what)?;
        attach(&namespace, file).context(what).map_err(|e| match *kind {
            Namespaces::MOUNT => e.hint(
                "its file must lie on a mount that is not shared; and some kernels (6.18) count mount namespaces \
                 per CPU and refuse at random: try again",
            ),
            _ => e,
        })?;
    }
    Ok(())
}

/// Binds the namespace `fd` to `file`, which is made if missing.
///
/// # Errors
/// As open(2), open_tree(2) and move_mount(2).
pub fn attach(fd: &OwnedFd, file: &Path) -> Result<()> {
    match fs::mknodat(CWD, file, FileType::Regular, 0o444, Device::default()) {
        Err(e) if e.errno() == errno::EXIST => {}
        done => done.map_err(|e| e.errno()).context(|| "make the file")?,
    }
    let target =
        fs::openat(CWD, file, OpenFlags::PATH, 0).map_err(|e| e.errno()).context(|| "open the file")?;
    Mount::bind(fd.as_fd(), false)?.attach(target)?;
    Ok(())
}
