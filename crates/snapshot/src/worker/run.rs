//! The child's side: *stage*, then *worker*.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

use taru_oci::limits;
use taru_rootdir::RootDir;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::caps::Capabilities;
use taru_sys::ns::{self, Namespaces};
use taru_sys::process::{self, Clone};
use taru_sys::{errno, signal, user};
use taru_tar::Reader;

use super::confine;
use super::wire::{
    Compared, ImageOf, Job, Map, Order, Output, Report, Start, Users, algorithm, receive, send,
};
use crate::differ::{self, Layer, List, Sink};
use crate::inherit::{Below, resolved};
use crate::manifest::{Lines, Search};
use crate::stacked::Stacked;
use crate::stream::Stream;
use crate::unpack::{Files, Image, Target, Unpacker, adopt};
use crate::walk::Walk;
use crate::{check, copy, merge};

/// The whole life of the child.
pub(super) fn run() -> ExitCode {
    // Whatever else taru, or whoever started it, has open without close-on-exec is nothing for foreign bytes to reach.
    if taru_sys::fd::close_all_but(3, &[]).is_err() {
        return ExitCode::FAILURE;
    }
    // Standard input is the socket; without one, somebody else executed this.
    let Some(socket) = taru_sys::fd::inherited(0) else { return ExitCode::FAILURE };
    match stage(socket.as_fd()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Whoever does not listen any more does not need it.
            let _ = send(socket.as_fd(), &Report::failed(&error), &[]);
            ExitCode::FAILURE
        }
    }
}

fn die_with_parent() -> Result<()> {
    process::set_parent_death_signal(signal::SIGKILL).context(|| "die with the parent")
}

/// *stage*: takes the order, enters the user namespace, makes the worker and waits for it.
fn stage(socket: BorrowedFd<'_>) -> Result<u8> {
    die_with_parent()?;
    // A path has 2047 directories at most, each of which may be open; of each layer two files are.
    confine::limit("nofile", 4096)?;
    process::umask(0);
    let (order, mut fds) = receive::<Order>(socket)?.ok_or_else(unexpected)?;
    if !matches!(order, Order::Start) || fds.is_empty() {
        return Err(unexpected());
    }
    let Start { job, users, root, is_image, shift } = Start::from_file(&File::from(fds.remove(0)))?;
    if users == Users::Mapped {
        ns::unshare(Namespaces::USER).context(|| "make a user namespace")?;
        send(socket, &Report::NeedsMaps, &[])?;
        if !matches!(receive::<Order>(socket)?, Some((Order::Go, _))) {
            return Err(unexpected());
        }
        user::setresgid(0).context(|| "become root of the user namespace")?;
        user::setresuid(0).context(|| "become root of the user namespace")?;
        match user::setgroups(&[]) {
            // An ordinary user may not drop groups without subordinate ids; they give no right here.
            Err(e) if e.errno() == errno::PERM => {}
            done => done.context(|| "become root of the user namespace")?,
        }
        // Changing ids takes the death signal away.
        die_with_parent()?;
    }
    let namespaces =
        Namespaces::MOUNT | Namespaces::NETWORK | Namespaces::PID | Namespaces::IPC | Namespaces::UTS;
    let how = Clone { namespaces, ..Clone::default() };
    let Some(child) = process::clone3(&how).context(|| "make the worker")? else {
        let code = match work(socket, (&root, is_image), shift, job, fds) {
            Ok(()) => 0,
            Err(error) => {
                let _ = send(socket, &Report::failed(&error), &[]);
                1
            }
        };
        process::exit_now(code);
    };
    drop(fds);
    let exit = process::wait_pidfd(child.pidfd.as_fd()).context(|| "wait for the worker")?;
    match exit {
        process::Exit::Code(code) => Ok(code as u8),
        process::Exit::Signal(number) => {
            Err(Error::new(Kind::System, format!("run the worker: signal {number} ended it")))
        }
    }
}

fn unexpected() -> Error {
    Error::new(Kind::System, "run the worker: an unexpected message")
}

/// *worker*: in its namespaces, confined to the directory `root`.
fn work(
    socket: BorrowedFd<'_>,
    (root, is_image): (&[u8], bool),
    shift: Option<(Map, Map)>,
    job: Job,
    fds: Vec<OwnedFd>,
) -> Result<()> {
    die_with_parent()?;
    // What lies outside the root is opened before that is left.
    let manifests = match &job {
        Job::Compare { manifests, .. } | Job::Check { manifests, .. } => open(manifests)?,
        Job::Unpack { .. } | Job::Empty | Job::Usage | Job::Copy { .. } | Job::Merge { .. } => Vec::new(),
    };
    let source = match &job {
        Job::Copy { source } => Some(confine::view(Path::new(OsStr::from_bytes(source)))?),
        _ => None,
    };
    let root = Path::new(OsStr::from_bytes(root));
    let root = confine::enter(root, is_image, shift, !manifests.is_empty())?;
    confine::confine(root.as_fd(), source.as_ref().map(OwnedFd::as_fd), rights(&job))?;
    let mut files = fds.into_iter().map(File::from);
    let mut next = || files.next().ok_or_else(unexpected);
    match job {
        Job::Unpack { sha512, squash, skip_devices, image } => {
            let (blob, spill, manifest) = (next()?, next()?, next()?);
            // It says itself when it is done: there is a conversation in between.
            let Some(ImageOf { uuid, only_crowd }) = image else {
                let unpacker = Unpacker::new(Files::new(root)?, spill, squash, skip_devices);
                return unpack(socket, unpacker, blob, manifest, sha512);
            };
            let unpacker = Unpacker::new(Image::new(next()?, uuid, only_crowd), spill, squash, skip_devices);
            return match unpack(socket, unpacker, blob, manifest, sha512) {
                Err(error) if error.kind() == Kind::Limit => send(socket, &Report::NoRoom, &[]),
                done => done,
            };
        }
        Job::Empty => empty(&root)?,
        Job::Usage => send(socket, &usage(root)?, &[])?,
        Job::Copy { .. } => copy::copy(source.ok_or_else(unexpected)?, root)?,
        Job::Merge { changes } => merge::merge(&root, &changes)?,
        Job::Compare { tree, output, .. } => {
            let to = BufWriter::with_capacity(256 << 10, next()?);
            match output {
                Output::Layer { epoch } => {
                    let mut layer = Layer::new(to, epoch);
                    compare(root, tree, manifests, &mut layer)?;
                    layer.finish()?;
                }
                Output::List => {
                    let mut list = List::new(to);
                    compare(root, tree, manifests, &mut list)?;
                    list.finish()?;
                }
            }
        }
        Job::Check { stacked, .. } => verify(root, stacked, manifests, next()?)?,
    }
    send(socket, &Report::Done, &[])
}

/// The capabilities that a job keeps.
fn rights(job: &Job) -> Capabilities {
    capabilities(match job {
        // The file is open.
        Job::Unpack { image: Some(_), .. } => &[],
        Job::Unpack { .. } | Job::Copy { .. } | Job::Merge { .. } => {
            &["DAC_OVERRIDE", "FOWNER", "CHOWN", "FSETID", "SETFCAP", "MKNOD"]
        }
        Job::Empty => &["DAC_OVERRIDE", "FOWNER"],
        Job::Compare { .. } | Job::Check { .. } | Job::Usage => &["DAC_READ_SEARCH"],
    })
}

/// Removes all that is in `root`.
fn empty(root: &OwnedFd) -> Result<()> {
    let dir = RootDir::from_fd(root.try_clone().context(|| "empty the directory")?);
    loop {
        let entries = taru_sys::dir::getdents64(root.as_fd()).context(|| "list the directory")?;
        if entries.is_empty() {
            return Ok(());
        }
        entries.iter().try_for_each(|entry| dir.remove_all(entry.name.as_ref()))?;
        taru_sys::dir::rewind(root.as_fd()).context(|| "list the directory")?;
    }
}

/// What the tree takes on the disk.
fn usage(root: OwnedFd) -> Result<Report> {
    let (mut walk, mut seen) = (Walk::new(root), HashSet::new());
    let (mut bytes, mut files) = (0, 0);
    while let Some(found) = walk.next()? {
        // A file with several names is there once.
        if found.stat.is_dir() || found.stat.nlink == 1 || seen.insert(found.stat.ino) {
            bytes += found.stat.blocks * 512;
            files += 1;
        }
    }
    Ok(Report::Usage { bytes, files })
}

/// Writes to `to` what is not as the manifests say: of all together, or of each.
fn verify(root: OwnedFd, stacked: bool, manifests: Vec<(Lines, Search)>, to: File) -> Result<()> {
    let mut to = BufWriter::new(to);
    if stacked {
        let mut stacked = Stacked::new(manifests)?;
        check::check(Walk::new(root), || stacked.next(), &mut to)?;
    } else {
        for (mut lines, search) in manifests {
            let records = || lines.next()?.map(|record| resolved(&search, record)).transpose();
            check::check(Walk::new(root.try_clone().context(|| "check")?), records, &mut to)?;
        }
    }
    to.flush().context(|| "tell what is broken")
}

/// Opens manifests: to be read from their starts, and to be searched.
fn open(paths: &[Vec<u8>]) -> Result<Vec<(Lines, Search)>> {
    let open = |path: &Vec<u8>| {
        let path = Path::new(OsStr::from_bytes(path));
        let file = || File::open(path).context(|| format!("open `{}`", path.display()));
        Ok((Lines::new(file()?)?, Search::new(file()?)?))
    };
    paths.iter().map(open).collect()
}

fn compare(root: OwnedFd, tree: Compared, manifests: Vec<(Lines, Search)>, to: &mut impl Sink) -> Result<()> {
    let walk = Walk::new(root);
    match tree {
        Compared::Upper => {
            let below = Below::of(manifests.into_iter().map(|(_, search)| search).collect());
            differ::overlay(walk, &below, to)
        }
        Compared::Whole => {
            let mut stacked = Stacked::new(manifests)?;
            differ::whole(walk, || stacked.next(), to)
        }
    }
}

fn capabilities(names: &[&str]) -> Capabilities {
    Capabilities(names.iter().filter_map(|name| Capabilities::named(name)).fold(0, |all, one| all | one.0))
}

fn unpack<T: Target>(
    socket: BorrowedFd<'_>,
    mut unpacker: Unpacker<T>,
    blob: File,
    manifest: File,
    sha512: bool,
) -> Result<()> {
    let (entries, mut target, diff_id, size) = std::thread::scope(|scope| {
        let progress = |bytes| {
            // A parent that is gone shows at the next message that matters.
            let _ = send(socket, &Report::Progress(bytes), &[]);
        };
        let stream = Stream::start(scope, blob, algorithm(sha512), progress)?;
        let mut reader = Reader::new(stream, limits::LAYER_ENTRIES);
        let unpacked = unpacker.unpack(&mut reader);
        let ended = reader.into_inner().finish();
        let (diff_id, size) = match (unpacked, ended) {
            // A stream that broke off looks like a tar that is cut off: the first cause is the decompressor's.
            (_, Err(error)) => return Err(error),
            (Err(error), Ok(_)) => return Err(error),
            (Ok(()), Ok(ended)) => ended,
        };
        let (entries, target) = unpacker.finish(manifest)?;
        Ok((entries, target, diff_id, size))
    })?;
    let report = Report::Unpacked { diff_id: diff_id.to_string(), size, entries };
    send(socket, &report, &[])?;
    match receive::<Order>(socket)? {
        Some((Order::Adopt, mut fds)) => {
            let lines = Lines::new(File::from(fds.pop().ok_or_else(unexpected)?))?;
            adopt(&mut target, lines)?;
        }
        _ => return Err(unexpected()),
    }
    target.end()?;
    send(socket, &Report::Done, &[])
}
