//! Which addresses a stranger may send us to.
//!
//! A registry on the Internet that redirects to `http://169.254.169.254/` or `http://10.0.0.1/` wants to reach, through us, what
//! it cannot reach itself. What the person named is not restricted; where a registry's answer leads is. The check
//! is made on the address that is connected to, so that a name which resolves differently the second time gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far an address is from the Internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Anybody can reach it.
    Public,
    /// This host and networks of an organisation (RFC 1918, RFC 6598, RFC 4193).
    Private,
    /// The link, where clouds keep their credentials (RFC 3927), and what is no host at all.
    Never,
}

impl Reach {
    pub(crate) fn of(address: IpAddr) -> Reach {
        match address {
            IpAddr::V4(v4) => Reach::of_v4(v4),
            IpAddr::V6(v6) => Reach::of_v6(v6),
        }
    }

    fn of_v4(v4: Ipv4Addr) -> Reach {
        let [a, b, ..] = v4.octets();
        if v4.is_link_local() || v4.is_multicast() || v4.is_broadcast() || a == 0 || a >= 240 {
            Reach::Never
        } else if v4.is_private() || v4.is_loopback() || (a == 100 && (64..128).contains(&b)) {
            Reach::Private
        } else {
            Reach::Public
        }
    }

    fn of_v6(v6: Ipv6Addr) -> Reach {
        let [a, b, ..] = v6.segments();
        if let Some(v4) = v6.to_ipv4_mapped() {
            return Reach::of_v4(v4);
        }
        // NAT64 (RFC 6052): the last 32 bits are an IPv4 address.
        if a == 0x64 && b == 0xff9b {
            let o = v6.octets();
            return Reach::of_v4(Ipv4Addr::new(o[12], o[13], o[14], o[15]));
        }
        // fd00:ec2::254 is where EC2 keeps its credentials on IPv6; it stands in the private range.
        let is_metadata = v6 == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
        if (a & 0xffc0) == 0xfe80 || v6.is_multicast() || v6.is_unspecified() || is_metadata {
            Reach::Never
        } else if v6.is_loopback() || (a & 0xfe00) == 0xfc00 {
            Reach::Private
        } else {
            Reach::Public
        }
    }
}

/// What may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// The person named it.
    Named,
    /// An answer led there, from a server of this reach.
    Led(Reach),
}

impl Guard {
    pub(crate) fn allows(self, address: IpAddr) -> bool {
        match (self, Reach::of(address)) {
            (Guard::Named, _) => true,
            (Guard::Led(_), Reach::Never) => false,
            (Guard::Led(from), Reach::Private) => from != Reach::Public,
            (Guard::Led(_), Reach::Public) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_server_leads_to_public_ones_only() {
        let led = |from: Reach, to: &str| Guard::Led(from).allows(to.parse().unwrap());
        for never in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "64:ff9b::a9fe:a9fe",
            "fd00:ec2::254",
        ] {
            assert!(!led(Reach::Private, never), "{never}");
            assert!(Guard::Named.allows(never.parse().unwrap()));
        }
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "::1",
            "fd12::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(!led(Reach::Public, private), "{private}");
            assert!(led(Reach::Private, private), "{private}");
        }
        for public in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1", "64:ff9b::101:101"] {
            assert!(led(Reach::Public, public), "{public}");
        }
    }
}
