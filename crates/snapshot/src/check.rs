//! Whether files on disk are still what the manifest says. Runs in the disposable child.

use std::io::Write;

use taru_stdx::{Context, Error, Result};
use taru_sys::errno;
use taru_sys::fs::FileType;

use crate::attribute::{OPAQUE, is_kept};
use crate::hash;
use crate::manifest::{Kind, Record, order};
use crate::tree::is_whiteout;
use crate::walk::{Found, Walk};

/// Compares the tree with the records, which come sorted, and writes `PATH NUL WHY NUL` of each difference.
pub(crate) fn check(
    mut walk: Walk,
    mut records: impl FnMut() -> Result<Option<Record>>,
    to: &mut impl Write,
) -> Result<()> {
    let mut broken = |path: &[u8], why: &str| {
        to.write_all(&[path, &[0], why.as_bytes(), &[0]].concat()).context(|| "tell what is broken")
    };
    let mut next = records()?;
    loop {
        // What lies behind is not known then.
        let found = walk.next().map_err(|e| match is_damage(&e) {
            true => Error::invalid("walk through the files").because(e),
            false => e,
        })?;
        while let Some(missing) =
            next.take_if(|record| found.as_ref().is_none_or(|found| order(&record.path, &found.path).is_lt()))
        {
            broken(&missing.path, "missing")?;
            next = records()?;
        }
        let Some(found) = found else { return Ok(()) };
        match next.take_if(|record| record.path == found.path) {
            None => {
                broken(&found.path, "not of the layer")?;
                walk.skip();
            }
            Some(record) => {
                let why = match difference(&walk, &found, &record) {
                    Err(e) if is_damage(&e) => Some("not readable"),
                    why => why?,
                };
                if let Some(why) = why {
                    broken(&found.path, why)?;
                }
                next = records()?;
            }
        }
    }
}

/// Whether the cause lies on the disk: in an image of which bytes are others now, or in the file system itself.
fn is_damage(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<taru_sys::Error>());
    cause.is_some_and(|cause| {
        [errno::IO, errno::UCLEAN, errno::BADMSG, errno::INVAL, errno::NOTSUP, errno::LOOP, errno::RANGE]
            .contains(&cause.errno())
    })
}

fn difference(walk: &Walk, found: &Found, record: &Record) -> Result<Option<&'static str>> {
    let stat = &found.stat;
    let kind = stat.file_type();
    let device = (stat.rdev.major, stat.rdev.minor);
    let content = match (&record.kind, kind) {
        (Kind::Whiteout, _) => return Ok((!is_whiteout(stat)).then_some("no whiteout any more")),
        (Kind::Directory { is_opaque: false } | Kind::Implicit, FileType::Directory) => None,
        (Kind::Directory { is_opaque: true }, FileType::Directory) => {
            let is = walk.xattr(found, OPAQUE).is_some_and(|value| value == b"y");
            (!is).then_some("not opaque any more")
        }
        (Kind::File { size, .. } | Kind::Sparse { size, .. }, FileType::Regular) if *size != stat.size => {
            Some("another size")
        }
        (Kind::File { hash, .. }, FileType::Regular) => match hash::of_file(&walk.open(found)?) {
            Ok(now) => (now != *hash).then_some("another content"),
            Err(_) => Some("not readable"),
        },
        (Kind::Sparse { size, hash }, FileType::Regular) => {
            match hash::of_sparse(&walk.open(found)?, *size) {
                Ok(now) => (now != *hash).then_some("another content"),
                Err(_) => Some("not readable"),
            }
        }
        (Kind::Symlink { target }, FileType::Symlink) => {
            (walk.read_link(found)? != *target).then_some("another target")
        }
        (Kind::Character { major, minor }, FileType::CharDevice)
        | (Kind::Block { major, minor }, FileType::BlockDevice) => {
            (device != (*major, *minor)).then_some("another device")
        }
        (Kind::Fifo, FileType::Fifo) => None,
        _ => Some("another type"),
    };
    if content.is_some() {
        return Ok(content);
    }
    if stat.permissions() != record.mode {
        return Ok(Some("another mode"));
    }
    if (stat.uid, stat.gid) != (record.uid, record.gid) {
        return Ok(Some("another owner"));
    }
    if stat.mtime != record.mtime {
        return Ok(Some("another time"));
    }
    Ok((walk.xattrs(found, is_kept)? != record.xattrs).then_some("other extended attributes"))
}
