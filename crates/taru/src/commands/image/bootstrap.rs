//! `taru image bootstrap`: an image from packages.

use std::process::ExitCode;

use taru_archive::Bootstrap;
use taru_engine::image::{bootstrap, change};
use taru_oci::Reference;
use taru_stdx::{Error, Result, time};

use crate::commands::open;
use crate::options::Global;
use crate::output;
use crate::progress::{Shown, Style};

/// Make an image of a distribution's packages, without a registry
///
/// WHAT is debian:SUITE or ubuntu:SUITE, made with mmdebstrap or debootstrap from the mirror that this host's apt uses; or
/// busybox, made of this host's own static one. The same packages give the same image each time: no file in it is newer
/// than SOURCE_DATE_EPOCH, 1970 if that is not set. Prints the image's id.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru image bootstrap tiny busybox
  taru image bootstrap debian debian:bookworm
  taru image bootstrap --include curl --include ca-certificates tools ubuntu:noble
  taru image bootstrap --mirror http://deb.debian.org/debian app debian:trixie -c 'CMD [\"bash\"]'")]
pub(super) struct Args {
    /// Choose the packages to begin with: minbase, essential, apt, required, important, standard, buildd [default: minbase]
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
    /// Install this package too
    #[arg(long, value_name = "PACKAGE")]
    include: Vec<String>,
    /// Take packages for this architecture, by its Debian name, such as arm64: its programs must run here
    #[arg(long, value_name = "ARCH")]
    arch: Option<String>,
    /// Take packages from this mirror
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    /// Take packages of this part of the archive too, not of main alone
    #[arg(long, value_name = "PART")]
    component: Vec<String>,
    /// Carry out an instruction of a Dockerfile on it, as taru image import does
    #[arg(long, short, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// Choose how progress is shown
    #[arg(long, value_enum, default_value_t, value_name = "STYLE")]
    progress: Style,
    /// Show no progress
    #[arg(long, short, conflicts_with = "progress")]
    quiet: bool,
    /// What to call the image
    #[arg(value_name = "NAME")]
    name: Reference,
    /// What to make: debian:SUITE, ubuntu:SUITE or busybox
    #[arg(value_name = "WHAT")]
    what: String,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    if args.name.digest().is_some() {
        let name = args.name.familiar();
        return Err(Error::invalid(format!("name an image `{name}`: a digest is no name")));
    }
    let mut options = Bootstrap {
        variant: args.variant.clone(),
        include: args.include.clone(),
        architecture: args.arch.clone(),
        mirror: args.mirror.clone(),
        epoch: time::epoch_of_environment()?.unwrap_or_default(),
        ..Bootstrap::default()
    };
    if !args.component.is_empty() {
        options.components = std::iter::once("main".to_owned()).chain(args.component.clone()).collect();
        options.components.dedup();
    }
    // Changes add to it.
    options.config.env = Some(vec![bootstrap::PATH.to_owned()]);
    change::apply(&mut options.config, &args.change)?;
    let engine = open(global)?;
    let progress = Shown::new(if args.quiet { Style::Quiet } else { args.progress });
    let id = bootstrap::bootstrap(engine.images()?, &args.what, &options, &args.name, &progress)?;
    output::line(&id.to_string())?;
    Ok(ExitCode::SUCCESS)
}
