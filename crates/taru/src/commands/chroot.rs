//! `taru chroot`: a program with another root, which it cannot leave, in a mount namespace that ends with it.
//!
//! ```text
//! unshare(mount, pid [, user])  nothing mounted below reaches the host, nor outlives the program
//!   └─ child, pid 1
//!        bind NEWROOT over itself, read-only if asked; bind, tmpfs, proc below it, by descriptor
//!        pivot_root(".", "."), umount2(".")   the old root is in no mount of the namespace any more
//!        capabilities that lead out of any root are dropped, unless --keep-caps
//! ```
//! After chroot(2) alone the old root stays: a second chroot and enough `..` leads there. And while host
//! processes are in view, changing to their user and tracing one leads out; so there is a PID namespace too.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use taru_mount::{Attr, Mount, MountAttr, Propagation, change};
use taru_rootdir::{Proc, RootDir};
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::caps::{self, Capabilities, Sets};
use taru_sys::fs::{self, CWD, OpenFlags};
use taru_sys::mount::{UmountFlags, umount2};
use taru_sys::ns::{self, Namespaces};
use taru_sys::signal::{SIGINT, SIGKILL};
use taru_sys::{process, user};

use crate::cli::Global;
use crate::ns::{accounts, program};

/// Run a program with another root directory, which it cannot leave
///
/// Unlike chroot(8) the old root is gone from the program's view (pivot_root in a mount namespace), the host's
/// processes are out of its sight, and mounts and processes made inside end with it. Capabilities with which root breaks out of any root (such as mounting, making
/// devices, opening files by handle) are dropped. An ordinary user can do it too, in a user namespace.
/// Without a program the shell is run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru chroot ./debian                              a shell in a debootstrap tree
  taru chroot --proc --bind /dev ./debian apt-get update
  taru chroot --ro --tmpfs /tmp --userspec nobody ./tree ls -l /
  taru chroot --ro-bind /usr --ro-bind /lib --ro-bind /lib64 --ro-bind /bin ./empty bash")]
pub struct Args {
    /// Bind SRC of the host at DST of the new root [default: the same path]
    #[arg(long, value_name = "SRC[:DST]")]
    bind: Vec<OsString>,
    /// As --bind, read-only with all below
    #[arg(long, value_name = "SRC[:DST]")]
    ro_bind: Vec<OsString>,
    /// Mount an empty tmpfs at DST
    #[arg(long, value_name = "DST")]
    tmpfs: Vec<PathBuf>,
    /// Mount procfs at /proc
    #[arg(long)]
    proc: bool,
    /// Make the new root read-only (what is bound with --bind stays writable)
    #[arg(long)]
    ro: bool,
    /// Run as this user and group, by name or number
    #[arg(long, value_name = "USER[:GROUP]")]
    userspec: Option<String>,
    /// Run with these further groups
    #[arg(long, value_name = "GROUP,...", value_delimiter = ',')]
    groups: Option<Vec<String>>,
    /// Do not change the working directory to `/` (only where NEWROOT is the old root)
    #[arg(long)]
    skip_chdir: bool,
    /// Keep all capabilities: for a NEWROOT and a program that you trust as the host's own
    #[arg(long)]
    keep_caps: bool,
    /// Stay in the host's PID namespace: what the program leaves running stays, and the host's processes are in
    /// its reach
    #[arg(long)]
    share_pid: bool,
    /// As an ordinary user: be root inside
    #[arg(short = 'r', long)]
    map_root_user: bool,

    /// The new root
    #[arg(value_name = "NEWROOT")]
    root: PathBuf,
    /// The program and its arguments [default: your shell]
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// With any of these root leaves any root: by mounting, by devices and raw memory, by file handles, by
/// other processes' roots, by loading code into the kernel.
const LEAD_OUT: [&str; 10] = [
    "sys_admin",
    "sys_module",
    "sys_rawio",
    "sys_ptrace",
    "sys_boot",
    "mknod",
    "dac_read_search",
    "bpf",
    "perfmon",
    "checkpoint_restore",
];

pub(super) fn run(args: &Args, _: &Global) -> Result<ExitCode> {
    let ids = ids(args)?;
    if args.skip_chdir && !is_root_already(&args.root)? {
        return Err(Error::invalid("chroot: `--skip-chdir` needs the old root as NEWROOT"));
    }
    // By path: a descriptor of the old root's directory would be a way out. Who does not return may be in one that was removed.
    let here = args.skip_chdir.then(fs::getcwd).transpose().context(|| "look up the working directory")?;
    let proc = Proc::open()?;
    make_namespaces(args, &proc)?;
    if !args.share_pid
        && let Some(child) = program::fork(&[SIGINT])?
    {
        return program::mirror(&child);
    }
    let root = assemble(args)?;
    pivot(&root)?;
    if let Some(here) = here {
        fs::chdir(&here).context(|| "return to the working directory")?;
    }
    // A directory left open by whoever called us would be a way out.
    taru_sys::fd::cloexec_from(3).context(|| "close what was inherited")?;
    if !args.keep_caps {
        drop_capabilities()?;
    }
    apply_ids(&ids)?;
    if !args.share_pid {
        // Whoever kills us means the program. Last, because a change of ids takes it back.
        process::set_parent_death_signal(SIGKILL).context(|| "ask for the parent's death signal")?;
    }
    Err(program::execute(&args.command))
}

/// Who the program runs as; names are looked up in the host's files, before its root is changed.
struct Ids {
    uid: Option<u32>,
    gid: Option<u32>,
    groups: Option<Vec<u32>>,
}

fn ids(args: &Args) -> Result<Ids> {
    let mut ids = Ids { uid: None, gid: None, groups: None };
    if let Some(spec) = &args.userspec {
        let (name, group) = match spec.split_once(':') {
            Some((name, group)) => (name, Some(group)),
            None => (spec.as_str(), None),
        };
        if !name.is_empty() {
            let uid = accounts::user(name)?;
            ids.uid = Some(uid);
            // As chroot(8): without a group the user's own.
            ids.gid = accounts::first_group(uid);
            ids.groups = Some(Vec::new());
        }
        if let Some(group) = group.filter(|g| !g.is_empty()) {
            ids.gid = Some(accounts::group(group)?);
        }
    }
    if let Some(groups) = &args.groups {
        let named = groups.iter().filter(|g| !g.is_empty());
        ids.groups = Some(named.map(|g| accounts::group(g)).collect::<Result<_>>()?);
    }
    Ok(ids)
}

fn is_root_already(root: &Path) -> Result<bool> {
    let look = |path: &Path| -> Result<_> {
        let fd = open_dir(path)?;
        fs::fstat(fd.as_fd()).map(|s| (s.device, s.ino, s.mount_id)).context(|| "compare the roots")
    };
    Ok(look(root)? == look(Path::new("/"))?)
}

fn make_namespaces(args: &Args, proc: &Proc) -> Result<()> {
    let admin = Capabilities::named("sys_admin").unwrap_or_default();
    let privileged = caps::capget().is_ok_and(|own| own.effective.contains(admin));
    let mut wanted = Namespaces::MOUNT;
    if !args.share_pid {
        wanted |= Namespaces::PID;
    }
    if privileged && !args.map_root_user {
        ns::unshare(wanted).context(|| "make a mount namespace")?;
    } else {
        let (uid, gid) = (user::geteuid(), user::getegid());
        let inside = |id| if args.map_root_user { 0 } else { id };
        ns::unshare(wanted | Namespaces::USER)
            .context(|| "make a user and a mount namespace")
            .map_err(|e| e.hint("`taru check` tells whether ordinary users may make user namespaces"))?;
        proc.write("self/uid_map", format!("{} {uid} 1\n", inside(uid)).as_bytes())?;
        proc.write("self/setgroups", b"deny")?;
        proc.write("self/gid_map", format!("{} {gid} 1\n", inside(gid)).as_bytes())?;
    }
    let private = MountAttr { propagation: Some(Propagation::Private), ..MountAttr::default() };
    change(open_dir(Path::new("/"))?.as_fd(), &private, true).context(|| "keep mounts from the host")
}

/// The new root as a mount of its own, with everything mounted below it.
fn assemble(args: &Args) -> Result<RootDir> {
    let what = || format!("make `{}` a root", args.root.display());
    let place = open_dir(&args.root)?;
    let tree = Mount::bind(place.as_fd(), true).context(what)?;
    if args.ro {
        tree.attributes(Attr::RDONLY, Attr::empty(), true).context(what)?;
    }
    let root = RootDir::from_fd(tree.attach(place).context(what)?);
    for (list, read_only) in [(&args.ro_bind, true), (&args.bind, false)] {
        for text in list {
            bind(&root, text, read_only, args.ro)?;
        }
    }
    let plain = Attr::NOSUID | Attr::NODEV;
    for path in &args.tmpfs {
        let what = || format!("mount a tmpfs on `{}`", path.display());
        let target = mount_point(&root, path, true, args.ro).context(what)?;
        Mount::fs("tmpfs", Some("tmpfs"), &[("mode", Some("1777"))], plain)
            .and_then(|m| m.attach(target))
            .context(what)?;
    }
    if args.proc {
        let path = Path::new("/proc");
        let target = mount_point(&root, path, true, args.ro).context(|| "mount procfs on `/proc`")?;
        Mount::fs("proc", Some("proc"), &[], plain | Attr::NOEXEC)
            .and_then(|m| m.attach(target))
            .context(|| "mount procfs on `/proc`")?;
    }
    Ok(root)
}

fn bind(root: &RootDir, text: &OsString, read_only: bool, root_is_read_only: bool) -> Result<()> {
    let (source, target) = split(text);
    let what = || format!("bind `{}` at `{}`", source.display(), target.display());
    let from = fs::openat(CWD, &source, OpenFlags::PATH, 0).map_err(|e| e.errno()).context(what)?;
    let is_dir = fs::fstat(from.as_fd()).context(what)?.is_dir();
    let mount = Mount::bind(from.as_fd(), true).context(what)?;
    if read_only {
        mount.attributes(Attr::RDONLY, Attr::empty(), true).context(what)?;
    }
    mount.attach(mount_point(root, &target, is_dir, root_is_read_only).context(what)?).context(what)?;
    Ok(())
}

/// `SRC:DST` at the last colon; a path with a colon and no DST needs to be given twice.
fn split(text: &OsString) -> (PathBuf, PathBuf) {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let bytes = text.as_bytes();
    let path = |part: &[u8]| PathBuf::from(OsString::from_vec(part.to_vec()));
    match bytes.iter().rposition(|&b| b == b':') {
        Some(at) => {
            (path(bytes.get(..at).unwrap_or_default()), path(bytes.get(at + 1..).unwrap_or_default()))
        }
        None => (path(bytes), path(bytes)),
    }
}

/// What to mount on, made if missing: it then stays in the tree, as an empty directory or file.
fn mount_point(root: &RootDir, path: &Path, is_dir: bool, read_only: bool) -> Result<std::os::fd::OwnedFd> {
    let made = if is_dir { root.create_dir_all(path, 0o755) } else { root.create_file(path, 0o644) };
    made.map_err(|e| {
        if read_only && e.kind() != Kind::Invalid {
            e.hint("a read-only root must have it already")
        } else {
            e
        }
    })
}

/// Makes `root`, a mount, the root of the mount namespace, and takes the old one out of it.
fn pivot(root: &RootDir) -> Result<()> {
    let here = Path::new(".");
    fs::fchdir(root).context(|| "enter the new root")?;
    fs::pivot_root(here, here).context(|| "change the root").map_err(|e| match e.kind() {
        Kind::Invalid => e.hint("the kernel refuses it where the current root is the initial ramfs"),
        _ => e,
    })?;
    // Both lie on each other at "/", the old one on top, which "." still means.
    umount2(here, UmountFlags::DETACH).context(|| "take away the old root")?;
    fs::chdir(Path::new("/")).context(|| "change the working directory to `/`")
}

fn apply_ids(ids: &Ids) -> Result<()> {
    if let Some(groups) = &ids.groups {
        user::setgroups(groups).context(|| "set the further groups")?;
    }
    if let Some(gid) = ids.gid {
        user::setresgid(gid).context(|| "set the group")?;
    }
    if let Some(uid) = ids.uid {
        user::setresuid(uid).context(|| "set the user")?;
    }
    Ok(())
}

/// Takes the capabilities that lead out from every set, for good: execve(2) of a set-id program does not
/// bring them back.
fn drop_capabilities() -> Result<()> {
    let what = || "drop capabilities";
    let lead_out =
        LEAD_OUT.iter().filter_map(|n| Capabilities::named(n)).fold(Capabilities::NONE, |a, b| a | b);
    let keep = Capabilities(!lead_out.0);
    let own = caps::capget().context(what)?;
    // An ordinary user has none to lose, and may not change the bounding set.
    if own.effective.contains(Capabilities::named("setpcap").unwrap_or_default()) {
        caps::limit_bounding(keep).context(what)?;
    }
    caps::replace_ambient(Capabilities::NONE).context(what)?;
    let less = Sets {
        effective: own.effective & keep,
        permitted: own.permitted & keep,
        inheritable: own.inheritable & keep,
    };
    caps::capset(&less).context(what)
}

fn open_dir(path: &Path) -> Result<std::os::fd::OwnedFd> {
    fs::openat(CWD, path, OpenFlags::PATH | OpenFlags::DIRECTORY, 0)
        .map_err(|e| e.errno())
        .context(|| format!("open the directory `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binds_as_typed() {
        let split = |text: &str| split(&OsString::from(text));
        assert_eq!(split("/usr"), (PathBuf::from("/usr"), PathBuf::from("/usr")));
        assert_eq!(split("/a:/b"), (PathBuf::from("/a"), PathBuf::from("/b")));
        assert_eq!(split("/a:b:/c"), (PathBuf::from("/a:b"), PathBuf::from("/c")));
    }

    #[test]
    fn the_capabilities_that_lead_out_exist() {
        assert!(LEAD_OUT.iter().all(|n| Capabilities::named(n).is_some()));
    }
}
