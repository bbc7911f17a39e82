//! `taru idmap`: id-mapped bind mounts, user namespaces that carry a map, and the maps there are.

mod bind;
mod make;
mod show;

use std::process::ExitCode;

use clap::Subcommand;
use taru_mount::idmap::{IdMaps, Range};
use taru_stdx::{Error, Result, parse};

use crate::cli::Global;

/// Map user and group ids: mounts with other owners, and user namespaces
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru idmap bind --map 0:100000:65536 /srv/tree /mnt     files of root belong to 100000 there
  taru idmap bind --userns 4711 /srv/tree /mnt            as process 4711 sees ids
  taru idmap make --map 0:100000:65536 /run/users         a user namespace that stays
  taru idmap show 4711                                    the maps of a process")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Bind(bind::Args),
    Make(make::Args),
    Show(show::Args),
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    match &args.verb {
        Verb::Bind(args) => bind::run(args, global),
        Verb::Make(args) => make::run(args, global),
        Verb::Show(args) => show::run(args, global),
    }
}

/// The maps as typed.
#[derive(Debug, clap::Args)]
struct Typed {
    /// Map LENGTH users and groups from INSIDE on to OUTSIDE and on
    #[arg(long, value_name = "INSIDE:OUTSIDE[:LENGTH]", value_parser = range)]
    map: Vec<Range>,
    /// Map users only
    #[arg(long, value_name = "INSIDE:OUTSIDE[:LENGTH]", value_parser = range)]
    users: Vec<Range>,
    /// Map groups only
    #[arg(long, value_name = "INSIDE:OUTSIDE[:LENGTH]", value_parser = range)]
    groups: Vec<Range>,
}

impl Typed {
    fn is_empty(&self) -> bool {
        self.map.is_empty() && self.users.is_empty() && self.groups.is_empty()
    }

    /// Both maps; each must have something.
    fn maps(&self) -> Result<IdMaps> {
        let maps = IdMaps {
            uids: [&self.map[..], &self.users[..]].concat(),
            gids: [&self.map[..], &self.groups[..]].concat(),
        };
        if maps.uids.is_empty() || maps.gids.is_empty() {
            return Err(Error::invalid("map ids: users and groups both need a map")
                .hint("--map 0:100000:65536 maps both alike"));
        }
        Ok(maps)
    }
}

fn range(text: &str) -> Result<Range> {
    let numbers: Vec<u32> = text.split(':').map(parse::id).collect::<Result<_>>()?;
    match numbers[..] {
        [inside, outside, length] if length > 0 => Ok(Range::new(inside, outside, length)),
        [inside, outside] => Ok(Range::new(inside, outside, 1)),
        _ => Err(Error::invalid(format!("parse `{text}` as a map: not INSIDE:OUTSIDE[:LENGTH]"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_as_typed() {
        assert_eq!(range("0:100000:65536").unwrap(), Range::new(0, 100_000, 65536));
        assert_eq!(range("5:6").unwrap(), Range::new(5, 6, 1));
        for bad in ["", "1", "1:2:0", "1:2:3:4", "a:b:c", "0:4294967295:1"] {
            assert!(range(bad).is_err(), "{bad}");
        }
    }
}
