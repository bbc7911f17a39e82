//! `taru pull`: from a registry to a layer on disk, in one acknowledged step.
//!
//! ```text
//! resolve ── index ── manifest ── policy ── config ──┬─ fetch layer (up to 3 at a time) ─┬─ unpack, in order ── tag
//!                                                    └─ fetch layer                     ─┘
//! ```
//! Everything is held by a lease from the first byte; the name appears last, in one durable transaction. Whatever
//! a pull that was killed left behind is continued by the next one, or collected.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use taru_content::{Lease, Want};
use taru_oci::{Descriptor, Document, Image, Manifest, Platform, Reference, limits};
use taru_registry::Client;
use taru_stdx::{Context, Error, Kind, Result};

use super::find::{self, Found};
use super::progress::{Progress, Step};
use super::{Images, broken, names, unpack};
use crate::Engine;

/// How many layers are fetched at a time; more only divides the bandwidth.
const AT_ONCE: usize = 3;
/// How long to wait for somebody else, who fetches or unpacks a layer, before looking again.
const BUSY: Duration = Duration::from_millis(50);
/// How much is read of a layer at a time.
const CHUNK: usize = 1 << 20;

/// Fetches the image `name` for `platform` (or this host), unpacks it, and gives it its name.
///
/// # Errors
/// What the registry says; [`Kind::Permission`] if the policy refuses it; [`Kind::Unsupported`] for what is no image.
pub fn pull(
    engine: &Engine,
    client: &Client,
    name: &Reference,
    platform: Option<&Platform>,
    progress: &dyn Progress,
) -> Result<Found> {
    let what = || format!("pull `{}`", name.familiar());
    fetch(engine, client, name, platform, progress).context(what)
}

fn fetch(
    engine: &Engine,
    client: &Client,
    name: &Reference,
    platform: Option<&Platform>,
    progress: &dyn Progress,
) -> Result<Found> {
    let images = engine.images()?;
    let lease = images.content.lease(&format!("pull {name}"))?;
    let resolved = client.resolve(name)?;
    let target = resolved.descriptor.clone();
    let policy = names::policy()?;
    let host = Platform::host();
    let wanted = platform.unwrap_or(&host);
    let from = Source { images, client, name, lease: &lease };
    let (manifest, document) = from.manifest(&target, resolved.bytes, wanted)?;
    policy.check_any(client, name, &[target.clone(), manifest.clone()])?;
    find::check_kind(&document)?;
    let config = from.config(&document)?;
    if let Some(platform) = platform
        && config.platform().suits(platform).is_none()
    {
        let text = format!("choose an image for `{platform}`: it is for `{}` alone", config.platform());
        return Err(Error::new(Kind::NotFound, text));
    }
    match from.layers(engine, &document, &config, progress) {
        // What was damaged on the disk is gone now, and fetched again.
        Err(e) if e.kind() == Kind::Invalid && from.is_any_damaged(&document)? => {
            from.layers(engine, &document, &config, progress)?;
        }
        other => other?,
    }
    images.content.tag(&[(name.clone(), target.clone())])?;
    Ok(Found { name: name.familiar(), target, manifest, document, config })
}

/// Where an image comes from and goes to.
struct Source<'a> {
    images: &'a Images,
    client: &'a Client,
    name: &'a Reference,
    lease: &'a Lease,
}

impl Source<'_> {
    /// From what the name led to, to the manifest for `wanted`; each document on the way is kept.
    fn manifest(
        &self,
        target: &Descriptor,
        bytes: Vec<u8>,
        wanted: &Platform,
    ) -> Result<(Descriptor, Manifest)> {
        let (mut at, mut bytes) = (target.clone(), bytes);
        for _ in 0..=limits::INDEX_DEPTH {
            let document = Document::parse(&bytes, &at.media_type)?;
            self.keep(&at, &bytes)?;
            match document {
                Document::Manifest(manifest) => return Ok((at, *manifest)),
                Document::Index(index) => {
                    at = index.choose(wanted)?.clone();
                    bytes = self.document(&at, limits::MANIFEST)?;
                }
            }
        }
        Err(Error::new(Kind::Limit, "read the index: an index in an index in an index"))
    }

    fn config(&self, manifest: &Manifest) -> Result<Image> {
        let bytes = self.document(&manifest.config, limits::CONFIG)?;
        let config = Image::parse(&bytes)?;
        config.agree_with(manifest.layers.len())?;
        self.keep(&manifest.config, &bytes)?;
        Ok(config)
    }

    /// A small document: of the store where it has it, else of the registry. Its digest is verified either way.
    fn document(&self, at: &Descriptor, limit: u64) -> Result<Vec<u8>> {
        if at.size > limit {
            let text = format!("read `{}`: {} bytes, at most {limit}", at.digest, at.size);
            return Err(Error::new(Kind::Limit, text));
        }
        if self.images.content.has(&at.digest)? == Some(at.size) {
            match self.images.content.read(at, limit) {
                // Damaged on the disk: fetched again, it takes that one's place.
                Err(e) if e.kind() == Kind::Invalid => {}
                other => return other,
            }
        }
        self.client.fetch_document(self.name, at)
    }

    fn keep(&self, at: &Descriptor, bytes: &[u8]) -> Result<()> {
        self.images.content.put(self.lease, bytes, at.digest.algorithm()).map(drop)
    }

    /// Whether any layer that the store has is not what it was; such are removed.
    fn is_any_damaged(&self, manifest: &Manifest) -> Result<bool> {
        let mut any = false;
        for layer in &manifest.layers {
            any |= self.images.content.has(&layer.digest)?.is_some()
                && !self.images.content.verify(&layer.digest)?;
        }
        Ok(any)
    }

    /// Fetches what is missing of the layers and unpacks those that are missing or broken, each as soon as it and those below are there.
    fn layers(
        &self,
        engine: &Engine,
        manifest: &Manifest,
        config: &Image,
        progress: &dyn Progress,
    ) -> Result<()> {
        let mut wanted = unpack::plan(manifest, config)?;
        for layer in &wanted {
            self.lease.protect_layer(&layer.chain)?;
        }
        broken::renew(engine, &mut wanted)?;
        let state = Shared::new(wanted.len());
        let cancel = AtomicBool::new(false);
        let mut first = None;
        std::thread::scope(|scope| {
            let threads = AT_ONCE.min(wanted.len());
            let fetchers: Vec<_> = (0..threads)
                .map(|_| {
                    scope.spawn(|| {
                        let done = self.fetch_some(manifest, &wanted, &state, &cancel, progress);
                        if done.is_err() {
                            state.stop(&cancel);
                        }
                        done
                    })
                })
                .collect();
            // All in one go, though most are still on their way: what is unpacked is synced once for all layers.
            let wait = |at, is_vain: &dyn Fn() -> bool| state.wait(at, &cancel, is_vain);
            let unpacked = unpack::unpack(self.images, manifest, &wanted, &wait, progress);
            if unpacked.is_err() {
                state.stop(&cancel);
            }
            for fetcher in fetchers {
                let failed = fetcher
                    .join()
                    .unwrap_or_else(|_| Err(Error::new(Kind::System, "fetch a layer: a panic")));
                first = first.take().or(failed.err());
            }
            // What did not come was not unpacked either: the first cause counts.
            first = first.take().or(unpacked.err());
        });
        first.map_or(Ok(()), Err)
    }

    /// Takes layers from the queue until it is empty.
    fn fetch_some(
        &self,
        manifest: &Manifest,
        wanted: &[unpack::Layer],
        state: &Shared,
        cancel: &AtomicBool,
        progress: &dyn Progress,
    ) -> Result<()> {
        while let Some(at) = state.next() {
            if cancel.load(Ordering::Relaxed) {
                return Ok(());
            }
            if let Some(layer) = wanted.get(at).and_then(|l| manifest.layers.get(l.at)) {
                self.fetch_layer(layer, cancel, progress)?;
            }
            state.done(at);
        }
        Ok(())
    }

    fn fetch_layer(&self, layer: &Descriptor, cancel: &AtomicBool, progress: &dyn Progress) -> Result<()> {
        let mut into = loop {
            match self.images.content.want(self.lease, layer)? {
                Want::There => {
                    progress.end(Step::Fetch, &layer.digest, true);
                    return Ok(());
                }
                Want::Missing(ingest) => break ingest,
                Want::Busy if cancel.load(Ordering::Relaxed) => return Ok(()),
                // Another pull fetches it; if that one dies, what it has is continued here.
                Want::Busy => std::thread::sleep(BUSY),
            }
        };
        progress.begin(Step::Fetch, &layer.digest, layer.size);
        progress.advance(Step::Fetch, &layer.digest, into.offset());
        let mut from = self.client.blob(self.name, layer, into.offset())?;
        let what = || format!("fetch layer `{}`", layer.digest);
        let mut chunk = vec![0; CHUNK];
        loop {
            if cancel.load(Ordering::Relaxed) {
                return Ok(());
            }
            let read = from.read(&mut chunk).map_err(taru_registry::error_of).context(what)?;
            if read == 0 {
                break;
            }
            into.write_all(chunk.get(..read).unwrap_or_default()).context(what)?;
            progress.advance(Step::Fetch, &layer.digest, read as u64);
        }
        into.commit(Some((&layer.digest, layer.size))).context(what)?;
        progress.end(Step::Fetch, &layer.digest, false);
        Ok(())
    }
}

/// Which layers are still to be fetched, and which are there.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    queue: VecDeque<usize>,
    there: Vec<bool>,
}

impl Shared {
    fn new(layers: usize) -> Shared {
        let state = State { queue: (0..layers).collect(), there: vec![false; layers] };
        Shared { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<usize> {
        self.lock().queue.pop_front()
    }

    fn done(&self, at: usize) {
        if let Some(there) = self.lock().there.get_mut(at) {
            *there = true;
        }
        self.changed.notify_all();
    }

    fn stop(&self, cancel: &AtomicBool) {
        // Under the lock, so that nobody who just looked goes to sleep.
        let _state = self.lock();
        cancel.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// Waits until the layer `at` is there.
    ///
    /// # Errors
    /// It will never be: its fetch has failed, or another layer.
    fn wait(&self, at: usize, cancel: &AtomicBool, is_vain: &dyn Fn() -> bool) -> Result<()> {
        let mut state = self.lock();
        while state.there.get(at) != Some(&true) {
            if cancel.load(Ordering::Relaxed) || is_vain() {
                return Err(Error::new(Kind::State, "wait for the layer: another one has failed"));
            }
            (state, _) = self.changed.wait_timeout(state, BUSY).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }
}
