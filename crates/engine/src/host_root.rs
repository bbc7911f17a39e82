//! The `host` root: this host's own programs, and nothing of its data.
//!
//! ```text
//! /usr, and /bin /sbin /lib* where they are directories     the host's, bound read-only
//! /bin /sbin /lib* where they are symbolic links            the same links
//! /etc       the host's or a copy (host_etc), as an ordinary user may read it, below a layer of the container's own
//! /tmp /var /home /root /run /srv /mnt /media /opt          empty, the container's own
//! ```
//! The empty directories and links are a small *skeleton*, made once and shared: the lowest layer of an
//! overlay whose upper layer is private. An overlay over the host's `/` itself would need one mount
//! less, but everything not thought of would show through. Here only what is listed does.
//!
//! The skeleton belongs to the host id that the container's root is, so that root can write there:
//! one skeleton an id, found again by the next container that gets it.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use taru_stdx::fs::make_dir;
use taru_stdx::{Context, Result, Undo};

use crate::dirs;

/// Directories that are the container's own: path and permission bits, parents first.
const OWN: &[(&str, u32)] = &[
    ("etc", 0o755),
    ("dev", 0o755),
    ("proc", 0o555),
    ("sys", 0o555),
    ("home", 0o755),
    ("media", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("run/lock", 0o1777),
    ("srv", 0o755),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("var", 0o755),
    ("var/cache", 0o755),
    ("var/lib", 0o755),
    ("var/local", 0o755),
    ("var/log", 0o755),
    ("var/mail", 0o755),
    ("var/opt", 0o755),
    ("var/spool", 0o755),
    ("var/tmp", 0o1777),
];

/// Links that every system has.
const LINKS: &[(&str, &str)] = &[("var/run", "/run"), ("var/lock", "/run/lock")];

/// The host's directories of programs beside `/usr`: links into it on a system with merged `/usr`.
const PROGRAMS: &[&str] = &["bin", "sbin", "lib", "lib32", "lib64", "libx32", "libo32", "libexec"];

/// What the `host` root is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRoot {
    /// The lowest layer.
    pub skeleton: PathBuf,
    /// Directories of the host that are bound read-only at their own paths.
    pub binds: Vec<PathBuf>,
    /// The lowest layer of `/etc`: the host's, or a copy ([`crate::host_etc`]).
    pub etc: PathBuf,
}

/// Finds the host's directories of programs and makes the skeleton for `owner` (uid, gid) below
/// `parent` unless it is there. `etc` is the host's `/etc`.
///
/// # Errors
/// Any error of the file system, with the path.
pub fn prepare(parent: &Path, owner: (u32, u32), etc: PathBuf) -> Result<HostRoot> {
    let mut binds = vec![PathBuf::from("/usr")];
    let mut links = Vec::new();
    for name in PROGRAMS {
        let path = Path::new("/").join(name);
        match std::fs::read_link(&path) {
            Ok(target) => links.push((*name, target)),
            Err(_) if path.is_dir() => binds.push(path),
            Err(_) => {}
        }
    }
    // A host whose layout was changed since gets another skeleton: one in use must not change.
    let layout: Vec<String> = links.iter().map(|(name, to)| format!("{name}>{}", to.display())).collect();
    let layout = fingerprint(&format!("1 {} {binds:?}", layout.join(" ")));
    let skeleton = parent.join(format!("{}.{layout:016x}", owner.0));
    if skeleton.is_dir() {
        return Ok(HostRoot { skeleton, binds, etc });
    }
    dirs::ensure(parent)?;
    // Made aside and renamed: another taru sees the whole of it or nothing.
    let aside = parent.join(format!(".{}.{}", owner.0, std::process::id()));
    let what = || format!("make the host root `{}`", skeleton.display());
    let mut undo = Undo::new();
    dirs::remove(&aside)?;
    undo.push(|| dirs::remove(&aside));
    fill(&aside, owner, &binds, &links).context(what)?;
    match std::fs::rename(&aside, &skeleton) {
        Ok(()) => undo.commit(),
        // Another taru was first.
        Err(_) if skeleton.is_dir() => drop(undo),
        Err(e) => return Err(e).context(what),
    }
    Ok(HostRoot { skeleton, binds, etc })
}

fn fill(root: &Path, owner: (u32, u32), binds: &[PathBuf], links: &[(&str, PathBuf)]) -> std::io::Result<()> {
    let make = |path: &Path, mode: u32| -> std::io::Result<()> {
        make_dir(path, mode)?;
        chown(path, Some(owner.0), Some(owner.1))
    };
    make(root, 0o755)?;
    for (name, mode) in OWN {
        make(&root.join(name), *mode)?;
    }
    for bind in binds {
        let name = bind.strip_prefix("/").unwrap_or(bind);
        if !root.join(name).is_dir() {
            make(&root.join(name), 0o755)?;
        }
    }
    for (name, target) in LINKS {
        symlink(target, root.join(name))?;
    }
    for (name, target) in links {
        symlink(target, root.join(name))?;
    }
    Ok(())
}

/// The container's own layer above the host's `/etc`: its name, and a hosts file that knows it.
///
/// # Errors
/// Any error of the file system, with the path.
pub(crate) fn etc_layer(dir: &Path, hostname: &str, owner: (u32, u32)) -> Result<()> {
    let write = || -> std::io::Result<()> {
        make_dir(dir, 0o755)?;
        chown(dir, Some(owner.0), Some(owner.1))?;
        let hosts = format!(
            "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t{hostname}\n"
        );
        for (name, text) in [("hostname", format!("{hostname}\n")), ("hosts", hosts)] {
            let path = dir.join(name);
            std::fs::write(&path, text)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644))?;
            chown(&path, Some(owner.0), Some(owner.1))?;
        }
        Ok(())
    };
    write().context(|| format!("make `{}`", dir.display()))
}

/// The container's own copy of the host's resolv.conf(5), in the layer at `dir`: who answers for names.
///
/// # Errors
/// Any error of the file system, with the path.
pub(crate) fn resolv_conf(dir: &Path, owner: (u32, u32)) -> Result<()> {
    // A host without one, or with one that cannot be read, has no names to be resolved.
    let text = taru_stdx::fs::read_bounded(Path::new("/etc/resolv.conf"), 64 << 10).unwrap_or_default();
    let path = dir.join("resolv.conf");
    let write = || -> std::io::Result<()> {
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644))?;
        chown(&path, Some(owner.0), Some(owner.1))
    };
    write().context(|| format!("write `{}`", path.display()))
}

/// FNV-1a: tells two layouts apart, no more is asked of it.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}
