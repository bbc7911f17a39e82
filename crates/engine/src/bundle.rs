//! From what a container was asked to be to the OCI configuration that the runtime is given.
//!
//! [`spec`] is pure: what must be looked up was looked up before and comes as [`Facts`].
//!
//! The defaults are narrower than Docker's: users of its own, ten capabilities and not fourteen, no
//! gain of privileges by executing a file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;
use serde_json::{Value, json};
use taru_runtime::spec::{
    BlockIo, Capabilities, Cpu, DeviceRule, Linux, Memory, Mount, Namespace, NamespaceKind, Pids, Process,
    Resources, Rlimit, Root as SpecRoot, Spec, ThrottleDevice, User as SpecUser, VERSION,
};
use taru_sys::caps::{Capabilities as Caps, last};

use crate::config::{ContainerConfig, Limits, Net, Root};
use crate::host_root::HostRoot;
use crate::idmap::IdMaps;
use crate::user::User;
use taru_snapshot::{Lower, Rootfs};

/// The annotation that describes the mounts of a root file system: taru-runtime makes them inside the
/// container's mount namespace, so that the host never has them.
pub const ROOTFS: &str = "io.taru.rootfs";

/// What a container may do at most, without `CAP_`. Against Docker's list these are missing: AUDIT_WRITE,
/// MKNOD, NET_RAW (forging packets of neighbours) and SYS_CHROOT.
pub const DEFAULT_CAPS: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
];

/// How many processes and threads a container may have that asked for no other number: what forks without end
/// does not take the host down.
const PIDS: u64 = 4096;

/// Files of /proc and /sys that tell of the host or steer it, hidden.
const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Files of /proc that may be read and not written.
const READ_ONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// A directory of the container's own outside its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Where it lies on the host.
    pub path: PathBuf,
    /// Whether it is still to be filled with what the root has at its place.
    pub is_fresh: bool,
}

/// What was looked up before.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Its bundle's directory.
    pub bundle: &'a Path,
    /// Where what it changes is kept; used only if it is to be kept.
    pub kept: &'a Path,
    /// Whose its ids are.
    pub maps: &'a IdMaps,
    /// Whether root started it.
    pub by_root: bool,
    /// What the `host` root is made of; only for that one.
    pub host: Option<&'a HostRoot>,
    /// Its layers; only for one of an image.
    pub tree: Option<&'a Rootfs>,
    /// Its volumes, in the order of the configuration.
    pub volumes: &'a [Volume],
    /// Who its process runs as.
    pub user: &'a User,
    /// The host name.
    pub hostname: &'a str,
    /// The system calls it may use, as an OCI profile.
    pub seccomp: Option<Box<RawValue>>,
    /// Where its control group is, if it has one.
    pub cgroup: Option<String>,
    /// (major, minor) of each device named in its limits.
    pub devices: &'a BTreeMap<PathBuf, (u32, u32)>,
    /// Whether the number of its processes can be limited.
    pub counts_pids: bool,
}

/// The layer of the container's own `/etc`, below its bundle.
pub const ETC: &str = "etc";
/// The copy of the host's `/etc` below it, where one is needed.
pub const HOST_ETC: &str = "etc.host";
/// The files of it that lie over those of an image.
pub const ETC_FILES: [&str; 3] = ["hostname", "hosts", "resolv.conf"];

/// The OCI configuration.
pub fn spec(config: &ContainerConfig, facts: &Facts<'_>) -> Spec {
    let (root, annotation) = root(config, facts);
    let annotations = annotation.map(|a| (ROOTFS.to_owned(), a)).into_iter().collect();
    Spec {
        oci_version: VERSION.to_owned(),
        process: Some(process(config, facts)),
        root: Some(root),
        hostname: facts.hostname.to_owned(),
        mounts: mounts(config, facts),
        annotations,
        linux: Some(Linux {
            uid_mappings: facts.maps.uids.clone(),
            gid_mappings: facts.maps.gids.clone(),
            resources: Some(resources(&config.limits, facts)),
            cgroups_path: facts.cgroup.clone().unwrap_or_default(),
            namespaces: namespaces(config, facts),
            seccomp: facts.seccomp.clone(),
            masked_paths: MASKED.iter().map(PathBuf::from).collect(),
            readonly_paths: READ_ONLY.iter().map(PathBuf::from).collect(),
            ..Linux::default()
        }),
        ..Spec::default()
    }
}

/// The root, and the text of the annotation that says what it is made of if it is more than a directory.
fn root(config: &ContainerConfig, facts: &Facts<'_>) -> (SpecRoot, Option<String>) {
    // Files of a directory keep their numbers: root's are root's in the container, which is nobody on the
    // host. For an ordinary user they are that user's already.
    let idmap = facts.maps.is_private() && facts.by_root;
    let kept = |name: &str| config.keep.then(|| facts.kept.join(name));
    let annotation = match (&config.root, facts.host) {
        (Root::Directory { path, in_place: true }, _) => {
            let annotation = idmap.then(|| json!({ "type": "bind", "idmap": true }).to_string());
            return (SpecRoot { path: path.clone(), readonly: config.read_only }, annotation);
        }
        (Root::Directory { path, in_place: false }, _) => json!({
            "type": "overlay",
            "lower": [path],
            "upper": kept("upper"),
            "work": kept("work"),
            "idmap": idmap,
        }),
        (Root::Image { .. }, _) => match facts.tree {
            Some(Rootfs::Directory { path }) => {
                let annotation = idmap.then(|| json!({ "type": "bind", "idmap": true }).to_string());
                return (SpecRoot { path: path.clone(), readonly: config.read_only }, annotation);
            }
            Some(Rootfs::Overlay { lower, upper, work }) => json!({
                "type": "overlay",
                "lower": lower.iter().map(layer).collect::<Vec<_>>(),
                "upper": upper,
                "work": work,
                "idmap": idmap,
                "volatile": !config.keep,
                // Layers carry overlay's marks so, whoever's the container's users are.
                "userxattr": true,
            }),
            None => json!({ "type": "overlay", "lower": [] }),
        },
        // The skeleton is root's of the container, the host's /etc remains the host's.
        (Root::Host, host) => json!({
            "type": "overlay",
            "lower": [host.map(|h| &h.skeleton)],
            "upper": kept("upper"),
            "work": kept("work"),
            "inner": [{
                "at": "/etc",
                "lower": [Some(facts.bundle.join(ETC)), host.map(|h| h.etc.clone())],
                "upper": kept("etc/upper"),
                "work": kept("etc/work"),
            }],
        }),
    };
    let mount_point = SpecRoot { path: facts.bundle.join("rootfs"), readonly: config.read_only };
    (mount_point, Some(annotation.to_string()))
}

/// A layer in the annotation.
fn layer(lower: &Lower) -> Value {
    match lower {
        Lower::Directory(path) => json!(path),
        Lower::Image(image) => json!({ "image": image }),
    }
}

fn process(config: &ContainerConfig, facts: &Facts<'_>) -> Process {
    let mut env = config.env.clone();
    let mut default = |name: &str, value: &str| {
        if !env.iter().any(|e| e.split('=').next() == Some(name)) {
            env.push(format!("{name}={value}"));
        }
    };
    default("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    default("HOSTNAME", facts.hostname);
    default("HOME", &facts.user.home);
    if config.tty {
        default("TERM", "xterm");
    }
    Process {
        terminal: config.tty,
        user: SpecUser {
            uid: facts.user.uid,
            gid: facts.user.gid,
            additional_gids: facts.user.groups.clone(),
            ..SpecUser::default()
        },
        args: config.args.clone(),
        env,
        cwd: config.workdir.clone(),
        capabilities: Some(capabilities(config, facts.user.uid == 0)),
        rlimits: config
            .rlimits
            .iter()
            .map(|r| Rlimit { kind: r.name.clone(), soft: r.soft, hard: r.hard })
            .collect(),
        no_new_privileges: true,
        ..Process::default()
    }
}

/// The capabilities a container may have: the default set, plus and minus what was asked for.
pub fn bounding(config: &ContainerConfig) -> Caps {
    // A name that is none was refused when it was typed.
    let of = |name: &str| match name {
        "ALL" => Caps::all_known() & Caps((1 << (last() + 1)) - 1),
        name => Caps::named(name).unwrap_or_default(),
    };
    let all = |list: &[String]| list.iter().fold(Caps::NONE, |set, name| set | of(name));
    let default = DEFAULT_CAPS.iter().fold(Caps::NONE, |set, name| set | of(name));
    let (add, drop) = (&config.cap_add, &config.cap_drop);
    // `--cap-drop ALL --cap-add X` leaves X; `--cap-add ALL --cap-drop X` all but X.
    if drop.iter().any(|name| name == "ALL") {
        return all(add);
    }
    Caps((default | all(add)).0 & !all(drop).0)
}

/// The capabilities of a process in the container: none are in force for one that is not root's, as the kernel does it at
/// execve(2).
pub fn capabilities(config: &ContainerConfig, is_root: bool) -> Capabilities {
    let names: Vec<String> = bounding(config).names().map(str::to_owned).collect();
    let effective = if is_root { names.clone() } else { Vec::new() };
    Capabilities { bounding: names, permitted: effective.clone(), effective, ..Capabilities::default() }
}

fn namespaces(config: &ContainerConfig, facts: &Facts<'_>) -> Vec<Namespace> {
    use NamespaceKind as K;
    let mut kinds = vec![K::Mount, K::Pid, K::Ipc, K::Uts, K::Cgroup];
    if config.net == Net::None {
        kinds.push(K::Network);
    }
    if facts.maps.is_private() {
        kinds.push(K::User);
    }
    kinds.into_iter().map(|kind| Namespace { kind, path: None }).collect()
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
    Mount {
        destination: destination.into(),
        kind: kind.to_owned(),
        source: source.into(),
        options: options.iter().map(|&o| o.to_owned()).collect(),
        ..Mount::default()
    }
}

fn mounts(config: &ContainerConfig, facts: &Facts<'_>) -> Vec<Mount> {
    let mut mounts = Vec::new();
    if let (Root::Host, Some(host)) = (&config.root, facts.host) {
        for path in &host.binds {
            let path = path.to_string_lossy();
            mounts.push(mount(&path, "bind", &path, &["rbind", "ro", "rro", "nosuid", "nodev", "rprivate"]));
        }
    }
    mounts.push(mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]));
    mounts.push(mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=64k"]));
    let mut pts = vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    // Group tty is id 5 wherever there is one; a container with one id has none.
    if facts.maps.gids.iter().any(|m| m.container_id <= 5 && 5 - m.container_id < m.size)
        || !facts.maps.is_private()
    {
        pts.push("gid=5");
    }
    mounts.push(mount("/dev/pts", "devpts", "devpts", &pts));
    mounts.push(mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=64m"]));
    mounts.push(mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]));
    // A new sysfs shows the network namespace of its mounter, and only a user namespace that owns it may mount one.
    if config.net == Net::Host && facts.maps.is_private() {
        mounts.push(mount("/sys", "bind", "/sys", &["rbind", "nosuid", "noexec", "nodev", "ro", "rprivate"]));
    } else {
        mounts.push(mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]));
    }
    mounts.push(mount(
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["nosuid", "noexec", "nodev", "relatime", "ro"],
    ));
    if let Root::Image { .. } = config.root {
        for name in ETC_FILES {
            let source = facts.bundle.join(ETC).join(name).display().to_string();
            mounts.push(mount(
                &format!("/etc/{name}"),
                "bind",
                &source,
                &["bind", "rprivate", "nosuid", "nodev"],
            ));
        }
    }
    // Id-mapped as the layers are: in it lies what the image has there.
    let is_mapped = facts.maps.is_private() && facts.by_root;
    for (at, volume) in config.volumes.iter().zip(facts.volumes) {
        let mut options = vec!["bind", "rw", "rprivate", "nosuid", "nodev"];
        if is_mapped {
            options.push("idmap");
        }
        if volume.is_fresh {
            options.push("tmpcopyup");
        }
        mounts.push(mount(&at.to_string_lossy(), "bind", &volume.path.to_string_lossy(), &options));
    }
    for bind in &config.binds {
        let mut options =
            vec!["rbind", if bind.writable { "rw" } else { "ro" }, "rprivate", "nosuid", "nodev"];
        // Root inside is nobody outside: without this the files would be nobody's too. For an ordinary
        // user they are that user's already, which is root inside.
        if facts.maps.is_private() && facts.by_root {
            options.push("idmap");
        }
        mounts.push(mount(
            &bind.destination.to_string_lossy(),
            "bind",
            &bind.source.to_string_lossy(),
            &options,
        ));
    }
    mounts
}

fn resources(limits: &Limits, facts: &Facts<'_>) -> Resources {
    /// The period that Docker uses too, in microseconds.
    const PERIOD: u64 = 100_000;
    let quota = limits.nano_cpus.map(|n| i64::try_from(n / (1_000_000_000 / PERIOD)).unwrap_or(i64::MAX));
    let cpu = Cpu {
        shares: limits.cpu_shares,
        quota,
        period: quota.map(|_| PERIOD),
        cpus: limits.cpuset.clone().unwrap_or_default(),
        ..Cpu::default()
    };
    let throttle = |rates: &[super::config::DeviceRate]| -> Vec<ThrottleDevice> {
        let known = rates.iter().filter_map(|r| Some((facts.devices.get(&r.path)?, r.rate)));
        known
            .map(|(&(major, minor), rate)| ThrottleDevice { major: major.into(), minor: minor.into(), rate })
            .collect()
    };
    let block_io = BlockIo {
        weight: limits.blkio_weight,
        throttle_read_bps_device: throttle(&limits.read_bps),
        throttle_write_bps_device: throttle(&limits.write_bps),
        throttle_read_iops_device: throttle(&limits.read_iops),
        throttle_write_iops_device: throttle(&limits.write_iops),
        ..BlockIo::default()
    };
    let deny_all = DeviceRule { access: "rwm".to_owned(), ..DeviceRule::default() };
    Resources {
        // In a user namespace no device node works, and an ordinary user cannot write the list.
        devices: if facts.by_root { vec![deny_all] } else { Vec::new() },
        memory: limits.memory.map(|limit| {
            let limit = Some(i64::try_from(limit).unwrap_or(i64::MAX));
            // No swap beyond the limit, or a container over it would thrash the host's disk.
            Memory { limit, swap: limit, ..Memory::default() }
        }),
        cpu: (cpu != Cpu::default()).then_some(cpu),
        pids: limits
            .pids
            .or(facts.counts_pids.then_some(PIDS))
            .map(|limit| Pids { limit: Some(i64::try_from(limit).unwrap_or(i64::MAX)) }),
        block_io: (block_io != BlockIo::default()).then_some(block_io),
        ..Resources::default()
    }
}
