//! What the kernel has: namespaces, calls, file systems, control groups, security modules.

use std::os::fd::AsFd;
use std::path::Path;

use taru_cgroup::{Hierarchy, Layout};
use taru_mount::idmap::{self, IdMaps, Range};
use taru_mount::{Attr, Mount};
use taru_rootdir::Proc;
use taru_stdx::{Error, Result};
use taru_sys::caps::{self, Capabilities};
use taru_sys::fs::{self, CWD, How, OpenFlags, Resolve};
use taru_sys::mount::{self, OpenTree};
use taru_sys::ns::Namespaces;
use taru_sys::{errno, process, seccomp, user};

use super::{Finding, State};
use crate::ns::deputy::Deputy;

/// The largest file of /proc or /sys read here.
const LIMIT: u64 = 1 << 20;

pub(super) fn all() -> Result<Vec<Finding>> {
    let proc = Proc::open()?;
    let read = |path: &str| proc.read_text(path, LIMIT).map(|t| t.trim().to_owned()).unwrap_or_default();
    let mut all = vec![Finding::yes("kernel", "release", read("sys/kernel/osrelease"))];
    all.extend(calls());
    all.extend(namespaces(&read));
    all.extend(mounts(&proc, &read));
    all.extend(cgroups());
    all.extend(security(&read));
    Ok(all)
}

/// Whether `act` succeeds in a child with new namespaces of these kinds.
pub(super) fn attempt(namespaces: Namespaces, act: impl FnOnce() -> Result<()>) -> Result<()> {
    Deputy::start_in(namespaces, act)?.act()
}

fn calls() -> Vec<Finding> {
    let missing = |e: &taru_sys::Error| e.errno() == errno::NOSYS;
    let here = |flags| How { flags, mode: 0, resolve: Resolve::IN_ROOT };
    let nothing = Path::new("");
    let attr = mount::MountAttr::default();
    let pidfd = process::pidfd_open(process::getpid());
    // Each is called so that it fails or changes nothing; only "no such call" counts.
    let tried = [
        ("openat2", "5.6", fs::openat2(CWD, Path::new("."), here(OpenFlags::PATH)).err()),
        ("pidfd_open", "5.3", pidfd.err()),
        ("open_tree", "5.2", mount::open_tree(CWD, nothing, OpenTree::empty()).err()),
        ("fsopen", "5.2", mount::fsopen("no such file system").err()),
        ("mount_setattr", "5.12", mount::mount_setattr(CWD, nothing, fs::AtFlags::empty(), &attr).err()),
        ("open_tree_attr", "6.15", mount::open_tree_attr(CWD, nothing, OpenTree::empty(), &attr).err()),
    ];
    let needed = ["openat2", "pidfd_open", "open_tree", "fsopen", "mount_setattr"];
    tried
        .into_iter()
        .map(|(name, since, error)| {
            let there = !error.as_ref().is_some_and(missing);
            let state = if there { State::Yes } else { State::No };
            let found = Finding::new("calls", name, state, format!("since {since}"))
                .advice("a newer kernel, or a sandbox around taru that lets the call through");
            if needed.contains(&name) { found.needed() } else { found }
        })
        .collect()
}

fn namespaces(read: &dyn Fn(&str) -> String) -> Vec<Finding> {
    let mut all = Vec::new();
    for (kind, name) in Namespaces::ALL.names() {
        let limit = read(&format!("sys/user/max_{name}_namespaces"));
        let alone = attempt(kind, || Ok(()));
        let within = || attempt(kind | Namespaces::USER, || Ok(()));
        let found = match alone {
            Ok(()) => Finding::yes("namespaces", name, format!("limit {limit}")),
            Err(_)
                if fs::openat(CWD, Path::new(&format!("/proc/self/ns/{name}")), OpenFlags::PATH, 0)
                    .is_err() =>
            {
                Finding::new("namespaces", name, State::No, "not in this kernel").advice(format!(
                    "a kernel with CONFIG_{}_NS",
                    if name == "mnt" { "MNT".to_owned() } else { name.to_ascii_uppercase() }
                ))
            }
            Err(_) if limit == "0" => Finding::new("namespaces", name, State::No, "the limit is 0")
                .advice(format!("as root: sysctl user.max_{name}_namespaces=10000")),
            Err(_) if kind != Namespaces::USER && within().is_ok() => {
                Finding::new("namespaces", name, State::Limited, "within a user namespace")
                    .advice("as an ordinary user make a user namespace too; taru does so by itself")
            }
            Err(e) => Finding::new("namespaces", name, State::No, e.chain().to_string())
                .advice("as root, or in a container that may make namespaces"),
        };
        all.push(if [Namespaces::TIME, Namespaces::CGROUP, Namespaces::USER].contains(&kind) {
            found
        } else {
            found.needed()
        });
    }
    all.push(ordinary_users(read));
    all
}

/// The switches that distributions put before the user namespaces of ordinary users.
fn ordinary_users(read: &dyn Fn(&str) -> String) -> Finding {
    let closed = |switch: &str, value: &str, advice: &str| {
        let detail = format!("{} is {value}", switch.replace('/', "."));
        (read(&format!("sys/{switch}")) == value)
            .then(|| Finding::new("namespaces", "user, for ordinary users", State::No, detail).advice(advice))
    };
    closed("kernel/unprivileged_userns_clone", "0", "as root: sysctl kernel.unprivileged_userns_clone=1")
        .or_else(|| closed("user/max_user_namespaces", "0", "as root: sysctl user.max_user_namespaces=10000"))
        .or_else(|| {
            closed(
                "kernel/apparmor_restrict_unprivileged_userns",
                "1",
                "an AppArmor profile for taru with `userns,`, or as root: sysctl kernel.apparmor_restrict_unprivileged_userns=0",
            )
        })
        .unwrap_or_else(|| Finding::yes("namespaces", "user, for ordinary users", "no switch forbids it"))
}

fn mounts(proc: &Proc, read: &dyn Fn(&str) -> String) -> Vec<Finding> {
    let listed = read("filesystems");
    let mut all = Vec::new();
    for (name, needed) in
        [("overlay", true), ("tmpfs", true), ("fuse", false), ("erofs", false), ("btrfs", false)]
    {
        // Opening a context loads the module, if there is one and we may.
        let there = mount::fsopen(name).is_ok()
            || listed.lines().any(|l| l.split_whitespace().next_back() == Some(name));
        let state = if there { State::Yes } else { State::No };
        let found = Finding::new("mounts", name, state, "")
            .advice(format!("load the module, as root: modprobe {name}"));
        all.push(if needed { found.needed() } else { found });
    }
    let inside = Namespaces::USER | Namespaces::MOUNT;
    let rootless = attempt(inside, || mount::fsopen("overlay").map(drop).map_err(as_error));
    all.push(match rootless {
        Ok(()) => Finding::yes("mounts", "overlay in a user namespace", "since 5.11"),
        Err(e) => Finding::new("mounts", "overlay in a user namespace", State::No, e.chain().to_string())
            .advice("a kernel since 5.11; until then fuse-overlayfs, or copies"),
    });
    all.push(id_mapped(proc));
    all
}

fn as_error(e: taru_sys::Error) -> Error {
    Error::new(taru_stdx::Kind::System, format!("{e}: {}", e.errno()))
}

/// Whether the file system of `/` can be id-mapped: tried on a detached copy of its mount.
fn id_mapped(proc: &Proc) -> Finding {
    const WHAT: &str = "id-mapped mounts of `/`";
    let maps = IdMaps { uids: vec![Range::new(0, 100_000, 1000)], gids: vec![Range::new(0, 100_000, 1000)] };
    let tried = attempt(Namespaces::MOUNT, || {
        let userns = idmap::user_namespace(proc, &maps)?;
        let root = fs::openat(CWD, Path::new("/"), OpenFlags::PATH, 0).map_err(as_error)?;
        Mount::bind(root.as_fd(), false)?.idmap(userns.as_fd(), false)?;
        Mount::bind(root.as_fd(), false)?.attributes(Attr::RDONLY, Attr::empty(), true)
    });
    match tried {
        Ok(()) => Finding::yes("mounts", WHAT, "containers share one copy of an image"),
        Err(e) => Finding::new(
            "mounts",
            WHAT,
            State::No,
            if user::geteuid() == 0 { e.chain().to_string() } else { "only root makes them".to_owned() },
        )
        .advice(
            "root, and a file system that can (ext4 and xfs since 5.12, btrfs 5.15, overlay 5.19, tmpfs 6.3)",
        ),
    }
}

fn cgroups() -> Vec<Finding> {
    let hierarchy = match Hierarchy::probe() {
        Ok(hierarchy) => hierarchy,
        Err(e) => return vec![Finding::new("cgroups", "layout", State::No, e.chain().to_string()).needed()],
    };
    let advice = "mount cgroup2 on /sys/fs/cgroup, or boot with systemd.unified_cgroup_hierarchy=1";
    let layout = match hierarchy.layout() {
        Layout::V2 => Finding::yes("cgroups", "layout", "v2"),
        Layout::Hybrid => Finding::yes("cgroups", "layout", "hybrid: v1, and v2 beside it"),
        Layout::V1 => Finding::yes("cgroups", "layout", "v1"),
        Layout::None => Finding::new("cgroups", "layout", State::No, "none is mounted").advice(advice),
    };
    let mut all = vec![layout.needed()];
    let mut controllers: Vec<(String, &str)> = Vec::new();
    for v1 in &hierarchy.v1 {
        controllers.extend(v1.names.iter().filter(|n| !n.starts_with("name=")).map(|n| (n.clone(), "v1")));
    }
    let mut own = None;
    if let Some(v2) = &hierarchy.v2 {
        let dir = v2.own_dir();
        let file = taru_stdx::fs::read_bounded(&dir.join("cgroup.controllers"), LIMIT).unwrap_or_default();
        let words = String::from_utf8_lossy(&file).into_owned();
        controllers.extend(words.split_whitespace().map(|n| (n.to_owned(), "v2")));
        own = Some(dir);
    }
    for wanted in ["cpu", "cpuset", "memory", "pids", "io", "devices", "freezer", "hugetlb"] {
        let v1_name = if wanted == "io" { "blkio" } else { wanted };
        let found = controllers
            .iter()
            .find(|(name, version)| name == if *version == "v1" { v1_name } else { wanted });
        // v2 has these without a controller.
        let built_in = own.is_some() && ["devices", "freezer"].contains(&wanted);
        all.push(match found {
            Some((_, version)) => Finding::yes("cgroups", wanted, *version),
            None if built_in => Finding::yes("cgroups", wanted, "v2"),
            None => Finding::new("cgroups", wanted, State::No, "no hierarchy has it").advice(
                "enable the controller above (cgroup.subtree_control), or boot with cgroup_enable=NAME",
            ),
        });
    }
    all.push(writable(&hierarchy));
    all
}

/// Whether this user may make groups below its own.
fn writable(hierarchy: &Hierarchy) -> Finding {
    let own = hierarchy
        .v2
        .iter()
        .chain(hierarchy.v1.iter().map(|v1| &v1.mounted))
        .map(taru_cgroup::Mounted::own_dir);
    let may = |dir: &Path| fs::faccessat(CWD, dir, fs::Access::WRITE, fs::AtFlags::EACCESS).is_ok();
    let (yes, no): (Vec<_>, Vec<_>) = own.partition(|dir| may(dir));
    let state = match (yes.len(), no.len()) {
        (_, 0) => State::Yes,
        (0, _) => State::No,
        _ => State::Limited,
    };
    let detail = match (yes.first(), no.first()) {
        (Some(dir), None) => format!("below {}", dir.display()),
        (_, Some(dir)) => format!("not below {}", dir.display()),
        (None, None) => String::new(),
    };
    Finding::new("cgroups", "groups of one's own", state, detail)
        .advice("as an ordinary user: systemd-run --user --scope -p Delegate=yes taru ..., or as root give the group away")
}

fn security(read: &dyn Fn(&str) -> String) -> Vec<Finding> {
    let state = |there| if there { State::Yes } else { State::No };
    let own = caps::capget().map(|sets| sets.effective).unwrap_or_default();
    let all_caps = (0..=caps::last()).fold(Capabilities::NONE, |all, n| all | Capabilities(1 << n));
    let lacking: Vec<&str> = Capabilities(all_caps.0 & !own.0).names().collect();
    let capabilities = match lacking.len() {
        0 => Finding::yes("security", "capabilities", "all"),
        n if own == Capabilities::NONE => {
            Finding::new("security", "capabilities", State::Limited, format!("none of {n}: an ordinary user"))
        }
        _ => {
            Finding::new("security", "capabilities", State::Limited, format!("all but {}", lacking.join(" ")))
        }
    };
    let lsm = taru_stdx::fs::read_bounded(Path::new("/sys/kernel/security/lsm"), LIMIT).unwrap_or_default();
    let lsm = String::from_utf8_lossy(&lsm).trim().to_owned();
    let has = |name: &str| lsm.split(',').any(|l| l == name);
    let apparmor = has("apparmor")
        || std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|t| t.starts_with(b"Y"));
    let selinux = has("selinux") || Path::new("/sys/fs/selinux/enforce").exists();
    let notify = seccomp::is_action_available(seccomp::ret::USER_NOTIF);
    vec![
        capabilities,
        Finding::new(
            "security",
            "seccomp filters",
            state(seccomp::is_action_available(seccomp::ret::ERRNO)),
            "",
        )
        .advice("a kernel with CONFIG_SECCOMP_FILTER")
        .needed(),
        Finding::new("security", "seccomp notification", state(notify), "since 5.0"),
        Finding::new("security", "AppArmor", state(apparmor), ""),
        Finding::new("security", "SELinux", state(selinux), ""),
        Finding::new("security", "Landlock", state(has("landlock")), lsm.clone()),
        Finding::new(
            "security",
            "checkpoint and restore",
            state(!read("sys/kernel/ns_last_pid").is_empty()),
            "CONFIG_CHECKPOINT_RESTORE",
        ),
    ]
}
