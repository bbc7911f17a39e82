//! Images: a file system of erofs that lies in a file, mounted without a loop device.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use taru_stdx::{Context, Kind, Result};
use taru_sys::errno;
use taru_sys::mount::{self, Attr};

use crate::context::{MAX_VALUE, open_context, told};
use crate::mount::Mount;

impl Mount {
    /// A mount of the image of erofs in the file `path`, which is read-only by its nature.
    ///
    /// The file needs no name any more once it is mounted. Its file system must have a page cache of its own: a disk's has,
    /// tmpfs and overlay have not.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] where the kernel has no erofs, or takes it from block devices alone (before 6.12), or from no
    /// file of this file system; [`Kind::Invalid`] for what is no such image; [`Kind::Permission`] without `CAP_SYS_ADMIN` in
    /// the host's user namespace.
    pub fn image(path: &Path, attributes: Attr) -> Result<Mount> {
        const HINT: &str = "Linux 6.12 or later can, built with CONFIG_EROFS_FS_BACKED_BY_FILE";
        let what = || format!("mount the image `{}`", path.display());
        let context = open_context("erofs").context(what).map_err(|e| match e.kind() {
            Kind::Unsupported => e.hint(HINT),
            _ => e,
        })?;
        // Held until the kernel has opened it by its name here.
        let file;
        let source = match path.to_str().filter(|path| path.len() <= MAX_VALUE) {
            Some(path) => path.to_owned(),
            None => {
                file = File::open(path).context(what)?;
                format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
            }
        };
        let at = context.as_fd();
        mount::fsconfig_string(at, "source", &source).map_err(|e| told(at, e)).context(what)?;
        match mount::fsconfig_create(at) {
            Err(e) if e.errno() == errno::NOTBLK => {
                Err(told(at, e)).context_as(Kind::Unsupported, what).map_err(|e| e.hint(HINT))
            }
            // No superblock, one with features that there are not, a wrong checksum, a root that is none.
            Err(e) if is_damage(e.errno()) => Err(told(at, e)).context_as(Kind::Invalid, what),
            done => done.map_err(|e| told(at, e)).context(what),
        }?;
        mount::fsmount(at, attributes).map(Mount::from_fd).map_err(|e| told(at, e)).context(what)
    }
}

/// What erofs says of an image that is damaged.
fn is_damage(number: taru_sys::Errno) -> bool {
    [errno::INVAL, errno::UCLEAN, errno::BADMSG, errno::IO, errno::NOTSUP].contains(&number)
}
