//! What people type for links: hardware addresses, routers.

use std::net::IpAddr;

use taru_stdx::{Error, Result};

/// Parses a hardware address: six bytes as `02:42:ac:11:00:02`.
pub(super) fn mac(text: &str) -> Result<[u8; 6]> {
    let bad = || {
        Error::invalid(format!("parse `{text}` as a hardware address"))
            .hint("a hardware address is six bytes: 02:42:ac:11:00:02")
    };
    let parts: Vec<&str> = text.split(':').collect();
    let digits = parts.iter().all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()));
    let bytes: Vec<u8> = parts.iter().filter_map(|part| u8::from_str_radix(part, 16).ok()).collect();
    if digits { bytes.try_into().map_err(|_| bad()) } else { Err(bad()) }
}

/// Parses the address of a router.
pub(super) fn gateway(text: &str) -> Result<IpAddr> {
    text.parse().map_err(|_| {
        Error::invalid(format!("parse `{text}` as an address"))
            .hint("a gateway is an address without a prefix")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses() {
        assert_eq!(mac("02:42:AC:11:00:02").unwrap(), [2, 0x42, 0xac, 0x11, 0, 2]);
        for bad in [
            "",
            "02:42:ac:11:00",
            "02:42:ac:11:00:02:03",
            "2:42:ac:11:0:2",
            "gg:42:ac:11:00:02",
            "+2:42:ac:11:00:02",
        ] {
            assert!(mac(bad).is_err(), "{bad}");
        }
    }
}
