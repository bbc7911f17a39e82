//! `taru store check`: whether everything in the store is what it says.

use std::process::ExitCode;

use serde_json::{Value, json};
use taru_engine::check::{self, Checked};
use taru_oci::Reference;
use taru_stdx::Result;

use crate::commands::open;
use crate::options::{Format, Global};
use crate::output;
use crate::progress::{Shown, Style};

/// Verify every blob and every unpacked file
///
/// Names what is not what it must be, and the images it belongs to. The status is 1 if anything is wrong. With
/// --repair what is broken is removed, layers are unpacked again, and the next pull brings back what is missing.
/// Without it, the next pull, load or run of an image unpacks those of its layers again that were found broken.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru store check
  taru store check --repair && taru pull debian")]
pub(super) struct Args {
    /// Remove what is broken, and unpack layers again
    #[arg(long)]
    repair: bool,
    /// Print as lines or as JSON
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let mut engine = open(global)?;
    let checked = check::check(&mut engine, args.repair, &Shown::new(Style::Auto))?;
    match args.format {
        Format::Json => output::json(&document(&checked))?,
        Format::Table => output::text(&lines(&checked, args.repair))?,
    }
    // What a repair has removed is right again once it is pulled: until then not all is well.
    Ok(if checked.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A line for each thing that is wrong, then a summary.
fn lines(checked: &Checked, repaired: bool) -> String {
    let of = |images: &[String]| match images {
        [] => String::new(),
        some => {
            let short =
                |name: &String| name.parse().map_or_else(|_| name.clone(), |r: Reference| r.familiar());
            format!(" (of {})", some.iter().map(short).collect::<Vec<_>>().join(", "))
        }
    };
    let mut text = String::new();
    let mut line = |words: String| {
        // Foreign names cannot drive a terminal.
        text.extend(words.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }));
        text.push('\n');
    };
    let content = &checked.content;
    for record in &content.records {
        line(format!("records: {record}"));
    }
    for broken in &content.broken {
        line(format!("blob {}: {}{}", broken.digest, broken.why.chain(), of(&broken.images)));
    }
    for missing in &content.missing {
        line(format!("blob {}: missing{}", missing.descriptor.digest, of(&missing.images)));
    }
    for stray in &content.strays {
        line(format!("file {}: belongs to nothing", stray.display()));
    }
    for layer in &checked.broken {
        for file in &layer.files {
            let path = file.path.as_ref().map_or_else(String::new, |path| format!(" {}", path.display()));
            line(format!("layer {}{path}: {}{}", layer.chain, file.why, of(&layer.images)));
        }
        match &layer.repaired {
            Some(Ok(())) => line(format!("layer {}: repaired", layer.chain)),
            Some(Err(e)) => line(format!("layer {}: {}", layer.chain, e.chain())),
            None => {}
        }
    }
    let wrong = content.records.len()
        + content.broken.len()
        + content.missing.len()
        + content.strays.len()
        + checked.broken.len();
    let whole = format!(
        "{} ({}) and {} were verified",
        output::count(content.blobs, "blob"),
        output::bytes(content.bytes),
        output::count(checked.layers, "layer")
    );
    line(match (wrong, repaired) {
        (0, _) => format!("{whole}: all is well"),
        (wrong, false) => {
            format!("{whole}: {wrong} of them are not well; --repair removes these, a pull brings them back")
        }
        (wrong, true) => format!("{whole}: {wrong} of them were not well"),
    });
    text
}

fn document(checked: &Checked) -> Value {
    let content = &checked.content;
    json!({
        "well": checked.is_well(),
        "blobs": content.blobs,
        "bytes": content.bytes,
        "layers": checked.layers,
        "records": content.records,
        "broken_blobs": content.broken.iter().map(|b| json!({
            "digest": b.digest, "why": b.why.chain().to_string(), "images": b.images,
        })).collect::<Vec<_>>(),
        "missing_blobs": content.missing.iter().map(|m| json!({
            "digest": m.descriptor.digest, "images": m.images,
        })).collect::<Vec<_>>(),
        "strays": content.strays,
        "broken_layers": checked.broken.iter().map(|l| json!({
            "chain": l.chain,
            "images": l.images,
            "files": l.files.iter().map(|f| json!({ "path": f.path, "why": f.why })).collect::<Vec<_>>(),
            "repaired": l.repaired.as_ref().map(|r| r.is_ok()),
        })).collect::<Vec<_>>(),
    })
}
