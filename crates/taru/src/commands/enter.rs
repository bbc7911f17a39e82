//! `taru enter`: a program in the namespaces of another process, with the options of util-linux 2.38's nsenter.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use taru_rootdir::Proc;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::{self, CWD, FsType, OpenFlags};
use taru_sys::ns::{self, Namespaces};
use taru_sys::user;

use crate::cli::Global;
use crate::ns::program;

/// Run a program in the namespaces of another process
///
/// The options are those of util-linux's nsenter. A namespace is that of the --target process, or with =FILE
/// the one kept at FILE. Without a program the shell is run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru enter --target 4711 --all ps ax          everything that process sees
  taru enter -t 4711 -n ss -tln                 its network, our programs
  taru enter --net=/run/ns/blue ip link         a namespace kept by `taru unshare`")]
pub struct Args {
    /// Enter all namespaces of the target that are not ours already
    #[arg(short, long, requires = "target")]
    all: bool,
    /// The process whose namespaces are meant
    #[arg(short, long, value_name = "PID")]
    target: Option<u32>,
    /// Enter the mount namespace
    #[arg(short, long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    mount: Option<Option<PathBuf>>,
    /// Enter the UTS namespace (host name)
    #[arg(short, long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    uts: Option<Option<PathBuf>>,
    /// Enter the IPC namespace
    #[arg(short, long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    ipc: Option<Option<PathBuf>>,
    /// Enter the network namespace
    #[arg(short, long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    net: Option<Option<PathBuf>>,
    /// Enter the PID namespace
    #[arg(short, long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pid: Option<Option<PathBuf>>,
    /// Enter the cgroup namespace
    #[arg(short = 'C', long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    cgroup: Option<Option<PathBuf>>,
    /// Enter the user namespace
    #[arg(short = 'U', long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    user: Option<Option<PathBuf>>,
    /// Enter the time namespace
    #[arg(short = 'T', long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    time: Option<Option<PathBuf>>,
    /// Set the user id in the namespace [default with --user: 0]
    #[arg(short = 'S', long, value_name = "UID")]
    setuid: Option<u32>,
    /// Set the group id in the namespace, without further groups [default with --user: 0]
    #[arg(short = 'G', long, value_name = "GID")]
    setgid: Option<u32>,
    /// Leave user and group as they are
    #[arg(long, conflicts_with_all = ["setuid", "setgid"])]
    preserve_credentials: bool,
    /// Set the root directory: to DIR, or to the target's
    #[arg(short, long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    root: Option<Option<PathBuf>>,
    /// Set the working directory: to DIR, or to the target's
    #[arg(short, long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    wd: Option<Option<PathBuf>>,
    /// Set the working directory to DIR as seen in the namespaces
    #[arg(short = 'W', long, value_name = "DIR", conflicts_with = "wd")]
    wdns: Option<PathBuf>,
    /// Do not fork: the program is then outside the PID namespace, its children inside
    #[arg(short = 'F', long)]
    no_fork: bool,
    /// Run the program in the SELinux context of the target
    #[arg(short = 'Z', long, requires = "target")]
    follow_context: bool,

    /// The program and its arguments [default: your shell]
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// What is to be entered, all of it open before the first step.
struct Way {
    /// Each namespace and its kind.
    namespaces: Vec<(Namespaces, OwnedFd)>,
    root: Option<OwnedFd>,
    wd: Option<OwnedFd>,
}

pub(super) fn run(args: &Args, _: &Global) -> Result<ExitCode> {
    let proc = Proc::open()?;
    let find = |pid| {
        proc.pid(pid).map_err(|e| match e.kind() {
            Kind::NotFound => Error::new(Kind::NotFound, format!("enter process `{pid}`: no such process")),
            _ => e,
        })
    };
    let target = args.target.map(find).transpose()?;
    let way = open(args, &proc, target.as_ref())?;
    if args.follow_context {
        follow_context(&proc, target.as_ref())?;
    }
    let has = |kind| way.namespaces.iter().any(|(k, _)| *k == kind);
    let (uid, gid) = match (has(Namespaces::USER), args.preserve_credentials) {
        // In a user namespace our ids usually mean nobody: root is the useful default.
        (true, false) => (Some(args.setuid.unwrap_or(0)), Some(args.setgid.unwrap_or(0))),
        _ => (args.setuid, args.setgid),
    };
    let fork = has(Namespaces::PID) && !args.no_fork;
    // One of the two tries must work: inside, /proc/self/setgroups may say no; outside, we may be nobody.
    let dropped_before = gid.is_some() && has(Namespaces::USER) && user::setgroups(&[]).is_ok();

    enter(&way.namespaces)?;
    change_directories(args, way)?;
    if fork && let Some(child) = program::fork(&[])? {
        return program::mirror(&child);
    }
    if let Some(gid) = gid {
        match user::setgroups(&[]) {
            Err(_) if dropped_before => {}
            done => done.context(|| "drop the further groups")?,
        }
        user::setresgid(gid).context(|| "set the group")?;
    }
    if let Some(uid) = uid {
        user::setresuid(uid).context(|| "set the user")?;
    }
    Err(program::execute(&args.command))
}

fn open(args: &Args, proc: &Proc, target: Option<&Proc>) -> Result<Way> {
    let need_target = || target.ok_or_else(|| Error::invalid("enter: no process is named; add --target PID"));
    let mut namespaces = Vec::new();
    // The user namespace first; `enter` knows when it comes last.
    for (kind, asked) in [
        (Namespaces::USER, &args.user),
        (Namespaces::CGROUP, &args.cgroup),
        (Namespaces::IPC, &args.ipc),
        (Namespaces::UTS, &args.uts),
        (Namespaces::NETWORK, &args.net),
        (Namespaces::PID, &args.pid),
        (Namespaces::MOUNT, &args.mount),
        (Namespaces::TIME, &args.time),
    ] {
        let link = || format!("ns/{}", kind.names().next().map_or("", |(_, name)| name));
        let fd = match asked {
            Some(Some(file)) => open_file(file, kind)?,
            Some(None) => need_target()?.follow(&link(), OpenFlags::RDONLY)?,
            None if args.all => match entered_by_all(kind, proc, need_target()?, &link())? {
                Some(fd) => fd,
                None => continue,
            },
            None => continue,
        };
        namespaces.push((kind, fd));
    }
    let directory = |asked: &Option<Option<PathBuf>>, link: &str| -> Result<Option<OwnedFd>> {
        match asked {
            None => Ok(None),
            Some(None) => need_target()?.follow(link, OpenFlags::PATH).map(Some),
            Some(Some(dir)) => open_dir(dir).map(Some),
        }
    };
    Ok(Way { namespaces, root: directory(&args.root, "root")?, wd: directory(&args.wd, "cwd")? })
}

/// With `--all`: what the target has and we do not share. setns(2) refuses to re-enter the own user
/// namespace, and a kernel without a kind has no file for it.
fn entered_by_all(kind: Namespaces, proc: &Proc, target: &Proc, link: &str) -> Result<Option<OwnedFd>> {
    let theirs = match target.follow(link, OpenFlags::RDONLY) {
        Err(e) if e.kind() == Kind::NotFound => return Ok(None),
        theirs => theirs?,
    };
    if kind == Namespaces::USER {
        let ours = proc.self_dir()?.follow(link, OpenFlags::RDONLY)?;
        let same = |fd: &OwnedFd| fs::fstat(fd.as_fd()).map(|s| (s.device, s.ino));
        if same(&theirs).context(|| "compare user namespaces")?
            == same(&ours).context(|| "compare user namespaces")?
        {
            return Ok(None);
        }
    }
    Ok(Some(theirs))
}

fn open_file(file: &Path, kind: Namespaces) -> Result<OwnedFd> {
    let what = || format!("open the namespace `{}`", file.display());
    let fd = fs::openat(CWD, file, OpenFlags::RDONLY | OpenFlags::NONBLOCK, 0)
        .map_err(|e| e.errno())
        .context(what)?;
    match ns::kind_of(fd.as_fd()) {
        Ok(is) if is == kind => Ok(fd),
        Ok(is) => Err(Error::invalid(format!("{}: it is a {is} namespace, not {kind}", what()))),
        Err(_) => Err(Error::invalid(format!("{}: it is no namespace", what()))),
    }
}

fn open_dir(dir: &Path) -> Result<OwnedFd> {
    fs::openat(CWD, dir, OpenFlags::PATH | OpenFlags::DIRECTORY, 0)
        .map_err(|e| e.errno())
        .context(|| format!("open the directory `{}`", dir.display()))
}

/// Enters the namespaces in two rounds. Who gives up rights by entering the user namespace must do that
/// last; who gains them by it must do it first, and then what was refused before succeeds.
fn enter(namespaces: &[(Namespaces, OwnedFd)]) -> Result<()> {
    let user_last = namespaces.iter().filter(|(kind, _)| *kind != Namespaces::USER);
    let mut left: Vec<_> = namespaces.iter().filter(|(kind, _)| *kind == Namespaces::USER).collect();
    left.extend(user_last.filter(|(kind, fd)| ns::setns(fd.as_fd(), *kind).is_err()));
    for (kind, fd) in left {
        ns::setns(fd.as_fd(), *kind).context(|| format!("enter the {kind} namespace"))?;
    }
    Ok(())
}

fn change_directories(args: &Args, way: Way) -> Result<()> {
    let mut wd = way.wd;
    if let Some(root) = way.root {
        if wd.is_none() && args.wdns.is_none() {
            // The new root does not move us: stay where we are.
            wd = Some(open_dir(Path::new("."))?);
        }
        fs::fchdir(&root)
            .and_then(|()| fs::chroot(Path::new(".")))
            .context(|| "change the root directory")?;
    }
    if let Some(dir) = &args.wdns {
        wd = Some(open_dir(dir)?);
    }
    if let Some(wd) = wd {
        fs::fchdir(&wd).context(|| "change the working directory")?;
    }
    Ok(())
}

/// Where SELinux is not in force every process has the same context, none: that is then followed too.
fn follow_context(proc: &Proc, target: Option<&Proc>) -> Result<()> {
    let Ok(selinux) = fs::openat(CWD, Path::new("/sys/fs/selinux"), OpenFlags::PATH, 0) else {
        return Ok(());
    };
    if fs::fstatfs(selinux.as_fd()).map(|s| s.kind) != Ok(FsType::SELINUX) {
        return Ok(());
    }
    let Some(target) = target else { return Ok(()) };
    let mut context = target.read_bounded("attr/current", 4096)?;
    while context.last().is_some_and(|b| [0, b'\n'].contains(b)) {
        context.pop();
    }
    proc.write("self/attr/exec", &context)
}
