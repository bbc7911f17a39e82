//! `taru link`: links made, addressed and moved across network namespaces in one command.

use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use clap::Subcommand;
use taru_netlink::{Netlink, move_device, named, netns};
use taru_stdx::{Error, Result};

use crate::cli::Global;
use crate::output;

mod add;
mod list;

/// Make links between network namespaces, with their addresses, in one command
///
/// WHERE is a network namespace: a NAME of `taru netns list`, `pid:N` for that of process N, or a path
/// with a `/`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru link add veth0 --address 10.0.0.1/24 \\
      --peer eth0 --peer-netns blue --peer-address 10.0.0.2/24 --peer-gateway 10.0.0.1
                                       a cable from here into the namespace blue
  taru link add eth1 --type macvlan --parent eth0 --netns pid:4711 --address 192.168.1.9/24
  taru link move eth2 --netns blue     with its addresses
  taru link list --netns blue")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Add(Box<add::Args>),
    /// Delete a link; the other end of a veth pair goes with it
    #[command(visible_alias = "del")]
    Delete {
        /// Its name
        name: String,
        /// The network namespace it lies in [default: this one]
        #[arg(long, value_name = "WHERE")]
        netns: Option<String>,
    },
    List(list::Args),
    /// Move a link into another network namespace, with its permanent global addresses, and set it up
    Move {
        /// Its name
        name: String,
        /// The network namespace it goes to
        #[arg(long, value_name = "WHERE")]
        netns: String,
        /// The name it gets there; `NAME%d` becomes the first one that is free [default: the same]
        #[arg(long, value_name = "NAME")]
        rename: Option<String>,
    },
}

pub(super) fn run(args: &Args, _: &Global) -> Result<ExitCode> {
    match &args.verb {
        Verb::Add(args) => add::run(args)?,
        Verb::Delete { name, netns } => {
            let mut netlink = socket(netns.as_deref())?;
            let link = netlink.link(name)?;
            netlink.delete_link(link.index)?;
        }
        Verb::List(args) => list::run(args)?,
        Verb::Move { name, netns, rename } => {
            let target = named::find(netns)?;
            let moved = move_device(name, target.as_fd(), rename.as_deref())?;
            if rename.as_ref().is_some_and(|wanted| *wanted != moved.name) {
                output::line(&moved.name)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A socket on the namespace that `netns` names, or on this one.
fn socket(netns: Option<&str>) -> Result<Netlink> {
    match netns {
        Some(netns) => Netlink::open_in(named::find(netns)?.as_fd()),
        None => Netlink::open(),
    }
}

/// The namespace that `netns` names, or this one.
fn namespace(netns: Option<&str>) -> Result<OwnedFd> {
    netns.map_or_else(netns::current, named::find)
}

/// Parses a hardware address: six bytes as `02:42:ac:11:00:02`.
fn mac(text: &str) -> Result<[u8; 6]> {
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
fn gateway(text: &str) -> Result<IpAddr> {
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
