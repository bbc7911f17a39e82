//! Where the suite comes from: Debian's source package, unpacked below `target/` and never changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use taru_stdx::{Context, Error, Kind, Result};

use crate::archive::Archive;
use crate::{setup, workspace};

/// Releases that carry it, newest first: a mirror may lack the sources of some.
const SUITES: [&str; 3] = ["sid", "trixie", "bookworm"];
/// The process of its containers needs this of the configuration that crun's build would write.
const CONFIG: &str = "#define HAVE_SECCOMP 1\n#define HAVE_LINUX_IOPRIO_H 1\n";

/// The directory of the unpacked suite, with the program that its containers run.
pub(super) fn ensure() -> Result<PathBuf> {
    let dir = workspace::target().join("crun-suite/source");
    if !dir.join("tests/init").exists() {
        setup::install(&["gcc", "libc6-dev", "libseccomp-dev", "python3", "xz-utils"])?;
        unpack(&dir)?;
        build_init(&dir)?;
    }
    Ok(dir)
}

fn unpack(dir: &Path) -> Result<()> {
    let mut reasons = Vec::new();
    for suite in SUITES {
        match Archive::open(suite).and_then(|archive| archive.source("crun")) {
            Ok(tar) => {
                fs::create_dir_all(dir).context(|| format!("create `{}`", dir.display()))?;
                println!("crun-suite: {}", tar.file_name().unwrap_or_default().to_string_lossy());
                return workspace::check(Command::new("tar").arg("-xf").arg(&tar).arg("-C").arg(dir).args([
                    "--strip-components=1",
                    "--wildcards",
                    "*/tests",
                ]));
            }
            Err(error) => reasons.push(error),
        }
    }
    Err(Error::all(reasons).unwrap_or_else(|| Error::new(Kind::NotFound, "fetch crun's test suite")))
}

fn build_init(dir: &Path) -> Result<()> {
    let config = dir.join("config.h");
    fs::write(&config, CONFIG).context(|| format!("write `{}`", config.display()))?;
    let tests = dir.join("tests");
    workspace::check(
        Command::new("cc")
            .args(["-static", "-w", "-O1", "-I"])
            .arg(dir)
            .arg("-o")
            .arg(tests.join("init"))
            .arg(tests.join("init.c"))
            .arg("-lseccomp"),
    )
}

/// A script that takes crun's command line and executes `runtime`, which differs from crun as `script` says.
pub(super) fn shim(runtime: &Path, script: &str) -> Result<PathBuf> {
    let name = runtime.file_name().unwrap_or_default().to_string_lossy();
    let path = workspace::target().join("crun-suite").join(format!("{name}-shim"));
    let text = format!("#!/bin/bash\nruntime={}\n{script}", runtime.display());
    fs::write(&path, text).context(|| format!("write `{}`", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        .context(|| format!("make `{}` executable", path.display()))?;
    Ok(path)
}
