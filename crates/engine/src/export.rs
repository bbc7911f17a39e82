//! `taru export`: the root of a container as a tar.

use std::fs::File;
use std::path::Path;

use taru_stdx::Result;

use crate::Engine;
use crate::copy::pack::{What, pack};
use crate::copy::{HERE, with};
use crate::whole_file;

/// Writes the whole root of the container `key`, without what is mounted in it, as a tar.
///
/// # Errors
/// As [`crate::copy::copy`].
pub fn to_stream(engine: &mut Engine, key: &str, to: &File) -> Result<()> {
    let what = What { owners: true, xattrs: true, devices: true, one_file_system: true };
    with(engine, key, |place| {
        let child =
            place.enter(|root| pack(root, Path::new("/"), Path::new(HERE), false, what, to).map(drop))?;
        child.finish().map_err(|failure| failure.error)
    })
}

/// As [`to_stream`], into a file that is there as a whole, and durable, or not at all.
///
/// # Errors
/// As [`to_stream`].
pub fn to_file(engine: &mut Engine, key: &str, path: &Path) -> Result<()> {
    whole_file::write(path, |file| to_stream(engine, key, file))
}
