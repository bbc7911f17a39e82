//! `taru image inspect`: all there is to know of images.

use std::process::ExitCode;

use serde_json::{Value, json};
use taru_engine::image::{Images, find, list};
use taru_oci::{Platform, Reference};
use taru_stdx::Result;

use crate::commands::open;
use crate::options::Global;
use crate::output;

/// Show all there is to know of images, as JSON
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru image inspect debian
  taru image inspect debian | jq '.[0].image.config.Env'")]
pub(super) struct Args {
    /// Of an image for several platforms, show this one
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    /// Names, ids or beginnings of ids
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let engine = open(global)?;
    let images = engine.images()?;
    let mut found = Vec::new();
    for key in &args.images {
        found.push(document(images, &find::find(images, key, args.platform.as_ref())?)?);
    }
    output::json(&found)?;
    Ok(ExitCode::SUCCESS)
}

fn document(images: &Images, found: &find::Found) -> Result<Value> {
    let records = images.content.images()?;
    let names: Vec<String> = records
        .iter()
        .filter(|record| record.descriptor.digest == found.target.digest)
        .filter_map(|record| record.name.as_ref().map(Reference::to_string))
        .collect();
    Ok(json!({
        "id": found.target.digest,
        "names": names,
        "target": found.target,
        "manifest": found.manifest,
        "platform": found.config.platform().to_string(),
        "size": list::size(found),
        "layers": found.document.layers,
        "chain": found.chain(),
        "annotations": found.document.annotations,
        "image": found.config,
    }))
}
