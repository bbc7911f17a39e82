//! What the host process and init say to each other while a container is made.
//!
//! ```text
//!  host                                         init
//!   │  id maps, rlimits, oom score                │ waits
//!   │ ── Go ────────────────────────────────────▶ │ network namespace, joins others, mounts
//!   │  control groups and their limits            │ ... and waits where it needs them
//!   │ ── Groups (the way into them, mounts) ────▶ │ joins, mounts
//!   │ ◀───────────────────────────── Prepared ─── │ only if the host has something to do there:
//!   │  hooks prestart, createRuntime; devices     │ waits
//!   │ ── Continue ──────────────────────────────▶ │ hooks createContainer, pivot_root, masks,
//!   │ ◀──────────── Terminal (its main side) ──── │ terminal, identity
//!   │ ◀──────────────────────────────── Ready ─── │ the container is created
//!   │ ── Start, or a connection to start.sock ──▶ │ hooks startContainer
//!   │ ◀────────────── Listener (seccomp's fd) ─── │
//!   │ ── Continue ──────────────────────────────▶ │ execve
//!   │ ◀──────── closed: the program runs; Failed ─│
//! ```
//!
//! `run` sends `Start` right behind `Groups` where it has nothing to do in between; then init waits no more.
//!
//! While it waits for `Start`, init is seen by root alone. To whoever may connect to start.sock, and so may start it, it shows
//! itself for as long as another connection lasts:
//!
//! ```text
//!   │ ── Show ──────────────────────────────────▶ │ visible: its owner may enter its namespaces
//!   │ ◀──────────────────────────────── Shown ─── │
//!   │ ── closed ────────────────────────────────▶ │ hidden again
//! ```
//!
//! A *stage* process stands between the two where namespaces must be joined before the new ones are
//! made; it says `Cloned` and is gone. `Failed` may come at any time and carries the whole error.
//! The socket keeps message boundaries; it is close-on-exec, so that execve(2) itself says "done".

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use taru_stdx::{Context, Error, Flat, Kind, Result};
use taru_sys::{errno, fs, socket};

/// The longest message. An error that is longer with its hints is cut; paths of control groups are not, see [`Groups`].
const LIMIT: usize = 32 << 10;

/// One thing said. See the drawing in the module's documentation.
#[derive(Debug)]
pub(crate) enum Message {
    /// Host to init: your ids are mapped.
    Go,
    /// Host to init: your control groups are made.
    Groups(Groups),
    /// Stage to host: init is this child of yours.
    Cloned(i32),
    /// Init to host: namespaces and mounts stand, `pivot_root` is next.
    Prepared,
    /// Host to init: go on.
    Continue,
    /// Init to host: the main side of the terminal comes with this.
    Terminal(OwnedFd),
    /// Init to host: the listener of the seccomp filter comes with this.
    Listener(OwnedFd),
    /// Init to host: all is done but execve; these warnings are worth a line.
    Ready(Vec<String>),
    /// Host to init: execute the program.
    Start,
    /// Somebody who may start it to init: let me enter your namespaces.
    Show,
    /// Init in answer to `Show`: as long as you stay connected.
    Shown,
    /// Init to host: this went wrong, and I end.
    Failed(Error),
}

/// Control groups that are ready to be joined.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    /// [`taru_cgroup::Joiner::files`] of those that init is not in already.
    pub files: Vec<OwnedFd>,
    /// Their directories, by hierarchy.
    pub paths: BTreeMap<String, PathBuf>,
    /// Their mounts in the order of the paths, for the plan's first mount of control groups; none where init makes them.
    pub mounts: Vec<OwnedFd>,
}

impl Message {
    fn name(&self) -> &'static str {
        match self {
            Message::Go => "Go",
            Message::Groups(_) => "Groups",
            Message::Cloned(_) => "Cloned",
            Message::Prepared => "Prepared",
            Message::Continue => "Continue",
            Message::Terminal(_) => "Terminal",
            Message::Listener(_) => "Listener",
            Message::Ready(_) => "Ready",
            Message::Start => "Start",
            Message::Show => "Show",
            Message::Shown => "Shown",
            Message::Failed(_) => "Failed",
        }
    }
}

/// One end of the conversation.
#[derive(Debug)]
pub(crate) struct Link(OwnedFd);

impl Link {
    /// Both ends: the host's, then init's.
    pub(crate) fn pair() -> Result<(Link, Link)> {
        let (host, init) = socket::seqpacket_pair().context(|| "make the socket to init")?;
        Ok((Link(host), Link(init)))
    }

    /// Says one thing.
    pub(crate) fn send(&self, message: &Message) -> Result<()> {
        self.transmit(message).context(|| format!("send `{}` to the other process", message.name()))
    }

    /// Says one thing to somebody who may have ended in the meantime, and then has said why.
    pub(crate) fn offer(&self, message: &Message) -> Result<()> {
        match self.transmit(message) {
            Err(e) if e.errno() == errno::PIPE || e.errno() == errno::CONNRESET => Ok(()),
            other => other.context(|| format!("send `{}` to the other process", message.name())),
        }
    }

    fn transmit(&self, message: &Message) -> taru_sys::Result<()> {
        let (bytes, fds) = encode(message);
        socket::send_with_fds(self.0.as_fd(), &bytes, &fds).map(drop)
    }

    /// The next thing said; `None` once the other end is closed.
    pub(crate) fn receive(&self) -> Result<Option<Message>> {
        let hear = || socket::receive_with_fds(self.0.as_fd(), LIMIT);
        let received = match hear() {
            // The other process ended with messages of ours unread. That is said once, and before what it had to say.
            Err(e) if e.errno() == errno::CONNRESET => hear(),
            other => other,
        };
        let received = received.context(|| "hear from the other process")?;
        if received.data.is_empty() {
            return Ok(None);
        }
        decode(&received.data, received.fds)
            .map(Some)
            .ok_or_else(|| Error::new(Kind::System, "hear from the other process: not a message of ours"))
    }

    /// The next thing said, which must pick out of `expected`; `Failed` becomes the error it carries.
    pub(crate) fn expect<T>(
        &self,
        who: &str,
        expected: impl FnOnce(Message) -> std::result::Result<T, Message>,
    ) -> Result<T> {
        match self.receive()? {
            None => Err(silent(who)),
            Some(Message::Failed(error)) => Err(error),
            Some(message) => expected(message)
                .map_err(|m| Error::new(Kind::System, format!("{who} said `{}` out of turn", m.name()))),
        }
    }
}

/// The error of a process that ended without having said anything.
pub(crate) fn silent(who: &str) -> Error {
    Error::new(Kind::System, format!("{who} ended without a word"))
        .hint("it was killed: out of memory, a limit of the cgroup, or a signal")
}

impl From<OwnedFd> for Link {
    fn from(socket: OwnedFd) -> Link {
        Link(socket)
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Acts on a socket's path with its directory by descriptor: its path may be longer than a socket address takes.
pub(crate) fn through_descriptor<T, E>(
    path: &Path,
    act: impl FnOnce(&Path) -> std::result::Result<T, E>,
) -> Result<T>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let what = || format!("reach `{}`", path.display());
    let dir = path.parent().unwrap_or(Path::new("/"));
    let flags = fs::OpenFlags::PATH | fs::OpenFlags::DIRECTORY;
    let dir = fs::openat(fs::CWD, dir, flags, 0).context(what)?;
    let name = path.file_name().unwrap_or_default();
    let short = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name);
    act(&short).context(what)
}

fn encode(message: &Message) -> (Vec<u8>, Vec<BorrowedFd<'_>>) {
    match message {
        Message::Go => (vec![b'g'], Vec::new()),
        Message::Groups(groups) => (groups.encode(), groups.descriptors()),
        Message::Cloned(pid) => ([&b"c"[..], &pid.to_le_bytes()].concat(), Vec::new()),
        Message::Prepared => (vec![b'p'], Vec::new()),
        Message::Continue => (vec![b'n'], Vec::new()),
        Message::Terminal(fd) => (vec![b't'], vec![fd.as_fd()]),
        Message::Listener(fd) => (vec![b'l'], vec![fd.as_fd()]),
        Message::Ready(warnings) => (join(b'r', warnings.iter().map(String::as_str)), Vec::new()),
        Message::Start => (vec![b's'], Vec::new()),
        Message::Show => (vec![b'v'], Vec::new()),
        Message::Shown => (vec![b'w'], Vec::new()),
        Message::Failed(error) => (encode_error(error), Vec::new()),
    }
}

impl Groups {
    /// How many of the descriptors are mounts; then names and paths in turn, each ended by NUL: a dozen at most, with room for
    /// 2500 bytes each. Whoever nests groups deeper is told by the one who receives it.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![b'j', self.mounts.len() as u8];
        for (name, path) in &self.paths {
            bytes.extend([name.as_bytes(), b"\0", path.as_os_str().as_bytes(), b"\0"].concat());
        }
        bytes
    }

    /// The mounts behind the files.
    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.files.iter().chain(&self.mounts).map(AsFd::as_fd).collect()
    }

    fn decode(bytes: &[u8], mut files: Vec<OwnedFd>) -> Option<Groups> {
        let (mounts, bytes) = bytes.split_first()?;
        let mounts = files.split_off(files.len().checked_sub(usize::from(*mounts))?);
        let mut parts = bytes.split(|b| *b == 0);
        let mut paths = BTreeMap::new();
        while let (Some(name), Some(path)) = (parts.next(), parts.next()) {
            let name = std::str::from_utf8(name).ok()?;
            paths.insert(name.to_owned(), PathBuf::from(OsStr::from_bytes(path)));
        }
        Some(Groups { files, paths, mounts })
    }
}

/// An error as bytes: its class, its lines and its hints, for a socket that is not a [`Link`] too.
pub(crate) fn encode_error(error: &Error) -> Vec<u8> {
    let flat = error.to_flat();
    let (class, number) = class_to_wire(flat.kind);
    let head = format!("{class} {number} {}", flat.lines.len());
    join(
        b'f',
        [head.as_str()]
            .into_iter()
            .chain(flat.lines.iter().map(String::as_str))
            .chain(flat.hints.iter().map(String::as_str)),
    )
}

/// The error in bytes made by [`encode_error`].
pub(crate) fn decode_error(bytes: &[u8]) -> Option<Error> {
    let (b'f', rest) = bytes.split_first()? else { return None };
    let mut parts = split(rest)?.into_iter();
    let head = parts.next()?;
    let mut words = head.split(' ').map(str::parse::<i32>);
    let (class, number, lines) = (words.next()?.ok()?, words.next()?.ok()?, words.next()?.ok()?);
    let lines: Vec<String> = parts.by_ref().take(usize::try_from(lines).ok()?).collect();
    Some(Error::from(Flat { kind: class_from_wire(class, number), lines, hints: parts.collect() }))
}

fn decode(data: &[u8], mut fds: Vec<OwnedFd>) -> Option<Message> {
    let (tag, rest) = data.split_first()?;
    if *tag == b'j' {
        return Groups::decode(rest, fds).map(Message::Groups);
    }
    let fd = fds.pop();
    let pid = || rest.try_into().ok().map(i32::from_le_bytes);
    Some(match tag {
        b'g' => Message::Go,
        b'c' => Message::Cloned(pid()?),
        b'p' => Message::Prepared,
        b'n' => Message::Continue,
        b't' => Message::Terminal(fd?),
        b'l' => Message::Listener(fd?),
        b'r' => Message::Ready(split(rest)?),
        b's' => Message::Start,
        b'v' => Message::Show,
        b'w' => Message::Shown,
        b'f' => Message::Failed(decode_error(data)?),
        _ => return None,
    })
}

/// Strings behind a tag, each ended by NUL; what does not fit into a message is cut off.
fn join<'a>(tag: u8, parts: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut bytes = vec![tag];
    for part in parts {
        let room = LIMIT.saturating_sub(bytes.len() + 1);
        let mut end = part.len().min(room);
        while !part.is_char_boundary(end) {
            end -= 1;
        }
        bytes.extend(part.as_bytes()[..end].iter().map(|b| if *b == 0 { b'?' } else { *b }));
        if room > 0 {
            bytes.push(0);
        }
    }
    bytes
}

fn split(bytes: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(bytes).ok()?;
    Some(text.split_terminator('\0').map(str::to_owned).collect())
}

/// The number that stands for `Exec`, which has a status.
const EXEC: i32 = 9;

fn class_to_wire(kind: Kind) -> (i32, i32) {
    match kind {
        Kind::Exec(status) => (EXEC, status),
        kind => (kind.number().into(), 0),
    }
}

fn class_from_wire(class: i32, status: i32) -> Kind {
    match class {
        EXEC => Kind::Exec(status),
        class => u8::try_from(class).map_or(Kind::System, Kind::of_number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_errors_cross_whole() {
        let (host, init) = Link::pair().unwrap();
        init.send(&Message::Ready(vec!["a".into(), "b".into()])).unwrap();
        let warnings = host
            .expect("init", |m| match m {
                Message::Ready(w) => Ok(w),
                other => Err(other),
            })
            .unwrap();
        assert_eq!(warnings, ["a", "b"]);

        let error = Error::new(Kind::Exec(127), "inner").hint("h");
        init.send(&Message::Failed(Error::invalid("outer").because(error))).unwrap();
        let e = host
            .expect("init", |m| if matches!(m, Message::Prepared) { Ok(()) } else { Err(m) })
            .unwrap_err();
        assert_eq!(e.chain().to_string(), "outer: inner");
        assert_eq!(e.kind(), Kind::Invalid);
        assert_eq!(e.hints(), ["h"]);

        let paths = [("", "/g/v2"), ("memory", "/g/memory")];
        let paths = paths.map(|(name, path)| (name.to_owned(), PathBuf::from(path)));
        let null = || std::fs::File::open("/dev/null").unwrap().into();
        let zero = || std::fs::File::open("/dev/zero").unwrap().into();
        let of = |fd: &OwnedFd| fs::fstat(fd.as_fd()).unwrap().rdev.minor;
        let (files, mounts) = (vec![null(), null()], vec![zero()]);
        init.send(&Message::Groups(Groups { files, paths: paths.clone().into(), mounts })).unwrap();
        let Some(Message::Groups(groups)) = host.receive().unwrap() else { panic!("another message") };
        assert_eq!(groups.paths, BTreeMap::from(paths));
        let minors = [groups.files, groups.mounts].map(|all| all.iter().map(of).collect::<Vec<_>>());
        assert_eq!(minors, [vec![3, 3], vec![5]]);

        init.send(&Message::Failed(Error::invalid("x".repeat(100_000)))).unwrap();
        assert!(matches!(host.receive().unwrap(), Some(Message::Failed(_))));
        init.send(&Message::Go).unwrap();
        let e = host
            .expect("init", |m| if matches!(m, Message::Prepared) { Ok(()) } else { Err(m) })
            .unwrap_err();
        assert_eq!(e.to_string(), "init said `Go` out of turn");
        init.send(&Message::Prepared).unwrap();
        host.send(&Message::Continue).unwrap();
        drop(init);
        let last = host.receive().unwrap();
        assert!(
            matches!(last, Some(Message::Prepared)),
            "what was said before the end, with ours unread: {last:?}"
        );
        assert!(host.receive().unwrap().is_none());
    }
}
