//! `taru image bootstrap`: an image from packages of a distribution, or of this host's busybox.

use taru_archive::Bootstrap;
use taru_oci::{Digest, Reference};
use taru_stdx::Result;

use super::progress::Progress;
use super::{Images, import};

/// Where programs of such an image are.
pub const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Makes the image `what` (`debian:bookworm`, `ubuntu:noble`, `busybox`), unpacks it and gives it `name`; its id.
///
/// # Errors
/// As [`taru_archive::bootstrap`]; any error of the stores.
pub fn bootstrap(
    images: &Images,
    what: &str,
    options: &Bootstrap,
    name: &Reference,
    progress: &dyn Progress,
) -> Result<Digest> {
    let lease = images.content.lease("bootstrap")?;
    let say = |line: &str| progress.say(line);
    let target = taru_archive::bootstrap(what, options, &images.content, &lease, &say)?;
    import::finish(images, &lease, target, Some(name), progress)
}
