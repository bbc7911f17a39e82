//! The process that is killed, and what has to hold afterwards.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use taru_content::{Content, NoLayers, Want};
use taru_oci::config::RootFs;
use taru_oci::{Descriptor, Digest, Image, Manifest, Reference, media};
use taru_stdx::Result;

const ACT: &str = "TARU_CONTENT_ACT";

/// A directory that goes with the test.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new() -> Dir {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("taru-content-fault-{}-{number}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        Dir(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An image as a registry would serve it: its blobs, the manifest last.
pub(crate) struct Remote {
    pub(crate) blobs: Vec<(Descriptor, Vec<u8>)>,
}

impl Remote {
    /// Of `layers` layers of `bytes` bytes each; the first is the same in all images.
    pub(crate) fn new(seed: u32, layers: u32, bytes: usize) -> Remote {
        let mut blobs = Vec::new();
        for number in 0..layers {
            let start = if number == 0 { 0 } else { seed * 1000 + number };
            let content: Vec<u8> = (0..bytes)
                .map(|at| (at as u32).wrapping_mul(2_654_435_761).wrapping_add(start) as u8)
                .collect();
            blobs.push((Descriptor::of(media::LAYER, &content), content));
        }
        let image = Image {
            architecture: "amd64".into(),
            os: "linux".into(),
            author: Some(seed.to_string()),
            rootfs: RootFs {
                diff_ids: blobs.iter().map(|(layer, _)| layer.digest.clone()).collect(),
                ..RootFs::default()
            },
            ..Image::default()
        };
        let layers = blobs.iter().map(|(layer, _)| layer.clone()).collect();
        let config = serde_json::to_vec(&image).unwrap();
        blobs.push((Descriptor::of(media::CONFIG, &config), config));
        let manifest = Manifest::new(blobs[blobs.len() - 1].0.clone(), layers);
        let manifest = serde_json::to_vec(&manifest).unwrap();
        blobs.push((Descriptor::of(media::MANIFEST, &manifest), manifest));
        Remote { blobs }
    }

    pub(crate) fn descriptor(&self) -> &Descriptor {
        &self.blobs[self.blobs.len() - 1].0
    }

    /// As a pull does it: every blob that is not there, then the name. How many were not there.
    pub(crate) fn pull(&self, store: &Content, name: &Reference) -> Result<usize> {
        let lease = store.lease("pull")?;
        let mut fetched = 0;
        for (descriptor, bytes) in &self.blobs {
            loop {
                match store.want(&lease, descriptor)? {
                    Want::There => break,
                    Want::Busy => std::thread::sleep(std::time::Duration::from_millis(1)),
                    Want::Missing(mut ingest) => {
                        let offset = usize::try_from(ingest.offset()).unwrap();
                        for piece in bytes[offset..].chunks(100_000) {
                            ingest.write_all(piece).map_err(|e| {
                                taru_stdx::Context::context(Err::<(), _>(e), || "write").unwrap_err()
                            })?;
                        }
                        ingest.commit(Some((&descriptor.digest, descriptor.size)))?;
                        fetched += 1;
                        break;
                    }
                }
            }
        }
        store.tag(&[(name.clone(), self.descriptor().clone())])?;
        lease.release()?;
        Ok(fetched)
    }
}

pub(crate) fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

/// What the worker does: `pull SEED LAYERS BYTES`, `untag SEED`, `hold SEED`, `unhold SEED`, `gc`, several with `;` between
/// them.
pub(crate) fn act(content: &Path, what: &str) -> Result<()> {
    let store = Content::open(content)?;
    for step in what.split(';') {
        let words: Vec<&str> = step.split_whitespace().collect();
        match words[..] {
            ["pull", seed, layers, bytes] => {
                let remote =
                    Remote::new(seed.parse().unwrap(), layers.parse().unwrap(), bytes.parse().unwrap());
                remote.pull(&store, &name(&format!("image{seed}")))?;
            }
            ["hold", seed] => {
                // As a container does that is started: whoever finds the image holds it, with nothing in between.
                let lease = store.lease("run")?;
                if let Some(descriptor) = store.resolve(&name(&format!("image{seed}")))?
                    && lease.protect_blob(&descriptor.digest)?.is_some()
                {
                    store.hold(&format!("container/{seed}"), &[descriptor.digest], &[])?;
                }
            }
            ["unhold", seed] => store.unhold(&format!("container/{seed}"))?,
            ["untag", seed] => drop(store.untag(&name(&format!("image{seed}")))?),
            ["gc"] => {
                store.gc(&NoLayers)?;
            }
            _ => panic!("do what? {step}"),
        }
        // Not println: the test harness has its own idea of that.
        let _ = std::io::stderr().write_all(format!("done {step}\n").as_bytes());
    }
    Ok(())
}

/// The command that does it in a process of its own. It prints `done STEP` on standard error once a step is answered.
pub(crate) fn command(content: &Path, what: &str, under: &[&str]) -> Command {
    let own = std::env::current_exe().unwrap();
    let mut command = match under.split_first() {
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments).arg(own);
            command
        }
        None => Command::new(own),
    };
    command
        .args(["worker::act_in_this_process", "--exact", "--nocapture", "--test-threads=1"])
        .env(ACT, format!("{}\n{what}", content.display()))
        .env("RUST_BACKTRACE", "0")
        .stdout(std::process::Stdio::null());
    command
}

/// Not a test: what [`command`] runs.
#[test]
fn act_in_this_process() {
    let Ok(text) = std::env::var(ACT) else { return };
    let (content, what) = text.split_once('\n').unwrap();
    if let Err(e) = act(Path::new(content), what) {
        panic!("failed: {}", e.chain());
    }
}

/// What holds whatever happened: the store opens, what it names is whole, what it does not name is gone after gc, and no
/// byte is wrong. Returns the seeds of the images that it names.
#[track_caller]
pub(crate) fn assert_sound(content: &Path, point: &str) -> BTreeSet<u32> {
    let store = Content::open(content).unwrap_or_else(|e| panic!("{point}: {}", e.chain()));
    let mut named = BTreeSet::new();
    for record in store.images().unwrap() {
        let missing = store.missing(&record.descriptor).unwrap();
        assert!(missing.is_empty(), "{point}: named, and without {missing:?}");
        if let Some(name) = record.name {
            named.insert(name.repository().strip_prefix("library/image").unwrap().parse().unwrap());
        }
    }
    store.gc(&NoLayers).unwrap_or_else(|e| panic!("{point}: {}", e.chain()));
    let report = store.check(false, &|_| ()).unwrap();
    assert!(report.is_well(), "{point}: {report:?}");
    let usage = store.usage().unwrap();
    assert_eq!(
        (usage.unreachable, usage.unfinished_bytes),
        (0, 0),
        "{point}: {usage:?}, {:?}",
        std::fs::read_dir(content.join("ingest")).unwrap().collect::<Vec<_>>()
    );
    assert_eq!(std::fs::read_dir(content.join("ingest")).unwrap().count(), 0, "{point}");
    // And index.json says the same.
    let index: taru_oci::Index =
        serde_json::from_slice(&std::fs::read(content.join("index.json")).unwrap()).unwrap();
    let listed: BTreeSet<Digest> = index.manifests.into_iter().map(|m| m.digest).collect();
    let known: BTreeSet<Digest> = store.images().unwrap().into_iter().map(|i| i.descriptor.digest).collect();
    assert_eq!(listed, known, "{point}");
    named
}
