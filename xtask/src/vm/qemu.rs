//! QEMU without KVM: an emulated machine with Debian's own kernel, for what User-mode Linux lacks: cpuset, time
//! namespaces, several CPUs. Ten times slower; on demand, not in CI.
//!
//! Debian 12's QEMU 7.2 corrupts the memory of guests with kernels from 6.12 on; it is sound with 6.1 and this
//! model of CPU.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use taru_stdx::{Context, Error, Kind, Result};

use super::initrd::{self, Modules, Share};
use super::machine::{Exchange, Machine};
use super::root;
use crate::archive::Archive;
use crate::{setup, workspace};

const PROGRAM: &str = "qemu-system-x86_64";
const CPU: &str = "Nehalem";
/// The release of the guest's kernel, and its package.
const SUITE: &str = "bookworm";
const KERNEL: &str = "linux-image-amd64";

/// Boots, runs the command, returns its status.
pub(super) fn run(machine: &Machine) -> Result<i32> {
    setup::install(&["qemu-system-x86", "busybox-static", "cpio", "kmod"])?;
    let root = root::ensure()?;
    let kernel = kernel()?;
    let exchange = Exchange::create()?;
    let modules =
        Modules::below(&kernel.join("lib/modules"), &["virtio_pci", "9pnet_virtio", "9p", "overlay"])?;
    let shares = [
        Share { host: workspace::root(), guest: workspace::root().display().to_string() },
        Share { host: modules.dir.clone(), guest: modules.mount_point() },
    ];
    let initrd = initrd::pack(machine, &exchange, &modules, &settings(&shares))?;
    let mut qemu = Command::new("timeout");
    qemu.args(["--kill-after=5", &machine.seconds.to_string(), PROGRAM])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "q35"])
        .args(["-accel", "tcg,thread=multi", "-cpu", CPU, "-smp", "2", "-nic", "none", "-serial", "stdio"])
        .args(["-m", &machine.memory.to_string()])
        .arg("-kernel")
        .arg(image(&kernel)?)
        .arg("-initrd")
        .arg(&initrd)
        .args(["-append", "console=ttyS0 quiet panic=-1 rdinit=/init mitigations=off tsc=reliable audit=0 systemd.show_status=0"]);
    share(&mut qemu, "root", &root, true);
    share(&mut qemu, "out", &exchange.out(), false);
    for (n, one) in shares.iter().enumerate() {
        share(&mut qemu, &format!("share{n}"), &one.host, true);
    }
    exchange.run(&mut qemu)
}

fn share(qemu: &mut Command, tag: &str, dir: &Path, is_read_only: bool) {
    let read_only = if is_read_only { ",readonly=on" } else { "" };
    qemu.arg("-fsdev")
        .arg(format!("local,id={tag},path={},security_model=passthrough{read_only}", dir.display()));
    qemu.arg("-device").arg(format!("virtio-9p-pci,fsdev={tag},mount_tag={tag}"));
}

fn settings(shares: &[Share]) -> String {
    let list: Vec<String> = shares.iter().enumerate().map(|(n, s)| format!("share{n}:{}", s.guest)).collect();
    format!(
        "SHARES='{}'\n\
         attach() {{ mount -t 9p -o \"trans=virtio,version=9p2000.L,msize=262144,$3\" \"$1\" \"$2\"; }}\n\
         attach_root() {{ attach root \"$1\" cache=loose,ro; }}\n\
         attach_out() {{ attach out \"$1\" cache=none; }}\n\
         attach_share() {{ attach \"$1\" \"$2\" cache=loose,ro; }}\n",
        list.join(" ")
    )
}

/// Debian's kernel, unpacked once below `target/vm`.
fn kernel() -> Result<PathBuf> {
    let dir = workspace::target().join("vm/kernel");
    if !dir.join("lib/modules").exists() {
        Archive::open(SUITE)?.unpack(&[KERNEL], &dir)?;
    }
    Ok(dir)
}

fn image(kernel: &Path) -> Result<PathBuf> {
    let boot = kernel.join("boot");
    let found = fs::read_dir(&boot)
        .context(|| format!("list `{}`", boot.display()))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("vmlinuz-")));
    found.ok_or_else(|| Error::new(Kind::NotFound, format!("find a kernel in `{}`", boot.display())))
}
