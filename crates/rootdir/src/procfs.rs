//! [`Proc`]: a procfs that is one, and below which no mount stands in the way.
//!
//! Writing a label to what only looks like `/proc/self/attr/exec` is how a container's root file system
//! defeated several runtimes (CVE-2019-16884, CVE-2025-52881). So the handle is taken once, and verified:
//! its file system is procfs and it is procfs' root (inode 1). Every open below it refuses to cross a
//! mount, so a file bound over an entry is an error, not the thing opened.
//!
//! A private instance from fsopen(2) would be safe without the checks, but it costs about 30 µs to make
//! and 250 µs to take down (measured on 6.18; `/proc` and its check: 4 µs). So it is only made where the
//! host's `/proc` cannot serve: it is missing, covered, or read-only.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::{self, AtFlags, CWD, FileType, FsType, How, MountId, OpenFlags, Resolve};
use taru_sys::mount::{self, Attr};
use taru_sys::{Errno, errno};

/// The root inode of every procfs (`PROC_ROOT_INO`).
const ROOT_INO: u64 = 1;

/// A trusted procfs directory: its root, or that of one process.
///
/// ```
/// use taru_rootdir::Proc;
/// # fn main() -> taru_stdx::Result<()> {
/// let proc = Proc::open()?;
/// let name = proc.read_bounded("self/comm", 64)?;
/// proc.write("self/oom_score_adj", &proc.read_bounded("self/oom_score_adj", 16)?)?;
/// # assert!(!name.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Proc {
    dir: OwnedFd,
    mount_id: Option<u64>,
    /// How errors call it: `/proc`, `/proc/17`.
    name: String,
}

impl Proc {
    /// The host's `/proc` where it is a whole procfs, otherwise a private one. Three system calls.
    ///
    /// It shows the pid namespace it was mounted for, which may be an ancestor of the caller's; `self`
    /// still means the caller.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] where neither can be had.
    pub fn open() -> Result<Proc> {
        let host = match Proc::host() {
            Ok(host) => return Ok(host),
            Err(e) => e,
        };
        Proc::private(Subset::All).map_err(|_| host)
    }

    /// The host's `/proc`, verified to be the root of a procfs.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] where it is not.
    pub fn host() -> Result<Proc> {
        let what = || "open `/proc`";
        let flags = OpenFlags::PATH | OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW;
        let dir = fs::openat(CWD, Path::new("/proc"), flags, 0).map_err(|e| e.errno()).context(what)?;
        Proc::from_fd(dir)
    }

    /// The procfs that `dir` is open on, verified to be the root of one: for a handle got from another
    /// process or from another mount namespace.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] where it is not.
    pub fn from_fd(dir: OwnedFd) -> Result<Proc> {
        let what = || "verify `/proc`";
        let kind = fs::fstatfs(dir.as_fd()).context(what)?.kind;
        let stat = fs::fstat(dir.as_fd()).context(what)?;
        if kind != FsType::PROC || stat.ino != ROOT_INO {
            return Err(Error::new(Kind::Unsupported, "verify `/proc`: it is not the root of a procfs"));
        }
        Ok(Proc { dir, mount_id: stat.mount_id, name: "/proc".to_owned() })
    }

    /// A procfs instance of the caller's own, for its pid namespace, not mounted anywhere (kernel 5.2; the
    /// subset 5.8). Nothing can be mounted over its entries.
    ///
    /// # Errors
    /// [`Kind::Permission`] without `CAP_SYS_ADMIN`, or in a user namespace whose `/proc` is partly covered.
    pub fn private(subset: Subset) -> Result<Proc> {
        let what = || "make a private procfs";
        let context = mount::fsopen("proc").context(what)?;
        if subset == Subset::Pids {
            mount::fsconfig_string(context.as_fd(), "subset", "pid").context(what)?;
        }
        mount::fsconfig_create(context.as_fd()).context(what)?;
        let attributes = Attr::NOSUID | Attr::NODEV | Attr::NOEXEC;
        Proc::from_fd(mount::fsmount(context.as_fd(), attributes).context(what)?)
    }

    /// The process `pid` as this procfs numbers it. The handle keeps meaning that process: when it is gone,
    /// every use fails, even if its number is used again.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where there is none.
    pub fn pid(&self, pid: u32) -> Result<Proc> {
        self.dir(&pid.to_string())
    }

    /// The calling process.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where this procfs belongs to a pid namespace that does not see the caller.
    pub fn self_dir(&self) -> Result<Proc> {
        self.dir("self")
    }

    fn dir(&self, name: &str) -> Result<Proc> {
        let flags = OpenFlags::PATH | OpenFlags::DIRECTORY;
        let dir = self.find(Path::new(name), flags).context(|| self.named("open", name))?;
        Ok(Proc { dir, mount_id: self.mount_id, name: format!("{}/{name}", self.name) })
    }

    /// The directory's descriptor, an `O_PATH` one.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Opens the file `path` below this directory. Links that jump out of procfs are refused: [`Proc::follow`]
    /// is for those.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; `EXDEV` where something is mounted over it.
    pub fn open_file(&self, path: &str, flags: OpenFlags) -> Result<File> {
        self.find(Path::new(path), flags).map(File::from).context(|| self.named("open", path))
    }

    /// Writes `content` to `path` in one call, as attributes, maps and sysctls want it.
    ///
    /// # Errors
    /// As open(2) and write(2), with the path.
    pub fn write(&self, path: &str, content: &[u8]) -> Result<()> {
        let what = || self.named("write", path);
        let file = match self.find(Path::new(path), OpenFlags::WRONLY) {
            // Inside a container's own /proc, sys is read-only or covered.
            Err(e @ (errno::ROFS | errno::XDEV)) if path.starts_with("sys/") => {
                let private = Proc::private(Subset::All).map_err(|_| e).context(what)?;
                private.find(Path::new(path), OpenFlags::WRONLY).context(what)?
            }
            found => found.context(what)?,
        };
        let written = File::from(file).write(content).context(what)?;
        if written != content.len() {
            return Err(Error::new(Kind::System, format!("{}: only in part", what())));
        }
        Ok(())
    }

    /// The content of `path`, at most `limit` bytes.
    ///
    /// # Errors
    /// [`Kind::Limit`] if there is more; as open(2) and read(2).
    pub fn read_bounded(&self, path: &str, limit: u64) -> Result<Vec<u8>> {
        let file = self.open_file(path, OpenFlags::RDONLY)?;
        taru_stdx::fs::read_file_bounded(&file, limit, || self.named("read", path))
    }

    /// As [`Proc::read_bounded`], as text.
    ///
    /// # Errors
    /// As [`Proc::read_bounded`]; [`Kind::Invalid`] if it is not UTF-8.
    pub fn read_text(&self, path: &str, limit: u64) -> Result<String> {
        let bytes = self.read_bounded(path, limit)?;
        String::from_utf8(bytes)
            .map_err(|_| Error::invalid(format!("{}: not UTF-8", self.named("read", path))))
    }

    /// The text of the link `path`: of `self/exe`, `17/ns/net`, `self/fd/3`.
    ///
    /// # Errors
    /// As readlink(2).
    pub fn read_link(&self, path: &str) -> Result<std::path::PathBuf> {
        let what = || self.named("read the link", path);
        let link = self.find(Path::new(path), OpenFlags::PATH | OpenFlags::NOFOLLOW).context(what)?;
        fs::readlinkat(link.as_fd(), Path::new("")).map_err(|e| e.errno()).context(what)
    }

    /// Opens what the magic link `path` stands for: a namespace (`17/ns/mnt`), a root, an executable. The
    /// only call that leaves procfs, and it says so.
    ///
    /// # Errors
    /// As open(2); [`Kind::Permission`] where ptrace access is refused; `EXDEV` where something is mounted
    /// over the link.
    pub fn follow(&self, path: &str, flags: OpenFlags) -> Result<OwnedFd> {
        let what = || self.named("open", path);
        let (above, name) = path.rsplit_once('/').unwrap_or((".", path));
        let dir = self.find(Path::new(above), OpenFlags::PATH | OpenFlags::DIRECTORY).context(what)?;
        let link = fs::statx(dir.as_fd(), Path::new(name), AtFlags::SYMLINK_NOFOLLOW, MountId::Reused)
            .map_err(|e| e.errno())
            .context(what)?;
        if link.mount_id != self.mount_id || link.file_type() != FileType::Symlink {
            return Err(errno::XDEV).context(what);
        }
        fs::openat(dir.as_fd(), Path::new(name), flags, 0).map_err(|e| e.errno()).context(what)
    }

    fn named(&self, verb: &str, path: &str) -> String {
        format!("{verb} `{}/{path}`", self.name)
    }

    /// procfs' ordinary links (`self`, `mounts`) are the kernel's and stay inside; all others jump.
    fn find(&self, path: &Path, flags: OpenFlags) -> std::result::Result<OwnedFd, Errno> {
        let resolve = Resolve::BENEATH | Resolve::NO_XDEV | Resolve::NO_MAGICLINKS;
        match fs::openat2(self.dir.as_fd(), path, How { flags, mode: 0, resolve }) {
            Err(e) if e.errno() == errno::NOSYS => self.find_by_steps(path, flags),
            // EPERM may be the answer of procfs, or of a sandbox that does not know openat2.
            Err(e) if e.errno() == errno::PERM => self.find_by_steps(path, flags),
            done => done.map_err(|e| e.errno()),
        }
    }

    /// The same without openat2: component by component, each checked to lie on procfs' own mount before
    /// it is used, with `self` and `thread-self` read as the links they are.
    fn find_by_steps(&self, path: &Path, flags: OpenFlags) -> std::result::Result<OwnedFd, Errno> {
        let number = |e: taru_sys::Error| e.errno();
        let mut left: Vec<_> = path.components().map(|c| c.as_os_str().to_owned()).rev().collect();
        let mut dir = fs::openat(self.dir.as_fd(), Path::new("."), OpenFlags::PATH, 0).map_err(number)?;
        let mut links = 0;
        while let Some(name) = left.pop() {
            let name = Path::new(&name);
            if name == Path::new("..") || name.is_absolute() {
                return Err(errno::XDEV);
            }
            let step = OpenFlags::PATH | OpenFlags::NOFOLLOW;
            let next = fs::openat(dir.as_fd(), name, step, 0).map_err(number)?;
            let stat = fs::fstat(next.as_fd()).map_err(number)?;
            // Kernels before 5.8 tell no mount id; the file system's type is then the best there is.
            let same = match (stat.mount_id, self.mount_id) {
                (Some(a), Some(b)) => a == b,
                _ => fs::fstatfs(next.as_fd()).map_err(number)?.kind == FsType::PROC,
            };
            if !same {
                return Err(errno::XDEV);
            }
            let is_link = stat.file_type() == FileType::Symlink;
            if left.is_empty() && (!is_link || flags.contains(step)) {
                if flags.contains(OpenFlags::PATH) {
                    let wants_dir = flags.contains(OpenFlags::DIRECTORY);
                    return if wants_dir && !stat.is_dir() { Err(errno::NOTDIR) } else { Ok(next) };
                }
                // procfs has no rename: the name still means what was just looked at, unless something was
                // mounted over it, which the second look sees.
                let opened = fs::openat(dir.as_fd(), name, flags | OpenFlags::NOFOLLOW, 0).map_err(number)?;
                let again = fs::fstat(opened.as_fd()).map_err(number)?;
                return if again.mount_id == stat.mount_id { Ok(opened) } else { Err(errno::XDEV) };
            }
            if is_link {
                links += 1;
                let at_root = fs::fstat(dir.as_fd()).map_err(number)?.ino == ROOT_INO;
                if links > 4 || !at_root {
                    return Err(errno::LOOP);
                }
                let text = fs::readlinkat(next.as_fd(), Path::new("")).map_err(number)?;
                left.extend(text.components().map(|c| c.as_os_str().to_owned()).rev());
                continue;
            }
            dir = next;
        }
        if flags.contains(OpenFlags::PATH) { Ok(dir) } else { Err(errno::ISDIR) }
    }
}

/// What of procfs a private instance shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subset {
    /// Everything.
    All,
    /// Processes only (`subset=pid`, kernel 5.8).
    Pids,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an open found or how it failed.
    fn look(found: std::result::Result<OwnedFd, Errno>) -> std::result::Result<(u64, u32), Errno> {
        found.map(|fd| {
            let stat = fs::fstat(fd.as_fd()).unwrap();
            (stat.ino, stat.mode)
        })
    }

    #[test]
    fn the_steps_find_what_openat2_finds() {
        let proc = Proc::host().unwrap();
        let path_link = OpenFlags::PATH | OpenFlags::NOFOLLOW;
        for (path, flags) in [
            ("self", path_link),
            ("self", OpenFlags::PATH),
            ("self/attr/exec", OpenFlags::PATH),
            ("self/ns/mnt", path_link),
            ("mounts", OpenFlags::RDONLY),
            ("thread-self/comm", OpenFlags::RDONLY),
            ("sys/kernel/hostname", OpenFlags::RDONLY),
            ("self/nothing", OpenFlags::RDONLY),
            ("self/comm/x", OpenFlags::RDONLY),
            ("self/comm", OpenFlags::DIRECTORY),
            ("self/exe", OpenFlags::RDONLY),
            ("self/root/etc", OpenFlags::PATH),
            ("..", OpenFlags::PATH),
            ("/etc", OpenFlags::PATH),
        ] {
            let kernel = look(proc.find(Path::new(path), flags));
            let steps = look(proc.find_by_steps(Path::new(path), flags));
            match (kernel, steps) {
                (Err(_), Err(_)) => {}
                (kernel, steps) => assert_eq!(kernel, steps, "`{path}`"),
            }
        }
    }
}
