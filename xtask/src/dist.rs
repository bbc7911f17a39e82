//! `xtask dist`: both executables as they are shipped, shown to be static.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use taru_stdx::{Context, Error, Kind, Result};

use crate::workspace;

/// The program header that names a dynamic linker (elf(5)): a static executable has none.
const PT_INTERP: u32 = 3;

/// Builds both executables, checks that neither needs a dynamic linker, and prints their sizes.
///
/// Returns their paths: `taru`, then `taru-runtime`.
pub(crate) fn run() -> Result<[PathBuf; 2]> {
    let mut build = workspace::cargo();
    build.args(["build", "--release", "-p", "taru", "-p", "taru-runtime-cli"]);
    if let Some(commit) = commit() {
        // What `taru-runtime --version` tells as `commit:`.
        build.env("TARU_COMMIT", commit);
    }
    workspace::check(&mut build)?;
    let both = [workspace::executable("release", "taru")?, workspace::executable("release", "taru-runtime")?];
    for path in &both {
        let bytes = fs::read(path).context(|| format!("read `{}`", path.display()))?;
        if is_dynamic(&bytes)
            .ok_or_else(|| Error::invalid(format!("`{}` is no ELF file of 64 bits", path.display())))?
        {
            return Err(Error::new(
                Kind::Invalid,
                format!("`{}` is not static: it names a dynamic linker", path.display()),
            ));
        }
        println!("{:<14} {:>9} bytes, static", name(path), bytes.len());
    }
    Ok(both)
}

/// The commit that is built; none outside a checkout.
fn commit() -> Option<String> {
    let mut git = Command::new("git");
    git.args(["describe", "--always", "--dirty", "--abbrev=12"]).current_dir(workspace::root());
    Some(workspace::output(&mut git).ok()?.trim().to_owned()).filter(|commit| !commit.is_empty())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether an ELF executable names a dynamic linker; `None` when it is no little-endian ELF file of 64 bits.
fn is_dynamic(elf: &[u8]) -> Option<bool> {
    if elf.get(..6)? != [0x7f, b'E', b'L', b'F', 2, 1] {
        return None;
    }
    let u16_at = |at: usize| Some(u16::from_le_bytes(elf.get(at..at + 2)?.try_into().ok()?));
    let offset = usize::try_from(u64::from_le_bytes(elf.get(32..40)?.try_into().ok()?)).ok()?;
    let (size, count) = (usize::from(u16_at(54)?), usize::from(u16_at(56)?));
    for header in 0..count {
        let at = offset.checked_add(header.checked_mul(size)?)?;
        if u32::from_le_bytes(elf.get(at..at.checked_add(4)?)?.try_into().ok()?) == PT_INTERP {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::is_dynamic;

    #[test]
    fn tells_static_from_dynamic() {
        let this = std::fs::read("/proc/self/exe").unwrap();
        assert_eq!(is_dynamic(&this), Some(false), "the workspace builds statically");
        if let Ok(dynamic) = std::fs::read("/usr/bin/env") {
            assert_eq!(is_dynamic(&dynamic), Some(true));
        }
        assert_eq!(is_dynamic(b"#!/bin/sh"), None);
        assert_eq!(is_dynamic(&this[..60]), None);
    }
}
