//! Small files get their content on another core than the one that makes them.
//!
//! ```text
//! [untar, hash, make the file] ──Filling──> [write, owner, mode, times, close]
//! ```
//! The kernel takes about as long for the one as for the other, and a layer may be nothing but small files. What is on its
//! way is an open file: whatever becomes of its name meanwhile, linked, replaced or removed, its content goes where it
//! belongs. They go in batches, for waking a thread takes as long as filling a file, and the queue is short, so that memory
//! and descriptors are bounded.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::{self, AtFlags};

/// The largest content that is handed over, in bytes: it is copied for that.
pub(crate) const SMALL: u64 = 64 << 10;
/// Files that go at once.
const BATCH: usize = 32;
/// Batches on their way.
const QUEUE: usize = 2;

/// What an open, empty file is to become.
pub(crate) struct Filling {
    /// Its path in the layer, for errors.
    pub path: Vec<u8>,
    pub file: File,
    pub content: Vec<u8>,
    pub attributes: Attributes,
}

/// What else a file has, but for extended attributes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attributes {
    /// User and group, if they are not what a new file has.
    pub owner: Option<(u32, u32)>,
    /// The mode, if it is more than a new file can be made with.
    pub mode: Option<u32>,
    /// Seconds and nanoseconds since 1970.
    pub mtime: (i64, u32),
}

impl Attributes {
    /// Sets owner and mode; after the content, for writing takes set-id bits away.
    pub(crate) fn set_owner_and_mode(&self, file: &File) -> Result<()> {
        if let Some((uid, gid)) = self.owner {
            fs::fchownat(file.as_fd(), "".as_ref(), Some(uid), Some(gid), AtFlags::EMPTY_PATH)
                .map_err(|e| refused_owner(e, uid, gid))?;
        }
        if let Some(mode) = self.mode {
            fs::fchmod(file.as_fd(), mode).context(|| "set its mode")?;
        }
        Ok(())
    }

    /// Sets the times, last of all.
    pub(crate) fn set_times(&self, file: &File) -> Result<()> {
        fs::futimens(file.as_fd(), self.mtime, self.mtime).context(|| "set its times")
    }
}

/// A file could not be given to its owner.
pub(crate) fn refused_owner(e: taru_sys::Error, uid: u32, gid: u32) -> Error {
    let is_unknown = e.errno() == taru_sys::errno::INVAL;
    let kind = if is_unknown { Kind::Permission } else { Kind::System };
    let error = Error::new(kind, format!("give it to {uid}:{gid}")).because(e);
    match is_unknown {
        true => error.hint(
            "this user has no such ids: /etc/subuid and /etc/subgid grant them, 65536 are usual (usermod --add-subuids)",
        ),
        false => error,
    }
}

/// The thread that fills files.
pub(crate) struct Filler {
    batch: Vec<Filling>,
    queue: SyncSender<Vec<Filling>>,
    thread: JoinHandle<Result<()>>,
}

impl Filler {
    /// Starts it.
    pub(crate) fn start() -> Filler {
        let (queue, batches) = sync_channel(QUEUE);
        Filler { batch: Vec::new(), queue, thread: std::thread::spawn(move || fill_all(&batches)) }
    }

    /// Hands a file over. `false` if one before could not be filled: [`Filler::end`] tells why.
    pub(crate) fn fill(&mut self, filling: Filling) -> bool {
        self.batch.push(filling);
        self.batch.len() < BATCH || self.queue.send(std::mem::take(&mut self.batch)).is_ok()
    }

    /// Waits until all files are filled.
    ///
    /// # Errors
    /// That of the first that could not be.
    pub(crate) fn end(self) -> Result<()> {
        // The thread may have ended with an error, which is what is told then.
        let _ = self.queue.send(self.batch);
        drop(self.queue);
        self.thread.join().map_err(|_| Error::new(Kind::System, "fill files: the thread panicked"))?
    }
}

fn fill_all(batches: &Receiver<Vec<Filling>>) -> Result<()> {
    batches.iter().flatten().try_for_each(|Filling { path, mut file, content, attributes }| {
        let filled = file.write_all(&content).context(|| "write its content");
        filled
            .and_then(|()| attributes.set_owner_and_mode(&file))
            .and_then(|()| attributes.set_times(&file))
            .context(|| format!("unpack `{}`", path.escape_ascii()))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn filling(file: File, path: &str) -> Filling {
        let attributes = Attributes { owner: None, mode: Some(0o4755), mtime: (7, 5) };
        Filling { path: path.into(), file, content: b"text".to_vec(), attributes }
    }

    #[test]
    fn files_are_full_at_the_end_whatever_became_of_their_names() {
        let dir = std::env::temp_dir().join(format!("taru-fill-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let (one, two) = (dir.join("one"), dir.join("two"));
        let mut filler = Filler::start();
        assert!(filler.fill(filling(File::create(&one).unwrap(), "one")));
        std::fs::rename(&one, &two).unwrap();
        std::fs::write(&one, "another").unwrap();
        filler.end().unwrap();
        assert_eq!(std::fs::read(&two).unwrap(), b"text");
        assert_eq!(std::fs::read(&one).unwrap(), b"another");
        let stat = std::fs::metadata(&two).unwrap();
        assert_eq!((stat.mode() & 0o7777, stat.mtime(), stat.mtime_nsec()), (0o4755, 7, 5));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn the_first_error_ends_it() {
        let mut filler = Filler::start();
        let read_only = || File::open("/dev/null").unwrap();
        assert!(filler.fill(filling(read_only(), "a")));
        // However many fit into the queue: they are not waited for.
        while filler.fill(filling(read_only(), "b")) {}
        let error = filler.end().unwrap_err();
        assert_eq!(error.chain().to_string(), "unpack `a`: write its content: Bad file descriptor");
    }
}
