//! systemd's word of readiness (sd_notify(3)) from the container to whoever started the runtime.
//!
//! ```text
//!  $NOTIFY_SOCKET of the caller    ID/notify/notify (ours)    $NOTIFY_SOCKET/notify in the container
//!   │                                 │ the directory, bound there      │
//!   │ ◀── READY=1, MAINPID=PID ────── │ ◀──────────── READY=1, ... ──── │
//! ```
//!
//! The container never reaches the caller's socket: of all it says, readiness alone is passed on. Who gives
//! the word to start listens: `start` and `run --detach` until the container is ready or has ended, `run` to
//! its end.

use std::fs::{DirBuilder, Permissions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

use taru_mount::options;
use taru_stdx::{Context, Result};
use taru_sys::errno;
use taru_sys::poll::{events, poll};

use crate::plan::{MountKind, MountPlan, Plan};
use crate::state::Record;
use crate::wire::through_descriptor;

/// The variable, on both sides.
const VARIABLE: &str = "NOTIFY_SOCKET";
/// Directory of the record, and socket below it.
const NAME: &str = "notify";
/// Where the container finds the directory if the caller's socket has no path.
const DEFAULT: &str = "/run/notify";

/// Gives the plan the directory of the socket, and the variable that names it. `record` is the container's
/// directory, `caller` what the variable says to the runtime.
pub(crate) fn arrange(plan: &mut Plan, record: &Path, caller: &Path) -> Result<()> {
    let source = record.join(NAME);
    // The record's directory is for its owner alone; this one is seen in the container, by any user of it.
    DirBuilder::new().mode(0o755).create(&source).context(|| format!("make `{}`", source.display()))?;
    std::fs::set_permissions(&source, Permissions::from_mode(0o755))
        .context(|| format!("open `{}` to the container", source.display()))?;
    let destination = if caller.is_absolute() { caller } else { Path::new(DEFAULT) };
    let options = options::parse(["bind", "ro", "nosuid", "nodev", "noexec"])?;
    plan.mounts.push(MountPlan {
        destination: destination.to_owned(),
        kind: MountKind::Bind { source, recursive: false },
        options,
        idmap: None,
    });
    let prefix = format!("{VARIABLE}=");
    plan.process.env.retain(|entry| !entry.starts_with(&prefix));
    plan.process.env.push(format!("{prefix}{}", destination.join(NAME).display()));
    Ok(())
}

/// Our end: hears the container, speaks to the caller.
pub(crate) struct Relay {
    socket: UnixDatagram,
    caller: PathBuf,
    pid: i32,
}

impl Relay {
    /// Listens for the container on behalf of `caller`; `None` if nobody waits, or it was created for nobody
    /// who does.
    pub(crate) fn listen(record: &Record, caller: Option<&Path>) -> Result<Option<Relay>> {
        let dir = record.dir().join(NAME);
        let (Some(caller), Some(init)) = (caller.filter(|_| dir.is_dir()), record.state.init) else {
            return Ok(None);
        };
        let path = dir.join(NAME);
        let socket = through_descriptor(&path, |short| -> std::io::Result<UnixDatagram> {
            let socket = UnixDatagram::bind(short)?;
            socket.set_nonblocking(true)?;
            std::fs::set_permissions(short, Permissions::from_mode(0o777))?;
            Ok(socket)
        })
        .context(|| "listen for the container's readiness")?;
        Ok(Some(Relay { socket, caller: caller.to_owned(), pid: init.pid }))
    }

    /// Reads what there is, and passes readiness on. `true` once that is done.
    pub(crate) fn pass_on(&self) -> bool {
        let mut message = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut message) {
            if message[..length].split(|b| *b == b'\n').any(|line| line == b"READY=1") {
                // A caller that is gone is not waiting any more.
                let _ = self.say("READY=1");
                let _ = self.say(&format!("MAINPID={}", self.pid));
                return true;
            }
        }
        false
    }

    /// Waits until the container said that it is ready, or its init, by `pidfd`, has ended.
    pub(crate) fn wait(&self, pidfd: &OwnedFd) -> Result<()> {
        loop {
            let interests = [(self.socket.as_fd(), events::IN), (pidfd.as_fd(), events::IN)];
            match poll(interests, None) {
                Err(e) if e.errno() == errno::INTR => {}
                Err(e) => return Err(e).context(|| "wait for the container's readiness"),
                // What it said last counts also if it has ended since.
                Ok([_, ended]) if self.pass_on() || ended != 0 => return Ok(()),
                Ok(_) => {}
            }
        }
    }

    fn say(&self, text: &str) -> std::io::Result<usize> {
        let socket = UnixDatagram::unbound()?;
        match self.caller.to_str().and_then(|path| path.strip_prefix('@')) {
            Some(name) => socket.send_to_addr(text.as_bytes(), &SocketAddr::from_abstract_name(name)?),
            None => socket.send_to(text.as_bytes(), &self.caller),
        }
    }
}

impl AsFd for Relay {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
