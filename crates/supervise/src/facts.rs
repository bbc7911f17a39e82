//! Who watches a container, as long as somebody does.
//!
//! ```text
//! BUNDLE/supervisor     taru-supervisor 1
//!                       supervisor 4711 88123      pid and start time
//!                       init 4713 88125            the same; 0 0 while not known
//!                       started 1795306171000000042
//! ```
//! It lies where a reboot clears it. If the process it names is gone, the container ended: its exit
//! file tells how.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use taru_runtime::state::Process;
use taru_stdx::fs::{Sync, read_bounded, replace};
use taru_stdx::{Error, Kind, Result};

/// The name of the file.
pub const FACTS: &str = "supervisor";

/// Who watches a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The process that waits for the container's end.
    pub supervisor: Process,
    /// The container's init, once it is known.
    pub init: Option<Process>,
    /// When it was started.
    pub started: SystemTime,
}

impl Facts {
    /// Writes them into `bundle`.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn write(&self, bundle: &Path) -> Result<()> {
        let init = self.init.unwrap_or(Process { pid: 0, start_time: 0 });
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let text = format!(
            "taru-supervisor 1\nsupervisor {} {}\ninit {} {}\nstarted {started}\n",
            self.supervisor.pid, self.supervisor.start_time, init.pid, init.start_time
        );
        replace(&bundle.join(FACTS), text.as_bytes(), 0o600, Sync::Atomic)
    }

    /// Reads them from `bundle`; `None` if nobody watches yet.
    ///
    /// # Errors
    /// Any other error of reading; [`Kind::Invalid`] for a file of another format.
    pub fn read(bundle: &Path) -> Result<Option<Facts>> {
        let path = bundle.join(FACTS);
        match read_bounded(&path, 4096) {
            Ok(text) => match parse(&text) {
                Some(facts) => Ok(Some(facts)),
                None => Err(Error::invalid(format!("parse `{}`: unknown format", path.display()))),
            },
            Err(e) if e.kind() == Kind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
}

fn parse(text: &[u8]) -> Option<Facts> {
    let mut lines = std::str::from_utf8(text).ok()?.lines();
    if lines.next()? != "taru-supervisor 1" {
        return None;
    }
    let mut process = |name: &str| -> Option<Process> {
        let (pid, start_time) = lines.next()?.strip_prefix(name)?.split_once(' ')?;
        Some(Process { pid: pid.parse().ok()?, start_time: start_time.parse().ok()? })
    };
    let (supervisor, init) = (process("supervisor ")?, process("init ")?);
    let nanoseconds: u64 = lines.next()?.strip_prefix("started ")?.parse().ok()?;
    let started = UNIX_EPOCH + Duration::from_nanos(nanoseconds);
    Some(Facts { supervisor, init: (init.pid > 0).then_some(init), started })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_format_is_told_apart() {
        let supervisor = Process { pid: 4711, start_time: 88 };
        let facts = Facts { supervisor, init: None, started: UNIX_EPOCH + Duration::from_nanos(42) };
        assert_eq!(parse(b"taru-supervisor 1\nsupervisor 4711 88\ninit 0 0\nstarted 42\n"), Some(facts));
        for bad in ["", "taru-supervisor 2\n", "taru-supervisor 1\nsupervisor x 88\ninit 0 0\nstarted 42\n"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
