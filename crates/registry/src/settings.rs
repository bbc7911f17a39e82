//! What a client goes by: files, proxies, limits.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use taru_stdx::Result;

use crate::conf::Registries;
use crate::credentials::Keyring;
use crate::proxy::Proxies;

/// What a [`crate::Client`] goes by. [`Settings::default`] reads nothing of the host; [`Settings::of_host`] does.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Set by whoever wants everything to end: all transfers fail within a second.
    pub cancel: Arc<AtomicBool>,
    /// Where credentials are kept.
    pub keyring: Keyring,
    /// Mirrors, insecure and blocked registries.
    pub registries: Registries,
    /// Directories `certs.d`, the first that knows a server counts.
    pub certificates: Vec<PathBuf>,
    /// The proxies.
    pub proxies: Proxies,
    /// For each address of a server to accept a connection.
    pub connect: Duration,
    /// For a kilobyte to arrive or leave.
    pub stall: Duration,
    /// Further tries of what failed for a passing reason, in a row and without progress.
    pub retries: u32,
    /// Before the second try; doubles with each, and half of it is random.
    pub first_delay: Duration,
    /// The longest wait before a try, also where the server asks for more.
    pub longest_delay: Duration,
    /// Push blobs in chunks of so many bytes; `None`: in one piece, and in chunks after that failed.
    pub chunk: Option<u64>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            cancel: Arc::default(),
            keyring: Keyring::default(),
            registries: Registries::default(),
            certificates: Vec::new(),
            proxies: Proxies::default(),
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            retries: 5,
            first_delay: Duration::from_millis(250),
            longest_delay: Duration::from_secs(30),
            chunk: None,
        }
    }
}

impl Settings {
    /// Those of this host and user, from the files and variables that docs/registry.md lists.
    ///
    /// # Errors
    /// A file that cannot be read or understood; a proxy that cannot be used.
    pub fn of_host() -> Result<Settings> {
        Settings::from_variables(|name| std::env::var(name).ok())
    }

    /// Those of an environment whose variables `variable` looks up.
    ///
    /// # Errors
    /// As [`Settings::of_host`].
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Settings> {
        let dir = |name: &str| variable(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let config = dir("XDG_CONFIG_HOME").or_else(|| dir("HOME").map(|home| home.join(".config")));
        let mut certificates: Vec<PathBuf> = config.iter().map(|c| c.join("containers/certs.d")).collect();
        certificates.extend(["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from));
        Ok(Settings {
            keyring: Keyring::from_variables(&variable),
            registries: Registries::of_host(&variable)?,
            certificates,
            proxies: Proxies::from_variables(&variable)?,
            ..Settings::default()
        })
    }
}
