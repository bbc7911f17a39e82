//! `taru` in a memory control group, for the worst that there is.
//!
//! The store lies on the disk: what is written there is cache that the kernel can give up, which it could not on the tmpfs of
//! a sandbox.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use taru_testkit::image::{MANIFEST, Pack, Tar, descriptor, digest, index};
use taru_testkit::{Disk, MemoryGroup, Output, Sandbox, eventually};

use crate::world::{Taru, app};

/// What a command may take, its children and all that the kernel keeps for them included.
pub(crate) const BOUND: u64 = 64 << 20;

pub(crate) const APP: &str = "docker.io/library/app:1";

/// A store on the disk, and the group.
pub(crate) struct Bounded<'s> {
    pub(crate) taru: Taru<'s>,
    pub(crate) group: MemoryGroup,
    pub(crate) dir: PathBuf,
    /// Where the store lies, if it is not there.
    disk: Option<Disk>,
}

impl<'s> Bounded<'s> {
    pub(crate) fn new(sandbox: &'s Sandbox) -> Option<Bounded<'s>> {
        Bounded::made(sandbox, |_| Ok(None))
    }

    /// With the store on a disk, and a packed layer of four times its size; in full of twice.
    pub(crate) fn with_too_large_a_layer(sandbox: &'s Sandbox) -> Option<(Bounded<'s>, Vec<u8>)> {
        let bounded = Bounded::with_disk(sandbox, sandbox.tries(1, 12) as u64 * (256 << 20))?;
        let size = sandbox.tries(1, 6) as u64 * (1 << 30);
        let start = Tar::new().file("large", "", 0o644).claiming(size).unfinished();
        Some((bounded, bomb(&start, 0, sandbox.tries(16, 96))))
    }

    /// With the store on a disk of this size.
    fn with_disk(sandbox: &'s Sandbox, bytes: u64) -> Option<Bounded<'s>> {
        Bounded::made(sandbox, |dir| Disk::ext4(dir, bytes, &[]).map(Some))
    }

    fn made(
        sandbox: &'s Sandbox,
        disk: impl FnOnce(&Path) -> Result<Option<Disk>, String>,
    ) -> Option<Bounded<'s>> {
        let group = MemoryGroup::new(sandbox.marker(), BOUND).map_err(|lack| sandbox.skip(&lack)).ok()?;
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(sandbox.marker());
        fs::create_dir_all(&dir).unwrap();
        let disk = disk(&dir).map_err(|lack| sandbox.skip(&lack)).ok()?;
        let taru = Taru::in_dir(sandbox, disk.as_ref().map_or(&*dir, Disk::path));
        Some(Bounded { taru, group, dir, disk })
    }

    /// `taru LINE` in the group, its standard input the file `input`, if there is one.
    pub(crate) fn taru(&self, line: &str, input: Option<&Path>) -> Output {
        let command = match input {
            Some(path) => {
                let redirect = format!("exec \"$@\" < '{}'", path.display());
                self.taru.invoke(line).under(["sh", "-c", &redirect, "sh"])
            }
            None => self.taru.invoke(line),
        };
        // Not how long it takes is what is tested: a million files do.
        let output = self.group.around(command).bound(Duration::from_secs(1800)).output();
        assert_eq!((self.group.killed(), output.signal), (0, None), "{line}: {}", output.stderr);
        assert!(!output.stderr.contains("panicked"), "{line}: {}", output.stderr);
        output
    }

    /// A load that has to be refused with these words, and leaves nothing.
    #[track_caller]
    pub(crate) fn refused(&self, what: &str, archive: impl AsRef<[u8]>, words: &str) {
        let path = self.dir.join("archive");
        fs::write(&path, archive).unwrap();
        self.refused_file(what, &path, words);
    }

    #[track_caller]
    pub(crate) fn refused_file(&self, what: &str, archive: &Path, words: &str) {
        let output = self.taru("load -q", Some(archive));
        assert!([1, 2].contains(&output.status), "{what}: {}{}", output.stdout, output.stderr);
        assert!(output.stderr.contains(words), "{what}: {}", output.stderr);
        self.assert_empty(what);
    }

    /// Has `act` fail for want of room on the disk, of which it gives back all; what fits has room again.
    #[track_caller]
    pub(crate) fn is_too_large(&self, what: &str, act: &dyn Fn() -> Output) {
        let disk = self.disk.as_ref().map_or(&*self.dir, Disk::path);
        let sh = |line: &str| {
            let output = Command::new("sh").args(["-c", line]).current_dir(disk).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        // Every file and its blocks. Databases keep their log for the next writer, up to 4 MiB.
        let files = || sh("sync; find . ! -name '*.db-wal' -printf '%b %p\\n' | sort");
        let free_inodes = || sh("stat -f -c %d .").trim().parse::<u64>().unwrap();
        let fits = app("fits").build().oci_archive(&[APP]);
        let path = self.dir.join("fits");
        fs::write(&path, fits).unwrap();
        let load = || {
            assert_eq!(self.taru("load -q", Some(&path)).status, 0, "{what}");
            self.taru.taru("run app:1").succeeds();
            self.taru.clear();
            self.taru.taru("store gc").succeeds();
        };
        load();
        let before = (files(), free_inodes());
        let output = act();
        assert!([1, 125].contains(&output.status), "{what}: {}", output.stderr);
        assert!(output.stderr.contains("No space left on device"), "{what}: {}", output.stderr);
        self.assert_empty(what);
        assert_eq!(files(), before.0, "{what}");
        // A sync(2), also that of a test beside this one, holds a removed file's inode while it waits for it; maybe before, too.
        eventually(&format!("{what}: every inode is given back"), || free_inodes() >= before.1);
        load();
    }

    #[track_caller]
    pub(crate) fn assert_empty(&self, what: &str) {
        assert_eq!(self.taru.names(), Vec::<String>::new(), "{what}");
        self.taru.taru("store gc").succeeds();
        assert_eq!(self.taru.stored(), Vec::<String>::new(), "{what}");
    }
}

impl Drop for Bounded<'_> {
    fn drop(&mut self) {
        drop(self.disk.take());
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// An OCI archive of one image with this manifest, whatever that is, and these blobs.
pub(crate) fn archive(manifest: &[u8], blobs: &[&[u8]]) -> Vec<u8> {
    let mut entry = descriptor(MANIFEST, manifest);
    entry["annotations"] = json!({"io.containerd.image.name": APP});
    let mut tar = Tar::new().file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#, 0o644).file(
        "index.json",
        index(vec![entry]).to_string(),
        0o644,
    );
    for bytes in blobs.iter().copied().chain([manifest]) {
        tar = tar.file(&format!("blobs/{}", digest(bytes).replace(':', "/")), bytes, 0o644);
    }
    tar.bytes()
}

/// The archive of an image with one layer of these compressed bytes, whose tar has this digest.
pub(crate) fn with_layer(bytes: &[u8], media_type: &str, diff_id: &str) -> Vec<u8> {
    let (manifest, config) = image_of(bytes, media_type, diff_id);
    archive(&manifest, &[&config, bytes])
}

/// The manifest and the configuration of such an image.
pub(crate) fn image_of(layer: &[u8], media_type: &str, diff_id: &str) -> (Vec<u8>, Vec<u8>) {
    let config = json!({"architecture": taru_testkit::image::architecture(), "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]}})
    .to_string();
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", config.as_bytes()),
        "layers": [descriptor(media_type, layer)]})
    .to_string();
    (manifest.into_bytes(), config.into_bytes())
}

pub(crate) const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// An archive of an image with this layer, compressed with gzip.
pub(crate) fn layered(tar: &[u8]) -> Vec<u8> {
    with_layer(&Pack::Gzip.pack(tar), GZIP, &digest(tar))
}

/// `count` times 64 MiB of `byte` behind `start`, each a gzip member.
pub(crate) fn bomb(start: &[u8], byte: u8, count: usize) -> Vec<u8> {
    [Pack::Gzip.pack(start), Pack::Gzip.pack(&vec![byte; 64 << 20]).repeat(count)].concat()
}
