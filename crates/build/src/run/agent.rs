//! A socket for a step, each connection to which is one to an ssh agent.
//!
//! The agent's own socket is its owner's alone, which the step's user is not.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use taru_stdx::{Context, Result};

use crate::scratch::Scratch;

/// A socket that leads to an agent; gone when dropped.
pub(super) struct Relay {
    path: PathBuf,
    /// Where it lies: there until nobody listens any more.
    _dir: Scratch,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Listens in the directory `dir` for those who may `mode`.
    ///
    /// # Errors
    /// As bind(2); [`taru_stdx::Kind::NotFound`] without an agent.
    pub(super) fn start(dir: Scratch, agent: &Path, mode: u32) -> Result<Relay> {
        let path = dir.path().join("agent");
        let what = || format!("lead to the agent `{}`", agent.display());
        // Whether it is there is told now, not by a failing step.
        UnixStream::connect(agent).context(what)?;
        let listener = UnixListener::bind(&path).context(what)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).context(what)?;
        let ends = Arc::new(AtomicBool::new(false));
        let (agent, is_over) = (agent.to_owned(), ends.clone());
        let thread = std::thread::spawn(move || {
            for connection in listener.incoming() {
                if is_over.load(Ordering::Acquire) {
                    return;
                }
                if let (Ok(near), Ok(far)) = (connection, UnixStream::connect(&agent)) {
                    both_ways(near, far);
                }
            }
        });
        Ok(Relay { path, _dir: dir, ends, thread: Some(thread) })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn both_ways(near: UnixStream, far: UnixStream) {
    let (Ok(near_too), Ok(far_too)) = (near.try_clone(), far.try_clone()) else { return };
    for (mut from, mut to) in [(near, far), (far_too, near_too)] {
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.flush();
            let _ = to.shutdown(std::net::Shutdown::Write);
        });
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        // Wakes it up; where that cannot be done, it ends with this process.
        if UnixStream::connect(&self.path).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn what_is_said_reaches_the_agent_and_back() {
        let dir = Scratch::new(&std::env::temp_dir()).unwrap();
        let agent = dir.path().join("real");
        let listener = UnixListener::bind(&agent).unwrap();
        let echo = std::thread::spawn(move || {
            // The first connection only asks whether it is there.
            drop(listener.accept().unwrap());
            let (mut stream, _) = listener.accept().unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            stream.write_all(text.to_uppercase().as_bytes()).unwrap();
        });
        let relay = Relay::start(Scratch::new(dir.path()).unwrap(), &agent, 0o600).unwrap();
        let mut stream = UnixStream::connect(relay.path()).unwrap();
        stream.write_all(b"hello").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "HELLO");
        let path = relay.path().to_owned();
        drop(relay);
        assert!(!path.exists());
        echo.join().unwrap();
    }
}
