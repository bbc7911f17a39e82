//! `taru push`: to a registry, what it has not.
//!
//! ```text
//! layers and config, up to 3 at a time ── manifest ── index, if all of it is here
//! ```

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use taru_oci::{Descriptor, Document, Reference, limits, media};
use taru_registry::Client;
use taru_stdx::{Context, Error, Kind, Result};

use super::progress::{Progress, Step};
use super::{Images, find};
use crate::Engine;

/// How many blobs are sent at a time.
const AT_ONCE: usize = 3;

/// How many manifests an index may lead to: they are all in memory at once.
const MANIFESTS: usize = 256;

/// Sends the image `key` to where its name says, or to `destination`; what the registry knows it by.
///
/// An index of which only some platforms are in the store is sent as the image of this host's.
///
/// # Errors
/// [`Kind::NotFound`]; what the registry says.
pub fn push(
    engine: &Engine,
    key: &str,
    destination: Option<&Reference>,
    progress: &dyn Progress,
) -> Result<Descriptor> {
    let images = engine.images()?;
    let target = find::target(images, key)?;
    let to = match destination {
        Some(name) => name.clone(),
        // An id says nothing of where to.
        None => key
            .parse::<Reference>()
            .ok()
            .filter(|name| images.content.resolve(name).is_ok_and(|found| found.is_some()))
            .ok_or_else(|| {
                Error::invalid(format!("push `{key}`: an id does not say where to"))
                    .hint(format!("taru push {key} REGISTRY/NAME"))
            })?,
    };
    let what = || format!("push `{}`", to.familiar());
    let lease = images.content.lease(&format!("push {to}"))?;
    lease.protect_blob(&target.digest)?;
    let mut documents = Vec::new();
    let whole = gather(images, &target, 0, &mut documents)?;
    let top = if whole {
        target
    } else {
        let found = find::open(images, key, target, None)?;
        progress.say(&format!(
            "only the image for {} is here: it is sent without the index",
            found.config.platform()
        ));
        documents.clear();
        gather(images, &found.manifest, 0, &mut documents)?;
        found.manifest
    };
    let client = engine.registry()?;
    send(images, client, &to, &documents, progress).context(what)?;
    // Each document behind those it leads to; the last one is what the name is to lead to.
    for (descriptor, bytes) in &documents {
        let is_top = descriptor.digest == top.digest;
        let at = if is_top { to.clone() } else { to.with_digest(descriptor.digest.clone()) };
        client.push_manifest(&at, &descriptor.media_type, bytes).context(what)?;
    }
    Ok(top)
}

/// Collects the manifests that `at` leads to, each behind those it leads to itself; whether all were there.
fn gather(
    images: &Images,
    at: &Descriptor,
    depth: usize,
    into: &mut Vec<(Descriptor, Vec<u8>)>,
) -> Result<bool> {
    if depth > limits::INDEX_DEPTH {
        return Err(Error::new(Kind::Limit, "read the index: an index in an index in an index"));
    }
    // An index may name one manifest any number of times.
    if into.iter().any(|(known, _)| known.digest == at.digest) {
        return Ok(true);
    }
    if into.len() >= MANIFESTS {
        return Err(Error::new(Kind::Limit, format!("read the index: more than {MANIFESTS} manifests")));
    }
    let bytes = images.content.read(at, limits::MANIFEST)?;
    let mut whole = true;
    match Document::parse(&bytes, &at.media_type)? {
        Document::Index(index) => {
            for child in &index.manifests {
                match images.content.has(&child.digest)? {
                    Some(_) => whole &= gather(images, child, depth + 1, into)?,
                    None => whole = false,
                }
            }
        }
        Document::Manifest(manifest) => {
            for part in manifest.layers.iter().chain([&manifest.config]) {
                whole &= images.content.has(&part.digest)?.is_some();
            }
        }
    }
    into.push((at.clone(), bytes));
    Ok(whole)
}

/// Sends the blobs of all manifests.
fn send(
    images: &Images,
    client: &Client,
    to: &Reference,
    documents: &[(Descriptor, Vec<u8>)],
    progress: &dyn Progress,
) -> Result<()> {
    let mut blobs: Vec<Descriptor> = Vec::new();
    for (descriptor, bytes) in documents {
        if let Document::Manifest(manifest) = Document::parse(bytes, &descriptor.media_type)? {
            blobs.extend(manifest.layers.into_iter().chain([manifest.config]));
        }
    }
    blobs.sort_by(|a, b| a.digest.cmp(&b.digest));
    blobs.dedup_by(|a, b| a.digest == b.digest);
    if let Some(foreign) = blobs.iter().find(|b| media::layer(&b.media_type) == media::Layer::Foreign) {
        return Err(Error::new(Kind::Unsupported, format!("send layer `{}`: it is foreign", foreign.digest)));
    }
    // Another repository of the same registry may have it: named after one of ours.
    let others = others(images, to)?;
    let queue: Mutex<VecDeque<Descriptor>> = Mutex::new(blobs.into());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let work = || -> Result<()> {
        while let Some(blob) = next() {
            send_blob(images, client, to, &blob, others.first().map(String::as_str), progress)
                .inspect_err(|_| queue.lock().unwrap_or_else(PoisonError::into_inner).clear())?;
        }
        Ok(())
    };
    let results: Vec<Result<()>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        let panicked = || Err(Error::new(Kind::System, "send a layer: a panic"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| panicked())).collect()
    });
    results.into_iter().find(Result::is_err).unwrap_or(Ok(()))
}

fn send_blob(
    images: &Images,
    client: &Client,
    to: &Reference,
    blob: &Descriptor,
    mount_from: Option<&str>,
    progress: &dyn Progress,
) -> Result<()> {
    let (mut file, size) = images.content.open_blob(&blob.digest)?;
    progress.begin(Step::Push, &blob.digest, size);
    let pushed = client.push_blob(to, &mut file, blob, mount_from)?;
    progress.advance(Step::Push, &blob.digest, size);
    progress.end(Step::Push, &blob.digest, pushed != taru_registry::Pushed::Sent);
    Ok(())
}

/// Repositories of the registry of `to` that images here are named after.
fn others(images: &Images, to: &Reference) -> Result<Vec<String>> {
    let mut others: Vec<String> = images
        .content
        .images()?
        .into_iter()
        .filter_map(|record| record.name)
        .filter(|name| name.registry() == to.registry() && name.repository() != to.repository())
        .map(|name| name.repository().to_owned())
        .collect();
    others.dedup();
    Ok(others)
}
