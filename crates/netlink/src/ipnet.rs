//! An address with the length of its network prefix, as people type it: `10.0.0.2/24`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use taru_stdx::{Error, Result};

use crate::uapi::{AF_INET, AF_INET6};

/// An address with the length of its network prefix.
///
/// ```
/// let net: taru_netlink::IpNet = "10.0.0.2/24".parse()?;
/// assert_eq!(net.prefix_len(), 24);
/// assert_eq!("fd00::1".parse::<taru_netlink::IpNet>()?.to_string(), "fd00::1/128");
/// # Ok::<(), taru_stdx::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IpNet {
    ip: IpAddr,
    prefix_len: u8,
}

impl IpNet {
    /// `ip` with a prefix of `prefix_len` bits.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Invalid`] if the prefix is longer than the address: 32 bits, or 128.
    pub fn new(ip: IpAddr, prefix_len: u8) -> Result<IpNet> {
        if prefix_len > bits(ip) {
            return Err(Error::invalid(format!(
                "parse `{ip}/{prefix_len}`: the prefix has at most {} bits",
                bits(ip)
            )));
        }
        Ok(IpNet { ip, prefix_len })
    }

    /// `ip` alone: a prefix of all its bits.
    pub fn host(ip: IpAddr) -> IpNet {
        IpNet { ip, prefix_len: bits(ip) }
    }

    /// The address.
    pub fn ip(self) -> IpAddr {
        self.ip
    }

    /// The number of bits that the addresses of the network share.
    pub fn prefix_len(self) -> u8 {
        self.prefix_len
    }

    /// Whether `ip` lies in the network.
    pub fn contains(self, ip: IpAddr) -> bool {
        match (self.ip, ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix_len)).unwrap_or(0);
                a.to_bits() & mask == b.to_bits() & mask
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix_len)).unwrap_or(0);
                a.to_bits() & mask == b.to_bits() & mask
            }
            _ => false,
        }
    }

    /// The last address of an IPv4 network, which reaches all its hosts; none where the prefix
    /// leaves no room for one (31 bits or more) and for IPv6.
    pub fn broadcast(self) -> Option<IpAddr> {
        match self.ip {
            IpAddr::V4(ip) if self.prefix_len < 31 => {
                let hosts = u32::MAX.checked_shr(self.prefix_len.into()).unwrap_or(0);
                Some(IpAddr::V4((ip.to_bits() | hosts).into()))
            }
            _ => None,
        }
    }
}

impl FromStr for IpNet {
    type Err = Error;

    /// Parses `ADDRESS` or `ADDRESS/BITS`; without bits the network is that one address.
    fn from_str(text: &str) -> Result<IpNet> {
        let bad = || {
            Error::invalid(format!("parse `{text}` as an address"))
                .hint("an address with its prefix is written 10.0.0.2/24 or fd00::2/64")
        };
        let Some((ip, length)) = text.split_once('/') else {
            return text.parse().map(IpNet::host).map_err(|_| bad());
        };
        let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
        match (ip.parse(), length.parse()) {
            (Ok(ip), Ok(length)) if digits => IpNet::new(ip, length),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for IpNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix_len)
    }
}

fn bits(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// The address family of `ip`.
pub(crate) fn family(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { AF_INET } else { AF_INET6 }
}

/// The bytes of `ip` in network order.
pub(crate) fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for text in ["10.0.0.2/24", "0.0.0.0/0", "fd00::2/64", "::/0", "10.1.1.1/32"] {
            assert_eq!(text.parse::<IpNet>().unwrap().to_string(), text);
        }
        assert_eq!("10.0.0.2".parse::<IpNet>().unwrap().prefix_len(), 32);
        for text in [
            "",
            "/24",
            "10.0.0.2/",
            "10.0.0.2/33",
            "10.0.0.2/+4",
            "10.0.0/8",
            "fd00::/129",
            "a/b",
            "1.2.3.4/24/1",
        ] {
            assert!(text.parse::<IpNet>().is_err(), "{text}");
        }
    }

    #[test]
    fn networks() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        for (network, address, inside) in [
            ("10.0.0.2/24", "10.0.0.254", true),
            ("10.0.0.2/24", "10.0.1.1", false),
            ("0.0.0.0/0", "255.1.1.1", true),
            ("10.0.0.2/32", "10.0.0.2", true),
            ("fd00::/64", "fd00::ffff", true),
            ("fd00::/64", "fd00:0:0:1::", false),
            ("::/0", "1::", true),
            ("::/0", "1.1.1.1", false),
        ] {
            assert_eq!(net(network).contains(ip(address)), inside, "{network} {address}");
        }
        assert_eq!(net("10.0.0.2/24").broadcast(), Some(ip("10.0.0.255")));
        assert_eq!(net("0.0.0.0/0").broadcast(), Some(ip("255.255.255.255")));
        assert_eq!(net("10.0.0.2/31").broadcast(), None);
        assert_eq!(net("fd00::/64").broadcast(), None);
    }
}
