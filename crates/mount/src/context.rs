//! The kernel's file system contexts: options in, the file system's own words out.

use std::os::fd::{BorrowedFd, OwnedFd};

use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::errno;
use taru_sys::mount::{self, Attr};

/// Words of mount(2)'s time that fsconfig(2) does not know in general: a file system that has no such option
/// of its own does it always, or never.
const OLD_WORDS: [&str; 4] = ["iversion", "noiversion", "acl", "noacl"];

/// The longest value of fsconfig(2).
pub(crate) const MAX_VALUE: usize = 255;

/// A context for file systems of type `fstype`.
pub(crate) fn open_context(fstype: &str) -> Result<OwnedFd> {
    match mount::fsopen(fstype) {
        Err(e) if e.errno() == errno::NODEV => Err(e.errno())
            .context_as(Kind::Unsupported, || format!("make the file system `{fstype}`"))
            .map_err(|e| e.hint("`/proc/filesystems` lists what this kernel has")),
        done => done.map_err(|e| e.errno()).context(|| format!("make the file system `{fstype}`")),
    }
}

/// Sets options one by one.
pub(crate) fn configure(context: BorrowedFd<'_>, data: &[(&str, Option<&str>)]) -> Result<()> {
    for (key, value) in data {
        let done = match value {
            Some(value) => mount::fsconfig_string(context, key, value),
            None => mount::fsconfig_flag(context, key),
        };
        match done {
            Err(e) if OLD_WORDS.contains(key) && value.is_none() && e.errno() == errno::INVAL => {
                mount::fs_log(context);
            }
            Err(e) => {
                let option = value.map_or_else(|| (*key).to_owned(), |v| format!("{key}={v}"));
                return Err(told(context, e)).context(|| format!("set `{option}`"));
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

/// Makes the configured file system and its mount.
pub(crate) fn create(context: BorrowedFd<'_>, attributes: Attr) -> Result<OwnedFd> {
    mount::fsconfig_create(context).map_err(|e| told(context, e))?;
    mount::fsmount(context, attributes).map_err(|e| told(context, e))
}

/// The failure with what the file system says about it, if anything.
pub(crate) fn told(context: BorrowedFd<'_>, e: taru_sys::Error) -> Error {
    let said = mount::fs_log(context);
    let what = if said.is_empty() { e.call().to_owned() } else { said.join(", ") };
    failed(e.errno(), &what)
}

/// `cause` as the reason why `what` failed.
pub(crate) fn failed(cause: impl std::error::Error + Send + Sync + 'static, what: &str) -> Error {
    let Err(error) = Err::<std::convert::Infallible, _>(cause).context(|| what);
    error
}
