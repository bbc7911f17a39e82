//! Network namespaces: visited for an instant, and the ids by which one names another (Linux 4.0).
//! Source: ip-netns(8), linux/net_namespace.h.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use taru_stdx::{Context, Kind, Result};
use taru_sys::ns::{Namespaces, setns};

use crate::socket::Netlink;
use crate::uapi::*;
use crate::wire::{Attributes, Message};

/// The family header `struct rtgenmsg`.
const INFO: [u8; 1] = [AF_UNSPEC];

/// The calling thread's network namespace.
///
/// # Errors
/// If /proc is not mounted.
pub fn current() -> Result<OwnedFd> {
    let path = "/proc/thread-self/ns/net";
    Ok(File::open(path).context(|| format!("open `{path}`"))?.into())
}

/// Runs `act` with the calling thread in the network namespace `netns`, and comes back.
///
/// That coming back is allowed is tried first: a process that may enter a namespace of its own
/// user namespace need not be allowed to return to the host's.
///
/// # Errors
/// Those of setns(2), in which case `act` has not run, and those of `act`.
pub fn inside<T>(netns: BorrowedFd<'_>, act: impl FnOnce() -> Result<T>) -> Result<T> {
    let home = current()?;
    setns(home.as_fd(), Namespaces::NETWORK).context(|| "enter one's own network namespace again")?;
    setns(netns, Namespaces::NETWORK).context(|| "enter a network namespace")?;
    let result = act();
    setns(home.as_fd(), Namespaces::NETWORK).context(|| "come back to one's own network namespace")?;
    result
}

impl Netlink {
    /// Opens a socket on the network namespace `netns`. The calling thread visits it for an instant.
    ///
    /// # Errors
    /// Those of [`inside`] and of socket(2).
    pub fn open_in(netns: BorrowedFd<'_>) -> Result<Netlink> {
        inside(netns, Netlink::open)
    }

    /// The id by which the socket's namespace knows `netns`, if it has one.
    ///
    /// # Errors
    /// [`Kind::Invalid`] if `netns` is no network namespace.
    pub fn netns_id(&mut self, netns: BorrowedFd<'_>) -> Result<Option<i32>> {
        let mut m = Message::new(RTM_GETNSID, NLM_F_ACK, &INFO);
        m.put_u32(NETNSA_FD, netns.as_raw_fd() as u32);
        let id = self.ask(m, parse).context(|| "find the id of a network namespace")?;
        Ok(id.filter(|id| *id >= 0))
    }

    /// Gives `netns` the id `id` in the socket's namespace; none: the smallest that is free. It
    /// stays for as long as `netns` lives.
    ///
    /// # Errors
    /// [`Kind::Exists`] if `netns` has an id already or the id is taken.
    pub fn assign_netns_id(&mut self, netns: BorrowedFd<'_>, id: Option<i32>) -> Result<()> {
        let mut m = Message::new(RTM_NEWNSID, NLM_F_ACK, &INFO);
        m.put_u32(NETNSA_FD, netns.as_raw_fd() as u32);
        m.put(NETNSA_NSID, &id.unwrap_or(-1).to_ne_bytes());
        let what = || format!("assign id {} to a network namespace", id.unwrap_or(-1));
        self.request(m).map_err(|e| match e.kind() {
            // The kernel says ENOSPC when the wanted number is in use.
            Kind::Limit if id.is_some() => taru_stdx::Error::new(Kind::Exists, what()).because(e),
            kind => taru_stdx::Error::new(kind, what()).because(e),
        })
    }

    /// All ids that the socket's namespace knows, in ascending order.
    ///
    /// # Errors
    /// Those of the kernel, which has none in practice.
    pub fn netns_ids(&mut self) -> Result<Vec<i32>> {
        let request = || Message::new(RTM_GETNSID, NLM_F_DUMP, &INFO);
        let mut ids = self.dump(request, parse).context(|| "list the ids of network namespaces")?;
        ids.retain(|id| *id >= 0);
        ids.sort_unstable();
        Ok(ids)
    }
}

fn parse(payload: &[u8]) -> Result<Option<i32>> {
    for attribute in Attributes::after(payload, INFO.len())? {
        let attribute = attribute?;
        if attribute.kind == NETNSA_NSID {
            return Ok(Some(attribute.u32()? as i32));
        }
    }
    Ok(None)
}
