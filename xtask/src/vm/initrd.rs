//! The initial file system: busybox, the kernel's modules for the root, and what is to be run.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use taru_stdx::{Context, Error, Kind, Result};

use super::machine::{Exchange, Machine};
use crate::workspace;

/// What init.sh calls by name.
const APPLETS: &[&str] = &[
    "sh",
    "mount",
    "mkdir",
    "insmod",
    "cat",
    "cp",
    "chmod",
    "switch_root",
    "sleep",
    "echo",
    "poweroff",
    "printf",
];

/// A kernel's modules.
pub(super) struct Modules {
    /// `.../lib/modules/RELEASE`.
    pub(super) dir: PathBuf,
    /// Those that the guest's root needs.
    pub(super) names: &'static [&'static str],
}

impl Modules {
    /// The only release below `parent`.
    pub(super) fn below(parent: &Path, names: &'static [&'static str]) -> Result<Modules> {
        let what = || format!("find a kernel's modules in `{}`", parent.display());
        let entry = fs::read_dir(parent).context(what)?.flatten().next();
        entry
            .map(|entry| Modules { dir: entry.path(), names })
            .ok_or_else(|| Error::new(Kind::NotFound, what()))
    }

    fn release(&self) -> String {
        self.dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Where the guest looks for them.
    pub(super) fn mount_point(&self) -> String {
        format!("/usr/lib/modules/{}", self.release())
    }

    /// The files to load, in order.
    fn files(&self, scratch: &Path) -> Result<Vec<PathBuf>> {
        let base = scratch.join("base");
        let parent = base.join("lib/modules");
        fs::create_dir_all(&parent).context(|| format!("create `{}`", parent.display()))?;
        symlink(&self.dir, parent.join(self.release())).context(|| "link the modules")?;
        if !self.dir.join("modules.dep").exists() {
            workspace::check(Command::new("depmod").arg("-b").arg(&base).arg(self.release()))?;
        }
        let mut files: Vec<PathBuf> = Vec::new();
        for name in self.names {
            let listing = workspace::output(Command::new("modprobe").arg("-d").arg(&base).args([
                "-S",
                &self.release(),
                "--show-depends",
                name,
            ]))?;
            // Lines are `insmod PATH`, or `builtin NAME`.
            for path in listing.lines().filter_map(|line| line.strip_prefix("insmod ")) {
                let path = PathBuf::from(path.trim());
                if !files.contains(&path) {
                    files.push(path);
                }
            }
        }
        Ok(files)
    }
}

/// A directory of the host, where the guest sees it, and whether it may write there.
pub(super) struct Share {
    pub(super) host: PathBuf,
    pub(super) guest: String,
}

/// Packs everything for one run and returns the archive.
///
/// `settings` are lines for init.sh, beside those that every kernel needs.
pub(super) fn pack(
    machine: &Machine,
    exchange: &Exchange,
    modules: &Modules,
    settings: &str,
) -> Result<PathBuf> {
    let tree = exchange.dir().join("initrd");
    for dir in ["bin", "dev", "proc", "sys", "modules", "lower", "upper", "share", "root"] {
        fs::create_dir_all(tree.join(dir))
            .context(|| format!("create `{dir}` of the initial file system"))?;
    }
    copy(Path::new("/bin/busybox"), &tree.join("bin/busybox"))?;
    for applet in APPLETS {
        symlink("busybox", tree.join("bin").join(applet)).context(|| format!("link `{applet}`"))?;
    }
    for (n, file) in modules.files(exchange.dir())?.iter().enumerate() {
        copy(file, &tree.join("modules").join(format!("{n:03}.ko")))?;
    }
    script(&tree.join("init"), include_bytes!("init.sh"))?;
    script(&tree.join("pid1"), include_bytes!("pid1.sh"))?;
    script(&tree.join("command"), &machine.script())?;
    let settings = format!("SYSTEMD={}\n{settings}", u8::from(machine.systemd));
    fs::write(tree.join("settings"), settings).context(|| "write the settings")?;
    let archive = exchange.dir().join("initrd.cpio");
    workspace::check(
        Command::new("sh")
            .args(["-c", "find . | cpio --quiet -o -H newc > \"$1\"", "sh"])
            .arg(&archive)
            .current_dir(&tree)
            .stderr(Stdio::inherit()),
    )?;
    Ok(archive)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).context(|| format!("copy `{}`", from.display()))
}

fn script(path: &Path, text: &[u8]) -> Result<()> {
    fs::write(path, text).context(|| format!("write `{}`", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .context(|| format!("make `{}` executable", path.display()))
}
