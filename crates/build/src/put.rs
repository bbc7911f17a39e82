//! The steps that execute nothing: COPY, ADD, WORKDIR. What they put over the layers below, and its key.

use std::path::Path;
use std::sync::Arc;

use taru_engine::user;
use taru_oci::Digest;
use taru_registry::Client;
use taru_stdx::{Context, Error, Result};

use crate::archive;
use crate::assembly::{Assembly, Content, Entry, Spool};
use crate::cache::Key;
use crate::copy::{self, Rules};
use crate::dockerfile::is_url;
use crate::fetch;
use crate::files::Files;
use crate::pattern::Ignore;
use crate::stage::CopyStep;
use crate::tree::Tree;

/// The largest passwd(5) or group(5) that is read.
const ACCOUNTS: u64 = 1 << 20;

/// What surrounds a step.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    /// The layers below.
    pub below: Arc<Tree>,
    /// The chain id of the uppermost.
    pub parent: Option<&'a Digest>,
    /// Where files come from.
    pub files: Files,
    /// `SOURCE_DATE_EPOCH`.
    pub epoch: Option<i64>,
    /// What fetches.
    pub client: &'a Client,
    /// For temporary files.
    pub tmp: &'a Path,
}

/// What a step puts over the layers below.
#[derive(Debug)]
pub(crate) struct Put {
    /// The layer.
    pub assembly: Assembly,
    /// Its key.
    pub key: Digest,
    /// The latest time in it.
    pub clamp: Option<i64>,
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.ok().and_then(|d| i64::try_from(d.as_secs()).ok()).unwrap_or_default()
}

/// Collects what COPY or ADD copies.
///
/// # Errors
/// A source that is not there, an owner that is unknown, what cannot be fetched, any error of reading.
pub(crate) fn copy(step: &CopyStep, place: &Place<'_>) -> Result<Put> {
    let owner = step.chown.as_ref().map(|who| owner(who, &place.below)).transpose()?;
    let rules = Rules {
        owner,
        chmod: step.chmod.as_ref(),
        ignore: &place.files.ignore,
        exclude: Ignore::list(&step.exclude)?,
        keeps_owners: place.files.keeps_owners,
        now: place.epoch.unwrap_or_else(now),
        sets_times: place.epoch.is_some(),
        place: &place.files.name,
    };
    let below = if step.link { Arc::new(Tree::empty()) } else { place.below.clone() };
    let mut assembly = Assembly::new(below);
    for source in &step.sources {
        if step.add && is_url(source) {
            add_url(step, source, &mut assembly, &rules, place)?;
        } else if step.parents {
            copy::copy_parents(&mut assembly, &place.files.tree, source, &step.dest, &rules)?;
        } else {
            for found in copy::find(&place.files.tree, source, &rules)? {
                let is_file = found.node.stat.file_type() == taru_sys::fs::FileType::Regular;
                if step.unpack.unwrap_or(step.add) && is_file {
                    let file = place.files.tree.open(&found.node)?;
                    if let Some(spooled) = archive::spool(file, place.tmp)? {
                        let what = || format!("unpack `{source}`");
                        archive::extract(&mut assembly, &spooled, &step.dest, &rules).context(what)?;
                        continue;
                    }
                }
                copy::copy(&mut assembly, &place.files.tree, &found, &step.dest, &rules)?;
            }
        }
    }
    for (name, text) in &step.contents {
        let real = copy::file_target(&mut assembly, &step.dest, name.as_ref(), &rules)?;
        let entry = rules.made(Content::Bytes(text.as_bytes().into()), 0o644, None);
        assembly.put(real, entry)?;
    }
    // What --link puts depends on nothing below it; the layer does all the same, by its chain id.
    let mut key = Key::new("copy", place.parent);
    key.part(place.epoch.map(|e| e.to_string()).unwrap_or_default());
    key.part(if step.link { "link" } else { "" });
    assembly.fingerprint(|part| key.add(part))?;
    Ok(Put { assembly, key: key.finish(), clamp: place.epoch })
}

fn add_url(
    step: &CopyStep,
    url: &str,
    assembly: &mut Assembly,
    rules: &Rules<'_>,
    place: &Place<'_>,
) -> Result<()> {
    let fetched = fetch::fetch(place.client, url, step.checksum.as_ref(), place.tmp)?;
    // Unlike a local archive, one that is fetched is unpacked only where that is asked for.
    if step.unpack == Some(true) {
        let copy = fetched.file.try_clone().context(|| format!("unpack `{url}`"))?;
        if let Some(spooled) = archive::spool(copy, place.tmp)? {
            return archive::extract(assembly, &spooled, &step.dest, rules)
                .context(|| format!("unpack `{url}`"));
        }
    }
    let real = copy::file_target(assembly, &step.dest, fetched.name.as_ref(), rules)?;
    let spool = Spool { file: Arc::new(fetched.file), offset: 0, size: fetched.size, pieces: None };
    assembly.put(real, rules.made(Content::Spooled(spool), 0o600, fetched.modified))
}

/// The directory that WORKDIR makes, if it is not there.
///
/// # Errors
/// [`taru_stdx::Kind::Invalid`] where a file is; an unknown user.
pub(crate) fn workdir(path: &str, user: &str, place: &Place<'_>) -> Result<Put> {
    let mut assembly = Assembly::new(place.below.clone());
    let owner = if user.is_empty() { (0, 0) } else { owner(user, &place.below)? };
    let real = assembly.resolve(Path::new(path))?;
    assembly.make_dirs(&real, &Entry::directory(0o755, owner, place.epoch.unwrap_or_else(now)))?;
    let mut key = Key::new("workdir", place.parent);
    key.part(place.epoch.map(|e| e.to_string()).unwrap_or_default()).part(path);
    assembly.fingerprint(|part| key.add(part))?;
    Ok(Put { assembly, key: key.finish(), clamp: place.epoch })
}

/// `USER[:GROUP]` in the files of the root: a number without a group is its own group.
///
/// # Errors
/// [`taru_stdx::Kind::NotFound`] for a name that is not there.
pub(crate) fn owner(wanted: &str, tree: &Tree) -> Result<(u32, u32)> {
    if let Ok(number) = wanted.parse::<u32>() {
        return Ok((number, number));
    }
    let (passwd, group) = (tree.read("/etc/passwd", ACCOUNTS)?, tree.read("/etc/group", ACCOUNTS)?);
    let found = user::find(wanted, &passwd, &group)
        .map_err(|e| Error::new(e.kind(), format!("find the owner `{wanted}` in the image")).because(e))?;
    Ok((found.uid, found.gid))
}
