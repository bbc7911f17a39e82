//! `xtask vm`: a command on a kernel whose controllers are all on cgroup v2, on a host that has none such.
//!
//! ```text
//! xtask ── kernel ── init.sh ── pid1.sh ── the command
//!          │         (initial   (root: an overlay; below it target/vm/root, made once by mmdebstrap)
//!          │          file system)
//!          ├ User-mode Linux: a process of this host, boots in two seconds      (default)
//!          └ QEMU without KVM: cpuset, time namespaces, several CPUs            (--qemu; slow)
//! ```
//! The workspace is at its own path in the guest; what the guest writes is gone when it ends.

mod batch;
mod initrd;
mod machine;
mod qemu;
mod root;
mod uml;

use std::ffi::OsString;
use std::process::ExitCode;

use taru_stdx::Result;

pub(crate) use batch::count;
use machine::Machine;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Boot QEMU in place of User-mode Linux
    #[arg(long)]
    qemu: bool,
    /// Boot systemd as the first process and run the command in a unit with a delegated control group
    #[arg(long)]
    systemd: bool,
    /// End the guest after this many seconds, with status 124
    #[arg(long, default_value_t = 1800)]
    timeout: u32,
    /// Memory of the guest in MiB
    #[arg(long, default_value_t = 1536)]
    memory: u32,
    /// `test` for every integration test, or a command
    #[arg(trailing_var_arg = true, required = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.command.len() == 1 && arguments.command[0] == "test" {
        return batch::run(&arguments.options());
    }
    let machine = Machine {
        systemd: arguments.systemd,
        seconds: arguments.timeout,
        memory: arguments.memory,
        command: arguments.command.clone(),
    };
    let status = if arguments.qemu { qemu::run(&machine)? } else { uml::run(&machine)? };
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX)))
}

impl Arguments {
    /// The options again as they were typed.
    fn options(&self) -> Vec<OsString> {
        let mut options = vec![format!("--timeout={}", self.timeout), format!("--memory={}", self.memory)];
        options.extend(self.qemu.then(|| "--qemu".to_owned()));
        options.extend(self.systemd.then(|| "--systemd".to_owned()));
        options.into_iter().map(OsString::from).collect()
    }
}
