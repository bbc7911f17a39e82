//! Waiting for long with as little memory as possible.
//!
//! A program that waits in poll(2) keeps what it ever touched of its executable: a megabyte of clean pages that count as
//! its own, memory that was freed but not given back, and the stack of all that it ever called. Here it lets go of these as
//! the last thing before it waits. What is needed again is read from the executable, which is in the page cache as long as
//! anybody runs it; with each page come the 15 or 31 around it. So the wait itself calls nothing elsewhere, not even the C
//! library.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use crate::error::{Errno, Error, Result};
use crate::maps::Mapping;
use crate::poll::{entries, timespec};

/// Where this program's code and constants are mapped, pages of the executable that are never written to, and the stack of
/// its first thread.
#[derive(Debug, Clone, Default)]
pub struct Program {
    ranges: Vec<Range<usize>>,
    stack: Range<usize>,
    /// The size of a page: madvise(2) rounds what it is given up to whole ones.
    page: usize,
}

impl Program {
    /// Finds them; none where /proc cannot be read.
    #[must_use]
    pub fn this() -> Program {
        let mappings = Mapping::all();
        let range = |m: &Mapping| m.start..m.end;
        Program {
            ranges: mappings.iter().filter(|m| m.is_as_in_its_file()).map(range).collect(),
            stack: mappings.iter().find(|m| m.is_stack).map(range).unwrap_or_default(),
            // SAFETY: sysconf(3) takes a number, and knows this one.
            page: unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize,
        }
    }

    /// As [`crate::poll::poll_all`], while nothing of the program is in memory but the few pages that this takes.
    ///
    /// # Errors
    /// As [`crate::poll::poll_all`].
    pub fn poll(&self, fds: &[(BorrowedFd<'_>, i16)], timeout: Option<Duration>) -> Result<Vec<i16>> {
        let mut entries = entries(fds);
        let limit = timeout.map(timespec);
        let limit = limit.as_ref().map_or(std::ptr::null(), |t| t as *const libc::timespec);
        // SAFETY: it only gives free memory of the allocator back to the kernel.
        unsafe { libc::malloc_trim(0) };
        // SAFETY: `entries` is a vector of initialised pollfd whose descriptors the caller borrows for the call; `limit` is
        // null or points to a timespec that outlives it. The ranges are whole mappings of a file, private and never
        // written to: they have no pages of their own that could be lost. The stack is what the kernel calls so.
        let n = unsafe { release_and_poll(self, entries.as_mut_ptr(), entries.len(), limit) };
        if n < 0 {
            return Err(Error::new("ppoll", "", Errno(-n as i32)));
        }
        Ok(entries.iter().map(|e| e.revents).collect())
    }
}

/// Lets go of the program's ranges, madvise(2), and waits, ppoll(2). Returns what ppoll does, or the negative error number.
/// Whoever cannot let go waits with more memory.
///
/// # Safety
/// The ranges are whole, private mappings of files that were never written to, the stack is that of the first thread or empty;
/// the other operands are right for ppoll(2).
#[inline(never)]
unsafe fn release_and_poll(
    program: &Program,
    entries: *mut libc::pollfd,
    count: usize,
    limit: *const libc::timespec,
) -> isize {
    const DONTNEED: usize = libc::MADV_DONTNEED as usize;
    for range in &program.ranges {
        // SAFETY: the caller's promise: the next use of a page reads the same bytes again.
        unsafe { call(libc::SYS_madvise, [range.start, range.end - range.start, DONTNEED, 0, 0]) };
    }
    let in_frame = 0u8;
    let here = (&raw const in_frame).addr();
    if program.stack.contains(&here) {
        // The stack grows down. What this frame has below its variables, and the 128 bytes behind it that a function may use
        // without a frame (AMD64 ABI, 3.2.2), are less than a page.
        let dead = program.stack.start..(here & !(program.page - 1)).saturating_sub(program.page);
        // SAFETY: the functions that had their variables there have returned, and this frame is above.
        unsafe { call(libc::SYS_madvise, [dead.start, dead.end.saturating_sub(dead.start), DONTNEED, 0, 0]) };
    }
    let operands = [entries.expose_provenance(), count, limit.expose_provenance(), 0, 0];
    // SAFETY: the caller's promise; a null signal mask changes no mask.
    unsafe { call(libc::SYS_ppoll, operands) }
}

/// A system call from right here: the C library's functions lie on pages of their own. Returns its result, or the
/// negative error number.
///
/// # Safety
/// As the system call's.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn call(number: libc::c_long, operands: [usize; 5]) -> isize {
    let result;
    // SAFETY: the x86-64 ABI's registers (AMD64 ABI, A.2.1); the kernel changes rcx and r11 and no stack.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") operands[0],
            in("rsi") operands[1],
            in("rdx") operands[2],
            in("r10") operands[3],
            in("r8") operands[4],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// As on x86-64, for processors of which nobody has measured what it saves: the C library's.
///
/// # Safety
/// As the system call's.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn call(number: libc::c_long, operands: [usize; 5]) -> isize {
    let [a, b, c, d, e] = operands;
    // SAFETY: the caller's promise.
    match unsafe { libc::syscall(number, a, b, c, d, e) } {
        -1 => -(crate::error::last().0 as isize),
        n => n as isize,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;

    use super::*;
    use crate::poll::events;

    #[test]
    fn what_is_waited_for_is_seen_and_the_program_goes_on() {
        let program = Program::this();
        assert!(!program.ranges.is_empty());
        let (reader, mut writer) = std::io::pipe().unwrap();
        let wanted = [(reader.as_fd(), events::IN), (reader.as_fd(), 0)];
        assert_eq!(program.poll(&wanted, Some(Duration::from_millis(1))).unwrap(), [0, 0]);
        writer.write_all(b"x").unwrap();
        assert_eq!(program.poll(&wanted, None).unwrap(), [events::IN, 0]);
        drop(writer);
        assert_eq!(program.poll(&wanted, None).unwrap(), [events::IN | events::HUP, events::HUP]);
    }
}
