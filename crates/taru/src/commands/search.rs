//! `taru search`: images that a registry has.

use std::process::ExitCode;

use serde::Serialize;
use taru_engine::image::login;
use taru_stdx::Result;

use crate::commands::open;
use crate::options::{Format, Global};
use crate::output::{self, Table};

/// Characters of a description in the table.
const SHORT: usize = 60;

/// Search a registry for images
///
/// Of docker.io, or of the registry whose name stands before the term. A registry that cannot be searched but lists what
/// it has is searched by name.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru search nginx
  taru search --limit 5 quay.io/prometheus
  taru search localhost:5000/              all that it has
  taru search --format json redis | jq -r '.[].name'")]
pub struct Args {
    /// Print at most so many, up to 100
    #[arg(long, value_name = "NUMBER", default_value_t = 25, value_parser = clap::value_parser!(u8).range(1..=100))]
    limit: u8,
    /// Print descriptions in full
    #[arg(long)]
    no_trunc: bool,
    /// Print as a table or as JSON
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// What is searched for
    #[arg(value_name = "[REGISTRY/]TERM")]
    term: String,
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    description: &'a str,
    stars: u64,
    official: bool,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let engine = open(global)?;
    let found = login::search(engine.registry()?, &args.term, args.limit.into())?;
    if args.format == Format::Json {
        let lines: Vec<Line<'_>> = found
            .iter()
            .map(|f| Line {
                name: &f.name,
                description: &f.description,
                stars: f.stars,
                official: f.is_official,
            })
            .collect();
        output::json(&lines)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["NAME", "STARS", "OFFICIAL", "DESCRIPTION"]);
    for one in &found {
        let is_short = args.no_trunc || one.description.chars().count() <= SHORT;
        table.row(vec![
            one.name.clone(),
            one.stars.to_string(),
            if one.is_official { "yes" } else { "" }.to_owned(),
            match is_short {
                true => one.description.clone(),
                false => one.description.chars().take(SHORT - 1).chain(['…']).collect(),
            },
        ]);
    }
    table.print()?;
    Ok(ExitCode::SUCCESS)
}
