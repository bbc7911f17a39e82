//! `taru image save` and `taru save`: images into a file.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use taru_engine::image::save;
use taru_stdx::{Context, Error, Result};

use crate::commands::open;
use crate::options::Global;

/// What an archive is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Layers and digests as they are in the store, under both OCI's and Docker's tables of contents
    #[default]
    Oci,
    /// Layers uncompressed, as docker save wrote them first: for readers that decompress nothing
    Docker,
}

/// Save images to a file, a directory or standard output
///
/// The archive is one of OCI's and one of Docker's at once: `docker load`, `podman load`, `skopeo` and `taru load`
/// read it, and the images keep their digests. A file is there when all of it is on the disk, or not at all. A
/// directory (that exists, or ends in a slash) becomes an OCI layout; more images can be added to it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru save -o debian.tar debian
  taru save debian nginx | zstd > both.tar.zst
  taru save debian | ssh host docker load
  taru save -o layout/ debian                 skopeo copy oci:layout:debian ...")]
pub struct Args {
    /// Write to this file or directory, not to standard output
    #[arg(long, short, value_name = "FILE|DIR/")]
    output: Option<PathBuf>,
    /// Choose the archive's format
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Kind,
    /// Names, ids or beginnings of ids; an image that is named by its id has no name in the archive
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

pub(crate) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let engine = open(global)?;
    let images = engine.images()?;
    let format = match args.format {
        Kind::Oci => taru_archive::Format::Oci,
        Kind::Docker => taru_archive::Format::Docker,
    };
    let what = || format!("save `{}`", args.images.join("`, `"));
    match &args.output {
        Some(path) if path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/") => {
            if args.format == Kind::Docker {
                return Err(Error::invalid(format!("{}: a directory is an OCI layout", what()))
                    .hint("leave --format docker away, or name a file"));
            }
            save::to_directory(images, &args.images, path).context(what)?;
        }
        Some(path) => save::to_file(images, &args.images, format, path).context(what)?,
        None => {
            let mut out = std::io::stdout().lock();
            if out.is_terminal() {
                return Err(Error::invalid(format!("{}: standard output is a terminal", what()))
                    .hint("name a file with -o, or redirect the output"));
            }
            save::to_stream(images, &args.images, format, &mut out).context(what)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
