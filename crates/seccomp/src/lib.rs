//! Seccomp profiles compiled to BPF.
//!
//! A [`Profile`] says what happens to which system call; [`compile`] makes the [`Program`] of it, without
//! asking the kernel; [`load`] puts it on this process. The verdicts are those of libseccomp as runc drives
//! it, which the tests hold against libseccomp itself.
//!
//! ```
//! use taru_seccomp::{Profile, compile};
//!
//! let json = r#"{
//!     "defaultAction": "SCMP_ACT_ERRNO",
//!     "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
//!     "syscalls": [
//!         {"names": ["read", "write", "exit_group"], "action": "SCMP_ACT_ALLOW"},
//!         {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}
//!     ]
//! }"#;
//! let profile = Profile::parse(json)?.expect("it has rules");
//! let program = compile(&profile)?;
//! assert_eq!(program.unknown_names(), 0);
//! // In the container's process, right before execve: taru_seccomp::load(&program)?;
//! # Ok::<(), taru_stdx::Error>(())
//! ```

mod arch;
mod bpf;
mod cache;
mod compile;
mod default;
mod load;
mod profile;
mod resolve;
mod syscall;

pub use arch::{Arch, X32_BIT};
pub use cache::Cache;
pub use compile::{Program, compile, compile_for};
pub use default::default_profile;
pub use load::{available_flags, load};
pub use profile::{Action, Arg, MAX_TEXT, Op, Profile, Rule, flag_names};
pub use resolve::MAX_INSTRUCTIONS;
pub use syscall::{syscall_names, syscall_number};
