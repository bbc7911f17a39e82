//! A stream becomes a file that can be sought in: a squashfs has its tables at its end.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU32, Ordering};

use taru_content::Content;
use taru_stdx::{Context, Result};

/// A file without a name that has all of `reader`, beside the store: where there is room for an image.
///
/// # Errors
/// Any error of reading and of the file system.
pub(super) fn spool(mut reader: impl Read, content: &Content) -> Result<File> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    // Whoever is killed between these two calls leaves an empty file that the next open removes.
    let path = content.dir().join("ingest").join(format!("spool-{}-{number}", std::process::id()));
    let what = || format!("write `{}`", path.display());
    let _ = std::fs::remove_file(&path);
    let mut options = File::options();
    let mut file = options.read(true).write(true).create_new(true).mode(0o600).open(&path).context(what)?;
    std::fs::remove_file(&path).context(what)?;
    io::copy(&mut reader, &mut file).context(what)?;
    file.rewind().context(what)?;
    Ok(file)
}
