//! Paths in a tree that is being made: the directories above the current one are kept at hand.
//!
//! Symbolic links on the way are followed by hand, inside the tree: one that leads out of it is refused. What a tree is, on
//! disk or in an image, is [`Walk`]'s to know.

use taru_stdx::{Context, Error, Kind, Result};

use crate::name::{join, normal};

/// Symbolic links on one path, as the kernel has it.
pub(crate) const MAX_LINKS: u32 = 40;

/// What stands in the way of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// Nothing is there.
    Absent,
    /// A whiteout.
    Whiteout,
}

/// What a name leads to.
pub(crate) enum Found<D> {
    /// A directory.
    Directory(D),
    /// A symbolic link with this text.
    Link(Vec<u8>),
    /// No directory, but one may be made.
    Obstacle(Obstacle),
    /// Something else.
    Other,
}

/// One step in a tree.
pub(crate) trait Walk<D> {
    /// What `part` in `dir` leads to.
    fn look(&mut self, dir: &D, part: &[u8]) -> Result<Found<D>>;
    /// Makes the directory `path`, the last part of which is in `dir`.
    fn make(&mut self, dir: &D, path: &[u8], obstacle: Obstacle) -> Result<()>;
}

/// The directories from the root to the current one.
pub(crate) struct Levels<D> {
    root: D,
    below: Vec<(Vec<u8>, D)>,
}

impl<D> Levels<D> {
    /// The root is the current one.
    pub(crate) fn new(root: D) -> Levels<D> {
        Levels { root, below: Vec::new() }
    }

    /// The current directory.
    pub(crate) fn current(&self) -> &D {
        self.below.last().map_or(&self.root, |(_, dir)| dir)
    }

    /// Its path.
    fn path(&self) -> Vec<u8> {
        self.below.iter().map(|(name, _)| &name[..]).collect::<Vec<_>>().join(&b'/')
    }

    /// Makes the directory `path` the current one and returns where it really is, if symbolic links led elsewhere.
    pub(crate) fn enter(&mut self, path: &[u8], walk: &mut impl Walk<D>) -> Result<Option<Vec<u8>>> {
        let mut led = None;
        let mut links = 0;
        loop {
            let target = led.as_deref().unwrap_or(path);
            match self.try_enter(target, walk)? {
                None => return Ok(led),
                Some(elsewhere) => led = Some(elsewhere),
            }
            links += 1;
            if links > MAX_LINKS {
                return Err(Error::invalid(format!("enter `{}`: too many links", path.escape_ascii())));
            }
        }
    }

    /// As far as no symbolic link is in the way; else where it leads.
    fn try_enter(&mut self, path: &[u8], walk: &mut impl Walk<D>) -> Result<Option<Vec<u8>>> {
        let what = || format!("enter `{}`", path.escape_ascii());
        let mut parts = path.split(|&b| b == b'/').filter(|part| !part.is_empty());
        let mut next = parts.next();
        let mut same = 0;
        while let (Some((name, _)), Some(part)) = (self.below.get(same), next)
            && name == part
        {
            next = parts.next();
            same += 1;
        }
        self.below.truncate(same);
        while let Some(part) = next {
            let mut found = walk.look(self.current(), part).context(what)?;
            if let Found::Obstacle(obstacle) = found {
                walk.make(self.current(), &join(&self.path(), part), obstacle)?;
                found = walk.look(self.current(), part).context(what)?;
            }
            match found {
                Found::Directory(dir) => self.below.push((part.to_vec(), dir)),
                Found::Link(target) => {
                    let from = if target.starts_with(b"/") { Vec::new() } else { self.path() };
                    let led = normal(&join(&from, &target)).context(what)?;
                    let rest = parts.collect::<Vec<_>>().join(&b'/');
                    return Ok(Some(if rest.is_empty() { led } else { join(&led, &rest) }));
                }
                Found::Obstacle(_) | Found::Other => {
                    return Err(Error::invalid(format!("{}: something else is in the way", what())));
                }
            }
            next = parts.next();
        }
        Ok(None)
    }
}

/// A directory that should be there is not.
pub(crate) fn missing(path: &[u8]) -> Error {
    Error::new(Kind::NotFound, format!("enter `{}`: it does not exist", path.escape_ascii()))
}
