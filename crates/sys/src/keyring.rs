//! The session keyring.

use std::ffi::CStr;

use crate::Result;
use crate::error::check;

/// Makes and joins a new session keyring called `name`, KEYCTL_JOIN_SESSION_KEYRING; returns its serial number.
///
/// # Errors
/// ENOSYS on a kernel without keys, EDQUOT at the user's quota, EPERM or EACCES under a filter.
pub fn join_session_keyring(name: &CStr) -> Result<i32> {
    // SAFETY: the name is a live C string.
    let serial = check(
        unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) },
        "keyctl(KEYCTL_JOIN_SESSION_KEYRING)",
        || format!("`{}`", name.to_string_lossy()),
    )?;
    Ok(serial as i32)
}

/// Adds `bits` to the permissions of key `serial`, KEYCTL_DESCRIBE and KEYCTL_SETPERM.
/// Bits are as in keyctl_setperm(3): possessor, user, group and other, a byte each.
///
/// # Errors
/// EACCES without the right over the key.
pub fn allow(serial: i32, bits: u32) -> Result<()> {
    let mut text = [0u8; 512];
    // SAFETY: the buffer is writable for its whole length.
    let got = check(
        unsafe {
            libc::syscall(libc::SYS_keyctl, libc::KEYCTL_DESCRIBE, serial, text.as_mut_ptr(), text.len())
        },
        "keyctl(KEYCTL_DESCRIBE)",
        || format!("`{serial}`"),
    )?;
    // "type;uid;gid;perm;description", perm in hexadecimal.
    let described = String::from_utf8_lossy(&text[..(got as usize).min(text.len())]).into_owned();
    let old =
        described.split(';').nth(3).and_then(|p| u32::from_str_radix(p, 16).ok()).unwrap_or(0x3f01_0000);
    check(
        // SAFETY: KEYCTL_SETPERM takes numbers.
        unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_SETPERM, serial, old | bits) },
        "keyctl(KEYCTL_SETPERM)",
        || format!("`{serial}`"),
    )?;
    Ok(())
}
