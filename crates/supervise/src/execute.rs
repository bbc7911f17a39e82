//! How the supervisor executes the runtime: a child with the standard streams it is given and nothing else of ours.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;

use taru_stdx::{Context, Result};
use taru_sys::process::{self, Child, Clone, Program};
use taru_sys::{fd, signal};

use crate::streams::Theirs;

/// Executes `words` with the given standard streams; the null device stands for those missing. The environment is
/// the supervisor's, without the variables that begin with one of `hidden`.
pub(crate) fn spawn(words: Vec<OsString>, streams: &Theirs, hidden: &[&str]) -> Result<Child> {
    let what = || "execute the runtime";
    let null = File::options().read(true).write(true).open("/dev/null").context(|| "open `/dev/null`")?;
    let env = std::env::vars_os()
        .filter(|(name, _)| !hidden.iter().any(|h| name.as_encoded_bytes().starts_with(h.as_bytes())))
        .map(|(name, value)| [name, value].join(&OsString::from("=")).into_vec());
    let path = words.first().cloned().unwrap_or_default().into_vec();
    let program = Program::new(path, words.into_iter().map(OsString::into_vec), env).context(what)?;
    if let Some(child) = process::clone3(&Clone::default()).context(what)? {
        return Ok(child);
    }
    for (number, stream) in (0..).zip(streams) {
        let stream = stream.as_ref().map_or(null.as_fd(), AsFd::as_fd);
        if fd::replace_standard(stream, number).is_err() {
            process::exit_now(126);
        }
    }
    signal::reset_all();
    let _ = program.execve();
    process::exit_now(126)
}
