//! Names and where they lead, in little memory.
//!
//! ```text
//! buckets ──> node ──> node      a node: directory, name, where it leads
//! names   [ e t c p a s s w d ...
//! ```
//! A node has 24 bytes and its name. What is taken away is out of reach, and no more: what lay in a directory that is gone
//! is found by nobody, and its memory is that of entries that came, which are counted.

use std::hash::{BuildHasher, Hasher, RandomState};

use taru_stdx::Result;

use crate::file::Inode;
use crate::output::no_room;

/// A directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dir(pub(crate) u32);

impl Dir {
    /// The image's root.
    pub const ROOT: Dir = Dir(0);
}

/// What a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A directory.
    Directory(Dir),
    /// Anything else.
    Inode(Inode),
}

/// None, in a list of nodes.
const NONE: u32 = u32::MAX;
/// The type of a directory, as an entry has it.
pub(crate) const DIRECTORY: u8 = 2;
/// The type of what is no more.
const GONE: u8 = 0;

pub(crate) struct Node {
    /// An inode's number, or which directory.
    pub(crate) leads_to: u64,
    pub(crate) dir: u32,
    name: u32,
    next: u32,
    length: u8,
    pub(crate) file_type: u8,
    /// The file had several names.
    pub(crate) is_linked: bool,
}

/// The attributes of a directory.
pub(crate) struct Directory {
    pub(crate) mtime: (i64, u32),
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: u16,
    /// As they lie on disk.
    pub(crate) xattrs: Box<[u8]>,
}

pub(crate) struct Tree {
    pub(crate) nodes: Vec<Node>,
    names: Vec<u8>,
    pub(crate) directories: Vec<Directory>,
    /// The first node of each; a power of two.
    buckets: Vec<u32>,
    hasher: RandomState,
    /// Bytes of the attributes of directories.
    pub(crate) attributes: usize,
    memory: usize,
}

/// How many names so many bytes of memory have room for, at most.
pub(crate) fn most_names(memory: usize) -> u64 {
    (memory / size_of::<Node>()) as u64
}

/// A directory that nothing was said of.
pub(crate) fn plain() -> Directory {
    Directory { mtime: (0, 0), uid: 0, gid: 0, mode: 0o755, xattrs: Box::default() }
}

/// Makes room for one more: an eighth at a time, for what is reserved counts.
pub(crate) fn grow<T>(list: &mut Vec<T>, by: usize) {
    if list.capacity() - list.len() < by {
        list.reserve_exact(by.max(list.len() / 8).max(64));
    }
}

impl Tree {
    pub(crate) fn new(memory: usize) -> Tree {
        Tree {
            nodes: Vec::new(),
            names: Vec::new(),
            directories: vec![plain()],
            buckets: vec![NONE; 1 << 10],
            hasher: RandomState::new(),
            attributes: 0,
            memory,
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        let taken = self.nodes.capacity() * size_of::<Node>()
            + self.names.capacity()
            + self.directories.capacity() * size_of::<Directory>()
            + self.buckets.capacity() * 4
            + self.attributes;
        taken > self.memory
    }

    pub(crate) fn name(&self, node: &Node) -> &[u8] {
        self.names.get(node.name as usize..node.name as usize + usize::from(node.length)).unwrap_or_default()
    }

    fn bucket(&self, dir: u32, name: &[u8]) -> usize {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u32(dir);
        hasher.write(name);
        hasher.finish() as usize & (self.buckets.len() - 1)
    }

    pub(crate) fn find(&self, dir: Dir, name: &[u8]) -> Option<usize> {
        let mut at = *self.buckets.get(self.bucket(dir.0, name))?;
        while let Some(node) = self.nodes.get(at as usize) {
            if node.dir == dir.0 && self.name(node) == name {
                return Some(at as usize);
            }
            at = node.next;
        }
        None
    }

    /// Takes the name away; `None` where nothing has it.
    pub(crate) fn remove(&mut self, dir: Dir, name: &[u8]) -> Option<()> {
        let found = self.find(dir, name)?;
        let bucket = self.bucket(dir.0, name);
        let next = self.nodes.get(found)?.next;
        let mut at = *self.buckets.get(bucket)?;
        if at as usize == found {
            self.buckets[bucket] = next;
        } else {
            while let Some(node) = self.nodes.get_mut(at as usize) {
                if node.next as usize == found {
                    node.next = next;
                    break;
                }
                at = node.next;
            }
        }
        self.nodes.get_mut(found)?.file_type = GONE;
        Some(())
    }

    pub(crate) fn insert(
        &mut self,
        dir: Dir,
        name: &[u8],
        file_type: u8,
        leads_to: u64,
        is_linked: bool,
    ) -> Result<()> {
        self.remove(dir, name);
        let length = u8::try_from(name.len()).map_err(|_| no_room("so long a name"))?;
        grow(&mut self.nodes, 1);
        grow(&mut self.names, name.len());
        if self.nodes.len() >= self.buckets.len() {
            self.rehash();
        }
        if self.is_full() {
            return Err(no_room("so many names in the memory that there is"));
        }
        let bucket = self.bucket(dir.0, name);
        let at = self.names.len() as u32;
        self.names.extend_from_slice(name);
        let next = std::mem::replace(&mut self.buckets[bucket], self.nodes.len() as u32);
        self.nodes.push(Node { leads_to, dir: dir.0, name: at, next, length, file_type, is_linked });
        Ok(())
    }

    fn rehash(&mut self) {
        self.buckets = vec![NONE; self.buckets.len() * 2];
        for at in 0..self.nodes.len() {
            if self.nodes[at].file_type != GONE {
                let bucket = self.bucket(self.nodes[at].dir, self.name(&self.nodes[at]));
                self.nodes[at].next = std::mem::replace(&mut self.buckets[bucket], at as u32);
            }
        }
    }

    /// All names that are there, sorted by their directories, then by their bytes.
    pub(crate) fn sorted(&self) -> Vec<u32> {
        let is_there = |at: &u32| self.nodes[*at as usize].file_type != GONE;
        let mut sorted: Vec<u32> = (0..self.nodes.len() as u32).filter(is_there).collect();
        sorted.sort_unstable_by(|a, b| {
            let (a, b) = (&self.nodes[*a as usize], &self.nodes[*b as usize]);
            a.dir.cmp(&b.dir).then_with(|| self.name(a).cmp(self.name(b)))
        });
        sorted
    }
}
