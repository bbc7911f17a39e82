//! `taru unshare`: a program in new namespaces, with the options of util-linux 2.38.
//!
//! ```text
//! taru                                      deputies, forked first, in the old namespaces
//!   unshare(...)  ─────────────────────────> map ids: newuidmap(1) or uid_map
//!   fork, if asked for                 ┌───> bind namespaces to files
//!     └─ child: maps, propagation, root, /proc, ids, program
//! ```

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use taru_mount::idmap::{IdMaps, Range};
use taru_mount::{Attr, Mount, MountAttr, Propagation, change};
use taru_rootdir::Proc;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::caps::{self, Sets};
use taru_sys::fs::{self, CWD, OpenFlags};
use taru_sys::ns::{self, Namespaces};
use taru_sys::signal::{self, SIGINT, SIGTERM};
use taru_sys::{errno, process, user};

use crate::cli::Global;
use crate::ns::deputy::Deputy;
use crate::ns::maps::{self, Wanted};
use crate::ns::persist::{self, Kept};
use crate::ns::{accounts, program};

/// Run a program in new namespaces
///
/// The options are those of util-linux's unshare. A namespace option with =FILE keeps the namespace: it is
/// bound to FILE, which is made if missing, and `taru enter` finds it there. Without a program the shell is run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru unshare --uts sh -c 'hostname inside; hostname'     the host keeps its name
  taru unshare --mount --pid --mount-proc --fork ps ax     only the new processes
  taru unshare -r -n ip link                               as an ordinary user
  taru unshare -U --map-auto --map-root-user id            with all subordinate ids
  taru unshare --net=/run/ns/blue true                     a namespace that stays")]
pub struct Args {
    /// Unshare the mount namespace
    #[arg(short, long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    mount: Option<Option<PathBuf>>,
    /// Unshare the UTS namespace (host name)
    #[arg(short, long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    uts: Option<Option<PathBuf>>,
    /// Unshare the IPC namespace
    #[arg(short, long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    ipc: Option<Option<PathBuf>>,
    /// Unshare the network namespace
    #[arg(short, long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    net: Option<Option<PathBuf>>,
    /// Unshare the PID namespace; its first process is the program with --fork, else the program's first child
    #[arg(short, long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pid: Option<Option<PathBuf>>,
    /// Unshare the user namespace
    #[arg(short = 'U', long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    user: Option<Option<PathBuf>>,
    /// Unshare the cgroup namespace
    #[arg(short = 'C', long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    cgroup: Option<Option<PathBuf>>,
    /// Unshare the time namespace
    #[arg(short = 'T', long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    time: Option<Option<PathBuf>>,

    /// Fork before the program is run
    #[arg(short, long)]
    fork: bool,
    /// Map the current user to UID, a number or a name (implies --user)
    #[arg(long, value_name = "UID")]
    map_user: Option<String>,
    /// Map the current group to GID, a number or a name (implies --user)
    #[arg(long, value_name = "GID")]
    map_group: Option<String>,
    /// Map the current user and group to root (implies --user)
    #[arg(short = 'r', long)]
    map_root_user: bool,
    /// Map the current user and group to themselves (implies --user)
    #[arg(short = 'c', long, conflicts_with = "map_root_user")]
    map_current_user: bool,
    /// Map the user's subordinate ids of /etc/subuid and /etc/subgid (implies --user)
    #[arg(long)]
    map_auto: bool,
    /// Map COUNT users from OUTER on to INNER and on, or `auto` (implies --user)
    #[arg(long, value_name = "OUTER,INNER,COUNT")]
    map_users: Option<Wanted>,
    /// Map COUNT groups from OUTER on to INNER and on, or `auto` (implies --user)
    #[arg(long, value_name = "OUTER,INNER,COUNT")]
    map_groups: Option<Wanted>,

    /// When taru dies, send the program SIGNAL [default: KILL] (implies --fork)
    #[arg(long, value_name = "SIGNAL", num_args = 0..=1, require_equals = true)]
    kill_child: Option<Option<String>>,
    /// Mount procfs at DIR [default: /proc] first (implies --mount)
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    mount_proc: Option<Option<PathBuf>>,
    /// How mounts travel between the new mount namespace and the old
    #[arg(long, value_name = "MODE", value_enum, default_value_t = Travel::Private)]
    propagation: Travel,
    /// Whether setgroups(2) works in the user namespace
    #[arg(long, value_name = "MODE", value_enum)]
    setgroups: Option<Setgroups>,
    /// The program keeps the capabilities that the user namespace gives
    #[arg(long)]
    keep_caps: bool,

    /// Run the program with DIR as its root (chroot; see also `taru chroot`)
    #[arg(short = 'R', long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Change the working directory to DIR
    #[arg(short = 'w', long, value_name = "DIR")]
    wd: Option<PathBuf>,
    /// Set the user id in the namespace
    #[arg(short = 'S', long, value_name = "UID")]
    setuid: Option<u32>,
    /// Set the group id in the namespace, without further groups
    #[arg(short = 'G', long, value_name = "GID")]
    setgid: Option<u32>,
    /// Shift the monotonic clock by SECONDS in the time namespace
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, requires = "time")]
    monotonic: Option<i64>,
    /// Shift the boot-time clock by SECONDS in the time namespace
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, requires = "time")]
    boottime: Option<i64>,

    /// The program and its arguments [default: your shell]
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// `--propagation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Travel {
    /// From the old one to the new
    Slave,
    /// Both ways
    Shared,
    /// Not at all
    Private,
    /// As it was
    Unchanged,
}

/// `--setgroups`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Setgroups {
    /// It works, as far as the map allows
    Allow,
    /// It fails, for good
    Deny,
}

/// What is to be done, decided before anything is done.
struct Plan<'a> {
    namespaces: Namespaces,
    kept: Vec<Kept>,
    fork: bool,
    kill: Option<i32>,
    /// Written by a deputy outside: ranges.
    outside: IdMaps,
    /// Written by the program's process itself: one id each, which needs no privilege.
    own_user: Option<Range>,
    own_group: Option<Range>,
    setgroups: Option<Setgroups>,
    args: &'a Args,
}

pub(super) fn run(args: &Args, _: &Global) -> Result<ExitCode> {
    let plan = plan(args)?;
    let proc = Proc::open()?;
    let in_proc = proc.read_link("self")?.to_string_lossy().into_owned();
    signal::default_action(signal::SIGCHLD);

    let pid = process::getpid();
    let mapper = if plan.outside == IdMaps::default() {
        None
    } else {
        Some(Deputy::start(|| maps::write(&proc, &in_proc, pid.0, &plan.outside))?)
    };
    // From inside a new mount namespace nothing could be bound for the others to see; from inside a new
    // user namespace nothing in the old mount namespace at all.
    let leaves = [Namespaces::MOUNT, Namespaces::USER].iter().any(|&kind| plan.namespaces.contains(kind));
    let binder = if !plan.kept.is_empty() && leaves {
        Some(Deputy::start(|| persist::bind(&proc, &in_proc, &plan.kept))?)
    } else {
        None
    };

    ns::unshare(plan.namespaces).map_err(explain)?;
    if let Some(mapper) = mapper {
        mapper.act()?;
    }
    shift_clocks(&proc, args)?;

    if plan.fork {
        // The child comes first: only it fills a new PID namespace, so that it can be kept.
        // With --kill-child SIGTERM ends us, and so the program; else it is the program's alone to heed.
        let held: &[i32] = if plan.kill.is_some() { &[SIGINT] } else { &[SIGINT, SIGTERM] };
        let child = program::fork(held)?;
        if let Some(child) = child {
            keep(&proc, &plan, binder)?;
            return program::mirror(&child);
        }
        drop(binder);
    } else {
        keep(&proc, &plan, binder)?;
    }
    prepare(&proc, &plan)?;
    Err(program::execute(&args.command))
}

fn plan(args: &Args) -> Result<Plan<'_>> {
    let mut namespaces = Namespaces::NONE;
    let mut kept = Vec::new();
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
        let Some(file) = asked else { continue };
        namespaces |= kind;
        if let Some(file) = file {
            kept.push(Kept { kind, file: file.clone() });
        }
    }
    if args.mount_proc.is_some() {
        namespaces |= Namespaces::MOUNT;
    }
    let single_user = match (&args.map_user, args.map_root_user, args.map_current_user) {
        (Some(name), ..) => Some(accounts::user(name)?),
        (None, true, _) => Some(0),
        (None, _, true) => Some(user::geteuid()),
        _ => None,
    };
    let single_group = match (&args.map_group, args.map_root_user, args.map_current_user) {
        (Some(name), ..) => Some(accounts::group(name)?),
        (None, true, _) => Some(0),
        (None, _, true) => Some(user::getegid()),
        _ => None,
    };
    let auto = args.map_auto.then_some(Wanted::Auto);
    let users = range(args.map_users.or(auto), "/etc/subuid")?;
    let groups = range(args.map_groups.or(auto), "/etc/subgid")?;
    if single_user.or(single_group).is_some() || users.or(groups).is_some() {
        namespaces |= Namespaces::USER;
    }
    let single_user = single_user.map(|inner| (inner, user::geteuid()));
    let single_group = single_group.map(|inner| (inner, user::getegid()));
    let own = |single: Option<(u32, u32)>, range: &Option<Range>| {
        single.filter(|_| range.is_none()).map(|(inner, outer)| Range::new(inner, outer, 1))
    };
    let own_group = own(single_group, &groups);
    if own_group.is_some() && args.setgroups == Some(Setgroups::Allow) {
        return Err(Error::invalid(
            "unshare: `--setgroups allow` and a map of one's own group exclude each other",
        )
        .hint(
            "the kernel wants setgroups(2) denied before it takes such a map; --map-groups needs no denial",
        ));
    }
    let kill = match &args.kill_child {
        None => None,
        Some(None) => Some(signal::SIGKILL),
        Some(Some(name)) => Some(
            signal::parse(name)
                .filter(|&n| n > 0)
                .ok_or_else(|| Error::invalid(format!("unshare: `{name}` is no signal")))?,
        ),
    };
    Ok(Plan {
        namespaces,
        kept,
        fork: args.fork || kill.is_some(),
        kill,
        own_user: own(single_user, &users),
        own_group,
        outside: IdMaps {
            uids: if users.is_some() { maps::join(single_user, users) } else { Vec::new() },
            gids: if groups.is_some() { maps::join(single_group, groups) } else { Vec::new() },
        },
        setgroups: args.setgroups,
        args,
    })
}

fn range(wanted: Option<Wanted>, file: &str) -> Result<Option<Range>> {
    Ok(match wanted {
        None => None,
        Some(Wanted::Range { outer, inner, count }) => Some(Range::new(inner, outer, count)),
        Some(Wanted::Auto) => {
            let granted = accounts::subordinate(Path::new(file), user::geteuid())?;
            Some(Range::new(0, granted.first, granted.count))
        }
    })
}

fn explain(e: taru_sys::Error) -> Error {
    let number = e.errno();
    let Err(error) = Err::<std::convert::Infallible, _>(e).context(|| "make the namespaces");
    match number {
        errno::PERM => {
            error.hint("an ordinary user needs --user too, or --map-root-user; `taru check` tells more")
        }
        errno::NOSPC => error.hint("a limit in /proc/sys/user is reached; `taru check` shows them"),
        errno::INVAL => error.hint("this kernel may lack one of the kinds; `taru check` shows which"),
        _ => error,
    }
}

fn shift_clocks(proc: &Proc, args: &Args) -> Result<()> {
    for (clock, seconds) in [("boottime", args.boottime), ("monotonic", args.monotonic)] {
        if let Some(seconds) = seconds {
            proc.write("self/timens_offsets", format!("{clock} {seconds} 0").as_bytes())?;
        }
    }
    Ok(())
}

fn keep(proc: &Proc, plan: &Plan<'_>, binder: Option<Deputy>) -> Result<()> {
    match binder {
        Some(binder) => binder.act(),
        None => persist::bind(proc, "self", &plan.kept),
    }
}

/// Everything in the new namespaces up to the program, in util-linux's order.
fn prepare(proc: &Proc, plan: &Plan<'_>) -> Result<()> {
    let args = plan.args;
    if let Some(map) = plan.own_user {
        proc.write("self/uid_map", taru_mount::idmap::to_text(&[map]).as_bytes())?;
    }
    if let Some(map) = plan.own_group {
        // Since 3.19 an ordinary user's gid_map is taken only after this.
        proc.write("self/setgroups", b"deny")?;
        proc.write("self/gid_map", taru_mount::idmap::to_text(&[map]).as_bytes())?;
    }
    if let Some(mode) = plan.setgroups.filter(|_| plan.own_group.is_none()) {
        let word: &[u8] = if mode == Setgroups::Allow { b"allow" } else { b"deny" };
        proc.write("self/setgroups", word)?;
    }
    let propagation = match args.propagation {
        Travel::Slave => Some(Propagation::Slave),
        Travel::Shared => Some(Propagation::Shared),
        Travel::Private => Some(Propagation::Private),
        Travel::Unchanged => None,
    };
    if let Some(propagation) = propagation.filter(|_| plan.namespaces.contains(Namespaces::MOUNT)) {
        propagate(Path::new("/"), propagation)?;
    }
    change_root(args)?;
    if let Some(dir) = &args.mount_proc {
        let dir = dir.as_deref().unwrap_or(Path::new("/proc"));
        // Under another propagation the new /proc would travel to where the old one is in use.
        if args.root.is_some() || propagation != Some(Propagation::Private) {
            drop(propagate(dir, Propagation::Private));
        }
        mount_proc(dir)?;
    }
    set_ids(args)?;
    if args.keep_caps && plan.namespaces.contains(Namespaces::USER) {
        keep_capabilities()?;
    }
    if let Some(signal) = plan.kill {
        // Last, because a change of ids takes it back.
        process::set_parent_death_signal(signal).context(|| "ask for the parent's death signal")?;
    }
    Ok(())
}

fn propagate(at: &Path, propagation: Propagation) -> Result<()> {
    let what = || format!("change the propagation of `{}`", at.display());
    let fd = fs::openat(CWD, at, OpenFlags::PATH, 0).map_err(|e| e.errno()).context(what)?;
    let attr = MountAttr { propagation: Some(propagation), ..MountAttr::default() };
    change(fd.as_fd(), &attr, true).context(what)
}

fn change_root(args: &Args) -> Result<()> {
    let mut dir = args.wd.as_deref();
    if let Some(root) = &args.root {
        let what = || format!("change the root directory to `{}`", root.display());
        fs::chroot(root).map_err(|e| e.errno()).context(what)?;
        dir = dir.or(Some(Path::new("/")));
    }
    if let Some(dir) = dir {
        let what = || format!("change the working directory to `{}`", dir.display());
        fs::chdir(dir).map_err(|e| e.errno()).context(what)?;
    }
    Ok(())
}

fn mount_proc(dir: &Path) -> Result<()> {
    let what = || format!("mount procfs on `{}`", dir.display());
    let attributes = Attr::NOSUID | Attr::NODEV | Attr::NOEXEC;
    let target = fs::openat(CWD, dir, OpenFlags::PATH | OpenFlags::DIRECTORY, 0)
        .map_err(|e| e.errno())
        .context(what)?;
    let made = Mount::fs("proc", Some("proc"), &[], attributes).and_then(|m| m.attach(target));
    made.context(what).map(drop).map_err(|e| match e.kind() {
        Kind::Permission => e.hint("a user namespace may mount procfs only with a PID namespace of its own (--pid --fork), and where the /proc in view is not partly covered"),
        _ => e,
    })
}

fn set_ids(args: &Args) -> Result<()> {
    if let Some(gid) = args.setgid {
        user::setgroups(&[]).context(|| "drop the further groups")?;
        user::setresgid(gid).context(|| "set the group")?;
    }
    if let Some(uid) = args.setuid {
        user::setresuid(uid).context(|| "set the user")?;
    }
    Ok(())
}

/// execve(2) of a user that is not root drops capabilities, but for those in the ambient set.
fn keep_capabilities() -> Result<()> {
    let what = || "keep the capabilities";
    let own = caps::capget().context(what)?;
    caps::capset(&Sets { inheritable: own.permitted, ..own }).context(what)?;
    caps::replace_ambient(own.permitted).context(what)
}
