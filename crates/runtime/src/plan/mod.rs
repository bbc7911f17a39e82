//! From the document to decisions: `Spec + Host + Options -> Plan`, pure, before anything is touched.
//!
//! Whatever can be wrong with a document is found here and told at once. A [`Plan`] holds only
//! what the following steps do; none of them looks at the document again.

mod devices;
mod limits;
mod mounts;
mod namespaces;
mod problems;
mod process;
mod resctrl;
mod root;
mod sysctl;

use std::path::{Path, PathBuf};

use taru_cgroup::Limits;
use taru_seccomp::{Profile, Program};
use taru_stdx::Result;
use taru_sys::ns::Namespaces;
use taru_sys::sched;

use crate::host::Host;
use crate::spec::{self, Hooks, Spec};

pub use devices::{DevicePlan, LINKS};
pub use limits::translate as translate_limits;
pub use mounts::{MountKind, MountPlan};
pub use namespaces::NamespacePlan;
pub use problems::Problems;
pub(crate) use process::list_to_mask;
pub use process::{CapabilityPlan, ProcessPlan};
pub use resctrl::ResctrlPlan;
pub use root::{Lower, Overlay, ROOTFS_ANNOTATION, RootPlan};

/// What the caller of `create` chose beside the document.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Leave the session keyring as it is.
    pub no_new_keyring: bool,
    /// Enter the root with chroot(2) over a moved mount instead of pivot_root(2): for a root on a ramdisk.
    pub no_pivot: bool,
    /// Where compiled seccomp filters are kept; without it each is compiled anew.
    pub seccomp_cache: Option<PathBuf>,
}

/// A container decided.
#[derive(Debug)]
pub struct Plan {
    /// The container's id.
    pub id: String,
    /// The bundle, absolute.
    pub bundle: PathBuf,
    /// Its process.
    pub process: ProcessPlan,
    /// Its namespaces.
    pub namespaces: NamespacePlan,
    /// Its root.
    pub root: RootPlan,
    /// What is mounted below the root, in order.
    pub mounts: Vec<MountPlan>,
    /// Device nodes; none where /dev is the host's.
    pub devices: Vec<DevicePlan>,
    /// Paths that read as empty.
    pub masked_paths: Vec<PathBuf>,
    /// Paths that are read-only.
    pub readonly_paths: Vec<PathBuf>,
    /// The host name, if it is to be set.
    pub hostname: Option<String>,
    /// The NIS domain name, if it is to be set.
    pub domainname: Option<String>,
    /// Files below /proc and what is written to them.
    pub sysctl: Vec<(String, String)>,
    /// Interfaces of the host and their names in the container.
    pub net_devices: Vec<(String, Option<String>)>,
    /// The execution domain.
    pub personality: Option<u32>,
    /// Mode and nodes of set_mempolicy(2).
    pub memory_policy: Option<(u32, Vec<u64>)>,
    /// The compiled filter.
    pub seccomp: Option<Program>,
    /// Limits of the control group.
    pub limits: Limits,
    /// Its groups in the resctrl file system.
    pub resctrl: Option<ResctrlPlan>,
    /// The group's path as the document has it; empty lets the driver choose.
    pub cgroup_path: String,
    /// The SELinux label of file systems made for the container.
    pub mount_label: Option<String>,
    /// Hooks.
    pub hooks: Hooks,
    /// Whether a session keyring of its own is joined.
    pub new_keyring: bool,
    /// See [`Options::no_pivot`].
    pub no_pivot: bool,
    /// What is worth a line to the user.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Decides on the container `id` of the bundle `bundle`.
    ///
    /// # Errors
    /// All that is wrong with the document, or cannot be had on this host, in one error.
    pub fn new(id: &str, bundle: &Path, spec: &Spec, host: &Host, options: &Options) -> Result<Plan> {
        let mut problems = Problems::default();
        let nothing = spec::Linux::default();
        let linux = spec.linux.as_ref().unwrap_or(&nothing);
        check_version(&spec.oci_version, &mut problems);

        let nobody = spec::Process::default();
        let process = spec.process.as_ref().unwrap_or_else(|| {
            problems.invalid("check process: it is missing");
            &nobody
        });
        // One that is missing has no further problems.
        let mut unheard = Problems::default();
        let heard = if spec.process.is_some() { &mut problems } else { &mut unheard };
        let process = ProcessPlan::new(process, host.capabilities, heard).annotated(&spec.annotations);
        check_labels(&process, linux, host, &mut problems);
        let namespaces = NamespacePlan::new(linux, (host.uid, host.gid), &mut problems);
        check_names(spec, &namespaces, &mut problems);
        let root = RootPlan::new(spec, linux, bundle, &namespaces, &mut problems);
        let mounts = mounts::plan(&spec.mounts, bundle, &namespaces, &mut problems);
        let own_dev = !mounts.iter().any(MountPlan::shares_host_dev);
        let domainname = (!spec.domainname.is_empty()).then(|| spec.domainname.clone());
        let plan = Plan {
            id: id.to_owned(),
            bundle: bundle.to_owned(),
            devices: if own_dev { devices::plan(&linux.devices, &mut problems) } else { Vec::new() },
            masked_paths: absolute(&linux.masked_paths, "maskedPaths", &mut problems),
            readonly_paths: absolute(&linux.readonly_paths, "readonlyPaths", &mut problems),
            hostname: (!spec.hostname.is_empty()).then(|| spec.hostname.clone()),
            sysctl: sysctl::plan(&linux.sysctl, domainname.as_deref(), &namespaces, &mut problems),
            domainname,
            net_devices: net_devices(linux, &namespaces, &mut problems),
            personality: linux.personality.as_ref().and_then(|p| personality(p, &mut problems)),
            memory_policy: linux.memory_policy.as_ref().and_then(|p| memory_policy(p, &mut problems)),
            seccomp: linux
                .seccomp
                .as_ref()
                .and_then(|text| seccomp(text.get(), options.seccomp_cache.as_deref(), &mut problems)),
            limits: container_limits(linux, host, &mut problems),
            resctrl: linux.intel_rdt.as_ref().map(|rdt| ResctrlPlan::new(rdt, id, &mut problems)),
            cgroup_path: linux.cgroups_path.clone(),
            mount_label: (!linux.mount_label.is_empty()).then(|| linux.mount_label.clone()),
            hooks: spec.hooks.clone().unwrap_or_default(),
            new_keyring: !options.no_new_keyring,
            no_pivot: options.no_pivot,
            warnings: Vec::new(),
            process,
            namespaces,
            root,
            mounts,
        };
        check_hooks(&plan.hooks, &mut problems);
        if linux.intel_rdt.is_some() && !host.has_resctrl {
            problems.unsupported(
                "check linux.intelRdt: this host has no resctrl file system mounted on /sys/fs/resctrl",
            );
        }
        let warnings = problems.finish()?;
        Ok(Plan { warnings, ..plan })
    }
}

impl Plan {
    /// Whether the host process has something to do between the mounts and pivot_root(2).
    pub fn has_host_step(&self) -> bool {
        !(self.net_devices.is_empty()
            && self.hooks.prestart.is_empty()
            && self.hooks.create_runtime.is_empty())
    }
}

/// Any 1.x is understood: the specification only ever adds within one major version.
fn check_version(version: &str, problems: &mut Problems) {
    let mut parts = version.splitn(3, '.');
    let major = parts.next().and_then(|p| p.parse::<u32>().ok());
    let minor = parts.next().is_some_and(|p| p.parse::<u32>().is_ok());
    if major != Some(1) || !minor {
        problems.unsupported(format!(
            "check ociVersion `{version}`: this runtime knows 1.0.0 to {}",
            spec::VERSION
        ));
    }
}

fn check_labels(process: &ProcessPlan, linux: &spec::Linux, host: &Host, problems: &mut Problems) {
    if let Some(profile) = &process.apparmor_profile
        && !host.has_apparmor
    {
        problems.unsupported(format!(
            "check process.apparmorProfile `{profile}`: AppArmor is not enabled on this host"
        ));
    }
    let label = process.selinux_label.as_deref().filter(|l| !l.is_empty());
    let mount_label = Some(linux.mount_label.as_str()).filter(|l| !l.is_empty());
    if let Some(label) = label.or(mount_label)
        && !host.has_selinux
    {
        problems
            .unsupported(format!("check the SELinux label `{label}`: SELinux is not enabled on this host"));
    }
}

fn check_names(spec: &Spec, namespaces: &NamespacePlan, problems: &mut Problems) {
    for (key, value) in [("hostname", &spec.hostname), ("domainname", &spec.domainname)] {
        if !value.is_empty() && !namespaces.has(Namespaces::UTS) {
            problems
                .invalid(format!("check {key} `{value}`: it needs a uts namespace of the container's own"));
        }
    }
}

fn check_hooks(hooks: &Hooks, problems: &mut Problems) {
    let all = [
        ("prestart", &hooks.prestart),
        ("createRuntime", &hooks.create_runtime),
        ("createContainer", &hooks.create_container),
        ("startContainer", &hooks.start_container),
        ("poststart", &hooks.poststart),
        ("poststop", &hooks.poststop),
    ];
    for (name, list) in all {
        for hook in list {
            if !hook.path.is_absolute() {
                problems
                    .invalid(format!("check hooks.{name} `{}`: not an absolute path", hook.path.display()));
            }
            if hook.timeout.is_some_and(|t| t <= 0) {
                problems.invalid(format!(
                    "check hooks.{name} `{}`: timeout is not positive",
                    hook.path.display()
                ));
            }
        }
    }
}

fn absolute(paths: &[PathBuf], key: &str, problems: &mut Problems) -> Vec<PathBuf> {
    for path in paths {
        if !path.is_absolute() {
            problems.invalid(format!("check linux.{key} `{}`: not an absolute path", path.display()));
        }
    }
    paths.to_vec()
}

fn net_devices(
    linux: &spec::Linux,
    namespaces: &NamespacePlan,
    problems: &mut Problems,
) -> Vec<(String, Option<String>)> {
    if !linux.net_devices.is_empty() && !namespaces.has(Namespaces::NETWORK) {
        problems.invalid("check linux.netDevices: they need a network namespace of the container's own");
    }
    let mut targets = std::collections::HashSet::new();
    let mut plans = Vec::with_capacity(linux.net_devices.len());
    for (host_name, device) in &linux.net_devices {
        let name = if device.name.is_empty() { host_name } else { &device.name };
        problems.ok(taru_netlink::check_link_name(host_name));
        problems.ok(taru_netlink::check_device_name(name));
        // A template gives each its own name.
        if !name.contains("%d") && !targets.insert(name) {
            problems.invalid(format!("check linux.netDevices: two interfaces would be called `{name}`"));
        }
        plans.push((host_name.clone(), (name != host_name).then(|| name.clone())));
    }
    plans
}

pub(crate) fn personality(p: &spec::Personality, problems: &mut Problems) -> Option<u32> {
    if !p.flags.is_empty() {
        problems.unsupported("check linux.personality.flags: the specification names none yet");
    }
    match p.domain.as_str() {
        "LINUX" => Some(taru_sys::process::PER_LINUX),
        "LINUX32" => Some(taru_sys::process::PER_LINUX32),
        other => {
            problems.invalid(format!("check linux.personality.domain `{other}`: neither LINUX nor LINUX32"));
            None
        }
    }
}

fn memory_policy(p: &spec::MemoryPolicy, problems: &mut Problems) -> Option<(u32, Vec<u64>)> {
    let named = |name: &str, flag: bool| {
        sched::memory_policy_named(name).filter(|_| name.starts_with("MPOL_F_") == flag)
    };
    let Some(mut mode) = named(&p.mode, false) else {
        problems.invalid(format!("check linux.memoryPolicy.mode `{}`: unknown", p.mode));
        return None;
    };
    for flag in &p.flags {
        match named(flag, true) {
            Some(bit) => mode |= bit,
            None => problems.invalid(format!("check linux.memoryPolicy.flags: unknown flag `{flag}`")),
        }
    }
    let takes_nodes = !matches!(p.mode.as_str(), "MPOL_DEFAULT" | "MPOL_LOCAL");
    if !takes_nodes && !p.nodes.is_empty() {
        problems.invalid(format!("check linux.memoryPolicy: {} takes no nodes", p.mode));
    }
    if takes_nodes && p.nodes.is_empty() && p.mode != "MPOL_PREFERRED" {
        problems.invalid(format!("check linux.memoryPolicy: {} needs nodes", p.mode));
    }
    let nodes = if p.nodes.is_empty() { Some(Vec::new()) } else { list_to_mask(&p.nodes) };
    if nodes.is_none() {
        problems.invalid(format!("check linux.memoryPolicy.nodes `{}`: not a list like 0-3,7", p.nodes));
    }
    Some((mode, nodes?))
}

/// The filter, from the directory `cache` if it was compiled before.
pub(crate) fn seccomp(text: &str, cache: Option<&Path>, problems: &mut Problems) -> Option<Program> {
    let program = match cache {
        Some(directory) => taru_seccomp::Cache::new(directory).program(text),
        None => Profile::parse(text).and_then(|p| p.map(|p| taru_seccomp::compile(&p)).transpose()),
    };
    let program = problems.ok(program)??;
    if program.has_listener() && problems.ok(Profile::parse(text))??.listener_path.is_none() {
        problems.invalid("check linux.seccomp: SCMP_ACT_NOTIFY needs listenerPath");
    }
    Some(program)
}

/// The document's limits. On top of its device rules stand the default devices, as in every runtime. A
/// user without rights on the host can make no device node, so there is nothing to limit.
fn container_limits(linux: &spec::Linux, host: &Host, problems: &mut Problems) -> Limits {
    let mut limits = linux.resources.as_ref().map(|r| limits::translate(r, problems)).unwrap_or_default();
    if host.is_privileged {
        limits.devices.extend(limits::default_devices());
    } else {
        limits.devices.clear();
    }
    limits
}
