//! `taru image history`: how an image was made.

use std::process::ExitCode;

use serde::Serialize;
use taru_engine::image::find;
use taru_oci::Platform;
use taru_stdx::Result;

use crate::commands::open;
use crate::options::{Format, Global};
use crate::output::{self, Table, bytes};

/// Show how an image was made: an instruction a line, the last first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru image history debian
  taru image history --no-trunc --format json debian")]
pub struct Args {
    /// Of an image for several platforms, show this one
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    /// Print instructions in full
    #[arg(long)]
    no_trunc: bool,
    /// Print as a table or as JSON
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Name, id or beginning of an id
    image: String,
}

#[derive(Serialize)]
struct Line<'a> {
    created: Option<&'a str>,
    created_by: &'a str,
    comment: &'a str,
    /// Bytes of its layer as it came; 0 if it made none.
    size: u64,
    layer: Option<String>,
}

pub(crate) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let engine = open(global)?;
    let found = find::find(engine.images()?, &args.image, args.platform.as_ref())?;
    let mut layers = found.document.layers.iter();
    let mut lines: Vec<Line<'_>> = Vec::new();
    for step in found.config.history.iter().flatten() {
        let layer = if step.empty_layer == Some(true) { None } else { layers.next() };
        lines.push(Line {
            created: step.created.as_deref(),
            created_by: step.created_by.as_deref().unwrap_or_default(),
            comment: step.comment.as_deref().unwrap_or_default(),
            size: layer.map_or(0, |l| l.size),
            layer: layer.map(|l| l.digest.to_string()),
        });
    }
    // An image need not tell of all its layers.
    lines.extend(layers.map(|l| Line {
        created: None,
        created_by: "",
        comment: "",
        size: l.size,
        layer: Some(l.digest.to_string()),
    }));
    lines.reverse();
    if args.format == Format::Json {
        output::json(&lines)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["LAYER", "CREATED", "SIZE", "BY"]);
    for line in &lines {
        let layer = line.layer.as_deref().and_then(|l| l.split_once(':')).map_or("-", |(_, hex)| &hex[..12]);
        let by = line.created_by.split_whitespace().collect::<Vec<_>>().join(" ");
        table.row(vec![
            layer.to_owned(),
            line.created.and_then(|c| c.get(..10)).unwrap_or("-").to_owned(),
            bytes(line.size),
            if args.no_trunc || by.chars().count() <= 60 {
                by
            } else {
                by.chars().take(59).chain(['…']).collect()
            },
        ]);
    }
    table.print()?;
    Ok(ExitCode::SUCCESS)
}
