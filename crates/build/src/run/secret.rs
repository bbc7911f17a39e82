//! `RUN --mount=type=secret`: a file in memory, or a variable, for the step alone.

use std::path::PathBuf;

use taru_engine::step::{Extra, ExtraSource, Extras};
use taru_engine::{Engine, memory};
use taru_stdx::{Context, Error, Kind, Result};

use super::Around;
use crate::options::Secret;
use crate::stage::Mount;

/// Bytes of a secret.
const LIMIT: u64 = 500 << 10;

/// Adds a secret to what the container gets; one that nobody gave is none, unless it is required.
pub(super) fn add(engine: &Engine, mount: &Mount, around: &Around<'_>, extras: &mut Extras) -> Result<()> {
    let what = || format!("give the secret `{}` to the step", mount.id);
    let Some(secret) = around.options.secrets.get(&mount.id) else {
        if mount.required {
            let hint = format!("--secret id={},src=FILE", mount.id);
            return Err(Error::new(Kind::NotFound, format!("{}: nobody gave it", what())).hint(hint));
        }
        return Ok(());
    };
    let content = content(secret, what)?;
    if let Some(name) = &mount.env {
        check_in_memory(engine, what)?;
        let text = std::str::from_utf8(&content)
            .map_err(|e| Error::invalid(format!("{}: it is no text for a variable", what())).because(e))?;
        extras.env.push(format!("{name}={text}"));
    }
    if !mount.target.is_empty() {
        let (mode, owner) = (mount.mode.unwrap_or(0o400), (mount.uid, mount.gid));
        extras.mounts.push(Extra {
            target: PathBuf::from(&mount.target),
            source: ExtraSource::File { content, mode, owner },
        });
    }
    Ok(())
}

fn content(secret: &Secret, what: impl Fn() -> String) -> Result<Vec<u8>> {
    match secret {
        Secret::File(path) => taru_stdx::fs::read_bounded(path, LIMIT).context(what),
        Secret::Variable(name) => match std::env::var_os(name) {
            Some(value) => Ok(std::os::unix::ffi::OsStringExt::into_vec(value)),
            None => Err(Error::new(Kind::NotFound, format!("{}: no variable `{name}`", what()))),
        },
    }
}

/// The runtime is told its variables in files: those must not be on a disk.
fn check_in_memory(engine: &Engine, what: impl Fn() -> String) -> Result<()> {
    let run = engine.dirs.run();
    if memory::is_volatile(run).context(&what)? {
        return Ok(());
    }
    let text = format!("{} as a variable: it would be written to the disk below `{}`", what(), run.display());
    Err(Error::new(Kind::Unsupported, text)
        .hint("mount it as a file, which stays in memory; or name a --root on a tmpfs, or none"))
}
