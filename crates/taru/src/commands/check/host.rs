//! What the host grants: subordinate ids, programs, limits.

use std::path::{Path, PathBuf};

use taru_stdx::fs::read_bounded;
use taru_sys::user;

use super::{Finding, State};
use crate::ns::accounts;

pub(super) fn all() -> Vec<Finding> {
    let mut all = Vec::new();
    all.extend(user_ids());
    all.extend(programs());
    all.extend(limits());
    all
}

fn user_ids() -> Vec<Finding> {
    let uid = user::geteuid();
    let name = accounts::user_name(uid).unwrap_or_else(|| uid.to_string());
    let mut all = vec![Finding::yes("user", "this user", format!("{name} ({uid})"))];
    for file in ["/etc/subuid", "/etc/subgid"] {
        all.push(match accounts::subordinate(Path::new(file), uid) {
            Ok(range) => Finding::yes("user", file, format!("{} ids from {}", range.count, range.first)),
            Err(_) if uid == 0 => Finding::yes("user", file, "not needed by root"),
            Err(e) => Finding::new("user", file, State::Limited, "a container has one id only")
                .advice(e.hints().first().copied().unwrap_or_default()),
        });
    }
    all
}

fn programs() -> Vec<Finding> {
    let mut all = Vec::new();
    for (program, what, advice) in [
        (
            "newuidmap",
            "maps subordinate ids",
            "install the package `uidmap` (Debian) or `shadow-utils` (Fedora)",
        ),
        (
            "newgidmap",
            "maps subordinate ids",
            "install the package `uidmap` (Debian) or `shadow-utils` (Fedora)",
        ),
        ("nft", "shows the packet filter", "install the package `nftables`"),
        ("criu", "checkpoints and restores", "install the package `criu`"),
    ] {
        all.push(match find(program) {
            Some(path) => Finding::yes("programs", program, format!("{what}: {}", path.display())),
            None => Finding::new("programs", program, State::No, what).advice(advice),
        });
    }
    all
}

/// Where `program` is, in `PATH` or where administrators' programs are.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(more)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// Limits of the whole host that many containers reach first, and what suffices for hundreds of them.
fn limits() -> Vec<Finding> {
    let mut all = Vec::new();
    for (name, enough) in [
        ("fs.inotify.max_user_instances", 1024),
        ("fs.inotify.max_user_watches", 65536),
        ("kernel.keys.maxkeys", 2000),
        ("kernel.pid_max", 65536),
        ("vm.max_map_count", 262_144),
    ] {
        let file = Path::new("/proc/sys").join(name.replace('.', "/"));
        let Ok(bytes) = read_bounded(&file, 64) else { continue };
        let Ok(value) = String::from_utf8_lossy(&bytes).trim().parse::<u64>() else { continue };
        let state = if value >= enough { State::Yes } else { State::Limited };
        all.push(
            Finding::new("limits", name, state, value.to_string())
                .advice(format!("for hundreds of containers, as root: sysctl {name}={enough}")),
        );
    }
    all
}
