//! What is written down of a container.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use taru_runtime::state::Process;
use taru_stdx::{Error, Result};
use taru_supervise::facts::Facts;

use crate::config::ContainerConfig;

/// A container's record, as the store has it.
#[derive(Debug, Clone)]
pub struct Record {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name, unique in the state directory.
    pub name: String,
    /// When it was made.
    pub created: SystemTime,
    /// What it was asked to be; the text that cannot be read, if somebody damaged it.
    pub config: std::result::Result<ContainerConfig, String>,
    /// How far it came, as far as written down.
    pub phase: Phase,
    /// The boot in which it was last started.
    pub boot: String,
    /// The `taru` that last started it.
    pub starter: Process,
    /// The first host id of the 65536 that are its own, if it was given any.
    pub uid_base: Option<u32>,
}

/// How far a container came, as far as written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// It was told to start. Whether it runs is asked of the kernel, see `reconcile`.
    Begun,
    /// It ended, and all but its record, log and kept changes is gone.
    Ended(Ended),
    /// Somebody began to remove it.
    Removing,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its exit status; `None` if nobody was there to see it.
    pub status: Option<u8>,
    /// When, if known.
    pub finished: Option<SystemTime>,
    /// Why the status is not known, or what else there is to say; may be empty.
    pub reason: String,
}

impl Record {
    /// What it was asked to be.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Invalid`] if the record is damaged.
    pub fn config(&self) -> Result<&ContainerConfig> {
        self.config.as_ref().map_err(|why| {
            Error::invalid(format!("read the record of `{}`: {why}", self.name))
                .hint(format!("the other containers are not affected; `taru rm {}` removes it", self.name))
        })
    }

    /// Whether the container may run now, in this `boot` and with its bundle at `bundle`: somebody starts it or watches it.
    ///
    /// # Errors
    /// /proc or the bundle cannot be read.
    pub(crate) fn may_run(&self, bundle: &Path, boot: &str) -> Result<bool> {
        if self.phase != Phase::Begun || self.boot != boot {
            return Ok(false);
        }
        Ok(self.starter.is_alive()?
            || Facts::read(bundle)?.is_some_and(|facts| facts.supervisor.is_alive().unwrap_or(true)))
    }

    /// The id as people see it.
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }
}

/// A time as the store has it: nanoseconds since 1970.
pub(crate) fn to_nanoseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// The reverse of [`to_nanoseconds`].
pub(crate) fn from_nanoseconds(nanoseconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0))
}
