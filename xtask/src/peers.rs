//! `xtask peers`: today's crun and runc beside the older ones of Debian 12, to compare with.
//!
//! ```text
//! target/peers/lib/          what their packages and libraries unpack to
//! target/peers/crun/crun     the executables, bound to the loader and the libraries in lib/
//! target/peers/runc/runc
//! ```

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use taru_stdx::{Context, Result};

use crate::archive::Archive;
use crate::{setup, workspace};

/// The release that has them.
const SUITE: &str = "sid";
/// Name, and where its package puts it.
const PEERS: [(&str, &str); 2] = [("crun", "usr/bin/crun"), ("runc", "usr/sbin/runc")];

/// Fetches both unless they are there, and prints their versions.
pub(crate) fn run() -> Result<()> {
    for path in [crun()?, runc()?] {
        let version = workspace::output(Command::new(&path).arg("--version"))?;
        println!("{}: {}", path.display(), version.lines().next().unwrap_or_default());
    }
    Ok(())
}

/// A crun of the release in development.
pub(crate) fn crun() -> Result<PathBuf> {
    ensure("crun")
}

/// A runc of the release in development.
pub(crate) fn runc() -> Result<PathBuf> {
    ensure("runc")
}

fn ensure(name: &str) -> Result<PathBuf> {
    let dir = workspace::target().join("peers");
    let path = dir.join(name).join(name);
    if !path.exists() {
        fetch()?;
    }
    Ok(path)
}

fn fetch() -> Result<()> {
    setup::install(&["patchelf"])?;
    let dir = workspace::target().join("peers");
    let unpacked = dir.join("lib");
    Archive::open(SUITE)?.unpack(&PEERS.map(|(name, _)| name), &unpacked)?;
    let libraries = unpacked.join("usr/lib/x86_64-linux-gnu");
    for (name, from) in PEERS {
        let (own, temporary) = (dir.join(name), dir.join(name).join("new"));
        fs::create_dir_all(&own).context(|| format!("create `{}`", own.display()))?;
        fs::copy(unpacked.join(from), &temporary).context(|| format!("copy `{from}`"))?;
        // Both execute themselves again through /proc/self/exe, so they cannot be started through the loader.
        workspace::check(
            Command::new("patchelf")
                .arg("--set-interpreter")
                .arg(libraries.join("ld-linux-x86-64.so.2"))
                .arg("--set-rpath")
                .arg(&libraries)
                .arg(&temporary),
        )?;
        fs::rename(&temporary, own.join(name)).context(|| format!("rename `{}`", temporary.display()))?;
    }
    Ok(())
}
