//! `taru image import` and `taru import`: an image from a root file system.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use taru_archive::About;
use taru_engine::image::change;
use taru_engine::image::import::{self, Source};
use taru_oci::{Platform, Reference};
use taru_stdx::{Context, Error, Result, time};

use super::load::stream;
use crate::commands::open;
use crate::options::Global;
use crate::output;
use crate::progress::{Shown, Style};

/// Make an image of a root file system
///
/// ROOT is a tar, compressed or not, or a squashfs, or `-` for standard input. It becomes an image of one layer, ready to
/// run. Images of system containers, as image servers of Incus, LXD and LXC hand them out, are imported with --metadata
/// (two files) or --system (one file). Prints the image's id.
///
/// With SOURCE_DATE_EPOCH set, the same input gives the same image each time.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru import rootfs.tar.xz mydebian
  tar -C tree -c . | taru import - app:1 -c 'CMD [\"/bin/app\"]' -c 'ENV LANG=C.UTF-8'
  taru import --metadata meta.tar.xz rootfs.squashfs alpine-system
  taru import --system image.tar.xz alpine-system")]
pub struct Args {
    /// Carry out an instruction of a Dockerfile on it: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, SHELL, STOPSIGNAL, USER, VOLUME, WORKDIR
    #[arg(long, short, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// Note this in the image's history
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
    /// Say that it is for this platform, not for this host's
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    /// Take from this tar what there is to know of a system container
    #[arg(long, value_name = "FILE", conflicts_with = "system")]
    metadata: Option<PathBuf>,
    /// ROOT is the image of a system container in one file: metadata.yaml and rootfs/
    #[arg(long)]
    system: bool,
    /// Choose how progress is shown
    #[arg(long, value_enum, default_value_t, value_name = "STYLE")]
    progress: Style,
    /// Show no progress
    #[arg(long, short, conflicts_with = "progress")]
    quiet: bool,
    /// The root file system, or - for standard input
    #[arg(value_name = "ROOT")]
    root: PathBuf,
    /// What to call the image
    #[arg(value_name = "NAME")]
    name: Option<Reference>,
}

pub(crate) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let what = || format!("import `{}`", args.root.display());
    if let Some(name) = args.name.as_ref().filter(|name| name.digest().is_some()) {
        return Err(Error::invalid(format!("name an image `{}`: a digest is no name", name.familiar())));
    }
    let mut about = About {
        platform: args.platform.clone(),
        created: Some(time::rfc3339(now()?)),
        created_by: Some(format!("taru import {}", args.root.display())),
        comment: args.message.clone(),
        ..About::default()
    };
    change::apply(&mut about.config, &args.change)?;
    let path = Some(args.root.as_path()).filter(|path| *path != Path::new("-"));
    if let Some(dir) = path.filter(|path| path.is_dir()) {
        return Err(Error::invalid(format!("{}: it is a directory", what()))
            .hint(format!("tar -C {} -c . | taru import - NAME", dir.display())));
    }
    let root = stream(path).context(what)?;
    let source = match &args.metadata {
        Some(metadata) => Source::Split { metadata: stream(Some(metadata)).context(what)?, root },
        None if args.system => Source::Unified(root),
        None => Source::Root(root),
    };
    let engine = open(global)?;
    let progress = Shown::new(if args.quiet { Style::Quiet } else { args.progress });
    let id = import::import(engine.images()?, source, &about, args.name.as_ref(), &progress).context(what)?;
    output::line(&id.to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// The time, or that of `SOURCE_DATE_EPOCH`.
fn now() -> Result<SystemTime> {
    let epoch = time::epoch_of_environment()?.map(|s| SystemTime::UNIX_EPOCH + Duration::from_secs(s));
    Ok(epoch.unwrap_or_else(SystemTime::now))
}
