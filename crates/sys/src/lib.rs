//! The kernel's calls, typed: the only crate of taru with `unsafe` code and the only one that knows `libc`.
//!
//! A wrapper keeps the system call's name, takes borrowed or owned descriptors, sets close-on-exec,
//! and fails with an [`Error`] that carries the call and its operands. No policy stands here: a
//! fallback for an older kernel belongs to the layer that knows what it is for.

pub mod bpf;
pub mod caps;
pub mod dir;
mod error;
pub mod eventfd;
pub mod exe;
pub mod fd;
mod flags;
pub mod flock;
pub mod fs;
pub mod idle;
pub mod inotify;
pub mod keyring;
pub mod landlock;
pub mod lock;
mod maps;
pub mod mount;
pub mod netlink;
pub mod ns;
mod path;
pub mod poll;
pub mod process;
pub mod regex;
pub mod sched;
pub mod seccomp;
pub mod signal;
pub mod socket;
pub mod start;
pub mod tty;
pub mod user;
pub mod xattr;

pub use error::{Errno, Error, Result, errno};
