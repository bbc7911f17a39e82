//! An assembly as the tar of a layer.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use taru_stdx::{Context, Result};
use taru_sys::fs::FileType;
use taru_tar::{self as tar, Writer};

use super::body::{Body, FirstNames};
use super::{Assembly, Content, Entry};

impl Assembly {
    /// Writes the layer as a tar archive, sorted by path; links to other entries last. No time in it is after `clamp`.
    ///
    /// # Errors
    /// Any error of reading what it is made of, and of writing.
    pub(crate) fn write(mut self, out: &mut dyn Write, clamp: Option<i64>) -> Result<()> {
        self.add_parents()?;
        let mut tar = Writer::new(out);
        let mut names = FirstNames::default();
        for (path, entry) in self.ordered() {
            let what = || format!("write `/{}` into the layer", path.display());
            append(&mut tar, path, entry, clamp, &mut names).context(what)?;
        }
        tar.finish().map(drop)
    }
}

fn append(
    tar: &mut Writer<&mut dyn Write>,
    path: &Path,
    entry: &Entry,
    clamp: Option<i64>,
    names: &mut FirstNames,
) -> Result<()> {
    let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
    let first = names.of(&entry.content, path);
    let body = if first.is_none() { Body::of(&entry.content)? } else { None };
    let kind = match (&entry.content, first, &body) {
        (_, Some(first), _) => tar::Kind::Link { target: bytes(&first) },
        (_, None, Some(body)) => tar::Kind::File { size: body.size, pieces: body.pieces.clone() },
        (Content::Symlink(target), ..) => tar::Kind::Symlink { target: bytes(target) },
        (Content::Hardlink(target), ..) => tar::Kind::Link { target: bytes(target) },
        (Content::Node(kind, device), ..) => match kind {
            FileType::Fifo => tar::Kind::Fifo,
            FileType::BlockDevice => tar::Kind::Block { major: device.major, minor: device.minor },
            _ => tar::Kind::Character { major: device.major, minor: device.minor },
        },
        (Content::Directory | Content::File(..) | Content::Spooled(_) | Content::Bytes(_), ..) => {
            tar::Kind::Directory
        }
    };
    let is_link = matches!(kind, tar::Kind::Link { .. });
    let attributes = entry.attributes.iter().filter(|_| !is_link);
    let mtime = match clamp {
        Some(limit) if entry.mtime > (limit, 0) => (limit, 0),
        _ => entry.mtime,
    };
    tar.entry(&tar::Entry {
        path: bytes(path),
        mode: if matches!(kind, tar::Kind::Symlink { .. }) { 0o777 } else { entry.mode },
        kind,
        uid: entry.owner.0,
        gid: entry.owner.1,
        mtime,
        xattrs: attributes.map(|(name, value)| (name.as_bytes().to_vec(), value.clone())).collect(),
        records: Vec::new(),
    })?;
    body.map_or(Ok(()), |body| body.each(&mut |_, bytes| tar.content(bytes)))
}
