//! What the global options mean here: defaults filled in.

use std::fmt;
use std::path::PathBuf;

use taru_runtime::state::Store;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::user;

use crate::global::{CgroupManager, Global};
use crate::log::Log;

/// Where state is kept and how control groups are made.
pub(crate) struct Settings {
    root: Option<PathBuf>,
    pub(crate) cgroup_manager: CgroupManager,
    /// `None`: as the user's rights are.
    pub(crate) rootless: Option<bool>,
    pub(crate) log: Log,
    /// Who waits for the container's readiness, as sd_notify(3) has it.
    pub(crate) notify_socket: Option<PathBuf>,
}

impl Settings {
    /// The settings that `global` means.
    pub(crate) fn new(global: &Global, log: &Log) -> Settings {
        let asked = if global.systemd_cgroup { Some(CgroupManager::Systemd) } else { global.cgroup_manager };
        Settings {
            root: global.root.clone(),
            cgroup_manager: asked.unwrap_or(CgroupManager::Cgroupfs),
            rootless: match global.rootless.as_str() {
                "true" | "1" | "t" => Some(true),
                "false" | "0" | "f" => Some(false),
                _ => None,
            },
            log: log.clone(),
            notify_socket: std::env::var_os("NOTIFY_SOCKET")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
        }
    }

    /// The state directory. Asked for only by commands that need one.
    ///
    /// # Errors
    /// No directory for an ordinary user's state.
    pub(crate) fn store(&self) -> Result<Store> {
        let root = match &self.root {
            Some(root) => std::path::absolute(root).context(|| format!("find `{}`", root.display()))?,
            None => default_root()?,
        };
        Ok(Store::open(root))
    }

    /// Tells the user, once the act is done, what went otherwise than asked.
    pub(crate) fn warn(&self, warnings: &[String]) {
        for warning in warnings {
            self.log.warning(warning);
        }
    }
}

/// As the debug log tells them.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.root {
            Some(root) => write!(f, "state below `{}`", root.display())?,
            None => f.write_str("state in its usual place")?,
        }
        let manager = match self.cgroup_manager {
            CgroupManager::Cgroupfs => "the file system",
            CgroupManager::Systemd => "systemd",
            CgroupManager::Disabled => "nobody",
        };
        let rights = match self.rootless {
            None => "as the user has them",
            Some(true) => "an ordinary user's",
            Some(false) => "root's",
        };
        write!(f, ", control groups by {manager}, rights {rights}")
    }
}

/// `/run/taru/runtime` for the host's root, `$XDG_RUNTIME_DIR/taru/runtime` for whoever has that directory: where
/// `taru` keeps it as well, so that each sees the other's containers.
fn default_root() -> Result<PathBuf> {
    if user::geteuid() == 0 && !in_user_namespace() {
        return Ok("/run/taru/runtime".into());
    }
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => Ok(PathBuf::from(dir).join("taru/runtime")),
        None if user::geteuid() == 0 => Ok("/run/taru/runtime".into()),
        None => Err(Error::new(Kind::NotFound, "find a directory for the state: XDG_RUNTIME_DIR is not set")
            .hint("name one with --root, for example --root ~/.cache/taru")),
    }
}

/// Whether we are root only in a user namespace: the first one maps every id to itself.
fn in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !map.is_empty() && !map.split_whitespace().eq(["0", "0", "4294967295"])
}
