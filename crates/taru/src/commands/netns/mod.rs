//! `taru netns`: network namespaces with names, shared both ways with ip-netns(8).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;
use taru_netlink::{Netlink, named, netns};
use taru_stdx::{Error, Kind, Result};

use super::place;
use crate::options::{Format, Global};
use crate::output::{self, Edge, Table};

mod exec;
mod monitor;

/// Make network namespaces, run programs in them, and name those that exist
///
/// The names are those of ip-netns(8): what one makes the other lists, enters and deletes. WHERE is a NAME,
/// `pid:N` for the namespace of process N, `container:NAME` for that of a container, or a path with a `/`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru netns add blue
  taru netns exec blue ip address
  taru netns attach web pid:4711      give a name to the namespace of a running process
  taru netns list --format json")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a network namespace and give it a name
    #[command(after_help = "\
Examples:
  taru netns add blue")]
    Add {
        /// Leave the loopback link down, as ip-netns(8) does
        #[arg(long)]
        no_loopback: bool,
        /// Its name
        name: String,
    },
    /// Give a name to a network namespace that exists
    #[command(after_help = "\
Examples:
  taru netns attach web pid:4711
  taru netns attach web container:web")]
    Attach {
        /// The new name
        name: String,
        /// The namespace: pid:N, a process id, container:NAME, a path or another name
        #[arg(value_name = "WHERE")]
        netns: String,
    },
    /// Take names away; a namespace ends once nobody is in it
    #[command(after_help = "\
Examples:
  taru netns delete blue
  taru netns delete --all")]
    #[command(visible_alias = "del")]
    Delete {
        /// All names
        #[arg(long, conflicts_with = "names")]
        all: bool,
        /// The names
        #[arg(value_name = "NAME", required_unless_present = "all")]
        names: Vec<String>,
    },
    Exec(exec::Args),
    /// Show the names of a process's network namespace
    #[command(after_help = "\
Examples:
  taru netns identify 4711")]
    Identify {
        /// The process [default: this one]
        pid: Option<u32>,
        /// Print as a table or as JSON
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// List the names
    #[command(after_help = "\
Examples:
  taru netns list
  taru netns list --format json")]
    #[command(visible_alias = "ls")]
    List {
        /// Print as a table or as JSON
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// List the ids by which this network namespace knows others
    #[command(after_help = "\
Examples:
  taru netns list-id")]
    #[command(name = "list-id")]
    ListId {
        /// Print as a table or as JSON
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    Monitor(monitor::Args),
    /// Show the processes in a network namespace
    #[command(after_help = "\
Examples:
  taru netns pids blue
  taru netns pids container:web")]
    Pids {
        /// The namespace: NAME, pid:N, container:NAME or a path
        #[arg(value_name = "WHERE")]
        netns: String,
        /// Print as a table or as JSON
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Give a network namespace the id by which this one knows it
    #[command(after_help = "\
Examples:
  taru netns set blue auto")]
    Set {
        /// The namespace: NAME, pid:N, container:NAME or a path
        #[arg(value_name = "WHERE")]
        netns: String,
        /// The id, 0 or more, or `auto` for the smallest that is free
        #[arg(value_name = "ID")]
        id: String,
    },
}

impl Args {
    /// Which convention of exit statuses it follows.
    pub(super) fn edge(&self) -> Edge {
        match self.verb {
            Verb::Exec(_) => Edge::Program,
            _ => Edge::Plain,
        }
    }
}

#[derive(Serialize)]
struct Named {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i32>,
}

#[derive(Serialize)]
struct Id {
    nsid: i32,
    names: Vec<String>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    match &args.verb {
        Verb::Add { name, no_loopback } => add(name, *no_loopback)?,
        Verb::Attach { name, netns } => named::attach(name, which(netns, global)?.as_fd())?,
        Verb::Delete { all, names } => delete(*all, names)?,
        Verb::Exec(args) => return exec::run(args, global),
        Verb::Identify { pid, format } => {
            let netns = match pid {
                Some(pid) => named::find(&format!("pid:{pid}"))?,
                None => netns::current()?,
            };
            names(&named::names_of(netns.as_fd())?, *format)?;
        }
        Verb::List { format } => list(*format)?,
        Verb::ListId { format } => list_ids(*format)?,
        Verb::Monitor(args) => monitor::run(args)?,
        Verb::Pids { netns, format } => pids(place::find(netns, global)?.as_fd(), *format)?,
        Verb::Set { netns, id } => set(place::find(netns, global)?.as_fd(), id)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn add(name: &str, no_loopback: bool) -> Result<()> {
    let netns = named::create(name)?;
    if no_loopback {
        return Ok(());
    }
    netns::inside(netns.as_fd(), taru_netlink::loopback_up).inspect_err(|_| {
        // The failure itself is what is reported.
        let _ = named::delete(name);
    })
}

/// As [`place::find`], and a bare number is a process, as ip-netns(8) has it.
fn which(text: &str, global: &Global) -> Result<OwnedFd> {
    let number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if number { named::find(&format!("pid:{text}")) } else { place::find(text, global) }
}

/// Deletes what can be deleted and tells all that could not.
fn delete(all: bool, names: &[String]) -> Result<()> {
    let every = if all { named::list()? } else { Vec::new() };
    let errors = names.iter().chain(&every).filter_map(|name| named::delete(name).err()).collect();
    Error::all(errors).map_or(Ok(()), Err)
}

fn list(format: Format) -> Result<()> {
    let mut netlink = Netlink::open()?;
    let mut rows = Vec::new();
    for name in named::list()? {
        // What is no namespace any more is still a name, and can be deleted.
        let id = named::open(&name).and_then(|netns| netlink.netns_id(netns.as_fd())).unwrap_or(None);
        rows.push(Named { name, id });
    }
    if format == Format::Json {
        return output::json(&rows);
    }
    let mut table = Table::new(&["NAME", "ID"]);
    for Named { name, id } in rows {
        table.row(vec![name, id.map_or_else(String::new, |id| id.to_string())]);
    }
    table.print()
}

fn list_ids(format: Format) -> Result<()> {
    let mut netlink = Netlink::open()?;
    let mut by_id: Vec<Id> =
        netlink.netns_ids()?.into_iter().map(|nsid| Id { nsid, names: Vec::new() }).collect();
    for name in named::list()? {
        let id = named::open(&name).and_then(|netns| netlink.netns_id(netns.as_fd())).unwrap_or(None);
        if let Some(row) = by_id.iter_mut().find(|row| Some(row.nsid) == id) {
            row.names.push(name);
        }
    }
    if format == Format::Json {
        return output::json(&by_id);
    }
    let mut table = Table::new(&["ID", "NAMES"]);
    for Id { nsid, names } in by_id {
        table.row(vec![nsid.to_string(), names.join(" ")]);
    }
    table.print()
}

fn names(names: &[String], format: Format) -> Result<()> {
    if format == Format::Json {
        return output::json(&names);
    }
    names.iter().try_for_each(|name| output::line(name))
}

fn pids(netns: BorrowedFd<'_>, format: Format) -> Result<()> {
    let pids = named::pids(netns)?;
    if format == Format::Json {
        return output::json(&pids);
    }
    pids.iter().try_for_each(|pid| output::line(&pid.to_string()))
}

fn set(netns: BorrowedFd<'_>, id: &str) -> Result<()> {
    let bad =
        || Error::new(Kind::Invalid, format!("use `{id}` as an id: neither a number from 0 nor `auto`"));
    let id = match id {
        "auto" => None,
        number => Some(number.parse::<i32>().ok().filter(|id| *id >= 0).ok_or_else(bad)?),
    };
    Netlink::open()?.assign_netns_id(netns, id)
}
