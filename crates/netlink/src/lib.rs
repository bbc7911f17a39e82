//! Links, addresses, routes and network namespaces over a synchronous netlink socket.
//!
//! A [`Netlink`] speaks to the network namespace it was opened in. The kernel's own text, where it
//! gives one, is part of every error.
//!
//! A veth pair between this namespace and another, both ends addressed:
//!
//! ```no_run
//! use std::os::fd::AsFd;
//! use taru_netlink::{Address, LinkKind, Netlink, NewLink, Route};
//!
//! # fn main() -> taru_stdx::Result<()> {
//! # let netns = std::fs::File::open("/run/netns/blue").unwrap();
//! let mut here = Netlink::open()?;
//! let mut there = Netlink::open_in(netns.as_fd())?;
//! let (peer, peer_netns) = ("eth0", Some(netns.as_fd()));
//! let kind = LinkKind::Veth { peer, peer_netns, peer_mac: None, peer_mtu: None };
//! here.create_link(&NewLink { up: true, ..NewLink::new("veth0", kind) })?;
//! let veth0 = here.link("veth0")?.index;
//! here.add_address(veth0, &Address::new("10.0.0.1/24".parse()?))?;
//!
//! let eth0 = there.link("eth0")?.index;
//! there.add_address(eth0, &Address::new("10.0.0.2/24".parse()?))?;
//! there.set_link_up(eth0)?;
//! there.add_route(&Route::default_via("10.0.0.1".parse().unwrap()))?;
//! # Ok(())
//! # }
//! ```
//!
//! ```text
//! named           the names that ip-netns(8) and taru give to namespaces
//! netns, device   the calls that need two namespaces
//! link, address, route   one noun a file: its type, its reader, its calls
//! socket          requests, acknowledgements, dumps
//! wire, uapi      the encoding and the kernel's numbers: pure
//! ```

mod address;
mod device;
mod ipnet;
mod link;
pub mod named;
pub mod netns;
mod route;
mod socket;
mod uapi;
mod wire;

pub use address::{Address, Scope};
pub use device::{Device, Moved, check_device_name, move_back, move_device, move_devices};
pub use ipnet::IpNet;
pub use link::{IpvlanMode, Link, LinkKind, MacvlanMode, NewLink, OperState, check_link_name};
pub use route::{MAIN_TABLE, Route};
pub use socket::Netlink;

use taru_stdx::{Context, Result};

/// Sets the link `lo` of the calling thread's network namespace up: what every new namespace needs first.
///
/// Three system calls, through an ioctl: a tenth cheaper than netlink. The rest is the kernel's
/// own work of giving `lo` its addresses.
///
/// # Errors
/// [`taru_stdx::Kind::Permission`] without `CAP_NET_ADMIN` over the namespace.
pub fn loopback_up() -> Result<()> {
    taru_sys::netlink::ioctl_loopback_up().context(|| "set link `lo` up")
}
