//! A program's start and end without most of what Rust's standard library does there.
//!
//! Before `main`, std finds out where the stack ends, which in glibc is reading /proc/self/maps with scanf(3), and makes
//! a second stack, so as to call an overflow by its name: twenty system calls, in a program that is executed once for every
//! act on a container. A thread that meets the guard page ends without that name, by SIGSEGV.
//! What a program relies on is done here, too: no standard stream is closed, and SIGPIPE is an error of write(2).
//!
//! `std::env::args_os` works as ever: glibc gives the arguments to std before `main`.

use std::io::Write;

use crate::{fd, process, signal};

/// The exit status where a standard stream is closed and /dev/null cannot be opened in its place: that of SIGABRT, which std
/// raises there.
const NO_STREAM: i32 = 128 + libc::SIGABRT;

/// Defines the program's `main` as the C library's: it calls the given `fn() -> u8`, whose value is the exit status. For
/// an executable with `#![no_main]`.
#[macro_export]
macro_rules! c_main {
    ($main:path) => {
        // SAFETY: the C library calls this by its name, once; the linker refuses a second function of that name.
        #[unsafe(no_mangle)]
        extern "C" fn main() -> i32 {
            $crate::start::run($main)
        }
    };
}

/// What [`c_main`](crate::c_main) defines `main` to be.
pub fn run(main: fn() -> u8) -> ! {
    open_standard_streams();
    signal::ignore(signal::SIGPIPE);
    let status = main();
    // It may hold a line that has no end. There is nobody to be told of a failure.
    let _ = std::io::stdout().flush();
    process::exit_now(status.into())
}

/// A file that is opened as descriptor 2 would get messages in it.
fn open_standard_streams() {
    for number in 0..=2 {
        if fd::is_cloexec(number).is_some() {
            continue;
        }
        // SAFETY: the path is a string that ends with NUL and lives for ever. The lowest number that is free is this one, as
        // those below are open: nobody owns it.
        let opened = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
        if opened != number {
            process::exit_now(NO_STREAM);
        }
    }
}
