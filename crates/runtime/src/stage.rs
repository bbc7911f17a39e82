//! A *stage*: a process that joins what its own child is to be born into, clones that as our child, and is gone.
//!
//! ```text
//! host ──clone──> stage ── setns(2) ──clone (CLONE_PARENT)──> init, or a further process: the host's child
//!      <───────── Cloned(pid), or Failed
//! ```
//! What `create` and `exec` do in it differs; how it answers, and how the host hears it, does not.

use std::os::fd::AsFd;
use std::time::Duration;

use taru_stdx::{Context, Result};
use taru_sys::poll::{events, poll};
use taru_sys::process::{self, Child, Pid};

use crate::wire::{self, Link, Message};

/// Whether this process can do its work on children that are not dumpable: their /proc files are root's (proc(5)).
pub(crate) fn may_hide() -> bool {
    taru_sys::user::geteuid() == 0
}

/// In the stage: says what came of the clone, and ends.
pub(crate) fn end(link: &Link, cloned: Result<Child>) -> ! {
    let said = match cloned {
        Ok(child) => Message::Cloned(child.pid.0),
        Err(error) => Message::Failed(error),
    };
    let _ = link.send(&said);
    process::exit_now(0)
}

/// A stage that has nothing more to do but to end. It is reaped when this is dropped, which waits for its end: best when
/// its clone is at work, for a process takes the kernel longer to end than the clone to begin.
pub(crate) struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        // Our child, and nobody else's: there is nothing that could go wrong.
        let _ = process::wait_pidfd(self.0.pidfd.as_fd());
    }
}

/// In the host: hears which process the stage cloned.
///
/// A stage that is killed behind its clone says nothing, and the clone, which waits for us, holds the same end of the
/// link open: so we listen for the stage's end as well. With the link that clone ends, too.
///
/// # Errors
/// What the stage failed with; [`wire::silent`].
pub(crate) fn hear(stage: Child, link: &Link) -> Result<(Child, Ending)> {
    let who = "the stage process";
    let stage = Ending(stage);
    let cloned = match has_word(&stage.0, link)? {
        true => link.expect(who, |m| match m {
            Message::Cloned(pid) => Ok(pid),
            other => Err(other),
        }),
        false => Err(wire::silent(who)),
    };
    let pid = Pid(cloned?);
    // Our child, which nobody but us reaps: the number is still its.
    let pidfd = process::pidfd_open(pid).context(|| "open the container's init")?;
    Ok((Child { pid, pidfd }, stage))
}

/// Waits until the stage has said something, or has ended; whether there is something to be heard.
fn has_word(stage: &Child, link: &Link) -> Result<bool> {
    let look = |patience| {
        let both = [(link.as_fd(), events::IN), (stage.pidfd.as_fd(), events::IN)];
        poll(both, patience).context(|| "wait for the stage process")
    };
    let [said, _ended] = look(None)?;
    // Its last word may have come between the looks at the one and at the other.
    Ok(said != 0 || look(Some(Duration::ZERO))?[0] != 0)
}
