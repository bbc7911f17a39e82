//! User-mode Linux: Debian's kernel 6.1 as a process of this host. It has cpu, io, memory and pids on cgroup v2,
//! seccomp, overlay, veth, FUSE and AppArmor; no cpuset, no time namespaces, no checkpoints, one CPU.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use taru_stdx::Result;

use super::initrd::{self, Modules, Share};
use super::machine::{Exchange, Machine};
use super::root;
use crate::{setup, workspace};

const KERNEL: &str = "/usr/bin/linux.uml";
const MODULES: &str = "/usr/lib/uml/modules";

/// Installs what it needs and makes the guest's root, whose directory it returns.
pub(super) fn prepare() -> Result<PathBuf> {
    setup::install(&["user-mode-linux", "busybox-static", "cpio", "kmod"])?;
    root::ensure()
}

/// Boots, runs the command, returns its status.
pub(super) fn run(machine: &Machine) -> Result<i32> {
    let root = prepare()?;
    let exchange = Exchange::create()?;
    let modules = Modules::below(Path::new(MODULES), &["hostfs", "overlay"])?;
    let shares = [
        Share { host: workspace::root(), guest: workspace::root().display().to_string() },
        Share { host: modules.dir.clone(), guest: modules.mount_point() },
    ];
    let initrd = initrd::pack(machine, &exchange, &modules, &settings(&root, &exchange.out(), &shares))?;
    let mut kernel = Command::new("timeout");
    kernel.args(["--kill-after=5", &machine.seconds.to_string()]);
    if workspace::is_root()? {
        // The kernel's own processes end with it, however it ends.
        kernel.args(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    }
    kernel
        .arg(KERNEL)
        .arg(format!("mem={}M", machine.memory))
        .arg(format!("initrd={}", initrd.display()))
        .arg(format!("uml_dir={}/", exchange.dir().display()))
        .args([
            "umid=machine",
            "rdinit=/init",
            "con=null",
            "con0=null,fd:2",
            "ssl=null",
            "quiet",
            "panic=-1",
            "audit=0",
            "lsm=apparmor",
        ])
        .arg("systemd.show_status=0");
    // The guest's memory is a file: on a file system of memory it costs no writing to disk.
    if fs::metadata("/dev/shm").is_ok() {
        kernel.env("TMPDIR", "/dev/shm");
    }
    exchange.run(&mut kernel)
}

fn settings(root: &Path, out: &Path, shares: &[Share]) -> String {
    let list: Vec<String> = shares.iter().map(|s| format!("{}:{}", s.host.display(), s.guest)).collect();
    format!(
        "SHARES='{}'\n\
         attach_root() {{ mount -t hostfs -o '{}' none \"$1\"; }}\n\
         attach_out() {{ mount -t hostfs -o '{}' none \"$1\"; }}\n\
         attach_share() {{ mount -t hostfs -o \"ro,$1\" none \"$2\"; }}\n",
        list.join(" "),
        root.display(),
        out.display()
    )
}
