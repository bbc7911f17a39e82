//! The container's terminal: a pseudo-terminal of the container's own devpts.
//!
//! Nothing here goes by a path that the container could have prepared: the main side is opened below
//! the handle of the root and must be a `ptmx` on a devpts, the peer comes from the main side itself
//! (TIOCGPTPEER), and /dev/console is a bind mount of that peer's descriptor.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use taru_mount::Mount;
use taru_rootdir::RootDir;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::{self, FsType, OpenFlags};
use taru_sys::{fd, process, tty};

use crate::plan::ProcessPlan;

/// The peer of a pseudo-terminal, to become the process's standard streams.
pub(crate) struct Terminal {
    main: OwnedFd,
    peer: OwnedFd,
}

impl Terminal {
    /// Opens a pseudo-terminal on the devpts of the container whose root is `root`.
    pub(crate) fn open(root: &RootDir, plan: &ProcessPlan) -> Result<Terminal> {
        let path = Path::new("dev/pts/ptmx");
        let main = root
            .open_file(path, OpenFlags::RDWR | OpenFlags::NOCTTY)
            .map_err(|e| e.hint("a process with a terminal needs a devpts mount on /dev/pts"))
            .context(|| "open a pseudo-terminal")?;
        let is_devpts = fs::fstatfs(main.as_fd()).is_ok_and(|s| s.kind == FsType::DEVPTS);
        if !is_devpts {
            return Err(Error::new(
                Kind::Permission,
                "open a pseudo-terminal: `/dev/pts/ptmx` is not on a devpts",
            ));
        }
        let main = OwnedFd::from(main);
        tty::unlock(main.as_fd()).context(|| "unlock the pseudo-terminal")?;
        let peer = tty::open_peer(main.as_fd()).context(|| "open the pseudo-terminal's other side")?;
        if let Some(size) = plan.size.filter(|s| s.rows > 0 && s.columns > 0) {
            tty::resize(main.as_fd(), size).context(|| "size the terminal")?;
        }
        // The group stays what devpts gave it (tty); a failure is that of a group-only mapping.
        let owner = fs::fchownat(peer.as_fd(), Path::new(""), Some(plan.uid), None, fs::AtFlags::EMPTY_PATH);
        owner.context(|| format!("give the terminal to user {}", plan.uid))?;
        Ok(Terminal { main, peer })
    }

    /// Mounts the peer on /dev/console, where programs that ask for "the console" find it.
    pub(crate) fn mount_console(&self, root: &RootDir) -> Result<()> {
        let what = || "mount the terminal on `/dev/console`";
        let target = root.create_file(Path::new("dev/console"), 0o600).context(what)?;
        Mount::bind(self.peer.as_fd(), false).context(what)?.attach(target).map(drop).context(what)
    }

    /// The side that the terminal's owner holds.
    pub(crate) fn into_main(self) -> OwnedFd {
        self.main
    }

    /// Makes the peer this session's controlling terminal and the three standard streams.
    pub(crate) fn become_standard(&self) -> Result<()> {
        tty::make_controlling(self.peer.as_fd()).context(|| "take the controlling terminal")?;
        for number in 0..=2 {
            fd::replace_standard(self.peer.as_fd(), number).context(|| "redirect a standard stream")?;
        }
        Ok(())
    }
}

/// Starts a session of its own, away from the terminal of whoever called.
pub(crate) fn new_session() -> Result<()> {
    process::setsid().context(|| "start a session")
}
