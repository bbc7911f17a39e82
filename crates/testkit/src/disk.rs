//! A disk of a test's own: ext4 on a loop device, which can be full, have no inodes, or lose its power.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::probe;

/// A mounted disk. Use it in a mount namespace of the test's own ([`crate::in_namespaces`] with `--mount`): nobody else
/// sees it, and the kernel takes it and its loop device away with the namespace, however the test ends.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

impl Disk {
    /// Makes a disk of `bytes`; its image and its mount point lie in `dir`. `options` are mkfs.ext4's (`-N 100`: so many
    /// inodes). Nothing is kept for root: full is full.
    ///
    /// # Errors
    /// What this machine lacks, for [`crate::skip`].
    ///
    /// # Panics
    /// When `dir` cannot be written to.
    pub fn ext4(dir: &Path, bytes: u64, options: &[&str]) -> Result<Disk, String> {
        let disk = Disk { image: dir.join("disk.img"), mount: dir.join("disk") };
        let file = File::create(&disk.image).expect("make the disk's image");
        file.set_len(bytes).expect("set the disk's size");
        std::fs::create_dir_all(&disk.mount).expect("make the mount point");
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).args(options).arg(&disk.image))?;
        disk.attach()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// Cuts the power and gives it back: what was not synced is gone, as the file system sees it. Nobody may have a file of
    /// it open.
    ///
    /// # Panics
    /// When it cannot be done; the disk could be made, so that is no lack of the machine.
    pub fn cut_power(&self) {
        let done = run(Command::new(probe()).arg("power-cut").arg(&self.mount))
            .and_then(|()| self.detach())
            .and_then(|()| self.attach());
        done.expect("cut the power");
    }

    fn attach(&self) -> Result<(), String> {
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).arg(&self.image).arg(&self.mount))
    }

    fn detach(&self) -> Result<(), String> {
        run(Command::new("umount").arg(&self.mount))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.detach();
        let _ = std::fs::remove_file(&self.image);
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("{program}: {error}")),
    }
}
