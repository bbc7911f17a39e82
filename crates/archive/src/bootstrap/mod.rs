//! Images from packages of a distribution, and from the host's busybox: real ones where no registry can be reached.
//!
//! ```text
//! debian:bookworm   mmdebstrap | debootstrap + tar ──(tar)──> tidied ──> layer ──> image
//! busybox           the host's static /bin/busybox and its applets as links
//! ```
//! Packages come from the mirror that this host's own apt uses for that distribution, through its proxy; else from the well-known
//! ones. Both are verified by apt with the host's keyrings.
//!
//! The same packages give the same digest: the program gets a fixed SOURCE_DATE_EPOCH; times are clamped to it; what a machine
//! leaves behind (its id, logs, caches, devices) is left out; entries are sorted; the layer is packed reproducibly.
//!
//! The program runs in mount and process namespaces of its own, working on a tmpfs there: when it ends, or this
//! process is killed, nothing is left of it.

mod busybox;
mod program;
mod request;
mod sources;
mod tidied;

use std::time::{Duration, SystemTime};

use taru_content::{Content, Lease};
use taru_oci::media::Compression;
use taru_oci::{Descriptor, Platform, RunConfig};
use taru_stdx::{Result, time};

use crate::image::{self, About};
use request::Request;

/// How an image is to be bootstrapped.
#[derive(Debug, Clone, Default)]
pub struct Bootstrap {
    /// Which packages: `minbase` (the default), `essential`, `apt`, `required`, `important`, `standard`, `buildd`.
    pub variant: Option<String>,
    /// Packages beside those.
    pub include: Vec<String>,
    /// Debian's name of another architecture than this host's, such as `arm64`: its programs must run here.
    pub architecture: Option<String>,
    /// The mirror to take packages from instead of the one this host uses.
    pub mirror: Option<String>,
    /// Parts of the archive; `main` if empty.
    pub components: Vec<String>,
    /// Seconds after 1970: the image's date, and the latest time of its files.
    pub epoch: u64,
    /// How the layer is compressed.
    pub compression: Option<Compression>,
    /// How the image is to be run; a shell if nothing is said.
    pub config: RunConfig,
}

/// Makes the image `what` (`debian:bookworm`, `ubuntu:24.04`, `busybox`) into `content`, held by `lease`. `progress` gets a line
/// now and then, from another thread.
///
/// # Errors
/// [`taru_stdx::Kind::Invalid`] for a name or an option that is none; [`taru_stdx::Kind::NotFound`] if a program is missing;
/// [`taru_stdx::Kind::System`] with what the program said last if it failed.
pub fn bootstrap(
    what: &str,
    options: &Bootstrap,
    content: &Content,
    lease: &Lease,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Descriptor> {
    let compression = options.compression.unwrap_or(Compression::Gzip);
    let mut about = About {
        config: options.config.clone(),
        created: Some(time::rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(options.epoch))),
        ..About::default()
    };
    let layer = if what == "busybox" {
        busybox::defaults(options, &mut about)?;
        busybox::layer(options.epoch, compression, content, lease)?
    } else {
        let request = Request::new(what, options)?;
        program::defaults(&request, &mut about);
        if let Some(architecture) = &request.architecture {
            about.platform = Some(platform(architecture)?);
        }
        program::layer(&request, options.epoch, compression, content, lease, progress)?
    };
    image::store(content, lease, &layer, &about)
}

/// Debian's name of an architecture as a platform.
fn platform(debian: &str) -> Result<Platform> {
    match debian {
        "i386" => "linux/386".parse(),
        "armhf" => "linux/arm/v7".parse(),
        "armel" => "linux/arm/v5".parse(),
        "ppc64el" => "linux/ppc64le".parse(),
        "mips64el" => "linux/mips64le".parse(),
        other => other.parse(),
    }
}
