//! Processes into a group, and the list of those in it.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::errno;
use taru_sys::process::Pid;

use crate::Cgroup;
use crate::dir::{Dir, is_gone, read_file};
use crate::hierarchy::Hierarchy;
use crate::subtree;
use crate::tree::walk;

/// How often a move is tried again when the process is still being born (see [`write_pid`]).
const ATTEMPTS: u32 = 10;

/// Open files that let a process which does not see the cgroup mounts any more move itself into a group.
///
/// Moving another process takes a lock over all forks and exits of the host and waits for a grace period of RCU:
/// 6 to 27 ms were seen for the first of several moves. A thread that moves *itself* on v1 (`0` into `tasks`) takes no
/// such lock: 0.03 ms a hierarchy. So a new process should be cloned into the v2 group
/// ([`Cgroup::v2_dir_fd`]) and move itself in the others, before it makes threads.
#[derive(Debug, Default)]
pub struct Joiner {
    files: Vec<File>,
}

impl Joiner {
    /// The open files, for a process that closes all others.
    pub fn files(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.files.iter().map(AsFd::as_fd)
    }

    /// The open files, to be handed on to the process that joins.
    pub fn into_files(self) -> Vec<OwnedFd> {
        self.files.into_iter().map(OwnedFd::from).collect()
    }

    /// Takes [`Joiner::into_files`] of another process.
    pub fn from_files(files: Vec<OwnedFd>) -> Joiner {
        Joiner { files: files.into_iter().map(File::from).collect() }
    }

    /// Moves the calling thread. The process must have only that one.
    ///
    /// # Errors
    /// Any refusal of the kernel, with the file.
    pub fn join(self) -> Result<()> {
        self.files.into_iter().try_for_each(|mut file| {
            file.write_all(b"0").context(|| format!("join `{}`", path_of(&file).display()))
        })
    }
}

/// Where an open file is, as far as /proc tells.
fn path_of(file: &File) -> PathBuf {
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap_or_default()
}

impl Cgroup {
    /// Opens the group for a process that will join it by itself; without v2, for one that was cloned into
    /// [`Cgroup::v2_dir_fd`].
    ///
    /// # Errors
    /// When a file cannot be opened.
    pub fn joiner_v1(&self) -> Result<Joiner> {
        let open = |dir: &Dir| {
            dir.open_write("tasks").context(|| format!("open the group `{}`", dir.path().display()))
        };
        Ok(Joiner { files: self.v1.iter().map(|h| open(&h.dir)).collect::<Result<_>>()? })
    }

    /// Opens the group in all hierarchies for a process that will join it by itself.
    ///
    /// # Errors
    /// When a file cannot be opened.
    pub fn joiner(&self) -> Result<Joiner> {
        let mut joiner = self.joiner_v1()?;
        if let Some(v2) = &self.v2 {
            let file = v2.dir.open_write("cgroup.procs").context(|| "open the cgroup2 group")?;
            joiner.files.push(file);
        }
        Ok(joiner)
    }

    /// Moves the process `pid` with all its threads into the group; 0 is the caller.
    ///
    /// Slow by the kernel's making; see [`Joiner`].
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such process, [`Kind::Busy`] if the v2 group has controllers enabled for children
    /// and so cannot have processes, [`Kind::Permission`].
    pub fn add(&self, pid: Pid) -> Result<()> {
        self.dirs().try_for_each(|dir| write_pid(dir, "cgroup.procs", pid))
    }

    /// As [`Cgroup::add`]; but if the v2 group cannot have processes because something inside split it up, as a
    /// systemd in a container does, `pid` goes where the process `beside` is, if that is below this group.
    ///
    /// # Errors
    /// As [`Cgroup::add`]'s; [`Kind::State`] if `beside` is elsewhere.
    pub fn add_beside(&self, pid: Pid, beside: Pid) -> Result<()> {
        for h in &self.v1 {
            write_pid(&h.dir, "cgroup.procs", pid)?;
        }
        let Some(v2) = &self.v2 else { return Ok(()) };
        match write_pid(&v2.dir, "cgroup.procs", pid) {
            Err(e) if e.kind() == Kind::Busy => write_pid(&self.v2_beside(beside)?, "cgroup.procs", pid),
            other => other,
        }
    }

    /// The v2 directory below this group that the process `beside` is in, for `CLONE_INTO_CGROUP` when
    /// [`Cgroup::v2_dir_fd`] is refused with EBUSY.
    ///
    /// # Errors
    /// [`Kind::State`] if the process is not in this group or below it.
    pub fn v2_dir_beside(&self, beside: Pid) -> Result<OwnedFd> {
        let dir = self.v2_beside(beside)?;
        dir.as_fd().try_clone_to_owned().context(|| "duplicate the handle of a group")
    }

    fn v2_beside(&self, beside: Pid) -> Result<Dir> {
        let elsewhere =
            || Error::new(Kind::State, format!("find the group of process `{beside}`: it is not below ours"));
        let v2 = self.v2.as_ref().ok_or_else(elsewhere)?;
        let (_, group) =
            subtree::groups_of(beside)?.into_iter().find(|(n, _)| n.is_empty()).ok_or_else(elsewhere)?;
        // Rare enough that the mounts may be looked at again.
        let mounted = Hierarchy::probe()?.v2.ok_or_else(elsewhere)?;
        let below = mounted.dir_of(&group).filter(|dir| dir.starts_with(v2.dir.path()));
        Dir::open(below.ok_or_else(elsewhere)?).context(|| "open a nested group")
    }

    /// Moves the thread `tid` alone into the group: everywhere on v1; on v2 only between the groups of one
    /// threaded subtree.
    ///
    /// # Errors
    /// As [`Cgroup::add`]'s; [`Kind::Unsupported`] if the v2 group is not in the thread's threaded subtree.
    pub fn add_thread(&self, tid: Pid) -> Result<()> {
        for h in &self.v1 {
            write_pid(&h.dir, "tasks", tid)?;
        }
        match &self.v2 {
            // Beside v1 the v2 tree follows whole processes only; the thread's process stays where it is.
            Some(v2) if !v2.hybrid => write_pid(&v2.dir, "cgroup.threads", tid),
            _ => Ok(()),
        }
    }

    /// The processes in the group itself, ascending. Those of outer pid namespaces, which have no number here,
    /// are left out.
    ///
    /// # Errors
    /// When a list cannot be read. A group that is gone has no processes.
    pub fn pids(&self) -> Result<Vec<Pid>> {
        self.list().map_or(Ok(Vec::new()), |dir| pids_of(dir).map(sorted))
    }

    /// The processes in the group and all groups below it, ascending.
    ///
    /// # Errors
    /// As [`Cgroup::pids`]'s.
    pub fn pids_recursive(&self) -> Result<Vec<Pid>> {
        self.list().map_or(Ok(Vec::new()), |dir| pids_below(dir).map(sorted))
    }

    /// The directory whose list of processes is the group's: on v1 that of `devices` as with the peers,
    /// since no other tool makes groups of its own there; v2 when it is alone.
    fn list(&self) -> Option<&Dir> {
        if let Some(v2) = self.v2.as_ref().filter(|h| !h.hybrid) {
            return Some(&v2.dir);
        }
        let devices = self.v1.iter().find(|h| h.names.iter().any(|n| n == "devices"));
        devices.or(self.v1.first()).map(|h| &h.dir).or(self.v2.as_ref().map(|h| &h.dir))
    }
}

/// Writes `pid` to `file` of `dir`.
///
/// EINVAL comes for a process that is still being forked under a real-time policy (TASK_NEW); it passes.
fn write_pid(dir: &Dir, file: &str, pid: Pid) -> Result<()> {
    let text = pid.to_string();
    let mut attempt = 0;
    let e = loop {
        match dir.try_write(file, &text) {
            Ok(()) => return Ok(()),
            Err(e) if e.errno() == errno::INVAL && attempt < ATTEMPTS => {
                attempt += 1;
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(e) => break e,
        }
    };
    let what = format!("move process `{pid}` into `{}`", dir.path().display());
    Err(match e.errno() {
        errno::SRCH => Error::new(Kind::NotFound, what).because(e),
        errno::BUSY => Error::new(Kind::Busy, what)
            .because(e)
            .hint("a v2 group with controllers enabled for its children cannot have processes"),
        errno::NOSPC => {
            Error::new(Kind::State, what).because(e).hint("its cpuset has no CPUs or no memory nodes")
        }
        errno::NOTSUP => {
            Error::new(Kind::Unsupported, what).because(e).hint("the group is threaded or invalid")
        }
        errno::PERM | errno::ACCES => Error::new(Kind::Permission, what)
            .because(e)
            .hint("the user must be able to write to the nearest common parent group too"),
        _ => Error::new(Kind::System, what).because(e),
    })
}

/// The processes of the group and of all below it, unsorted. A number of 0 stands for a process that has none here.
pub(crate) fn pids_below(dir: &Dir) -> Result<Vec<Pid>> {
    let mut all = Vec::new();
    let mut visit = |at: BorrowedFd<'_>| {
        all.extend(numbers(&read_at(at, "cgroup.procs")?));
        Ok::<_, taru_sys::Error>(())
    };
    walk(dir, &mut visit).context(|| format!("list the processes below `{}`", dir.path().display()))?;
    Ok(all)
}

/// The text of a list. A group that is gone has none, nor (EOPNOTSUPP) a threaded one, whose processes its domain lists.
fn read_at(dir: BorrowedFd<'_>, file: &str) -> taru_sys::Result<String> {
    match read_file(dir, file) {
        Err(e) if is_gone(e.errno()) || e.errno() == errno::NOTSUP => Ok(String::new()),
        other => other,
    }
}

/// The positive numbers in a list, a line each.
fn numbers(text: &str) -> impl Iterator<Item = Pid> {
    text.lines().filter_map(|l| l.parse().ok()).filter(|pid| *pid > 0).map(Pid)
}

/// The processes of the group itself.
pub(crate) fn pids_of(dir: &Dir) -> Result<Vec<Pid>> {
    let text = read_at(dir.as_fd(), "cgroup.procs").context(|| "list the processes of a group")?;
    Ok(numbers(&text).collect())
}

fn sorted(mut pids: Vec<Pid>) -> Vec<Pid> {
    pids.sort_unstable();
    pids.dedup();
    pids
}
