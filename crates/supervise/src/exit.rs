//! The file that tells how a container ended: it outlives the supervisor and a reboot.
//!
//! ```text
//! DIR/exit     taru-exit 1                      format and version
//!              status 137                       as a shell has it: 128 + the signal's number
//!              finished 1795306171000000042     nanoseconds since 1970
//! ```
//! It is written whole and synced before the supervisor ends. Where it is missing and no supervisor
//! lives, nobody knows how the container ended.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use taru_stdx::fs::{Sync, read_bounded, replace};
use taru_stdx::{Error, Kind, Result};

/// The name of the file.
pub const EXIT: &str = "exit";

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// The exit status of its init; 128 + N if signal N killed it.
    pub status: u8,
    /// When.
    pub finished: SystemTime,
}

impl Exit {
    /// Writes it durably into `dir`.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let finished = self.finished.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let text = format!("taru-exit 1\nstatus {}\nfinished {finished}\n", self.status);
        replace(&dir.join(EXIT), text.as_bytes(), 0o600, Sync::Durable)
    }

    /// Reads it from `dir`; `None` while the container has not ended.
    ///
    /// # Errors
    /// Any other error of reading; [`Kind::Invalid`] for a file of another format.
    pub fn read(dir: &Path) -> Result<Option<Exit>> {
        let path = dir.join(EXIT);
        match read_bounded(&path, 4096) {
            Ok(text) => match parse(&text) {
                Some(exit) => Ok(Some(exit)),
                None => Err(Error::invalid(format!("parse `{}`: unknown format", path.display()))),
            },
            Err(e) if e.kind() == Kind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
}

fn parse(text: &[u8]) -> Option<Exit> {
    let mut lines = std::str::from_utf8(text).ok()?.lines();
    if lines.next()? != "taru-exit 1" {
        return None;
    }
    let status = lines.next()?.strip_prefix("status ")?.parse().ok()?;
    let nanoseconds: u64 = lines.next()?.strip_prefix("finished ")?.parse().ok()?;
    Some(Exit { status, finished: UNIX_EPOCH + Duration::from_nanos(nanoseconds) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_writing_and_reading_and_tells_other_files_apart() {
        let exit = Exit { status: 137, finished: UNIX_EPOCH + Duration::from_nanos(42) };
        assert_eq!(parse(b"taru-exit 1\nstatus 137\nfinished 42\n"), Some(exit));
        for bad in ["", "taru-exit 2\nstatus 1\nfinished 1\n", "taru-exit 1\nstatus 256\nfinished 1\n"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad:?}");
        }
        let dir = std::env::temp_dir().join(format!("taru-exit-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        assert_eq!(Exit::read(&dir).unwrap(), None);
        exit.write(&dir).unwrap();
        assert_eq!(Exit::read(&dir).unwrap(), Some(exit));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
