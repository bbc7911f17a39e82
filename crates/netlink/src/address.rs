//! Protocol addresses of links. Source: rtnetlink(7), linux/if_addr.h.

use std::net::IpAddr;

use taru_stdx::{Context, Result};

use crate::ipnet::{IpNet, family, octets};
use crate::socket::Netlink;
use crate::uapi::*;
use crate::wire::{Attributes, Message, malformed, u32_at};

/// The size of the family header `struct ifaddrmsg`.
const INFO: usize = 8;

/// An address of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The address and the length of its prefix.
    pub net: IpNet,
    /// The address at the other end of a point-to-point link.
    pub peer: Option<IpAddr>,
    /// The IPv4 address that reaches all hosts of the network.
    pub broadcast: Option<IpAddr>,
    /// The IPv4 label: the name of the link, or that and a colon and more.
    pub label: Option<String>,
    /// How far the address is valid.
    pub scope: Scope,
    /// The `IFA_F_*` flags of linux/if_addr.h.
    pub flags: u32,
    /// The priority of the route to the address's own network; none: the default.
    pub metric: Option<u32>,
    /// The index of the link.
    pub link: u32,
}

impl Address {
    /// The address `net` with global scope and, for IPv4, the usual broadcast address.
    pub fn new(net: IpNet) -> Address {
        Address {
            net,
            peer: None,
            broadcast: net.broadcast(),
            label: None,
            scope: Scope::Global,
            flags: 0,
            metric: None,
            link: 0,
        }
    }

    /// Whether it stays until somebody deletes it: neither leased nor learnt from a router.
    pub fn is_permanent(&self) -> bool {
        self.flags & IFA_F_PERMANENT != 0
    }

    /// The same address, usable at once: without IPv6's search for a duplicate.
    #[must_use]
    pub fn without_duplicate_detection(mut self) -> Address {
        self.flags |= IFA_F_NODAD;
        self
    }

    fn parse(payload: &[u8]) -> Result<Address> {
        let [_, prefix_len, flags, scope, ..] = *payload else { return Err(malformed("an address")) };
        let link = u32_at(payload, 4).ok_or_else(|| malformed("an address"))?;
        let (mut address, mut local) = (None, None);
        let (mut broadcast, mut label, mut metric) = (None, None, None);
        let mut flags = u32::from(flags);
        for attribute in Attributes::after(payload, INFO)? {
            let attribute = attribute?;
            match attribute.kind {
                IFA_ADDRESS => address = Some(attribute.ip()?),
                IFA_LOCAL => local = Some(attribute.ip()?),
                IFA_BROADCAST => broadcast = Some(attribute.ip()?),
                IFA_LABEL => label = Some(attribute.text()),
                IFA_FLAGS => flags = attribute.u32()?,
                IFA_RT_PRIORITY => metric = Some(attribute.u32()?),
                _ => {}
            }
        }
        // IFA_LOCAL is the address and IFA_ADDRESS the peer's; where there is no peer they are
        // the same (IPv4) or IFA_LOCAL is absent (IPv6).
        let own = local.or(address).ok_or_else(|| malformed("an address"))?;
        Ok(Address {
            net: IpNet::new(own, prefix_len)?,
            peer: address.filter(|peer| *peer != own),
            broadcast,
            label,
            scope: Scope::of(scope),
            flags,
            metric,
            link,
        })
    }

    fn message(&self, kind: u16, flags: u16, link: u32) -> Message {
        let ip = self.net.ip();
        // What the kernel computes itself is not sent back to it: permanent, tentative, secondary.
        let settable = IFA_F_NODAD | IFA_F_HOMEADDRESS | IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN;
        let mut header = [family(ip), self.net.prefix_len(), 0, self.scope.number(), 0, 0, 0, 0];
        header[4..].copy_from_slice(&link.to_ne_bytes());
        let mut m = Message::new(kind, NLM_F_ACK | flags, &header);
        m.put(IFA_LOCAL, &octets(ip));
        m.put(IFA_ADDRESS, &octets(self.peer.unwrap_or(ip)));
        if let Some(broadcast) = self.broadcast {
            m.put(IFA_BROADCAST, &octets(broadcast));
        }
        if let Some(label) = &self.label {
            m.put_str(IFA_LABEL, label);
        }
        if let Some(metric) = self.metric {
            m.put_u32(IFA_RT_PRIORITY, metric);
        }
        m.put_u32(IFA_FLAGS, self.flags & settable);
        m
    }
}

/// How far an address or a route is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere (`RT_SCOPE_UNIVERSE`).
    Global,
    /// In the site.
    Site,
    /// On the link.
    Link,
    /// On this host.
    Host,
    /// One of the numbers an administrator may give a meaning to.
    Other(u8),
}

impl Scope {
    pub(crate) fn of(number: u8) -> Scope {
        match number {
            0 => Scope::Global,
            200 => Scope::Site,
            253 => Scope::Link,
            254 => Scope::Host,
            other => Scope::Other(other),
        }
    }

    pub(crate) fn number(self) -> u8 {
        match self {
            Scope::Global => 0,
            Scope::Site => 200,
            Scope::Link => 253,
            Scope::Host => 254,
            Scope::Other(number) => number,
        }
    }
}

impl Netlink {
    /// The addresses of the link `link`, or of all.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::NotFound`] if there is no such link.
    pub fn addresses(&mut self, link: Option<u32>) -> Result<Vec<Address>> {
        let request = || {
            let mut header = [0; INFO];
            header[4..].copy_from_slice(&link.unwrap_or(0).to_ne_bytes());
            Message::new(RTM_GETADDR, NLM_F_DUMP, &header)
        };
        let read = |payload: &[u8]| {
            let address = Address::parse(payload)?;
            // A kernel without strict checking (before 4.20) lists those of all links.
            Ok(Some(address).filter(|address| link.is_none_or(|link| link == address.link)))
        };
        self.dump(request, read).context(|| "list addresses")
    }

    /// Adds `address` to the link `link`; [`Address::link`] is not looked at.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Exists`] if the link has it already.
    pub fn add_address(&mut self, link: u32, address: &Address) -> Result<()> {
        let m = address.message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, link);
        self.request(m).context(|| format!("add address `{}` to link {link}", address.net))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Frames;

    fn round_trip(address: &Address) -> Address {
        let bytes = address.message(RTM_NEWADDR, 0, address.link).finish(1);
        let frame = Frames(&bytes).next().unwrap().unwrap();
        for cut in 0..frame.payload.len() {
            let _ = Address::parse(&frame.payload[..cut]);
        }
        Address::parse(frame.payload).unwrap()
    }

    #[test]
    fn an_address_is_read_as_it_was_written() {
        let mut address = Address::new("10.0.0.2/24".parse().unwrap()).without_duplicate_detection();
        address.link = 7;
        address.label = Some("eth0:1".into());
        address.metric = Some(50);
        assert_eq!(address.broadcast, Some("10.0.0.255".parse().unwrap()));
        assert_eq!(round_trip(&address), address);
        address.peer = Some("10.0.0.9".parse().unwrap());
        address.scope = Scope::Other(100);
        assert_eq!(round_trip(&address), address);
        let address = Address::new("fd00::2/64".parse().unwrap());
        assert_eq!(round_trip(&address), address);
    }

    #[test]
    fn the_kernels_own_flags_are_not_sent_back() {
        let mut address = Address::new("fd00::2/64".parse().unwrap());
        address.flags = u32::MAX;
        assert!(!round_trip(&address).is_permanent());
    }

    #[test]
    fn an_impossible_prefix_is_an_error() {
        let mut bytes = Address::new("10.0.0.2/24".parse().unwrap()).message(RTM_NEWADDR, 0, 1).finish(1);
        bytes[17] = 33;
        assert!(Address::parse(&bytes[16..]).is_err());
    }
}
