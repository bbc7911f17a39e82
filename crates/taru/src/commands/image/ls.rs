//! `taru image ls` and `taru images`: the images in the store.

use std::process::ExitCode;
use std::time::SystemTime;

use serde::Serialize;
use taru_engine::image::list::{self, Listed};
use taru_oci::Reference;
use taru_stdx::{Result, time};

use crate::commands::open;
use crate::options::{Format, Global, LogLevel};
use crate::output::{self, Table, age, bytes};

/// List images
///
/// An image is what a name leads to; its id is the digest that the registry knows it by. The size is that of its
/// layers as they came, compressed. An image without a name has lost it to a newer one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru images
  taru images debian
  taru images --format json | jq -r '.[].name'")]
pub struct Args {
    /// Print ids only, one a line
    #[arg(long, short)]
    quiet: bool,
    /// Print whole ids
    #[arg(long)]
    no_trunc: bool,
    /// Print as a table or as JSON
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Only images whose name begins so
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    name: Option<String>,
    id: String,
    media_type: &'a str,
    platform: Option<String>,
    created: Option<&'a str>,
    named: String,
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<String>,
}

pub(crate) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let engine = open(global)?;
    let mut images = list::list(engine.images()?)?;
    if let Some(wanted) = &args.name {
        images.retain(|image| image.name.as_ref().is_some_and(|name| is_wanted(name, wanted)));
    }
    for image in &images {
        if let Err(e) = &image.image {
            output::note(global, LogLevel::Warn, &e.chain().to_string());
        }
    }
    if args.quiet {
        let mut ids: Vec<String> = images.iter().map(|image| id(image, args.no_trunc)).collect();
        ids.dedup();
        return output::text(&ids.iter().map(|id| format!("{id}\n")).collect::<String>())
            .map(|()| ExitCode::SUCCESS);
    }
    if args.format == Format::Json {
        output::json(&images.iter().map(line).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let now = SystemTime::now();
    let mut table = Table::new(&["NAME", "ID", "PLATFORM", "NAMED", "SIZE"]);
    for image in &images {
        let known = image.image.as_ref().ok();
        table.row(vec![
            image.name.as_ref().map_or_else(|| "<none>".to_owned(), Reference::familiar),
            id(image, args.no_trunc),
            known.map_or_else(|| "broken".to_owned(), |k| k.platform.to_string()),
            format!("{} ago", age(image.named, now)),
            known.map(|k| bytes(k.size)).unwrap_or_default(),
        ]);
    }
    table.print()?;
    Ok(ExitCode::SUCCESS)
}

/// Whether `typed` is the beginning of a name: up to its tag, or with it.
fn is_wanted(name: &Reference, typed: &str) -> bool {
    [name.familiar(), name.to_string()].iter().any(|name| {
        name.strip_prefix(typed).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '@', '/']))
    })
}

fn id(image: &Listed, whole: bool) -> String {
    let digest = &image.target.digest;
    if whole { digest.to_string() } else { digest.short().to_owned() }
}

fn line(image: &Listed) -> Line<'_> {
    let known = image.image.as_ref().ok();
    Line {
        name: image.name.as_ref().map(Reference::to_string),
        id: image.target.digest.to_string(),
        media_type: &image.target.media_type,
        platform: known.map(|k| k.platform.to_string()),
        created: known.and_then(|k| k.created.as_deref()),
        named: time::rfc3339(image.named),
        size: known.map(|k| k.size),
        broken: image.image.as_ref().err().map(|e| e.chain().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_ends_where_a_part_does() {
        let name: Reference = "debian:12".parse().unwrap();
        for yes in ["debian", "debian:12", "docker.io/library/debian", "docker.io/library"] {
            assert!(is_wanted(&name, yes), "{yes}");
        }
        for no in ["deb", "debian:1", "library", ""] {
            assert!(!is_wanted(&name, no), "{no}");
        }
    }
}
