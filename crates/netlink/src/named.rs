//! Named network namespaces, as ip-netns(8) keeps them: shared with it both ways.
//!
//! ```text
//! /run/netns          a mount of its own, shared, so that other mount namespaces see what comes and goes
//! /run/netns/NAME     an empty file with a namespace bound over it, which keeps it alive
//! ```
//! The namespace ends when its file is unmounted and no process or socket is left in it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use taru_stdx::{Context, Error, Kind, Result, Undo};
use taru_sys::fs::{CWD, OpenFlags, openat};
use taru_sys::mount::{MountFlags, UmountFlags, mount, umount2};
use taru_sys::ns::{self, Namespaces};

use crate::netns;

/// Where the names lie.
pub const DIR: &str = "/run/netns";

/// How many names are read at most.
const NAMES: usize = 1 << 16;

/// The file that holds the namespace `name`.
///
/// # Errors
/// [`Kind::Invalid`] if that cannot be a name.
pub fn path(name: &str) -> Result<PathBuf> {
    let clean = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0']);
    if !clean || name.len() > 255 {
        return Err(Error::invalid(format!("use `{name}` as the name of a network namespace"))
            .hint("a name has 1 to 255 bytes without `/`, and is not `.` or `..`"));
    }
    Ok(Path::new(DIR).join(name))
}

/// Makes a new network namespace named `name`. Its `lo` is down.
///
/// The calling thread visits it for an instant.
///
/// # Errors
/// [`Kind::Exists`] if the name is taken.
pub fn create(name: &str) -> Result<OwnedFd> {
    let what = || format!("create network namespace `{name}`");
    let mut undo = Undo::new();
    let file = reserve(name, &mut undo).context(what)?;
    let home = netns::current()?;
    ns::setns(home.as_fd(), Namespaces::NETWORK).context(what)?;
    ns::unshare(Namespaces::NETWORK).context(what)?;
    let new = netns::current();
    ns::setns(home.as_fd(), Namespaces::NETWORK).context(what)?;
    let new = new?;
    bind(new.as_fd(), &file).context(what)?;
    undo.commit();
    Ok(new)
}

/// Names the existing network namespace `netns`.
///
/// # Errors
/// [`Kind::Exists`] if the name is taken.
pub fn attach(name: &str, netns: BorrowedFd<'_>) -> Result<()> {
    let what = || format!("name a network namespace `{name}`");
    let mut undo = Undo::new();
    let file = reserve(name, &mut undo).context(what)?;
    bind(netns, &file).context(what)?;
    undo.commit();
    Ok(())
}

/// Takes the name `name` away; the namespace ends once nobody is in it.
///
/// # Errors
/// [`Kind::NotFound`].
pub fn delete(name: &str) -> Result<()> {
    let what = || format!("delete network namespace `{name}`");
    let file = path(name).context(what)?;
    // Not a mount: left behind by a crash, or by a reboot where /run is on disk. The name still goes.
    let _ = umount2(&file, UmountFlags::DETACH | UmountFlags::NOFOLLOW);
    std::fs::remove_file(&file).context(what).map_err(|e| match e.kind() {
        Kind::NotFound => e.hint("`taru netns list` shows the names"),
        _ => e,
    })
}

/// All names, sorted.
///
/// # Errors
/// Those of the file system; a missing directory is an empty list.
pub fn list() -> Result<Vec<String>> {
    let what = || format!("list `{DIR}`");
    let entries = match std::fs::read_dir(DIR) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.context(what)?,
    };
    let mut names = Vec::new();
    for entry in entries.take(NAMES) {
        names.push(entry.context(what)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// The namespace named `name`.
///
/// # Errors
/// [`Kind::NotFound`]; [`Kind::State`] if the file is there, but no namespace is bound over it.
pub fn open(name: &str) -> Result<OwnedFd> {
    let what = || format!("open network namespace `{name}`");
    open_file(&path(name).context(what)?, what).map_err(|e| match e.kind() {
        Kind::NotFound => e.hint("`taru netns list` shows the names"),
        _ => e,
    })
}

/// A namespace as people name it: `NAME`, `pid:N` for that of a process, or a path (with a `/`).
///
/// # Errors
/// [`Kind::NotFound`] if there is none; [`Kind::State`] if the path is no network namespace.
pub fn find(text: &str) -> Result<OwnedFd> {
    if let Some(pid) = text.strip_prefix("pid:") {
        let what = || format!("open the network namespace of process `{pid}`");
        let pid: u32 =
            pid.parse().map_err(|_| Error::invalid(what()).because(Error::invalid("not a number")))?;
        let file = format!("/proc/{pid}/ns/net");
        return open_file(Path::new(&file), what).map_err(|e| match e.kind() {
            Kind::NotFound => Error::new(Kind::NotFound, what()).because(Error::invalid("no such process")),
            _ => e,
        });
    }
    if text.contains('/') {
        return open_file(Path::new(text), || format!("open network namespace `{text}`"));
    }
    open(text)
}

/// The names of the namespace `netns`; it may have several, or none.
///
/// # Errors
/// Those of [`list`].
pub fn names_of(netns: BorrowedFd<'_>) -> Result<Vec<String>> {
    let wanted = identity(netns)?;
    let mut names = list()?;
    names.retain(|name| {
        // What cannot be examined is not ours to report here: it may just have been deleted.
        path(name).ok().and_then(|file| file.metadata().ok()).is_some_and(|m| (m.dev(), m.ino()) == wanted)
    });
    Ok(names)
}

/// The processes in the namespace `netns`, ascending, as far as this user may see them.
///
/// # Errors
/// Those of reading /proc.
pub fn pids(netns: BorrowedFd<'_>) -> Result<Vec<u32>> {
    let wanted = identity(netns)?;
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc").context(|| "list `/proc`")? {
        let name = entry.context(|| "list `/proc`")?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process that has gone, or another user's, has no readable namespace.
        let found = std::fs::metadata(format!("/proc/{pid}/ns/net"));
        if found.is_ok_and(|m| (m.dev(), m.ino()) == wanted) {
            pids.push(pid);
        }
    }
    pids.sort_unstable();
    Ok(pids)
}

/// What tells one namespace from another: the device and inode number of its file.
fn identity(netns: BorrowedFd<'_>) -> Result<(u64, u64)> {
    let stat = taru_sys::fs::fstat(netns).context(|| "examine a network namespace")?;
    Ok((stat.device.to_raw(), stat.ino))
}

fn open_file(file: &Path, what: impl Fn() -> String) -> Result<OwnedFd> {
    // Non-blocking: the path can be anything, a pipe without a writer too.
    let fd = openat(CWD, file, OpenFlags::RDONLY | OpenFlags::NONBLOCK, 0).context(&what)?;
    match ns::kind_of(fd.as_fd()) {
        Ok(Namespaces::NETWORK) => Ok(fd),
        _ => Err(Error::new(Kind::State, what()).because(Error::invalid("not a network namespace"))),
    }
}

/// Makes the empty file that the namespace `name` will be bound over.
fn reserve(name: &str, undo: &mut Undo<'_>) -> Result<PathBuf> {
    let file = path(name)?;
    ensure_dir()?;
    // Mode 0: nobody is to read or write the file below the mount.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o0)
        .open(&file)
        .context(|| format!("create `{}`", file.display()))?;
    let made = file.clone();
    undo.push(move || std::fs::remove_file(&made).context(|| format!("remove `{}`", made.display())));
    Ok(file)
}

/// Makes [`DIR`] unless it is there: a mount of its own that shares what is mounted in it with copies
/// of it in other mount namespaces, so that a deletion reaches them and the namespace ends.
///
/// # Errors
/// Those of mount(2), with [`Kind::Permission`] for ordinary users.
pub fn ensure_dir() -> Result<()> {
    let what = || format!("prepare `{DIR}`");
    DirBuilder::new().recursive(true).mode(0o755).create(DIR).context(what)?;
    let dir = File::open(DIR).context(what)?;
    // ip-netns(8) takes the same lock, so that the directory is bound over itself only once.
    taru_sys::flock::lock(dir.as_fd()).context(what)?;
    let dir = Path::new(DIR);
    let share = || mount(None, dir, None, MountFlags::SHARED | MountFlags::REC, None);
    match share() {
        Err(e) if e.errno() == taru_sys::errno::INVAL => {
            mount(Some(dir), dir, None, MountFlags::BIND | MountFlags::REC, None).context(what)?;
            share().context(what)
        }
        other => other.context(what),
    }
}

fn bind(netns: BorrowedFd<'_>, file: &Path) -> Result<()> {
    let source = format!("/proc/self/fd/{}", netns.as_raw_fd());
    mount(Some(Path::new(&source)), file, None, MountFlags::BIND, None)
        .context(|| format!("bind a network namespace to `{}`", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(path("blue").unwrap(), Path::new("/run/netns/blue"));
        for bad in ["", ".", "..", "a/b", "../x", "a\0b"] {
            assert_eq!(path(bad).unwrap_err().kind(), Kind::Invalid, "{bad}");
        }
        assert!(path(&"x".repeat(256)).is_err());
    }

    #[test]
    fn what_is_no_namespace_is_told_so() {
        let e = find("/dev/null").unwrap_err();
        assert_eq!(
            (e.chain().to_string().as_str(), e.kind()),
            ("open network namespace `/dev/null`: not a network namespace", Kind::State)
        );
        let e = find("/proc/self/ns/uts").unwrap_err();
        assert_eq!(e.kind(), Kind::State);
        let e = find("pid:4194305").unwrap_err();
        assert_eq!(e.chain().to_string(), "open the network namespace of process `4194305`: no such process");
        assert_eq!(find("pid:x").unwrap_err().kind(), Kind::Invalid);
        assert!(find(&format!("pid:{}", std::process::id())).is_ok());
    }
}
