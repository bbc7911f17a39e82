//! The program to execute: found as execvp(3) would, but told apart from "may not".

use std::path::{Path, PathBuf};

use taru_rootdir::RootDir;
use taru_stdx::{Error, Kind, Result};
use taru_sys::errno;
use taru_sys::fs::{self, Access, AtFlags, CWD};
use taru_sys::process::{self, Program};

use crate::plan::ProcessPlan;

/// Where programs are looked for when the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The largest /etc/passwd that is read for a home directory.
const PASSWD_LIMIT: u64 = 1 << 20;

/// Finds the program of `plan` and makes it ready for execve(2). Runs with the ids it will have.
///
/// # Errors
/// [`Kind::Exec`] 127 where there is none, 126 where it may not be executed.
pub(crate) fn find(plan: &ProcessPlan) -> Result<Program> {
    let name = plan.args.first().map_or("", String::as_str);
    let path = if name.contains('/') {
        check(Path::new(name)).map_err(|e| refuse(name, e))?;
        PathBuf::from(name)
    } else {
        search(plan, name)?
    };
    Program::new(
        path.into_os_string().into_encoded_bytes(),
        plan.args.iter().map(String::as_str),
        environment(plan),
    )
    .map_err(|e| Error::invalid(format!("exec `{name}`")).because(e))
}

fn search(plan: &ProcessPlan, name: &str) -> Result<PathBuf> {
    let mut refused = None;
    let dirs = plan.variable("PATH").unwrap_or(DEFAULT_PATH).split(':');
    // Without a name every directory itself would be found.
    for dir in dirs.filter(|_| !name.is_empty()) {
        // An empty entry is the working directory, as POSIX has it.
        let path = Path::new(if dir.is_empty() { "." } else { dir }).join(name);
        match check(&path) {
            Ok(()) => return Ok(path),
            Err(e) if e == errno::ACCES => refused = Some(e),
            _ => {}
        }
    }
    Err(match refused {
        Some(e) => refuse(name, e),
        None => Error::new(Kind::Exec(127), format!("exec `{name}`: executable file not found in $PATH")),
    })
}

fn refuse(name: &str, errno: taru_sys::Errno) -> Error {
    let status = if errno == errno::NOENT || errno == errno::NOTDIR { 127 } else { 126 };
    Error::new(Kind::Exec(status), format!("exec `{name}`")).because(as_engines_read_it(errno))
}

/// The text of an error number as Go's programs spell it: docker turns `no such file or directory` into the
/// exit status 127 and `permission denied` into 126, and knows no other spelling.
pub(super) fn as_engines_read_it(errno: taru_sys::Errno) -> String {
    let text = errno.text();
    text[..1].to_ascii_lowercase() + &text[1..]
}

/// Whether a regular file stands there and may be executed with the effective ids.
fn check(path: &Path) -> std::result::Result<(), taru_sys::Errno> {
    let stat = fs::statx(CWD, path, AtFlags::default(), fs::MountId::Reused).map_err(|e| e.errno())?;
    if stat.file_type() != fs::FileType::Regular {
        return Err(errno::ACCES);
    }
    fs::faccessat(CWD, path, Access::EXECUTE, AtFlags::EACCESS).map_err(|e| e.errno())
}

/// The environment, with a `HOME` from /etc/passwd if it has none, as login(1) would, and with what sd_listen_fds(3) asks for: the
/// number that this process has in its own pid namespace among it, for a program takes no sockets that are another's.
fn environment(plan: &ProcessPlan) -> Vec<String> {
    let mut env = plan.env.clone();
    if plan.variable("HOME").is_none_or(str::is_empty) {
        env.retain(|entry| !entry.starts_with("HOME="));
        env.push(format!("HOME={}", home_of(plan.uid)));
    }
    if plan.listen_fds > 0 {
        env.retain(|entry| !entry.starts_with("LISTEN_FDS=") && !entry.starts_with("LISTEN_PID="));
        env.push(format!("LISTEN_FDS={}", plan.listen_fds));
        env.push(format!("LISTEN_PID={}", process::getpid()));
    }
    env
}

/// The home directory of `uid` by the container's own /etc/passwd, `/` where it says none. The file is
/// the container's: a link is followed below the root only, anything but a regular file is passed over.
fn home_of(uid: u32) -> String {
    let read = || RootDir::open(Path::new("/"))?.read_bounded(Path::new("etc/passwd"), PASSWD_LIMIT);
    let content = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&content);
    text.lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find_map(|fields| match fields.as_slice() {
            [_, _, id, _, _, home, ..] if id.parse() == Ok(uid) && home.starts_with('/') => {
                Some((*home).to_owned())
            }
            _ => None,
        })
        .unwrap_or_else(|| "/".to_owned())
}
