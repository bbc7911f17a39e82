//! What this host offers, asked once.

use std::path::Path;

use taru_cgroup::Hierarchy;
use taru_stdx::Result;
use taru_sys::caps::{self, Capabilities};
use taru_sys::user;

/// Where the resctrl file system is mounted, by convention and by the kernel's documentation.
pub(crate) const RESCTRL: &str = "/sys/fs/resctrl";

/// What this host and this user can do, as far as decisions depend on it.
#[derive(Debug)]
pub struct Host {
    /// Every capability that the kernel knows.
    pub capabilities: Capabilities,
    /// Whether this process may administer the host's own namespaces: mounts by device, ids at will.
    pub is_privileged: bool,
    /// The caller's effective user id.
    pub uid: u32,
    /// The caller's effective group id.
    pub gid: u32,
    /// The cgroup hierarchies.
    pub hierarchy: Hierarchy,
    /// Whether AppArmor confines processes here.
    pub has_apparmor: bool,
    /// Whether SELinux labels processes here.
    pub has_selinux: bool,
    /// Whether the resctrl file system is mounted.
    pub has_resctrl: bool,
}

impl Host {
    /// Every capability that the kernel knows.
    pub fn known_capabilities() -> Capabilities {
        Capabilities((1u64 << (caps::last() + 1)) - 1)
    }

    /// Whether the resctrl file system is mounted.
    pub fn has_resctrl() -> bool {
        Path::new(RESCTRL).join("schemata").exists()
    }

    /// Asks the kernel. A dozen system calls.
    ///
    /// # Errors
    /// An unreadable /proc.
    pub fn probe() -> Result<Host> {
        let sys_admin = Capabilities::named("CAP_SYS_ADMIN").unwrap_or_default();
        let is_privileged = user::geteuid() == 0
            && caps::capget().is_ok_and(|s| s.effective.contains(sys_admin))
            && !is_in_user_namespace();
        Ok(Host {
            capabilities: Host::known_capabilities(),
            is_privileged,
            uid: user::geteuid(),
            gid: user::getegid(),
            hierarchy: Hierarchy::probe()?,
            has_apparmor: reads_as("/sys/module/apparmor/parameters/enabled", b'Y'),
            has_selinux: Path::new("/sys/fs/selinux/enforce").exists(),
            has_resctrl: Host::has_resctrl(),
        })
    }
}

fn reads_as(path: &str, first: u8) -> bool {
    std::fs::read(path).is_ok_and(|content| content.first() == Some(&first))
}

/// The initial user namespace maps all ids to themselves; no other one can.
fn is_in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let numbers: Vec<&str> = map.split_whitespace().collect();
    numbers != ["0", "0", "4294967295"]
}
