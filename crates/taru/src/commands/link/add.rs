//! `taru link add`: creates a link, puts its ends where they belong, gives them addresses and
//! routes, and sets them up; or leaves nothing behind.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use clap::ValueEnum;
use taru_netlink::{
    Address, IpNet, IpvlanMode, LinkKind, MacvlanMode, Netlink, NewLink, Route, check_link_name,
};
use taru_stdx::{Error, Result};

use super::operand::{gateway, mac};
use crate::commands::place;
use crate::options::Global;

/// Make a link, give it addresses and routes, and set it up
///
/// The options that begin with `--peer` are about the other end of a veth pair.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru link add veth0 --address 10.0.0.1/24 \\
      --peer eth0 --peer-netns blue --peer-address 10.0.0.2/24 --peer-gateway 10.0.0.1
  taru link add eth1 --type macvlan --parent eth0 --netns blue --address 192.168.1.9/24
  taru link add br0 --type bridge --address 10.1.0.1/24
  taru link add veth1 --master br0 --peer eth0 --peer-netns green --peer-address 10.1.0.2/24")]
pub(super) struct Args {
    /// The link's name, at most 15 bytes
    name: String,
    /// What kind of link it is
    #[arg(long = "type", value_enum, default_value_t, value_name = "TYPE")]
    kind: Type,
    /// Create it in this network namespace [default: this one]
    #[arg(long, value_name = "WHERE")]
    netns: Option<String>,
    /// Give it this address; may be repeated
    #[arg(long, value_name = "ADDRESS/BITS")]
    address: Vec<String>,
    /// Send what is for elsewhere through this router: a default route in its namespace; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    gateway: Vec<String>,
    /// Give it this hardware address [default: a random one]
    #[arg(long, value_name = "MAC")]
    mac: Option<String>,
    /// Set its largest packet, in bytes [default: what the kernel takes]
    #[arg(long, value_name = "BYTES")]
    mtu: Option<u32>,
    /// Make it a port of this bridge
    #[arg(long, value_name = "BRIDGE")]
    master: Option<String>,
    /// Leave it down
    #[arg(long)]
    down: bool,
    /// Put it on this link of this namespace (macvlan, ipvlan, vlan, vxlan)
    #[arg(long, value_name = "LINK")]
    parent: Option<String>,
    /// How links on the same parent may talk (macvlan, ipvlan) [default: bridge, or l2]
    #[arg(long, value_enum, value_name = "MODE")]
    mode: Option<Mode>,
    /// The number of the VLAN, 1 to 4094, or of the VXLAN network, 24 bits
    #[arg(long, value_name = "ID")]
    id: Option<u32>,
    /// Send to this address: the only peer or a multicast group (vxlan)
    #[arg(long, value_name = "ADDRESS")]
    remote: Option<String>,
    /// The name of the other end (veth)
    #[arg(long, value_name = "NAME", help_heading = "The other end")]
    peer: Option<String>,
    /// Create the other end in this network namespace [default: this one]
    #[arg(long, value_name = "WHERE", requires = "peer", help_heading = "The other end")]
    peer_netns: Option<String>,
    /// Give the other end this address; may be repeated
    #[arg(long, value_name = "ADDRESS/BITS", requires = "peer", help_heading = "The other end")]
    peer_address: Vec<String>,
    /// Make a default route through this router in the other end's namespace; may be repeated
    #[arg(long, value_name = "ADDRESS", requires = "peer", help_heading = "The other end")]
    peer_gateway: Vec<String>,
    /// Give the other end this hardware address [default: a random one]
    #[arg(long, value_name = "MAC", requires = "peer", help_heading = "The other end")]
    peer_mac: Option<String>,
}

/// The kinds of links that can be made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Type {
    /// A virtual cable with two ends
    #[default]
    Veth,
    /// A further hardware address on the parent
    Macvlan,
    /// Further addresses on the parent's hardware address
    Ipvlan,
    /// A switch
    Bridge,
    /// A link that drops what is sent
    Dummy,
    /// The parent's packets with a VLAN tag
    Vlan,
    /// Ethernet over UDP
    Vxlan,
}

/// How links on one parent may talk with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// macvlan: directly
    Bridge,
    /// macvlan: not at all
    Private,
    /// macvlan: through a switch outside
    Vepa,
    /// macvlan: one link takes the parent over
    Passthru,
    /// ipvlan: as on a switch
    L2,
    /// ipvlan: as through a router
    L3,
    /// ipvlan: as through a router, with the parent's packet filter
    L3s,
}

/// One end of what is made: where, and what it is given there.
struct End {
    netns: OwnedFd,
    name: String,
    addresses: Vec<IpNet>,
    gateways: Vec<IpAddr>,
    mac: Option<[u8; 6]>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<()> {
    // All that was typed is understood before anything is made.
    let netns = place::find_or_own(args.netns.as_deref(), global)?;
    let end = End::new(&args.name, netns, &args.address, &args.gateway, args.mac.as_deref())?;
    let peer = match &args.peer {
        Some(name) => {
            let netns = place::find_or_own(args.peer_netns.as_deref(), global)?;
            let mac = args.peer_mac.as_deref();
            Some(End::new(name, netns, &args.peer_address, &args.peer_gateway, mac)?)
        }
        None => None,
    };
    let mut here = Netlink::open()?;
    let kind = kind(args, peer.as_ref(), &mut here)?;
    let new = NewLink {
        netns: args.netns.as_ref().map(|_| end.netns.as_fd()),
        mtu: args.mtu,
        mac: end.mac,
        master: None,
        up: false,
        ..NewLink::new(&args.name, kind)
    };
    here.create_link(&new)?;
    finish(args, &end, peer.as_ref()).inspect_err(|_| {
        // The failure itself is what is reported; the other end goes with this one.
        let _ = delete(&end);
    })
}

fn delete(end: &End) -> Result<()> {
    let mut netlink = Netlink::open_in(end.netns.as_fd())?;
    let index = netlink.link(&end.name)?.index;
    netlink.delete_link(index)
}

/// Gives each end what it was to have. Routes come last: a router can be reached through the
/// other end.
fn finish(args: &Args, end: &End, peer: Option<&End>) -> Result<()> {
    let mut netlink = Netlink::open_in(end.netns.as_fd())?;
    if let Some(bridge) = &args.master {
        let (link, bridge) = (netlink.link(&end.name)?.index, netlink.link(bridge)?.index);
        netlink.set_link_master(link, Some(bridge))?;
    }
    end.furnish(&mut netlink, !args.down)?;
    if let Some(peer) = peer {
        let mut there = Netlink::open_in(peer.netns.as_fd())?;
        peer.furnish(&mut there, !args.down)?;
        peer.route(&mut there)?;
    }
    end.route(&mut netlink)
}

impl End {
    fn new(
        name: &str,
        netns: OwnedFd,
        addresses: &[String],
        gateways: &[String],
        hardware: Option<&str>,
    ) -> Result<End> {
        check_link_name(name)?;
        Ok(End {
            netns,
            name: name.to_owned(),
            addresses: addresses.iter().map(|text| text.parse()).collect::<Result<_>>()?,
            gateways: gateways.iter().map(|text| gateway(text)).collect::<Result<_>>()?,
            mac: hardware.map(mac).transpose()?,
        })
    }

    fn furnish(&self, netlink: &mut Netlink, up: bool) -> Result<()> {
        let index = netlink.link(&self.name)?.index;
        for net in &self.addresses {
            // The link is new and its far end is ours: there is no duplicate to wait for.
            netlink.add_address(index, &Address::new(*net).without_duplicate_detection())?;
        }
        if up { netlink.set_link_up(index) } else { Ok(()) }
    }

    fn route(&self, netlink: &mut Netlink) -> Result<()> {
        if self.gateways.is_empty() {
            return Ok(());
        }
        let index = netlink.link(&self.name)?.index;
        for gateway in &self.gateways {
            let mut route = Route::default_via(*gateway);
            route.link = Some(index);
            netlink.add_route(&route)?;
        }
        Ok(())
    }
}

/// The kind of link that was asked for; an option that it does not have is an error.
fn kind<'a>(args: &'a Args, peer: Option<&'a End>, here: &mut Netlink) -> Result<LinkKind<'a>> {
    use Type::*;
    let allowed = |given: bool, option: &str, kinds: &[Type]| {
        if given && !kinds.contains(&args.kind) {
            let value = args.kind.to_possible_value();
            let name = value.as_ref().map_or("", |value| value.get_name());
            return Err(Error::invalid(format!("use `{option}` with a {name} link")));
        }
        Ok(())
    };
    allowed(args.parent.is_some(), "--parent", &[Macvlan, Ipvlan, Vlan, Vxlan])?;
    allowed(args.mode.is_some(), "--mode", &[Macvlan, Ipvlan])?;
    allowed(args.id.is_some(), "--id", &[Vlan, Vxlan])?;
    allowed(args.remote.is_some(), "--remote", &[Vxlan])?;
    allowed(args.peer.is_some(), "--peer", &[Veth])?;
    let missing = |option: &str| Error::invalid(format!("make link `{}`: `{option}` is missing", args.name));
    let mut parent = || match &args.parent {
        Some(name) => here.link(name).map(|link| Some(link.index)),
        None => Ok(None),
    };
    Ok(match args.kind {
        Veth => {
            let peer = peer.ok_or_else(|| missing("--peer"))?;
            let peer_netns: Option<BorrowedFd<'_>> = Some(peer.netns.as_fd());
            LinkKind::Veth { peer: &peer.name, peer_netns, peer_mac: peer.mac, peer_mtu: args.mtu }
        }
        Macvlan => {
            let mode = match args.mode.unwrap_or(Mode::Bridge) {
                Mode::Bridge => MacvlanMode::Bridge,
                Mode::Private => MacvlanMode::Private,
                Mode::Vepa => MacvlanMode::Vepa,
                Mode::Passthru => MacvlanMode::Passthru,
                _ => return Err(Error::invalid("use an ipvlan mode with a macvlan link")),
            };
            LinkKind::Macvlan { parent: parent()?.ok_or_else(|| missing("--parent"))?, mode }
        }
        Ipvlan => {
            let mode = match args.mode.unwrap_or(Mode::L2) {
                Mode::L2 => IpvlanMode::L2,
                Mode::L3 => IpvlanMode::L3,
                Mode::L3s => IpvlanMode::L3s,
                _ => return Err(Error::invalid("use a macvlan mode with an ipvlan link")),
            };
            LinkKind::Ipvlan { parent: parent()?.ok_or_else(|| missing("--parent"))?, mode }
        }
        Bridge => LinkKind::Bridge,
        Dummy => LinkKind::Dummy,
        Vlan => {
            let id = args.id.ok_or_else(|| missing("--id"))?;
            let id = u16::try_from(id).ok().filter(|id| (1..=4094).contains(id));
            let id = id.ok_or_else(|| Error::invalid("use an `--id` that is no VLAN: 1 to 4094"))?;
            LinkKind::Vlan { parent: parent()?.ok_or_else(|| missing("--parent"))?, id }
        }
        Vxlan => {
            let id = args.id.ok_or_else(|| missing("--id"))?;
            if id >= 1 << 24 {
                return Err(Error::invalid("use an `--id` that is no VXLAN network: 0 to 16777215"));
            }
            let remote = args.remote.as_deref().map(gateway).transpose()?;
            LinkKind::Vxlan { id, remote, local: None, parent: parent()?, port: 4789 }
        }
    })
}
