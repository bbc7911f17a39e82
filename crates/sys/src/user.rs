//! User and group ids of this process.

use crate::Result;
use crate::error::check;

/// The real user id.
pub fn getuid() -> u32 {
    // SAFETY: getuid(2) takes nothing and cannot fail.
    unsafe { libc::getuid() }
}

/// The effective user id.
pub fn geteuid() -> u32 {
    // SAFETY: geteuid(2) takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// The effective group id.
pub fn getegid() -> u32 {
    // SAFETY: getegid(2) takes nothing and cannot fail.
    unsafe { libc::getegid() }
}

/// Sets real, effective and saved user id, setresuid(2), of the calling thread: the raw call, since
/// the runtime has one thread and needs no broadcast to others.
///
/// # Errors
/// EPERM without CAP_SETUID, EINVAL for an id without a mapping in this user namespace.
pub fn setresuid(id: u32) -> Result<()> {
    // SAFETY: setresuid(2) takes numbers.
    check(unsafe { libc::syscall(libc::SYS_setresuid, id, id, id) }, "setresuid", || format!("`{id}`"))?;
    Ok(())
}

/// Sets real, effective and saved group id, setresgid(2).
///
/// # Errors
/// EPERM without CAP_SETGID, EINVAL for an id without a mapping in this user namespace.
pub fn setresgid(id: u32) -> Result<()> {
    // SAFETY: setresgid(2) takes numbers.
    check(unsafe { libc::syscall(libc::SYS_setresgid, id, id, id) }, "setresgid", || format!("`{id}`"))?;
    Ok(())
}

/// Replaces the supplementary groups, setgroups(2).
///
/// # Errors
/// EPERM without CAP_SETGID or where `/proc/self/setgroups` says `deny`, EINVAL for an unmapped id.
pub fn setgroups(groups: &[u32]) -> Result<()> {
    // SAFETY: pointer and length are of one live slice of 32-bit ids.
    check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }, "setgroups", || {
        format!("`{groups:?}`")
    })?;
    Ok(())
}

/// The supplementary groups, getgroups(2).
///
/// # Errors
/// None in practice.
pub fn getgroups() -> Result<Vec<u32>> {
    // SAFETY: a size of 0 asks for the number only.
    let count = check(unsafe { libc::getgroups(0, std::ptr::null_mut()) }.into(), "getgroups", String::new)?;
    let mut groups = vec![0; count as usize];
    // SAFETY: the buffer has room for `count` ids.
    let got = check(
        unsafe { libc::getgroups(count as i32, groups.as_mut_ptr()) }.into(),
        "getgroups",
        String::new,
    )?;
    groups.truncate(got as usize);
    Ok(groups)
}
