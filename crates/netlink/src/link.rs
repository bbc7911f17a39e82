//! Links: the network devices of a namespace. Source: rtnetlink(7), linux/if_link.h.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use taru_stdx::{Context, Error, Kind, Result};

use crate::socket::Netlink;
use crate::uapi::*;
use crate::wire::{Attribute, Attributes, Message, malformed, u32_at};

/// The size of the family header `struct ifinfomsg`.
const INFO: usize = 16;
/// The longest name of a link, without its terminating zero (`IFNAMSIZ` - 1).
const NAME_MAX: usize = 15;
/// The longest alternative name (`ALTIFNAMSIZ` - 1).
const ALT_NAME_MAX: usize = 127;

/// A link as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number, unique in its namespace for as long as that lives.
    pub index: u32,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// Further names (Linux 5.5).
    pub alt_names: Vec<String>,
    /// What software makes it: `veth`, `bridge`, `macvlan`, ...; none for hardware and `lo`.
    pub kind: Option<String>,
    /// The `IFF_*` flags of netdevice(7).
    pub flags: u32,
    /// The largest packet in bytes.
    pub mtu: u32,
    /// The hardware address; six bytes for Ethernet, empty where there is none.
    pub mac: Vec<u8>,
    /// The operational state by RFC 2863.
    pub state: OperState,
    /// The index of the bridge or bond it belongs to.
    pub master: Option<u32>,
    /// The index of the link below it (macvlan, vlan) or of its peer (veth), which may lie in the
    /// namespace [`Link::parent_netns`].
    pub parent: Option<u32>,
    /// The id of the namespace that `parent` lies in, as [`Netlink::netns_ids`] lists it; none: in this one.
    pub parent_netns: Option<i32>,
}

impl Link {
    /// Whether the administrator has set it up.
    pub fn is_up(&self) -> bool {
        self.flags & IFF_UP != 0
    }

    /// The hardware address as text: `02:42:ac:11:00:02`.
    pub fn mac_text(&self) -> String {
        let bytes: Vec<String> = self.mac.iter().map(|b| format!("{b:02x}")).collect();
        bytes.join(":")
    }

    fn parse(payload: &[u8]) -> Result<Link> {
        let header = |offset| u32_at(payload, offset).ok_or_else(|| malformed("a link"));
        let mut link = Link {
            index: header(4)?,
            name: String::new(),
            alt_names: Vec::new(),
            kind: None,
            flags: header(8)?,
            mtu: 0,
            mac: Vec::new(),
            state: OperState::Unknown,
            master: None,
            parent: None,
            parent_netns: None,
        };
        for attribute in Attributes::after(payload, INFO)? {
            let attribute = attribute?;
            match attribute.kind {
                IFLA_IFNAME => link.name = attribute.text(),
                IFLA_MTU => link.mtu = attribute.u32()?,
                IFLA_ADDRESS => link.mac = attribute.value.to_vec(),
                IFLA_OPERSTATE => link.state = OperState::of(attribute.u8()?),
                IFLA_MASTER => link.master = Some(attribute.u32()?),
                // 0 says: there is one, but this namespace must not know its number.
                IFLA_LINK => link.parent = Some(attribute.u32()?).filter(|index| *index != 0),
                IFLA_LINK_NETNSID => link.parent_netns = Some(attribute.u32()? as i32).filter(|id| *id >= 0),
                IFLA_LINKINFO => link.kind = info_kind(attribute)?,
                IFLA_PROP_LIST => {
                    for name in attribute.nested() {
                        let name = name?;
                        if name.kind == IFLA_ALT_IFNAME {
                            link.alt_names.push(name.text());
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(link)
    }
}

fn info_kind(info: Attribute<'_>) -> Result<Option<String>> {
    for attribute in info.nested() {
        let attribute = attribute?;
        if attribute.kind == IFLA_INFO_KIND {
            return Ok(Some(attribute.text()));
        }
    }
    Ok(None)
}

/// The operational state of a link by RFC 2863.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the RFC's")]
pub enum OperState {
    Unknown,
    NotPresent,
    Down,
    LowerLayerDown,
    Testing,
    Dormant,
    Up,
}

impl OperState {
    fn of(number: u8) -> OperState {
        match number {
            1 => OperState::NotPresent,
            2 => OperState::Down,
            3 => OperState::LowerLayerDown,
            4 => OperState::Testing,
            5 => OperState::Dormant,
            6 => OperState::Up,
            _ => OperState::Unknown,
        }
    }

    /// The state as ip-link(8) prints it.
    pub fn as_str(self) -> &'static str {
        match self {
            OperState::Unknown => "UNKNOWN",
            OperState::NotPresent => "NOTPRESENT",
            OperState::Down => "DOWN",
            OperState::LowerLayerDown => "LOWERLAYERDOWN",
            OperState::Testing => "TESTING",
            OperState::Dormant => "DORMANT",
            OperState::Up => "UP",
        }
    }
}

/// A link to be created. Only `name` and `kind` are needed; the rest is [`NewLink::new`]'s.
#[derive(Debug, Clone)]
pub struct NewLink<'a> {
    /// Its name, at most 15 bytes.
    pub name: &'a str,
    /// What it is.
    pub kind: LinkKind<'a>,
    /// The namespace it is created in; none: the socket's.
    pub netns: Option<BorrowedFd<'a>>,
    /// The largest packet in bytes; none: the kind's default.
    pub mtu: Option<u32>,
    /// The hardware address; none: the kernel makes one up.
    pub mac: Option<[u8; 6]>,
    /// The index of the bridge it joins.
    pub master: Option<u32>,
    /// Whether it is set up at once.
    pub up: bool,
}

impl<'a> NewLink<'a> {
    /// A link of the kind `kind` named `name` in the socket's namespace, down, with the kernel's defaults.
    pub fn new(name: &'a str, kind: LinkKind<'a>) -> NewLink<'a> {
        NewLink { name, kind, netns: None, mtu: None, mac: None, master: None, up: false }
    }
}

/// What kind of link is created.
#[derive(Debug, Clone)]
pub enum LinkKind<'a> {
    /// One end of a virtual cable; the other is `peer`.
    Veth {
        /// The other end's name.
        peer: &'a str,
        /// The namespace the other end is created in; none: the socket's.
        peer_netns: Option<BorrowedFd<'a>>,
        /// The other end's hardware address; none: the kernel makes one up.
        peer_mac: Option<[u8; 6]>,
        /// The other end's largest packet in bytes; none: the default.
        peer_mtu: Option<u32>,
    },
    /// A second hardware address on the link `parent`.
    Macvlan {
        /// The index of the link below, in the socket's namespace.
        parent: u32,
        /// Who may talk to whom.
        mode: MacvlanMode,
    },
    /// Further protocol addresses on the hardware address of the link `parent`.
    Ipvlan {
        /// The index of the link below, in the socket's namespace.
        parent: u32,
        /// Whether it switches or routes.
        mode: IpvlanMode,
    },
    /// A switch.
    Bridge,
    /// A link that drops what is sent.
    Dummy,
    /// The packets of the link `parent` that carry the VLAN tag `id`.
    Vlan {
        /// The index of the link below, in the socket's namespace.
        parent: u32,
        /// The VLAN, 1 to 4094.
        id: u16,
    },
    /// Ethernet over UDP (RFC 7348).
    Vxlan {
        /// The network identifier, 24 bits.
        id: u32,
        /// The multicast group or the only peer.
        remote: Option<IpAddr>,
        /// The source address.
        local: Option<IpAddr>,
        /// The index of the link below.
        parent: Option<u32>,
        /// The UDP port; 4789 is the registered one.
        port: u16,
    },
}

impl LinkKind<'_> {
    /// The kind's name as the kernel knows it.
    pub fn name(&self) -> &'static str {
        match self {
            LinkKind::Veth { .. } => "veth",
            LinkKind::Macvlan { .. } => "macvlan",
            LinkKind::Ipvlan { .. } => "ipvlan",
            LinkKind::Bridge => "bridge",
            LinkKind::Dummy => "dummy",
            LinkKind::Vlan { .. } => "vlan",
            LinkKind::Vxlan { .. } => "vxlan",
        }
    }

    fn parent(&self) -> Option<u32> {
        match self {
            LinkKind::Macvlan { parent, .. }
            | LinkKind::Ipvlan { parent, .. }
            | LinkKind::Vlan { parent, .. } => Some(*parent),
            _ => None,
        }
    }

    fn put_data(&self, m: &mut Message) {
        match self {
            LinkKind::Bridge | LinkKind::Dummy => {}
            LinkKind::Veth { peer, peer_netns, peer_mac, peer_mtu } => {
                m.nest(VETH_INFO_PEER, &info(0, 0, 0), |m| {
                    m.put_str(IFLA_IFNAME, peer);
                    if let Some(netns) = peer_netns {
                        m.put_u32(IFLA_NET_NS_FD, netns.as_raw_fd() as u32);
                    }
                    if let Some(mac) = peer_mac {
                        m.put(IFLA_ADDRESS, mac);
                    }
                    if let Some(mtu) = peer_mtu {
                        m.put_u32(IFLA_MTU, *mtu);
                    }
                })
            }
            LinkKind::Macvlan { mode, .. } => m.put_u32(IFLA_MACVLAN_MODE, *mode as u32),
            LinkKind::Ipvlan { mode, .. } => {
                m.put_u16(IFLA_IPVLAN_MODE, *mode as u16);
                m.put_u16(IFLA_IPVLAN_FLAGS, 0); // "bridge": the links may talk to each other
            }
            LinkKind::Vlan { id, .. } => m.put_u16(IFLA_VLAN_ID, *id),
            LinkKind::Vxlan { id, remote, local, parent, port } => {
                m.put_u32(IFLA_VXLAN_ID, *id);
                for (address, v4, v6) in [
                    (remote, IFLA_VXLAN_GROUP, IFLA_VXLAN_GROUP6),
                    (local, IFLA_VXLAN_LOCAL, IFLA_VXLAN_LOCAL6),
                ] {
                    if let Some(address) = address {
                        m.put(if address.is_ipv4() { v4 } else { v6 }, &crate::ipnet::octets(*address));
                    }
                }
                if let Some(parent) = parent {
                    m.put_u32(IFLA_VXLAN_LINK, *parent);
                }
                m.put(IFLA_VXLAN_PORT, &port.to_be_bytes());
            }
        }
    }
}

/// Who may talk to whom on macvlan links of one parent. The numbers are linux/if_link.h's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacvlanMode {
    /// Nobody with each other.
    Private = 1,
    /// With each other through a switch outside.
    Vepa = 2,
    /// With each other directly.
    Bridge = 4,
    /// One link alone, which takes the parent over.
    Passthru = 8,
}

/// How ipvlan links of one parent are joined. The numbers are linux/if_link.h's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpvlanMode {
    /// As a switch.
    L2 = 0,
    /// As a router.
    L3 = 1,
    /// As a router, with the parent's netfilter.
    L3s = 2,
}

/// Checks that `name` can be a link's name: the kernel's own rule (`dev_valid_name`).
///
/// # Errors
/// [`Kind::Invalid`], with the name.
pub fn check_link_name(name: &str) -> Result<()> {
    let fits = !name.is_empty() && name.len() <= NAME_MAX && name != "." && name != "..";
    // '%' is a template to the kernel: "eth%d" would become another name than the one asked for.
    let clean = name.bytes().all(|b| !matches!(b, b'/' | b':' | b'%' | 0 | 0x0b) && !b.is_ascii_whitespace());
    if fits && clean {
        return Ok(());
    }
    Err(Error::invalid(format!("use `{name}` as the name of a link"))
        .hint(format!("a link's name has 1 to {NAME_MAX} bytes, none of them white space, `/`, `:` or `%`")))
}

impl Netlink {
    /// All links, in the order of their indices.
    ///
    /// # Errors
    /// Those of the kernel, which has none in practice.
    pub fn links(&mut self) -> Result<Vec<Link>> {
        let request = || {
            let mut m = Message::new(RTM_GETLINK, NLM_F_DUMP, &info(0, 0, 0));
            m.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
            m
        };
        let mut links =
            self.dump(request, |payload| Link::parse(payload).map(Some)).context(|| "list links")?;
        links.sort_by_key(|link| link.index);
        Ok(links)
    }

    /// The link named `name`, or with `name` among its alternative names.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none.
    pub fn link(&mut self, name: &str) -> Result<Link> {
        self.look_up(name).context(|| format!("find link `{name}`"))
    }

    /// As [`Netlink::link`], but none if there is none.
    ///
    /// # Errors
    /// [`Kind::Invalid`] if no link can have that name.
    pub fn find_link(&mut self, name: &str) -> Result<Option<Link>> {
        match self.look_up(name) {
            Err(e) if e.kind() == Kind::NotFound => Ok(None),
            other => other.map(Some).context(|| format!("find link `{name}`")),
        }
    }

    fn look_up(&mut self, name: &str) -> Result<Link> {
        if name.is_empty() || name.len() > ALT_NAME_MAX || name.contains('\0') {
            return Err(Error::invalid("no link can have that name"));
        }
        let mut m = Message::new(RTM_GETLINK, NLM_F_ACK, &info(0, 0, 0));
        m.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        m.put_str(if name.len() > NAME_MAX { IFLA_ALT_IFNAME } else { IFLA_IFNAME }, name);
        self.ask(m, Link::parse)
    }

    /// Creates a link, a veth pair with both its ends.
    ///
    /// # Errors
    /// [`Kind::Exists`] if a name is taken; [`Kind::Unsupported`] if the kernel lacks the kind.
    pub fn create_link(&mut self, link: &NewLink<'_>) -> Result<()> {
        let what = || format!("create {} link `{}`", link.kind.name(), link.name);
        check_link_name(link.name).context(what)?;
        if let LinkKind::Veth { peer, .. } = link.kind {
            check_link_name(peer).context(what)?;
        }
        let up = if link.up { IFF_UP } else { 0 };
        let mut m = Message::new(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &info(0, up, up));
        m.put_str(IFLA_IFNAME, link.name);
        if let Some(parent) = link.kind.parent() {
            m.put_u32(IFLA_LINK, parent);
        }
        if let Some(netns) = link.netns {
            m.put_u32(IFLA_NET_NS_FD, netns.as_raw_fd() as u32);
        }
        if let Some(mtu) = link.mtu {
            m.put_u32(IFLA_MTU, mtu);
        }
        if let Some(mac) = link.mac {
            m.put(IFLA_ADDRESS, &mac);
        }
        if let Some(master) = link.master {
            m.put_u32(IFLA_MASTER, master);
        }
        m.nest(IFLA_LINKINFO, &[], |m| {
            m.put_str(IFLA_INFO_KIND, link.kind.name());
            m.nest(IFLA_INFO_DATA, &[], |m| link.kind.put_data(m));
        });
        self.request(m).context(what).map_err(|e| match e.kind() {
            Kind::Unsupported => {
                let kind = link.kind.name();
                // The module of VLANs is named after their standard.
                let module = if kind == "vlan" { "8021q" } else { kind };
                e.hint(format!(
                    "this kernel has no {kind} links, or their module is not loaded: `modprobe {module}`"
                ))
            }
            _ => e,
        })
    }

    /// Deletes the link with the index `index`; a veth's other end goes with it.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Unsupported`] for hardware and `lo`.
    pub fn delete_link(&mut self, index: u32) -> Result<()> {
        let m = Message::new(RTM_DELLINK, NLM_F_ACK, &info(index, 0, 0));
        self.request(m).context(|| format!("delete link {index}"))
    }

    /// Sets the link `index` up.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; what the device's driver answers.
    pub fn set_link_up(&mut self, index: u32) -> Result<()> {
        let m = Message::new(RTM_NEWLINK, NLM_F_ACK, &info(index, IFF_UP, IFF_UP));
        self.request(m).context(|| format!("set link {index} up"))
    }

    /// Makes the link `index` a port of the bridge `master`, or of none.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; what the bridge answers.
    pub fn set_link_master(&mut self, index: u32, master: Option<u32>) -> Result<()> {
        let mut m = Message::new(RTM_NEWLINK, NLM_F_ACK, &info(index, 0, 0));
        m.put_u32(IFLA_MASTER, master.unwrap_or(0));
        self.request(m).context(|| format!("set the master of link {index}"))
    }

    /// Moves the link `index` into the namespace `netns`, where it is called `name`, which may be a template (`eth%d`). It
    /// arrives down and without addresses; [`crate::move_device`] keeps them.
    pub(crate) fn move_link_as(&mut self, index: u32, netns: BorrowedFd<'_>, name: &str) -> Result<()> {
        let mut m = Message::new(RTM_NEWLINK, NLM_F_ACK, &info(index, 0, 0));
        m.put_u32(IFLA_NET_NS_FD, netns.as_raw_fd() as u32);
        m.put_str(IFLA_IFNAME, name);
        self.request(m)
    }
}

/// The family header `struct ifinfomsg`: which link, and which flags are changed to what.
fn info(index: u32, flags: u32, change: u32) -> [u8; INFO] {
    let mut bytes = [0; INFO];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&change.to_ne_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Frames;

    #[test]
    fn names() {
        for good in ["lo", "veth0", "a.b", "eth-1_2", "123456789012345", "樽"] {
            assert!(check_link_name(good).is_ok(), "{good}");
        }
        for bad in
            ["", ".", "..", "a/b", "a b", "a:1", "1234567890123456", "eth%d", "a\tb", "a\0", "樽樽樽樽樽樽"]
        {
            assert_eq!(check_link_name(bad).unwrap_err().kind(), Kind::Invalid, "{bad}");
        }
    }

    #[test]
    fn a_link_is_read() {
        let mut m = Message::new(RTM_NEWLINK, 0, &info(5, IFF_UP, 0));
        m.put_str(IFLA_IFNAME, "veth0");
        m.put_u32(IFLA_MTU, 1400);
        m.put(IFLA_ADDRESS, &[2, 0, 0, 0, 0, 1]);
        m.put(IFLA_OPERSTATE, &[6]);
        m.put_u32(IFLA_LINK, 9);
        m.put_u32(IFLA_LINK_NETNSID, 3);
        m.nest(IFLA_LINKINFO, &[], |m| m.put_str(IFLA_INFO_KIND, "veth"));
        m.nest(IFLA_PROP_LIST, &[], |m| m.put_str(IFLA_ALT_IFNAME, "a-much-longer-name"));
        let bytes = m.finish(1);
        let frame = Frames(&bytes).next().unwrap().unwrap();
        let link = Link::parse(frame.payload).unwrap();
        assert_eq!((link.index, &*link.name, link.mtu, link.is_up()), (5, "veth0", 1400, true));
        assert_eq!(link.mac_text(), "02:00:00:00:00:01");
        assert_eq!((link.parent, link.parent_netns, link.master), (Some(9), Some(3), None));
        assert_eq!((link.kind.as_deref(), link.state.as_str()), (Some("veth"), "UP"));
        assert_eq!(link.alt_names, ["a-much-longer-name"]);
        for cut in 0..frame.payload.len() {
            let _ = Link::parse(&frame.payload[..cut]);
        }
        assert!(Link::parse(&[0; 8]).is_err());
    }
}
