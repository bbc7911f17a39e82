//! WHERE: a network namespace as people name it on the command line.

use std::os::fd::{AsFd, OwnedFd};

use taru_netlink::{Netlink, named, netns};
use taru_stdx::{Context, Error, Kind, Result};

use crate::commands::open;
use crate::options::Global;
use taru_engine::reconcile::{self, Status};

/// The namespace that `text` names: `container:NAME` for that of a container of taru's, else what
/// [`named::find`] knows: a name, `pid:N` or a path.
pub(super) fn find(text: &str, global: &Global) -> Result<OwnedFd> {
    match text.strip_prefix("container:") {
        Some(key) => {
            of_container(key, global).context(|| format!("open the network namespace of container `{key}`"))
        }
        None => named::find(text),
    }
}

/// As [`find`]; without a text, the namespace this process is in.
pub(super) fn find_or_own(text: Option<&str>, global: &Global) -> Result<OwnedFd> {
    text.map_or_else(netns::current, |text| find(text, global))
}

/// A socket on the namespace that `text` names, or on this process's.
pub(super) fn socket(text: Option<&str>, global: &Global) -> Result<Netlink> {
    match text {
        Some(text) => Netlink::open_in(find(text, global)?.as_fd()),
        None => Netlink::open(),
    }
}

fn of_container(key: &str, global: &Global) -> Result<OwnedFd> {
    let mut engine = open(global)?;
    let not_running = || Error::new(Kind::State, "it does not run");
    let init = match reconcile::one(&mut engine, key)?.1 {
        Status::Running { init: Some(init), .. } => init,
        _ => return Err(not_running()),
    };
    let netns = named::find(&format!("pid:{}", init.pid))?;
    // Only now: had it ended before, a stranger with its pid might have been opened.
    if init.is_alive()? { Ok(netns) } else { Err(not_running()) }
}
