//! Id maps of a new user namespace, written from outside.
//!
//! Whoever has CAP_SETUID over the host's ids writes any map. Everybody else may map just themselves,
//! and with the setuid helpers newuidmap(1) and newgidmap(1) what /etc/subuid and /etc/subgid grant.

use std::process::Command;

use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::caps::{Capabilities, capget};
use taru_sys::process::Pid;
use taru_sys::{signal, user};

use crate::spec::IdMapping;

/// Writes both maps of the process `pid`, which waits in its new user namespace.
///
/// # Errors
/// A map the kernel or the helpers refuse, with the map.
pub(crate) fn write(pid: Pid, uids: &[IdMapping], gids: &[IdMapping]) -> Result<()> {
    let may = |name: &str| {
        let one = Capabilities::named(name).unwrap_or_default();
        capget().is_ok_and(|sets| sets.effective.contains(one))
    };
    if may("CAP_SETUID") && may("CAP_SETGID") {
        write_file(pid, "uid_map", &text(uids))?;
        return write_file(pid, "gid_map", &text(gids));
    }
    let groups_alone = is_own_id_only(gids, user::getegid());
    if groups_alone {
        // Without this a member of a group that a file's mode shuts out could leave the group; the
        // kernel demands it for a map written without the right (since 3.19, user_namespaces(7)).
        write_file(pid, "setgroups", "deny")?;
        write_file(pid, "gid_map", &text(gids))?;
    } else {
        run_helper("newgidmap", pid, gids)?;
    }
    if is_own_id_only(uids, user::geteuid()) {
        write_file(pid, "uid_map", &text(uids))
    } else {
        run_helper("newuidmap", pid, uids)
    }
}

fn is_own_id_only(map: &[IdMapping], own: u32) -> bool {
    matches!(map, [one] if one.host_id == own && one.size == 1)
}

fn text(map: &[IdMapping]) -> String {
    map.iter().map(|m| format!("{} {} {}\n", m.container_id, m.host_id, m.size)).collect()
}

fn write_file(pid: Pid, name: &str, content: &str) -> Result<()> {
    let path = format!("/proc/{pid}/{name}");
    let what = || format!("write `{}` to `{path}`", content.trim().replace('\n', ", "));
    std::fs::write(&path, content).context(what).map_err(|e| match e.kind() {
        Kind::Invalid => e.hint("ranges must not overlap, and must not be empty"),
        _ => e,
    })
}

fn run_helper(program: &str, pid: Pid, map: &[IdMapping]) -> Result<()> {
    let what = || format!("map ids with {program}");
    let mut command = Command::new(program);
    signal::block_none_in(&mut command);
    command.arg(pid.to_string());
    for m in map {
        command.args([m.container_id, m.host_id, m.size].map(|n| n.to_string()));
    }
    let output = command.output().map_err(|e| {
        let missing = e.kind() == std::io::ErrorKind::NotFound;
        let error = Error::new(Kind::Unsupported, what()).because(e);
        if missing {
            error.hint("install uidmap (Debian) or shadow-utils, or map only your own id")
        } else {
            error
        }
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::new(Kind::Permission, format!("{}: {said}", what()))
        .hint("the ranges must be granted to you in /etc/subuid and /etc/subgid"))
}
