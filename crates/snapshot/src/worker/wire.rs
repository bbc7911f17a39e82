//! What `taru` and the disposable child say to each other.

use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::{BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};
use taru_oci::Algorithm;
use taru_stdx::fs::read_file_bounded;
use taru_stdx::{Context, Error, Flat, Kind, Result};
use taru_sys::socket;

/// Bytes of a message; an error quotes names of at most 4 KiB, each byte of which may be four as JSON.
const MESSAGE: usize = 64 << 10;
/// Bytes of a [`Start`]: a path of 4 KiB, each byte a number of its own, for each of 500 layers.
const START: u64 = 16 << 20;

/// What the child is to do. The descriptors that belong to it follow in this order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Job {
    /// Into the root, or into an image. Descriptors: the blob, an empty file to sort in, an empty file for the manifest, one
    /// for the image.
    Unpack { sha512: bool, squash: bool, skip_devices: bool, image: Option<ImageOf> },
    /// Removes all that is in the root.
    Empty,
    /// Counts what is in the root.
    Usage,
    /// Copies the directory of this path into the root, which is empty.
    Copy { source: Vec<u8> },
    /// Merges a directory of the root, a layer's changes, into the root.
    Merge { changes: String },
    /// Writes how the root differs from what the manifests say, topmost first. Descriptor: where to.
    Compare { manifests: Vec<Vec<u8>>, tree: Compared, output: Output },
    /// Writes what in the root is not as the manifests say, topmost first. Descriptor: where to.
    /// `stacked`: as one tree, else the root is that of the only manifest.
    Check { manifests: Vec<Vec<u8>>, stacked: bool },
}

/// An image that a layer is to become.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct ImageOf {
    /// That of its file system.
    pub(crate) uuid: [u8; 16],
    /// Whether only a crowd of small files is to become one: what begins otherwise finds no room in it.
    pub(crate) only_crowd: bool,
}

/// What the root is of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Compared {
    /// Overlay's upper directory.
    Upper,
    /// All of it.
    Whole,
}

/// In which form changes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Output {
    /// A tar, in which no file is newer than this.
    Layer { epoch: Option<i64> },
    /// A list.
    List,
}

/// A map as numbers: inside, outside, how many.
pub(crate) type Map = Vec<(u32, u32, u32)>;

/// How the child comes to its ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Users {
    /// Those of the host.
    Host,
    /// A user namespace whose maps the parent writes.
    Mapped,
}

/// What is to be done: the manifests of hundreds of layers are too much for a message.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) job: Job,
    pub(crate) users: Users,
    /// The path of the directory that becomes the worker's root: a descriptor would be one of our mount namespace, of which the
    /// worker's can bind nothing.
    pub(crate) root: Vec<u8>,
    /// Whether that is an image of erofs, which the worker mounts, and no directory.
    pub(crate) is_image: bool,
    /// The ids (of users, of groups) that files have there, and those that the worker sees.
    pub(crate) shift: Option<(Map, Map)>,
}

impl Start {
    /// As a file in memory, to be read from its start.
    pub(crate) fn to_file(&self) -> Result<File> {
        let what = || "write what the worker is to do";
        let text = serde_json::to_vec(self).context(what)?;
        let mut file = File::from(taru_sys::fd::memfd_create(c"job", false).context(what)?);
        file.write_all(&text).and_then(|()| file.rewind()).context(what)?;
        Ok(file)
    }

    pub(crate) fn from_file(file: &File) -> Result<Start> {
        let what = || "read what the worker is to do".to_owned();
        serde_json::from_slice(&read_file_bounded(file, START, what)?).context(what)
    }
}

/// What `taru` says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// The first message. Descriptors: a file in memory with the [`Start`], then those of its job.
    Start,
    /// The maps are written.
    Go,
    /// Descriptor: records of directories with the attributes they are to have.
    Adopt,
}

/// What the child says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The user namespace is there and has no maps.
    NeedsMaps,
    /// Bytes of the blob that were read.
    Progress(u64),
    /// The layer is on disk, its manifest is written. An `Adopt` is waited for.
    Unpacked { diff_id: String, size: u64, entries: u64 },
    /// An image has no room for the layer: files may.
    NoRoom,
    /// What is in the root takes.
    Usage { bytes: u64, files: u64 },
    /// The job is done.
    Done,
    /// It could not be done.
    Failed { kind: u8, lines: Vec<String>, hints: Vec<String> },
}

impl Report {
    pub(crate) fn failed(error: &Error) -> Report {
        let Flat { kind, mut lines, mut hints } = error.to_flat();
        for line in lines.iter_mut().chain(&mut hints) {
            if line.len() > 2000 {
                let end = (0..=2000).rev().find(|&end| line.is_char_boundary(end)).unwrap_or(0);
                line.truncate(end);
                line.push_str(" ...");
            }
        }
        lines.truncate(6);
        hints.truncate(4);
        Report::Failed { kind: kind.number(), lines, hints }
    }

    /// The error of a failure; anything else as it is.
    pub(crate) fn check(self) -> Result<Report> {
        match self {
            Report::Failed { kind, lines, hints } => {
                Err(Error::from(Flat { kind: Kind::of_number(kind), lines, hints }))
            }
            report => Ok(report),
        }
    }
}

pub(crate) fn algorithm(sha512: bool) -> Algorithm {
    if sha512 { Algorithm::Sha512 } else { Algorithm::Sha256 }
}

pub(crate) fn send(to: BorrowedFd<'_>, message: &impl Serialize, fds: &[BorrowedFd<'_>]) -> Result<()> {
    let what = || "send a message";
    let text = serde_json::to_vec(message).context(what)?;
    socket::send_with_fds(to, &text, fds).map(drop).context(what)
}

/// The next message and its descriptors; `None` where the other end is closed.
pub(crate) fn receive<M: for<'de> Deserialize<'de>>(
    from: BorrowedFd<'_>,
) -> Result<Option<(M, Vec<OwnedFd>)>> {
    let what = || "receive a message";
    let message = match socket::receive_with_fds(from, MESSAGE) {
        Err(e) if e.errno() == taru_sys::errno::CONNRESET => return Ok(None),
        message => message.context(what)?,
    };
    if message.data.is_empty() {
        return Ok(None);
    }
    Ok(Some((serde_json::from_slice(&message.data).context(what)?, message.fds)))
}
