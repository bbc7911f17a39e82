//! `taru link list`: the links of a network namespace with their addresses.

use serde::Serialize;
use taru_netlink::{Link, Netlink};
use taru_stdx::Result;

use crate::commands::place;
use crate::options::{Format, Global};
use crate::output::{self, Table};

/// List the links of a network namespace with their addresses
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru link list
  taru link list --netns blue --format json")]
#[command(visible_alias = "ls")]
pub(super) struct Args {
    /// The network namespace [default: this one]
    #[arg(long, value_name = "WHERE")]
    netns: Option<String>,
    /// Print as a table or as JSON
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Serialize)]
struct Row {
    index: u32,
    name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    alternative_names: Vec<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    up: bool,
    state: &'static str,
    mtu: u32,
    mac: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    master: Option<String>,
    /// The link below, or the other end; its name if it is in this namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_netns_id: Option<i32>,
    addresses: Vec<String>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<()> {
    let rows = rows(&mut place::socket(args.netns.as_deref(), global)?)?;
    if args.format == Format::Json {
        return output::json(&rows);
    }
    let mut table = Table::new(&["NAME", "TYPE", "STATE", "MTU", "MAC", "PARENT", "MASTER", "ADDRESSES"]);
    for row in rows {
        // As ip-link(8): NAME in this namespace, or its number and the other namespace's id.
        let parent = match (row.parent, row.parent_netns_id) {
            (Some(parent), Some(id)) => format!("{parent}@netns:{id}"),
            (parent, _) => parent.unwrap_or_default(),
        };
        table.row(vec![
            row.name,
            row.kind.unwrap_or_default(),
            row.state.to_owned(),
            row.mtu.to_string(),
            row.mac,
            parent,
            row.master.unwrap_or_default(),
            row.addresses.join(" "),
        ]);
    }
    table.print()
}

fn rows(netlink: &mut Netlink) -> Result<Vec<Row>> {
    let links = netlink.links()?;
    let addresses = netlink.addresses(None)?;
    let name = |index: u32| match links.iter().find(|link| link.index == index) {
        Some(link) => link.name.clone(),
        None => index.to_string(),
    };
    let row = |link: &Link| Row {
        index: link.index,
        name: link.name.clone(),
        alternative_names: link.alt_names.clone(),
        kind: link.kind.clone(),
        up: link.is_up(),
        state: link.state.as_str(),
        mtu: link.mtu,
        mac: link.mac_text(),
        master: link.master.map(name),
        parent: link.parent.map(|index| match link.parent_netns {
            // The number means a link there, not here.
            Some(_) => index.to_string(),
            None => name(index),
        }),
        parent_netns_id: link.parent_netns,
        addresses: addresses.iter().filter(|a| a.link == link.index).map(|a| a.net.to_string()).collect(),
    };
    Ok(links.iter().map(row).collect())
}
