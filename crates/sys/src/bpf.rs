//! bpf(2), as far as the device filter of cgroup v2 needs it: load a program, attach it to a group,
//! list what is attached.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::error::{Error, Result, check, errno};

const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;
const PROG_DETACH: libc::c_long = 9;
const PROG_GET_FD_BY_ID: libc::c_long = 13;
const PROG_QUERY: libc::c_long = 16;

const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const F_ALLOW_MULTI: u32 = 1 << 1;
const F_REPLACE: u32 = 1 << 2;

/// How many attached programs [`device_filters`] lists; the kernel allows 64 on one group.
const MAX_ATTACHED: usize = 64;

/// The part of `union bpf_attr` for loading a program, up to the last field used here.
#[repr(C)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
}

/// The part for attaching and detaching.
#[repr(C)]
struct Attach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

/// The part for listing what is attached.
#[repr(C)]
struct Query {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
}

/// The part for opening by id.
#[repr(C)]
struct ById {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// Calls bpf(2) with `command` and `attribute`.
///
/// # Safety
/// `T` must be the layout that the command reads (a prefix of `union bpf_attr`), and every address in it must
/// be valid for the call.
unsafe fn bpf<T>(
    command: libc::c_long,
    attribute: &mut T,
    call: &'static str,
    operands: impl FnOnce() -> String,
) -> Result<libc::c_long> {
    // SAFETY: `attribute` is a readable and writable value of the size passed; its addresses are the
    // caller's promise.
    let value = unsafe { libc::syscall(libc::SYS_bpf, command, attribute as *mut T, size_of::<T>()) };
    check(value, call, operands)
}

/// Loads `instructions` (each one `struct bpf_insn` in native byte order) as a cgroup device filter named `name`.
///
/// On refusal by the verifier the end of its log is the error's operand.
///
/// # Errors
/// BPF_PROG_LOAD's: EPERM without CAP_BPF and CAP_NET_ADMIN (or CAP_SYS_ADMIN) in the first user namespace,
/// EACCES or EINVAL from the verifier, ENOSYS without CONFIG_BPF_SYSCALL, EINVAL without CONFIG_CGROUP_BPF.
pub fn load_device_filter(instructions: &[u64], name: &str) -> Result<OwnedFd> {
    let load = |log: &mut [u8]| {
        let mut prog_name = [0u8; 16];
        for (to, from) in prog_name.iter_mut().zip(name.bytes().take(15)) {
            *to = from;
        }
        let mut attribute = Load {
            prog_type: PROG_TYPE_CGROUP_DEVICE,
            insn_cnt: instructions.len() as u32,
            insns: instructions.as_ptr() as u64,
            // The filter calls no helper, so no licence is asked of it; it says what the project is under.
            license: c"Apache-2.0".as_ptr() as u64,
            log_level: (!log.is_empty()).into(),
            log_size: log.len() as u32,
            log_buf: if log.is_empty() { 0 } else { log.as_mut_ptr() as u64 },
            kern_version: 0,
            prog_flags: 0,
            prog_name,
        };
        // SAFETY: the layout is BPF_PROG_LOAD's; `insns` is a slice of `insn_cnt` 8-byte instructions,
        // `license` a NUL-terminated constant, `log_buf` null or writable for `log_size`: all outlive the call.
        unsafe { bpf(PROG_LOAD, &mut attribute, "bpf(BPF_PROG_LOAD)", String::new) }
    };
    let fd = match load(&mut []) {
        Ok(fd) => fd,
        // Once more, for the verifier's reasons.
        Err(e) if e.errno() == errno::ACCES || e.errno() == errno::INVAL => {
            let mut log = vec![0u8; 16384];
            load(&mut log).map_err(|e| {
                let text = String::from_utf8_lossy(&log).trim_end_matches('\0').trim().replace('\n', " | ");
                let tail = text.char_indices().rev().nth(400).map_or(0, |(at, _)| at);
                Error::new("bpf(BPF_PROG_LOAD)", text[tail..].to_owned(), e.errno())
            })?
        }
        Err(e) => return Err(e),
    };
    // SAFETY: the call succeeded, so this is a new descriptor (close-on-exec) that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Attaches `program` to the group whose directory is `group`, beside those attached already; with `replaces`,
/// in the place of that one, in one step (Linux 5.6).
///
/// Every attached filter must allow an access.
///
/// # Errors
/// BPF_PROG_ATTACH's; EINVAL for `replaces` on an older kernel, ENOENT if it is not attached.
pub fn attach_device_filter(
    group: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    replaces: Option<BorrowedFd<'_>>,
) -> Result<()> {
    let mut attribute = Attach {
        target_fd: group.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: ATTACH_CGROUP_DEVICE,
        attach_flags: F_ALLOW_MULTI | if replaces.is_some() { F_REPLACE } else { 0 },
        replace_bpf_fd: replaces.map_or(0, |fd| fd.as_raw_fd() as u32),
    };
    // SAFETY: the layout is BPF_PROG_ATTACH's; it holds no address; the descriptors are borrowed for the call.
    unsafe { bpf(PROG_ATTACH, &mut attribute, "bpf(BPF_PROG_ATTACH)", String::new) }?;
    Ok(())
}

/// Takes `program` away from the group.
///
/// # Errors
/// BPF_PROG_DETACH's; ENOENT if it is not attached.
pub fn detach_device_filter(group: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<()> {
    let mut attribute = Attach {
        target_fd: group.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: ATTACH_CGROUP_DEVICE,
        attach_flags: 0,
        replace_bpf_fd: 0,
    };
    // SAFETY: the layout is BPF_PROG_DETACH's; it holds no address; the descriptors are borrowed for the call.
    unsafe { bpf(PROG_DETACH, &mut attribute, "bpf(BPF_PROG_DETACH)", String::new) }?;
    Ok(())
}

/// The device filters attached to the group itself, opened.
///
/// # Errors
/// BPF_PROG_QUERY's and BPF_PROG_GET_FD_BY_ID's: EPERM without CAP_NET_ADMIN or CAP_SYS_ADMIN.
pub fn device_filters(group: BorrowedFd<'_>) -> Result<Vec<OwnedFd>> {
    let mut ids = [0u32; MAX_ATTACHED];
    let mut attribute = Query {
        target_fd: group.as_raw_fd() as u32,
        attach_type: ATTACH_CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: MAX_ATTACHED as u32,
        padding: 0,
    };
    // SAFETY: the layout is BPF_PROG_QUERY's; `prog_ids` is writable for `prog_cnt` words and outlives the call.
    unsafe { bpf(PROG_QUERY, &mut attribute, "bpf(BPF_PROG_QUERY)", String::new) }?;
    let mut programs = Vec::new();
    for id in ids.iter().take(attribute.prog_cnt as usize) {
        let mut attribute = ById { id: *id, next_id: 0, open_flags: 0 };
        let operands = || format!("`{id}`");
        // SAFETY: the layout is BPF_PROG_GET_FD_BY_ID's; it holds no address.
        let fd = unsafe { bpf(PROG_GET_FD_BY_ID, &mut attribute, "bpf(BPF_PROG_GET_FD_BY_ID)", operands) };
        match fd {
            // SAFETY: the call succeeded, so this is a new descriptor that nobody else owns.
            Ok(fd) => programs.push(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }),
            // Gone since the list was made.
            Err(e) if e.errno() == errno::NOENT => {}
            Err(e) => return Err(e),
        }
    }
    Ok(programs)
}
