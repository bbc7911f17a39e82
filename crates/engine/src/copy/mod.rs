//! `taru cp`: files into and out of containers, running or ended.
//!
//! ```text
//! out    child in the container: pack ── pipe ──> taru: receive
//! in     taru: pack ── pipe ──> child in the container: receive
//! ```
//! See [`crate::inside`] for the child.

use std::fs::File;
use std::path::{Path, PathBuf};

use taru_rootdir::RootDir;
use taru_stdx::{Context, Error, Kind, Result};

use crate::inside::Failure;
use crate::{Engine, inside};

pub mod pack;
pub mod receive;

use pack::{What, pack};
use receive::{Target, extract, receive};

/// What a directory is packed as for [`receive`].
pub(crate) const HERE: &str = ".";

/// One side of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// A path of the host.
    Host(PathBuf),
    /// A tar on standard input or output.
    Stream,
    /// A path in a container.
    Container {
        /// Its name, or the beginning of its id.
        key: String,
        /// The path; below `/` if it is not absolute.
        path: PathBuf,
    },
}

impl End {
    /// `CONTAINER:PATH`, `-`, or a path of the host: one with a `:` is written with a `/` before it (`./a:b`).
    pub fn parse(text: &str) -> End {
        match text.split_once(':') {
            _ if text == "-" => End::Stream,
            Some((key, path)) if !key.is_empty() && !key.contains('/') && !key.starts_with('.') => {
                End::Container { key: key.to_owned(), path: Path::new("/").join(path) }
            }
            _ => End::Host(PathBuf::from(text)),
        }
    }
}

/// How to copy.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// A symbolic link as the source is followed.
    pub follow: bool,
    /// Owners are kept; else the copy is the writer's: root's in a container, the caller's on the host.
    pub archive: bool,
}

/// Copies from one end to the other, of which exactly one is a container. Sockets, devices and FIFOs are left out; returns
/// how many, of what came from the host.
///
/// # Errors
/// [`Kind::Invalid`] for other ends; [`Kind::NotFound`]; any error of the file systems.
pub fn copy(engine: &mut Engine, from: &End, to: &End, options: Options) -> Result<u64> {
    match (from, to) {
        (End::Container { .. }, End::Host(to)) if options.archive && engine.caller.uid != 0 => {
            let text = format!("copy to `{}` with owners: only root can give files to others", to.display());
            Err(Error::new(Kind::Permission, text).hint(
                "without --archive the copy is yours; a tar keeps owners: taru cp -a CONTAINER:PATH - > FILE",
            ))
        }
        (End::Container { key, path }, End::Host(_) | End::Stream) => {
            let path = path.clone();
            with(engine, key, |place| out_of(place, &path, to, options))
        }
        (End::Host(_) | End::Stream, End::Container { key, path }) => {
            let path = path.clone();
            with(engine, key, |place| into(place, from, &path, options))
        }
        (End::Container { .. }, End::Container { .. }) => {
            Err(Error::new(Kind::Unsupported, "copy from a container to a container")
                .hint("copy by way of the host: taru cp A:PATH - | taru cp - B:DIR"))
        }
        _ => Err(Error::invalid("copy from the host to the host: neither side is a container")
            .hint("a container's file is written CONTAINER:PATH")),
    }
}

/// Does `act` with the open file system of a container.
pub(crate) fn with<T>(
    engine: &mut Engine,
    key: &str,
    act: impl FnOnce(&inside::Place) -> Result<T>,
) -> Result<T> {
    let place = inside::open(engine, key)?;
    let done = act(&place);
    let closed = inside::close(engine, place);
    // The first failure is the one to report.
    let value = done?;
    closed.map(|()| value)
}

fn out_of(place: &inside::Place, path: &Path, to: &End, options: Options) -> Result<u64> {
    let what = What { owners: options.archive, ..What::default() };
    let (reader, writer) = pipe()?;
    // In a tar of its own a directory bears its name, as with docker cp; `receive` names it itself.
    let own = target(Path::new(""), path, options);
    let at = match to {
        End::Stream if !own.content_only && !own.name.as_os_str().is_empty() => own.name,
        _ => PathBuf::from(HERE),
    };
    // Moved: this process keeps no writing end, with which its reader would never see the end.
    let child = place.enter(move |root| pack(root, path, &at, options.follow, what, &writer).map(drop))?;
    let mut from = reader;
    let received = match to {
        End::Host(to) => receive(&from, &target(to, path, options)),
        _ => {
            std::io::copy(&mut from, &mut std::io::stdout().lock()).context(|| "write the archive").map(drop)
        }
    };
    // With it closed a child that still writes ends.
    drop(from);
    cause(child.finish(), received.map_err(Failure::from)).map(|()| 0)
}

fn into(place: &inside::Place, from: &End, path: &Path, options: Options) -> Result<u64> {
    let (reader, writer) = pipe()?;
    let mut writer = Some(writer);
    let target = match from {
        End::Host(source) => target(path, source, options),
        _ => target(path, Path::new(""), options),
    };
    let is_stream = *from == End::Stream;
    // By reference: in the child this closes the child's copy of the writing end.
    let own = &mut writer;
    let child = place.enter(move |_| {
        drop(own.take());
        match is_stream {
            true => extract(&reader, &target.path, true),
            false => receive(&reader, &Target { set_ids: true, ..target }),
        }
    })?;
    let Some(mut to) = writer else { return cause(Ok(()), child.finish()).map(|()| 0) };
    let sent = match from {
        End::Host(source) => {
            let what = What { owners: options.archive, ..What::default() };
            std::path::absolute(source).context(|| format!("find `{}`", source.display())).and_then(
                |source| {
                    pack(&RootDir::open(Path::new("/"))?, &source, Path::new(HERE), options.follow, what, &to)
                },
            )
        }
        _ => std::io::copy(&mut std::io::stdin().lock(), &mut to).context(|| "read the archive").map(|_| 0),
    };
    drop(to);
    let left_out = *sent.as_ref().unwrap_or(&0);
    cause(sent.map(drop).map_err(Failure::from), child.finish()).map(|()| left_out)
}

fn pipe() -> Result<(File, File)> {
    let (reader, writer) = taru_sys::fd::pipe().context(|| "make a pipe")?;
    Ok((File::from(reader), File::from(writer)))
}

/// What the source is called at the destination, and whether only its content is meant.
fn target(path: &Path, source: &Path, options: Options) -> Target {
    let content_only = source.as_os_str().as_encoded_bytes().ends_with(b"/.") || source == Path::new(".");
    let name = source.file_name().map(PathBuf::from).unwrap_or_default();
    Target { path: path.to_owned(), name, content_only, owners: options.archive, set_ids: false }
}

/// Of two failures the one that is the cause: the writer's, unless it is that nobody reads any more; a reader to whom nothing
/// comes does not know why.
fn cause(writer: std::result::Result<(), Failure>, reader: std::result::Result<(), Failure>) -> Result<()> {
    match (writer, reader) {
        (Err(writer), Err(reader)) if writer.was_left_alone => Err(reader.error),
        (Err(writer), _) => Err(writer.error),
        (Ok(()), reader) => reader.map_err(|failure| failure.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_apart_by_their_colon() {
        let container = |key: &str, path: &str| End::Container { key: key.into(), path: path.into() };
        assert_eq!(End::parse("web:/etc/x"), container("web", "/etc/x"));
        assert_eq!(End::parse("web:etc"), container("web", "/etc"));
        assert_eq!(End::parse("web:"), container("web", "/"));
        assert_eq!(End::parse("-"), End::Stream);
        for host in ["./a:b", "/a:b", "a", ":x", "../web:x"] {
            assert_eq!(End::parse(host), End::Host(host.into()), "{host}");
        }
    }

    #[test]
    fn names_are_those_of_the_source() {
        let of = |source: &str| {
            let target = target(Path::new("/d"), Path::new(source), Options::default());
            (target.name.display().to_string(), target.content_only)
        };
        assert_eq!(of("/a/b"), ("b".to_owned(), false));
        assert_eq!(of("/a/b/"), ("b".to_owned(), false));
        assert_eq!(of("/a/b/."), ("b".to_owned(), true));
        assert_eq!(of("."), (String::new(), true));
        assert_eq!(of("/"), (String::new(), false));
    }
}
