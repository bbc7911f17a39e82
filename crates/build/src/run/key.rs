//! The key of a RUN: its words, and the content of what it mounts. Caches, secrets and agents are no part of it.

use taru_oci::Digest;
use taru_stdx::Result;

use super::bound::Bound;
use super::{Around, container};
use crate::cache::Key;
use crate::dockerfile::MountKind;
use crate::files::Files;
use crate::graph::Source;
use crate::stage::{Mount, RunStep};

/// A RUN whose inputs are known: its key, and what will be mounted.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Its key.
    pub key: Digest,
    /// One of each of its mounts.
    pub(super) binds: Vec<Bound>,
}

/// Reads what goes into the key of a RUN. `files` gives those that a mount is of.
///
/// # Errors
/// A source that is not there; any error of reading.
pub(crate) fn prepare(
    step: &RunStep,
    around: &Around<'_>,
    files: &dyn Fn(&Mount) -> Result<Files>,
) -> Result<Prepared> {
    let mut key = Key::new("run", around.parent);
    add_words(&mut key, step, around);
    key.part((step.mounts.len() as u64).to_le_bytes());
    let mut binds = Vec::new();
    for mount in &step.mounts {
        let bound = match has_tree(mount) {
            true => Bound::read(mount, &files(mount)?)?,
            false => Bound::default(),
        };
        key.part(mount_key(mount, &bound)?.hex());
        binds.push(bound);
    }
    Ok(Prepared { key: key.finish(), binds })
}

/// Whether a mount shows files of the build.
fn has_tree(mount: &Mount) -> bool {
    mount.kind == MountKind::Bind || (mount.kind == MountKind::Cache && mount.from.is_some())
}

fn add_words(key: &mut Key, step: &RunStep, around: &Around<'_>) {
    for list in [&step.args, &step.env] {
        key.part((list.len() as u64).to_le_bytes());
        list.iter().for_each(|word| key.add(word));
    }
    key.part(&step.cwd).part(&step.user);
    key.part(if container::has_network(step, around.options.network) { "network" } else { "" });
    key.part(if step.insecure { "insecure" } else { "" });
    key.part(around.epoch.map(|e| e.to_string()).unwrap_or_default());
    if let Some((name, text)) = &step.script {
        key.part(name).part(text);
    }
}

/// What a mount is to the step: where, whose, how, and the files that it shows; a secret's value is no part of it. A key of
/// its own, so that no part of it can be taken for one of the next.
fn mount_key(mount: &Mount, bound: &Bound) -> Result<Digest> {
    let number = |number: Option<u64>| number.map(|n| n.to_string()).unwrap_or_default();
    let switch = |on: bool| if on { "1" } else { "" };
    let kind = match mount.kind {
        MountKind::Bind => "bind",
        MountKind::Cache => "cache",
        MountKind::Tmpfs => "tmpfs",
        MountKind::Secret => "secret",
        MountKind::Ssh => "ssh",
    };
    let mut key = Key::new("mount", None);
    key.part(kind).part(&mount.target).part(switch(mount.writable));
    key.part(number(mount.mode.map(u64::from))).part(mount.uid.to_string()).part(mount.gid.to_string());
    key.part(number(mount.size)).part(&mount.id).part(switch(mount.required));
    key.part(switch(mount.env.is_some())).part(mount.env.as_deref().unwrap_or_default());
    // What a bind shows is in the key by its content, wherever it came from.
    if mount.kind == MountKind::Cache {
        add_origin(&mut key, mount.from.as_ref());
        key.part(&mount.source);
    }
    bound.fingerprint(&mut key)?;
    Ok(key.finish())
}

/// The name of a cache mount's directory: of its id, and of where its first files come from.
pub(super) fn cache_name(mount: &Mount) -> String {
    let mut name = Key::new("cache", None);
    name.part(&mount.id);
    add_origin(&mut name, mount.from.as_ref());
    name.part(if mount.from.is_some() { &mount.source } else { "" });
    name.finish().hex().to_owned()
}

/// Adds where a mount's files come from.
fn add_origin(key: &mut Key, from: Option<&Source>) {
    match from {
        None => key.part("none"),
        Some(Source::Scratch) => key.part("scratch"),
        Some(Source::Stage(number)) => key.part("stage").part(number.to_string()),
        Some(Source::Image(name)) => key.part("image").part(name),
        Some(Source::Context(name)) => key.part("context").part(name),
    };
}
