//! `taru image load` and `taru load`: images from a file.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use taru_engine::image::load::{self, Naming, Outcome, Source};
use taru_oci::Reference;
use taru_stdx::{Context, Error, Result};

use crate::commands::open;
use crate::options::Global;
use crate::output;
use crate::progress::{Shown, Style};

/// Load images from a file, a directory or standard input
///
/// Reads what docker, podman, buildah, skopeo and taru save: Docker's archives and OCI's, compressed or not, and OCI
/// layouts in a directory. Images get the names that the archive has for them, and an image that had such a name loses
/// it: of an archive that you do not trust, say with --only or --tag which names are given. What is said to be loaded
/// survives a power cut.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru load -i debian.tar
  curl -s https://host/image.tar.zst | taru load
  taru load --only app:1 -i all.tar         of several images this one, under this name
  taru load --tag app:1 -i layout/          whatever it is called there")]
pub struct Args {
    /// Read this file or directory, not standard input
    #[arg(long, short, value_name = "FILE|DIR")]
    input: Option<PathBuf>,
    /// Load only the image of this name, under no other
    #[arg(long, value_name = "NAME", conflicts_with = "tag")]
    only: Vec<Reference>,
    /// Give this name to the one image in the archive, and no other
    #[arg(long, short, value_name = "NAME")]
    tag: Vec<Reference>,
    /// Choose how progress is shown
    #[arg(long, value_enum, default_value_t, value_name = "STYLE")]
    progress: Style,
    /// Show no progress
    #[arg(long, short, conflicts_with = "progress")]
    quiet: bool,
}

pub(crate) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let engine = open(global)?;
    let progress = Shown::new(if args.quiet { Style::Quiet } else { args.progress });
    if let Some(name) = args.tag.iter().chain(&args.only).find(|name| name.digest().is_some()) {
        return Err(Error::invalid(format!("name an image `{}`: a digest is no name", name.familiar())));
    }
    let naming = match (args.tag.as_slice(), args.only.as_slice()) {
        ([], []) => Naming::Archive,
        ([], only) => Naming::Only(only),
        (names, _) => Naming::These(names),
    };
    let what = || match &args.input {
        Some(path) => format!("load `{}`", path.display()),
        None => "load from standard input".to_owned(),
    };
    let source = source(args.input.as_deref()).context(what)?;
    for Outcome { id, names } in load::load(&engine, source, naming, &progress).context(what)? {
        if names.is_empty() {
            output::line(&format!("loaded {id}"))?;
        }
        for (name, before) in names {
            let moved = before.map(|id| format!(", which was {}", id.short())).unwrap_or_default();
            output::line(&format!("loaded {}{moved}", name.familiar()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn source(input: Option<&Path>) -> Result<Source<'_>> {
    match input {
        Some(path) if path.is_dir() => Ok(Source::Directory(path)),
        other => stream(other).map(Source::Stream),
    }
}

/// The file, or standard input, which nobody is to type.
pub(super) fn stream(path: Option<&Path>) -> Result<Box<dyn Read + Send>> {
    match path {
        Some(path) => Ok(Box::new(File::open(path).context(|| format!("open `{}`", path.display()))?)),
        None if std::io::stdin().is_terminal() => {
            Err(Error::invalid("standard input is a terminal").hint("name a file, or redirect the input"))
        }
        None => Ok(Box::new(std::io::stdin())),
    }
}
