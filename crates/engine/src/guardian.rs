//! What must be undone even if this process is killed: a child waits for its end and does it then.
//!
//! ```text
//! taru ──────── pipe ────────> guardian (a session of its own: no Ctrl-C reaches it)
//!   done: one byte               ends
//!   killed: end of file          does the act, and ends
//! ```

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;

use taru_stdx::{Context, Result};
use taru_sys::process::{self, Child, Clone, exit_now};
use taru_sys::{fd, signal};

/// A guardian that waits.
#[derive(Debug)]
pub struct Guardian {
    child: Child,
    alive: File,
}

impl Guardian {
    /// Has `act` done once this process, and every fork of it, is gone, unless [`Guardian::dismiss`] comes first.
    ///
    /// # Errors
    /// At a limit of processes or descriptors.
    pub fn new(act: impl FnOnce()) -> Result<Guardian> {
        let what = || "start a guardian process";
        let (reader, writer) = fd::pipe().context(what)?;
        let Some(child) = process::clone3(&Clone::default()).context(what)? else {
            let _ = process::setsid();
            signal::reset_all();
            // Nothing of ours is held open for longer: neither the pipes of a shell nor locks.
            let _ = fd::close_all_but(0, &[reader.as_fd()]);
            if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
                for number in 0..3 {
                    let _ = fd::replace_standard(null.as_fd(), number);
                }
            }
            let mut byte = [0];
            if File::from(reader).read(&mut byte).is_ok_and(|n| n == 0) {
                act();
            }
            exit_now(0);
        };
        drop(reader);
        Ok(Guardian { child, alive: File::from(writer) })
    }

    /// Tells it that there is nothing to do, and waits for its end.
    pub(crate) fn dismiss(mut self) {
        // One that is gone has nothing to be told.
        let _ = self.alive.write_all(b"d");
        let _ = process::wait_pidfd(self.child.pidfd.as_fd());
    }
}
