//! This process's own executable: which file /proc/PID/exe names, without execve(2).

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::error::{check, errno, last};
use crate::fs::fstat;
use crate::maps::{self, Mapping};
use crate::{Error, Result};

/// Has the kernel take `file` for this process's executable. It must be the same file that the process was started
/// from, opened through another mount (or the same): /proc/PID/exe, and whoever opens that, then has the rights of that
/// mount. As execve(2) of `file` would, but the program goes on; nothing of it is run again.
///
/// The kernel changes the file only once nothing of the old one is mapped (PR_SET_MM_MAP, since 3.18). So what was
/// never written to is mapped again from `file`, to the same addresses: the same pages of the same inode. What was
/// written to (data, and addresses that are read-only by now) becomes memory of this process alone, as a copy. Libraries and
/// the loader of a dynamic executable are other files, and stay as they are.
///
/// # Errors
/// ENOENT if no mapping is known to be of that file: some file systems call their device one thing in stat(2) and another in
/// /proc/self/maps (btrfs; overlays of older kernels). EACCES if one cannot be read and so not copied, before anything is changed.
/// EPERM without CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE (5.9) in the own user
/// namespace; EINVAL of a kernel without CONFIG_CHECKPOINT_RESTORE; EBUSY where something of the old file is mapped that
/// other processes share. The process goes on as it was in each case; its memory may be mapped from `file` already.
///
/// # One thread
/// The process must have one thread, and no handler of signals that writes to its data: another could write to what is being
/// copied.
pub fn set_file(file: BorrowedFd<'_>) -> Result<()> {
    let layout = Layout::this()?;
    let stat = fstat(file)?;
    let mappings = Mapping::all();
    let is_own = |m: &&Mapping| m.file == Some((stat.device.major, stat.device.minor, stat.ino));
    if !mappings.iter().any(|m| is_own(&m)) {
        return Err(Error::new("prctl(PR_SET_MM)", "", errno::NOENT));
    }
    if mappings.iter().filter(is_own).any(|m| !m.is_readable) {
        return Err(Error::new("prctl(PR_SET_MM)", "", errno::ACCES));
    }
    for mapping in mappings.iter().filter(is_own) {
        if mapping.is_as_in_its_file() {
            // SAFETY: `mapping` is this process's, private, readable, and as in its file, whose inode is `file`'s.
            unsafe { map_again(mapping, file)? };
        } else {
            // SAFETY: `mapping` is this process's, private and readable, and its one thread is here.
            unsafe { make_own(mapping)? };
        }
    }
    layout.apply(file)
}

const READ_WRITE: libc::c_int = libc::PROT_READ | libc::PROT_WRITE;

fn protection(mapping: &Mapping) -> libc::c_int {
    let write = if mapping.is_writable { libc::PROT_WRITE } else { 0 };
    let execute = if mapping.is_executable { libc::PROT_EXEC } else { 0 };
    libc::PROT_READ | write | execute
}

/// Puts the same part of `file` in the place of `mapping`.
///
/// # Safety
/// `mapping` is one of this process, private, readable, and has the bytes that `file` has there.
unsafe fn map_again(mapping: &Mapping, file: BorrowedFd<'_>) -> Result<()> {
    let at = std::ptr::with_exposed_provenance_mut(mapping.start);
    let flags = libc::MAP_PRIVATE | libc::MAP_FIXED;
    // SAFETY: the kernel replaces the mapping in one step, by one with the same bytes and rights: whoever reads or
    // executes it, this function included, cannot tell. What it refuses it refuses before it takes the old one away.
    let mapped = unsafe {
        libc::mmap(
            at,
            mapping.size(),
            protection(mapping),
            flags,
            file.as_raw_fd(),
            mapping.offset as libc::off_t,
        )
    };
    mapped_or_error(mapped, "mmap").map(drop)
}

/// Puts a copy of `mapping`, which is of no file, in its place.
///
/// # Safety
/// `mapping` is one of this process, private and readable, and no other thread writes to it.
unsafe fn make_own(mapping: &Mapping) -> Result<()> {
    let size = mapping.size();
    // All of it is written to at once: its pages are made in one call instead of a fault for each.
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
    // SAFETY: new memory, wherever there is room.
    let new = unsafe { libc::mmap(std::ptr::null_mut(), size, READ_WRITE, flags, -1, 0) };
    let new = mapped_or_error(new, "mmap")?;
    let old = std::ptr::with_exposed_provenance_mut::<libc::c_void>(mapping.start);
    // SAFETY: from the copy on nothing writes to `old` until `new` stands in its place: no Rust or C function is called
    // but system calls, which write to thread-local memory alone (errno), and only if they fail: then `new` takes no place.
    // Both are `size` bytes, readable, and apart. The kernel moves `new` over `old` in one step.
    let done = unsafe {
        std::ptr::copy_nonoverlapping(old.cast::<u8>(), new.cast::<u8>(), size);
        let rights = protection(mapping);
        if rights == READ_WRITE || libc::mprotect(new, size, rights) == 0 {
            libc::mremap(new, size, size, libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED, old)
        } else {
            libc::MAP_FAILED
        }
    };
    mapped_or_error(done, "mremap").map(drop)
}

fn mapped_or_error(at: *mut libc::c_void, call: &'static str) -> Result<*mut libc::c_void> {
    if at == libc::MAP_FAILED { Err(Error::new(call, "", last())) } else { Ok(at) }
}

/// `struct prctl_mm_map` of `linux/prctl.h`: what a process's memory is for.
#[repr(C)]
struct Layout {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    auxv: *const u64,
    auxv_size: u32,
    exe_fd: u32,
}

/// `PR_SET_MM_MAP` of `linux/prctl.h`.
const PR_SET_MM_MAP: libc::c_ulong = 14;

impl Layout {
    /// This process's, from proc_pid_stat(5).
    fn this() -> Result<Layout> {
        let unreadable = || Error::new("read", "`/proc/self/stat`", errno::INVAL);
        let stat = maps::read("/proc/self/stat").map_err(|_| unreadable())?;
        let layout = parse(&stat).ok_or_else(unreadable)?;
        // SAFETY: sbrk(3) with 0 only tells where the heap ends.
        let brk = unsafe { libc::sbrk(0) };
        Ok(Layout { brk: brk.addr() as u64, ..layout })
    }

    /// Tells the kernel: all is where it was, but the executable is `file`.
    fn apply(mut self, file: BorrowedFd<'_>) -> Result<()> {
        self.exe_fd = file.as_raw_fd().cast_unsigned();
        // SAFETY: `self` is a struct prctl_mm_map of the size that is given and outlives the call; no auxiliary vector.
        let done = unsafe {
            libc::prctl(
                libc::PR_SET_MM,
                PR_SET_MM_MAP,
                std::ptr::from_ref(&self),
                size_of::<Layout>() as libc::c_ulong,
                0 as libc::c_ulong,
            )
        };
        check(done.into(), "prctl(PR_SET_MM_MAP)", String::new).map(drop)
    }
}

/// The fields of proc_pid_stat(5), which count from 1; the second is in parentheses and may hold anything.
fn parse(stat: &str) -> Option<Layout> {
    let rest = stat.get(stat.rfind(')')? + 1..)?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Layout {
        start_code: field(26)?,
        end_code: field(27)?,
        start_stack: field(28)?,
        start_data: field(45)?,
        end_data: field(46)?,
        start_brk: field(47)?,
        brk: 0,
        arg_start: field(48)?,
        arg_end: field(49)?,
        env_start: field(50)?,
        env_end: field(51)?,
        auxv: std::ptr::null(),
        auxv_size: 0,
        exe_fd: 0,
    })
}
