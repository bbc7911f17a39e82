//! COPY and ADD: which files of a tree go where in the layer. Nothing is executed; nothing is written but the layer.
//!
//! The rules are BuildKit's:
//! * of a directory its content is copied: what it is copied to is made anew if it is not there, whatever the source's
//!   owner and mode; directories merge; one that is there keeps what it is, but for those below the source, which become
//!   like their source;
//! * a source that is a link is followed inside its tree, links below it are copied;
//! * a destination that ends with `/` or is a directory takes the file under its own name;
//! * links in the destination are followed inside the root; a link that a file is put over is replaced.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use taru_stdx::{Error, Kind, Result};
use taru_sys::fs::FileType;

use crate::assembly::{Assembly, Content, Entry};
use crate::chmod::Mode;
use crate::pattern::{self, Ignore, Pattern, Verdict};
use crate::tree::{Node, Tree};

/// How files are copied.
#[derive(Debug)]
pub(crate) struct Rules<'a> {
    /// Whose everything is; else whose it was, or root's for a context.
    pub owner: Option<(u32, u32)>,
    /// New permissions.
    pub chmod: Option<&'a Mode>,
    /// What of the source's tree does not exist.
    pub ignore: &'a Ignore,
    /// What is left out besides.
    pub exclude: Ignore,
    /// Whether owners in the source mean something.
    pub keeps_owners: bool,
    /// The time of what is made, and of everything where `SOURCE_DATE_EPOCH` says so.
    pub now: i64,
    /// Whether every file gets the time `now`.
    pub sets_times: bool,
    /// What the tree is called: `the context`, `the stage base`.
    pub place: &'a str,
}

impl Rules<'_> {
    fn entry(&self, tree: &Arc<Tree>, node: &Node) -> Result<Option<Entry>> {
        let content = match node.stat.file_type() {
            FileType::Directory => Content::Directory,
            FileType::Regular => Content::File(tree.clone(), node.clone()),
            FileType::Symlink => Content::Symlink(tree.link(node)?),
            FileType::Socket => return Ok(None),
            kind => Content::Node(kind, node.stat.rdev),
        };
        let own = if self.keeps_owners { (node.stat.uid, node.stat.gid) } else { (0, 0) };
        let mode = node.stat.permissions();
        Ok(Some(Entry {
            content,
            mode: self.chmod.map_or(mode, |m| m.apply(mode, node.is_dir())),
            owner: self.owner.unwrap_or(own),
            mtime: (if self.sets_times { self.now } else { node.stat.mtime.0 }, 0),
            attributes: tree.attributes(node)?,
        }))
    }

    /// A directory that nothing in the source stands for.
    pub(crate) fn new_dir(&self) -> Entry {
        Entry::directory(0o755, self.owner.unwrap_or((0, 0)), self.now)
    }

    /// The directory that the content of another is copied to.
    fn target_dir(&self) -> Entry {
        let dir = self.new_dir();
        Entry { mode: self.chmod.map_or(dir.mode, |m| m.apply(dir.mode, true)), ..dir }
    }

    /// An entry with content that comes from elsewhere than a tree.
    pub(crate) fn made(&self, content: Content, mode: u32, mtime: Option<i64>) -> Entry {
        Entry {
            content,
            mode: self.chmod.map_or(mode, |m| m.apply(mode, false)),
            owner: self.owner.unwrap_or((0, 0)),
            mtime: (if self.sets_times { self.now } else { mtime.unwrap_or(self.now) }, 0),
            attributes: Vec::new(),
        }
    }
}

/// What a source names in a tree.
#[derive(Debug)]
pub(crate) struct Match {
    /// The file or directory itself.
    pub node: Node,
    /// Its name as it was asked for, which a link may have.
    pub name: std::ffi::OsString,
}

/// The files that `source` names, wildcards included. A name without wildcards must exist.
///
/// # Errors
/// [`Kind::NotFound`]; any error of the file system.
pub(crate) fn find(tree: &Tree, source: &str, rules: &Rules<'_>) -> Result<Vec<Match>> {
    let clean = pattern::clean(source);
    if !pattern::has_wildcards(&clean) {
        let plain = clean.replace('\\', "");
        return match seen(tree, Path::new(&plain), rules)? {
            Some(node) => {
                let name = Path::new(&plain).file_name().unwrap_or_default().to_owned();
                Ok(vec![Match { node, name }])
            }
            None => Err(missing(tree, source, &plain, rules)),
        };
    }
    let mut found = vec![PathBuf::new()];
    for part in clean.split('/') {
        let mut next = Vec::new();
        if !pattern::has_wildcards(part) {
            let plain = part.replace('\\', "");
            next.extend(found.iter().map(|dir| dir.join(&plain)));
        } else {
            let wanted = Pattern::component(part)?;
            for dir in &found {
                let Some(node) = tree.find(dir)?.filter(Node::is_dir) else { continue };
                let names = tree.names(&node)?;
                let matching = names.into_iter().filter(|name| wanted.matches(&name.to_string_lossy()));
                next.extend(matching.map(|name| dir.join(name)));
            }
        }
        found = next;
    }
    let mut matches = Vec::new();
    for path in found {
        if let Some(node) = seen(tree, &path, rules)? {
            matches.push(Match { node, name: path.file_name().unwrap_or_default().to_owned() });
        }
    }
    Ok(matches)
}

/// What `path` leads to, unless the ignore file hides it.
fn seen(tree: &Tree, path: &Path, rules: &Rules<'_>) -> Result<Option<Node>> {
    Ok(tree.find(path)?.filter(|node| match rules.ignore.verdict(&pattern::text(&node.path)) {
        Verdict::Kept => true,
        // Something in it may be given back.
        Verdict::Excluded => node.is_dir(),
        Verdict::Pruned => node.path.as_os_str().is_empty(),
    }))
}

fn missing(tree: &Tree, source: &str, plain: &str, rules: &Rules<'_>) -> Error {
    let e = Error::new(Kind::NotFound, format!("copy `{source}`: it is not in {}", rules.place));
    if tree.find(Path::new(plain)).is_ok_and(|node| node.is_some()) {
        return e.hint("the ignore file excludes it");
    }
    let near = tree.find(Path::new(plain).parent().unwrap_or(Path::new(""))).ok().flatten().and_then(|dir| {
        let names: Vec<String> =
            tree.names(&dir).ok()?.into_iter().map(|n| n.to_string_lossy().into_owned()).collect();
        let name = Path::new(plain).file_name()?.to_str()?;
        crate::dockerfile::nearest(name, names.iter().map(String::as_str)).map(str::to_owned)
    });
    match near {
        Some(near) => e.hint(format!("there is `{near}`")),
        None if plain.starts_with("..") || source.starts_with("../") => {
            e.hint("paths are relative to the context's root, and nothing above it exists")
        }
        None => e,
    }
}

/// Where a file called `name` goes that is copied to `dest`, and makes the directories above.
///
/// # Errors
/// [`Kind::Invalid`] where a file stands in the way.
pub(crate) fn file_target(
    assembly: &mut Assembly,
    dest: &str,
    name: &std::ffi::OsStr,
    rules: &Rules<'_>,
) -> Result<PathBuf> {
    let mut real = assembly.resolve(Path::new(dest))?;
    if dest.ends_with('/') || assembly.is_dir(&real)? == Some(true) {
        assembly.make_dirs(&real, &rules.new_dir())?;
        real = assembly.resolve_parent(&Path::new("/").join(&real).join(name))?;
    }
    let parent = real.parent().unwrap_or(Path::new("")).to_owned();
    assembly.make_dirs(&parent, &rules.new_dir())?;
    Ok(real)
}

/// Copies a file or the content of a directory to `dest`, an absolute path.
///
/// # Errors
/// [`Kind::Invalid`] for a file in the way of a directory and the other way round; any error of the file system.
pub(crate) fn copy(
    assembly: &mut Assembly,
    tree: &Arc<Tree>,
    what: &Match,
    dest: &str,
    rules: &Rules<'_>,
) -> Result<()> {
    if what.node.is_dir() {
        let real = assembly.resolve(Path::new(dest))?;
        let parent = real.parent().unwrap_or(Path::new("")).to_owned();
        assembly.make_dirs(&parent, &rules.new_dir())?;
        if assembly.is_dir(&real)?.is_none() {
            // Not the source's mode: a context that is its owner's alone would lock the image's users out.
            assembly.put(real.clone(), rules.target_dir())?;
        } else if assembly.is_dir(&real)? == Some(false) {
            return Err(Error::invalid(format!("copy a directory to `{dest}`: it is no directory")));
        }
        return copy_below(assembly, tree, &what.node, &real, rules);
    }
    if rules.exclude.verdict(&what.name.to_string_lossy()) != Verdict::Kept {
        return Ok(());
    }
    let real = file_target(assembly, dest, &what.name, rules)?;
    match rules.entry(tree, &what.node)? {
        Some(entry) => assembly.put(real, entry),
        None => Ok(()),
    }
}

/// A directory that is being copied, and whether it is in the layer already.
struct Level {
    node: Node,
    /// Where its content goes.
    real: PathBuf,
    /// Its path below the source.
    below: PathBuf,
    /// It, and what is above it, that are made only if something in them is kept.
    pending: Vec<(PathBuf, Node)>,
}

fn copy_below(
    assembly: &mut Assembly,
    tree: &Arc<Tree>,
    source: &Node,
    real: &Path,
    rules: &Rules<'_>,
) -> Result<()> {
    let first =
        Level { node: source.clone(), real: real.to_owned(), below: PathBuf::new(), pending: Vec::new() };
    let mut stack = vec![first];
    while let Some(level) = stack.pop() {
        let mut pending = level.pending;
        for name in tree.names(&level.node)? {
            let Some(child) = tree.child(&level.node, &name)? else { continue };
            let below = level.below.join(&name);
            let verdicts = [
                rules.ignore.verdict(&pattern::text(&child.path)),
                rules.exclude.verdict(&pattern::text(&below)),
            ];
            if verdicts.contains(&Verdict::Pruned) {
                continue;
            }
            let is_kept = verdicts == [Verdict::Kept, Verdict::Kept];
            let target = level.real.join(&name);
            if !is_kept {
                if child.is_dir() {
                    let mut pending = pending.clone();
                    pending.push((target.clone(), child.clone()));
                    stack.push(Level { node: child, real: target, below, pending });
                }
                continue;
            }
            for (path, node) in pending.drain(..) {
                put(assembly, tree, path, &node, rules)?;
            }
            put(assembly, tree, target.clone(), &child, rules)?;
            if child.is_dir() {
                stack.push(Level { node: child, real: target, below, pending: Vec::new() });
            }
        }
    }
    Ok(())
}

fn put(
    assembly: &mut Assembly,
    tree: &Arc<Tree>,
    real: PathBuf,
    node: &Node,
    rules: &Rules<'_>,
) -> Result<()> {
    match rules.entry(tree, node)? {
        Some(entry) => assembly.put(real, entry),
        None => Ok(()),
    }
}

/// `--parents`: copies what matches with the directories above it, up to a `/./` in the source.
///
/// # Errors
/// As [`copy`]; [`Kind::NotFound`] for a name without wildcards.
pub(crate) fn copy_parents(
    assembly: &mut Assembly,
    tree: &Arc<Tree>,
    source: &str,
    dest: &str,
    rules: &Rules<'_>,
) -> Result<()> {
    let (root, wanted) = source.split_once("/./").unwrap_or(("", source));
    let (root, wanted) = (pattern::clean(root), pattern::clean(wanted));
    let Some(top) = seen(tree, Path::new(&root), rules)?.filter(Node::is_dir) else {
        return Err(missing(tree, source, &root, rules));
    };
    if !pattern::has_wildcards(&wanted) {
        let path = Path::new(&root).join(wanted.replace('\\', ""));
        if seen(tree, &path, rules)?.is_none() {
            return Err(missing(tree, source, &path.to_string_lossy(), rules));
        }
    }
    let wanted = Ignore::list(&[if wanted.is_empty() { "**" } else { &wanted }])?;
    let real = assembly.resolve(Path::new(dest))?;
    assembly.make_dirs(&real, &rules.new_dir())?;
    let base = top.path.clone();
    let mut stack = vec![top];
    while let Some(dir) = stack.pop() {
        for name in tree.names(&dir)? {
            let Some(child) = tree.child(&dir, &name)? else { continue };
            let below = child.path.strip_prefix(&base).unwrap_or(&child.path).to_owned();
            let hidden = [
                rules.ignore.verdict(&pattern::text(&child.path)),
                rules.exclude.verdict(&pattern::text(&below)),
            ];
            if hidden.contains(&Verdict::Pruned) {
                continue;
            }
            // A list that excludes it is a list that it matches.
            let is_wanted = wanted.verdict(&pattern::text(&below)) != Verdict::Kept;
            if is_wanted && hidden == [Verdict::Kept, Verdict::Kept] {
                let mut at = PathBuf::new();
                for part in below.parent().unwrap_or(Path::new("")) {
                    at.push(part);
                    if let Some(above) = tree.find_nofollow(&Path::new("/").join(&base).join(&at))? {
                        put(assembly, tree, real.join(&at), &above, rules)?;
                    }
                }
                put(assembly, tree, real.join(&below), &child, rules)?;
            }
            if child.is_dir() {
                stack.push(child);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
