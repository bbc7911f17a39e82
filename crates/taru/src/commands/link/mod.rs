//! `taru link`: links made, addressed and moved across network namespaces in one command.

use std::os::fd::AsFd;
use std::process::ExitCode;

use clap::Subcommand;
use taru_netlink::move_device;
use taru_stdx::Result;

use super::place;
use crate::options::Global;
use crate::output;

mod add;
mod list;
mod operand;

/// Make links between network namespaces, with their addresses, in one command
///
/// WHERE is a network namespace: a NAME of `taru netns list`, `pid:N` for that of process N, `container:NAME`
/// for that of a container, or a path with a `/`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru link add veth0 --address 10.0.0.1/24 \\
      --peer eth0 --peer-netns blue --peer-address 10.0.0.2/24 --peer-gateway 10.0.0.1
                                       a cable from here into the namespace blue
  taru link add eth1 --type macvlan --parent eth0 --netns pid:4711 --address 192.168.1.9/24
  taru link move eth2 --netns blue     with its addresses
  taru link list --netns container:web")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Add(Box<add::Args>),
    /// Delete a link; the other end of a veth pair goes with it
    #[command(after_help = "\
Examples:
  taru link delete veth0
  taru link delete eth0 --netns blue")]
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
    #[command(after_help = "\
Examples:
  taru link move eth2 --netns blue
  taru link move eth2 --netns container:web --rename eth0")]
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

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    match &args.verb {
        Verb::Add(args) => add::run(args, global)?,
        Verb::Delete { name, netns } => {
            let mut netlink = place::socket(netns.as_deref(), global)?;
            let link = netlink.link(name)?;
            netlink.delete_link(link.index)?;
        }
        Verb::List(args) => list::run(args, global)?,
        Verb::Move { name, netns, rename } => {
            let target = place::find(netns, global)?;
            let moved = move_device(name, target.as_fd(), rename.as_deref())?;
            if rename.as_ref().is_some_and(|wanted| *wanted != moved.name) {
                output::line(&moved.name)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
