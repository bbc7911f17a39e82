//! `taru netns exec`: a program in a network namespace, with the files that belong to it.
//!
//! What ip-netns(8) does, in a mount namespace of its own that receives the host's mounts:
//! a /sys that shows the namespace's links, and /etc/netns/NAME/* over /etc/*. Unlike there, what
//! is mounted below /sys (control groups, debugfs, bpf, ...) stays in view.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;

use clap::ValueHint;
use taru_netlink::named;
use taru_stdx::{Context, Result};
use taru_sys::fs::{CWD, FsType, OpenFlags, StatfsFlags, fstatfs, openat};
use taru_sys::mount::{MountFlags, MoveMount, OpenTree, UmountFlags, mount, move_mount, open_tree, umount2};
use taru_sys::ns::{Namespaces, setns, unshare};

use crate::commands::place;
use crate::ns::program;
use crate::options::{Global, LogLevel};
use crate::output;

/// Run a program in a network namespace
///
/// The program sees the namespace's links in /sys, and the files of /etc/netns/NAME in place of
/// those of the same name in /etc (such as resolv.conf).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru netns exec blue ip route
  taru netns exec container:web ss -tln")]
pub(super) struct Args {
    /// The namespace: NAME, pid:N, container:NAME or a path
    #[arg(value_name = "WHERE")]
    netns: String,
    /// The program and its arguments
    #[arg(
        value_name = "COMMAND",
        required = true,
        trailing_var_arg = true,
        value_hint = ValueHint::CommandWithArguments
    )]
    command: Vec<OsString>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let netns = place::find(&args.netns, global)?;
    setns(netns.as_fd(), Namespaces::NETWORK)
        .context(|| format!("enter network namespace `{}`", args.netns))?;
    unshare(Namespaces::MOUNT).context(|| "make a mount namespace")?;
    // Ours must not reach the host; the host's may reach us.
    mount(None, Path::new("/"), None, MountFlags::SLAVE | MountFlags::REC, None)
        .context(|| "keep mounts from the host")?;
    renew_sys()?;
    if let Ok(file) = named::path(&args.netns) {
        bind_etc(&file, global)?;
    }
    Err(program::execute(&args.command))
}

/// The directories below /sys that the kernel makes for other file systems to be mounted on.
const BELOW_SYS: &[&str] = &[
    "fs/bpf",
    "fs/cgroup",
    "fs/fuse/connections",
    "fs/pstore",
    "fs/resctrl",
    "fs/selinux",
    "fs/smackfs",
    "firmware/efi/efivars",
    "kernel/config",
    "kernel/debug",
    "kernel/security",
    "kernel/tracing",
];

/// Mounts a new sysfs: one shows the links of the network namespace it was mounted in.
fn renew_sys() -> Result<()> {
    let what = || "mount a new `/sys`";
    let sys = Path::new("/sys");
    let Ok(old) = openat(CWD, sys, OpenFlags::PATH | OpenFlags::DIRECTORY, 0) else {
        return Ok(()); // a root file system without /sys
    };
    let statfs = fstatfs(old.as_fd()).context(what)?;
    let read_only = statfs.flags.contains(StatfsFlags::RDONLY);
    let kept: Vec<(&str, OwnedFd)> =
        BELOW_SYS.iter().filter_map(|name| Some((*name, mounted_below(name)?))).collect();
    if statfs.kind == FsType::SYSFS {
        umount2(sys, UmountFlags::DETACH).context(what)?;
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let flags = if read_only { flags | MountFlags::RDONLY } else { flags };
    mount(Some(Path::new("sysfs")), sys, Some("sysfs"), flags, None).context(what)?;
    for (name, tree) in kept {
        move_mount(tree.as_fd(), Path::new(""), CWD, &sys.join(name), MoveMount::F_EMPTY_PATH)
            .context(|| format!("mount `/sys/{name}` again"))?;
    }
    Ok(())
}

/// A detached copy of what is mounted at /sys/`name`, if anything is.
fn mounted_below(name: &str) -> Option<OwnedFd> {
    let path = Path::new("/sys").join(name);
    let place = openat(CWD, &path, OpenFlags::PATH | OpenFlags::DIRECTORY, 0).ok()?;
    if fstatfs(place.as_fd()).ok()?.kind == FsType::SYSFS {
        return None;
    }
    open_tree(CWD, &path, OpenTree::CLONE | OpenTree::RECURSIVE).ok()
}

/// Binds each entry of /etc/netns/NAME over the one of the same name in /etc.
fn bind_etc(file: &Path, global: &Global) -> Result<()> {
    let Some(name) = file.file_name() else { return Ok(()) };
    let Ok(entries) = std::fs::read_dir(Path::new("/etc/netns").join(name)) else { return Ok(()) };
    for entry in entries {
        let source = entry.context(|| format!("list `/etc/netns/{}`", name.display()))?.path();
        let Some(target) = source.file_name().map(|name| Path::new("/etc").join(name)) else { continue };
        if let Err(e) = mount(Some(&source), &target, None, MountFlags::BIND | MountFlags::REC, None) {
            // One file more than /etc has is no reason not to run the program.
            let why = e.errno();
            let text = format!("bind `{}` to `{}`: {why}", source.display(), target.display());
            output::note(global, LogLevel::Warn, &text);
        }
    }
    Ok(())
}
