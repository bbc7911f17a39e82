//! Putting a program on the calling process.

use std::os::fd::OwnedFd;

use taru_stdx::{Context, Result};
use taru_sys::{errno, seccomp as sys};

use crate::compile::Program;
use crate::profile::flag_names;

/// Puts `program` on the calling thread; from the next system call on it is judged by it.
///
/// Needs no_new_privs or CAP_SYS_ADMIN in the user namespace: without no_new_privs, load it before
/// capabilities are dropped. Returns the listener if a rule notifies; it is close-on-exec.
///
/// # Errors
/// [`taru_stdx::Kind::Permission`] without that privilege, [`taru_stdx::Kind::Invalid`] for a flag that this
/// kernel lacks.
pub fn load(program: &Program) -> Result<Option<OwnedFd>> {
    let load = |flags| sys::set_mode_filter(program.filters(), flags);
    let flags = program.flags();
    let spec_allow = flags & sys::flag::SPEC_ALLOW;
    load(flags)
        .or_else(|e| match e.errno() {
            // Before 4.17 there is no such mitigation to be left off.
            errno::INVAL if spec_allow != 0 => load(flags & !spec_allow),
            _ => Err(e),
        })
        .context(|| "load the seccomp filter")
}

/// The names of the flags that this kernel has: `supportedFlags` of the OCI features document.
pub fn available_flags() -> impl Iterator<Item = &'static str> {
    flag_names().filter(|(_, bit)| sys::are_flags_available(*bit)).map(|(name, _)| name)
}
