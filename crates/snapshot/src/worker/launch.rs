//! The parent's side: starts the child, writes its maps, listens.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use taru_mount::idmap::{IdMaps, Range, to_text};
use taru_stdx::{Context, Error, Kind, Result};

use super::ARGV0;
use super::wire::{Job, Order, Report, Start, Users, receive, send};
use crate::lower::Lower;

/// Whose ids the child has.
#[derive(Debug, Clone)]
pub(crate) enum WorkerIds {
    /// Those of the host.
    Host,
    /// These, in a user namespace.
    Mapped(IdMaps),
}

/// What becomes the child's root.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Root<'a> {
    pub(crate) path: &'a Path,
    /// Whether that is no directory but an image of erofs, which the child mounts.
    pub(crate) is_image: bool,
    /// The maps of the container that its files' ids are of: they are seen as the container sees them.
    pub(crate) maps: Option<&'a IdMaps>,
}

impl<'a> Root<'a> {
    /// As it is.
    pub(crate) fn plain(path: &'a Path) -> Root<'a> {
        Root { path, is_image: false, maps: None }
    }

    /// The files of a layer.
    pub(crate) fn of(lower: &'a Lower) -> Root<'a> {
        Root { is_image: lower.is_image(), ..Root::plain(lower.path()) }
    }
}

/// A running child; killed when dropped.
pub(crate) struct Worker {
    child: Child,
    socket: OwnedFd,
    /// It told that it failed, and ends by itself.
    has_failed: bool,
}

impl Worker {
    /// Executes `program` (this very executable, if none) as a child that does `job` in `root`.
    pub(crate) fn start(
        program: Option<&Path>,
        ids: &WorkerIds,
        root: Root<'_>,
        job: Job,
        fds: &[BorrowedFd<'_>],
    ) -> Result<Worker> {
        let what = || "start the worker that unpacks layers";
        let (socket, theirs) = taru_sys::socket::seqpacket_pair().context(what)?;
        let program = program.map_or_else(|| PathBuf::from("/proc/self/exe"), Path::to_owned);
        let child = Command::new(&program)
            .arg0(ARGV0)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context(what)?;
        let mut worker = Worker { child, socket, has_failed: false };
        let users = match ids {
            WorkerIds::Host => Users::Host,
            WorkerIds::Mapped(_) => Users::Mapped,
        };
        let map = |map: &[Range]| map.iter().map(|r| (r.outside, r.inside, r.length)).collect();
        let shift = root.maps.map(|maps| (map(&maps.uids), map(&maps.gids)));
        let is_image = root.is_image;
        let root = root.path.as_os_str().as_bytes().to_vec();
        let start = Start { job, users, root, is_image, shift }.to_file().context(what)?;
        let all: Vec<_> = std::iter::once(start.as_fd()).chain(fds.iter().copied()).collect();
        send(worker.socket.as_fd(), &Order::Start, &all).context(what)?;
        if let WorkerIds::Mapped(maps) = ids {
            match worker.report()? {
                Report::NeedsMaps => {}
                _ => return Err(Error::new(Kind::System, format!("{}: an unexpected message", what()))),
            }
            write_maps(worker.child.id(), maps).context(what)?;
            send(worker.socket.as_fd(), &Order::Go, &[]).context(what)?;
        }
        Ok(worker)
    }

    /// The next report; a failure as an error.
    pub(crate) fn report(&mut self) -> Result<Report> {
        match receive::<Report>(self.socket.as_fd())? {
            Some((report, _)) => {
                self.has_failed = matches!(report, Report::Failed { .. });
                report.check()
            }
            None => {
                let status = self.child.wait().context(|| "wait for the worker")?;
                Err(Error::new(
                    Kind::System,
                    format!("run the worker that unpacks layers: it ended ({status})"),
                )
                .hint("a program that unpacks layers calls `taru_snapshot::worker_main` first in `main`"))
            }
        }
    }

    /// Hands over the records of directories.
    pub(crate) fn adopt(&mut self, records: &File) -> Result<()> {
        send(self.socket.as_fd(), &Order::Adopt, &[records.as_fd()])
    }

    /// Waits for the job's end.
    pub(crate) fn finish(self) -> Result<()> {
        self.end().map(drop)
    }

    /// Waits for the job's end: it is done, or an image has no room for it.
    pub(crate) fn end(mut self) -> Result<Report> {
        loop {
            let report = self.report()?;
            if matches!(report, Report::Done | Report::NoRoom) {
                self.child.wait().context(|| "wait for the worker")?;
                return Ok(report);
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // After `finish` there is nothing left to kill or to wait for.
        if !self.has_failed {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        // The worker dies with the stage, a little later: it is gone when nobody has the other end any more.
        while let Ok(Some(_)) = receive::<Report>(self.socket.as_fd()) {}
    }
}

/// Gives the user namespace of process `pid` its maps: what this process may write itself, or by the set-uid programs
/// of shadow-utils.
fn write_maps(pid: u32, maps: &IdMaps) -> Result<()> {
    let is_own = |map: &[Range], own: u32| matches!(map, [one] if one.length == 1 && one.outside == own);
    let is_root = taru_sys::user::geteuid() == 0;
    let is_single =
        is_own(&maps.uids, taru_sys::user::geteuid()) && is_own(&maps.gids, taru_sys::user::getegid());
    if is_root || is_single {
        if !is_root {
            // Otherwise a user could get rid of a group that keeps files away (user_namespaces(7)).
            write(pid, "setgroups", "deny")?;
        }
        write(pid, "uid_map", &to_text(&maps.uids))?;
        return write(pid, "gid_map", &to_text(&maps.gids));
    }
    by_program("newuidmap", pid, &maps.uids)?;
    by_program("newgidmap", pid, &maps.gids)
}

fn write(pid: u32, file: &str, text: &str) -> Result<()> {
    let path = format!("/proc/{pid}/{file}");
    let open = File::options().write(true).open(&path);
    open.and_then(|mut file| file.write_all(text.as_bytes())).context(|| format!("write `{path}`"))
}

fn by_program(program: &str, pid: u32, map: &[Range]) -> Result<()> {
    let numbers = map.iter().flat_map(|r| [r.inside, r.outside, r.length]).map(|n| n.to_string());
    let what = || format!("map ids with `{program}`");
    let done = Command::new(program)
        .arg(pid.to_string())
        .args(numbers)
        .stdin(Stdio::null())
        .output()
        .context(what)?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(Error::new(Kind::Permission, what())
        .because(Error::new(Kind::Permission, said.trim().to_owned()))
        .hint("/etc/subuid and /etc/subgid say which ids this user may use"))
}
