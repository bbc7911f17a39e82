//! The runtime's own executable, out of reach of containers.
//!
//! A process that enters a container is, until execve(2), this executable: a container that opens its
//! `/proc/PID/exe`, or has it executed as entry point, interpreter or loader, holds the file itself and
//! could write to it once nobody executes it (CVE-2019-5736). So this process first becomes a copy of
//! itself that nobody can write to:
//!
//! * with the right to mount: the same file through a detached, read-only mount of just that file. Once
//!   its descriptor is closed the mount is in no namespace, so nobody can reach or change it
//!   (mount_setattr(2) refuses), and a write through `/proc/PID/exe` fails with EROFS. The kernel takes that
//!   file for this process's in place of the one it was started from ([`exe::set_file`]); where it refuses, the
//!   file is executed, which took 0.9 ms more on a virtual machine (the C library asks the processor what it
//!   can, and each answer is a trap).
//! * without it, where the file is this user's own: a sealed copy in memory.
//! * without it, where it is not: nothing; the container's root is this user, who may not write to it.

use std::io::{Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use taru_mount::{Attr, Mount};
use taru_stdx::{Context, Kind, Result};
use taru_sys::fs::{self, Access, AtFlags, CWD, OpenFlags, StatfsFlags};
use taru_sys::process::Program;
use taru_sys::{exe, fd, user};

const EXE: &str = "/proc/self/exe";

/// Makes the executable of this process one that no container can write to. Where that takes execve(2), this
/// program begins again, with the same arguments and environment, and this function returns then.
///
/// # Errors
/// Any refusal: a runtime that cannot protect itself must not enter a container.
pub fn seal_executable() -> Result<()> {
    let what = || "protect the runtime's executable";
    let exe = fs::openat(CWD, Path::new(EXE), OpenFlags::RDONLY, 0).context(what)?;
    if fd::is_sealed(exe.as_fd()) || is_detached(exe.as_fd())? {
        return Ok(());
    }
    let mount = Mount::bind(exe.as_fd(), false).and_then(|mount| {
        mount.attributes(Attr::RDONLY, Attr::default(), false)?;
        Ok(mount)
    });
    if mount.as_ref().is_ok_and(|mount| change_into(mount).is_ok()) {
        return Ok(());
    }
    let program = again().context(what)?;
    let sealed = match mount {
        Ok(mount) => program.execveat(mount.as_fd()),
        Err(e) if e.kind() == Kind::Permission && !is_own(&exe)? => return Ok(()),
        // A kernel without the new mount API, or no right to it.
        Err(_) => {
            let mut copy = std::fs::File::from(fd::memfd_create(c"taru-runtime", true).context(what)?);
            let mut original = std::fs::File::from(exe);
            std::io::copy(&mut original, &mut copy).context(what)?;
            copy.seek(SeekFrom::Start(0)).context(what)?;
            fd::seal(copy.as_fd()).context(what)?;
            program.execveat(copy.as_fd())
        }
    };
    Err(sealed).context(what)
}

/// Goes on as the file that `mount` is.
fn change_into(mount: &Mount) -> taru_sys::Result<()> {
    let at = PathBuf::from(format!("/proc/self/fd/{}", mount.as_fd().as_raw_fd()));
    exe::set_file(fs::openat(CWD, &at, OpenFlags::RDONLY, 0)?.as_fd())
}

/// A file that is its mount's own root has the path `/`; and nothing can be written there.
fn is_detached(exe: std::os::fd::BorrowedFd<'_>) -> Result<bool> {
    let path = std::fs::read_link(EXE).context(|| "read the runtime's path")?;
    let read_only = fs::fstatfs(exe).is_ok_and(|s| s.flags.contains(StatfsFlags::RDONLY));
    Ok(path == Path::new("/") && read_only)
}

fn is_own(exe: impl AsFd) -> Result<bool> {
    let stat = fs::fstat(exe.as_fd()).context(|| "look at the runtime's executable")?;
    let writable = fs::faccessat(CWD, Path::new(EXE), Access::WRITE, AtFlags::EACCESS).is_ok();
    Ok(stat.uid == user::geteuid() || writable)
}

fn again() -> taru_sys::Result<Program> {
    let arguments = std::env::args_os().map(OsStringExt::into_vec);
    let environment = std::env::vars_os().map(|(name, value)| {
        let mut entry = name.into_vec();
        entry.push(b'=');
        entry.extend(value.into_vec());
        entry
    });
    Program::new(EXE, arguments, environment)
}

/// How many of the first `most` descriptors behind the standard streams this process was started with.
pub fn inherited_descriptors(most: u32) -> u32 {
    (0..most).take_while(|n| i32::try_from(n + 3).is_ok_and(is_inherited)).count() as u32
}

/// What this process opened itself is closed on execve; what it was started with is not.
fn is_inherited(number: i32) -> bool {
    fd::is_cloexec(number) == Some(false)
}

/// Makes sure that the descriptors to be handed on are open, and that no other one that this process was
/// started with outlives execve(2).
///
/// # Errors
/// [`Kind::Invalid`] for a preserved descriptor that is not open.
pub fn keep_descriptors(preserve: u32) -> Result<()> {
    let end = i32::try_from(preserve).ok().and_then(|n| n.checked_add(3));
    for number in 3..end.unwrap_or(i32::MAX) {
        if !is_inherited(number) {
            return Err(taru_stdx::Error::invalid(format!("preserve descriptor {number}: it is not open"))
                .hint("--preserve-fds N hands on the descriptors 3 to N+2"));
        }
    }
    fd::cloexec_from(3).context(|| "close inherited descriptors on execve")
}
