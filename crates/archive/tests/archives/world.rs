//! A store and a directory for one test.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use taru_archive::{Loaded, load};
use taru_content::{Content, NoLayers};
use taru_oci::{Descriptor, Image, Reference, limits};
use taru_stdx::Result;
use taru_testkit::image::{Built, Image as Builder, Pack, Tar};

/// Removed with all that is in it.
pub(crate) struct World {
    dir: PathBuf,
    pub(crate) content: Content,
}

impl World {
    pub(crate) fn new() -> World {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // In a process namespace of its own each test is process 1.
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        let dir = std::env::temp_dir().join(format!("taru-archive-{}-{now}-{number}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let content = Content::open(&dir.join("content")).unwrap();
        World { dir, content }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Loads and tags; the images stay without the lease.
    pub(crate) fn load(&self, bytes: Vec<u8>) -> Result<Vec<Loaded>> {
        let lease = self.content.lease("test")?;
        let loaded = load(Cursor::new(bytes), &self.content, &lease)?;
        self.keep(&loaded)?;
        Ok(loaded)
    }

    pub(crate) fn keep(&self, loaded: &[Loaded]) -> Result<()> {
        for image in loaded {
            let named: Vec<_> = image.names.iter().map(|n| (n.clone(), image.descriptor.clone())).collect();
            self.content.tag(&named)?;
            self.content.keep(std::slice::from_ref(&image.descriptor))?;
        }
        Ok(())
    }

    /// The configuration behind a manifest.
    pub(crate) fn config(&self, descriptor: &Descriptor) -> Image {
        Image::parse(&self.content.read(&self.manifest(descriptor).config, limits::CONFIG).unwrap()).unwrap()
    }

    pub(crate) fn manifest(&self, descriptor: &Descriptor) -> taru_oci::Manifest {
        let bytes = self.content.read(descriptor, limits::MANIFEST).unwrap();
        match taru_oci::Document::parse(&bytes, &descriptor.media_type).unwrap() {
            taru_oci::Document::Manifest(manifest) => *manifest,
            taru_oci::Document::Index(_) => panic!("an index"),
        }
    }

    /// What a collection leaves: blobs and their bytes, and bytes of unfinished files.
    pub(crate) fn left(&self) -> (u64, u64, u64) {
        self.content.gc(&NoLayers).unwrap();
        let usage = self.content.usage().unwrap();
        (usage.blobs, usage.bytes, usage.unfinished_bytes)
    }

    /// Runs a program of the host in the directory; its standard output.
    pub(crate) fn run(&self, argv: &[&str]) -> String {
        let done = Command::new(argv[0]).args(&argv[1..]).current_dir(&self.dir).output().unwrap();
        assert!(done.status.success(), "{argv:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Whether the program is there; a skip else.
pub(crate) fn has(test: &str, program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()));
    if !found {
        taru_testkit::skip(test, program);
    }
    found
}

pub(crate) fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

/// Two layers and a command.
pub(crate) fn small() -> Builder {
    Builder::new()
        .layer(Tar::new().dir("etc", 0o755).file("etc/motd", "hello\n".repeat(3000), 0o644))
        .layer_as(Pack::Zstd, Tar::new().whiteout("etc/motd").file("etc/issue", "bye\n", 0o600))
        .config(|c| c["config"]["Cmd"] = serde_json::json!(["/bin/sh", "-c", "true"]))
}

/// The same with plain layers, as Docker's archives have them.
pub(crate) fn plain() -> Built {
    Builder::new()
        .layer_as(Pack::None, Tar::new().dir("etc", 0o755).file("etc/motd", "hello\n".repeat(3000), 0o644))
        .layer_as(Pack::None, Tar::new().whiteout("etc/motd").file("etc/issue", "bye\n", 0o600))
        .config(|c| c["config"]["Cmd"] = serde_json::json!(["/bin/sh", "-c", "true"]))
        .build()
}
