//! Mounts of new file systems, and changes of those that are mounted.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use taru_stdx::{Context, Result};
use taru_sys::mount::{self, Attr, FsPick};

use crate::context::{configure, create, open_context, told};
use crate::mount::Mount;
use crate::overlay::Overlay;

impl Mount {
    /// A mount of a file system of type `fstype`: `data` are its options, with a value or without (`ro`
    /// among them makes the file system itself read-only), `attributes` those of the mount.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Unsupported`] for a type the kernel does not have; otherwise the file system's own words
    /// where it has some.
    pub fn fs(
        fstype: &str,
        source: Option<&str>,
        data: &[(&str, Option<&str>)],
        attributes: Attr,
    ) -> Result<Mount> {
        let what = || format!("make the file system `{fstype}`");
        if fstype == "overlay" && data.iter().any(|(key, _)| *key == "lowerdir") {
            return Overlay::from_data(data)?.mount(attributes);
        }
        let context = open_context(fstype)?;
        if let Some(source) = source {
            mount::fsconfig_string(context.as_fd(), "source", source)
                .map_err(|e| told(context.as_fd(), e))
                .context(what)?;
        }
        configure(context.as_fd(), data).context(what)?;
        create(context.as_fd(), attributes).map(Mount::from_fd).context(what)
    }
}

/// Changes options of the file system mounted at `at` (`remount`), for all its mounts.
///
/// # Errors
/// The file system's own words where it has some.
pub fn reconfigure(at: BorrowedFd<'_>, data: &[(&str, Option<&str>)]) -> Result<()> {
    let what = || "reconfigure the file system";
    let context = mount::fspick(at, Path::new(""), FsPick::EMPTY_PATH).context(what)?;
    configure(context.as_fd(), data).context(what)?;
    mount::fsconfig_reconfigure(context.as_fd()).map_err(|e| told(context.as_fd(), e)).context(what)
}
