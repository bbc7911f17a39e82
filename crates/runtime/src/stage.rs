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

/// In the host: hears which process the stage cloned, and reaps the stage.
///
/// A stage that is killed behind its clone says nothing, and the clone, which waits for us, holds the same end of the
/// link open: so the stage's end is waited for as well. With the link that clone ends, too.
///
/// # Errors
/// What the stage failed with; [`wire::silent`].
pub(crate) fn hear(stage: &Child, link: &Link) -> Result<Child> {
    let who = "the stage process";
    let cloned = match has_word(stage, link)? {
        true => link.expect(who, |m| match m {
            Message::Cloned(pid) => Ok(pid),
            other => Err(other),
        }),
        false => Err(wire::silent(who)),
    };
    process::wait_pidfd(stage.pidfd.as_fd()).context(|| "wait for the stage process")?;
    let pid = Pid(cloned?);
    // Our child, which nobody but us reaps: the number is still its.
    let pidfd = process::pidfd_open(pid).context(|| "open the container's init")?;
    Ok(Child { pid, pidfd })
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
