//! The tree, parents first, in the order of its directories, which are sorted.

use std::collections::{HashMap, HashSet, VecDeque};

use taru_oci::limits;
use taru_stdx::{Error, Kind, Result};
use taru_tar::{self as tar, Entry};

use super::inode::{Data, Inode, Node};
use super::metadata::Cursor;
use super::{Image, NONE32, bad, number};

/// Entries of one directory.
const ENTRIES: usize = 1_000_000;

/// Where a walk through the tree is.
pub(super) struct Walk {
    /// The directories from the root down, with what is still to come in each.
    open: Vec<Open>,
    root: Option<Inode>,
    /// Directories that were entered: none is twice, or the tree would be endless.
    entered: HashSet<u32>,
    /// The first name of each file that has several.
    linked: HashMap<u32, Vec<u8>>,
    names: usize,
    seen: u64,
}

struct Open {
    path: Vec<u8>,
    rest: VecDeque<(Vec<u8>, u64)>,
}

impl Walk {
    pub(super) fn new(image: &mut Image) -> Result<Walk> {
        let root = image.inode(image.root)?;
        let (entered, linked) = (HashSet::new(), HashMap::new());
        Ok(Walk { open: Vec::new(), root: Some(root), entered, linked, names: 0, seen: 0 })
    }

    /// The next entry, and its content if it has one.
    pub(super) fn next(&mut self, image: &mut Image) -> Result<Option<(Entry, Option<Content>)>> {
        if let Some(root) = self.root.take() {
            let entry = self.entry(image, b"./".to_vec(), &root)?;
            self.enter(image, Vec::new(), &root)?;
            return Ok(Some((entry, None)));
        }
        loop {
            let Some(directory) = self.open.last_mut() else { return Ok(None) };
            let Some((name, reference)) = directory.rest.pop_front() else {
                self.open.pop();
                continue;
            };
            let mut path = directory.path.clone();
            path.extend_from_slice(&name);
            let inode = image.inode(reference)?;
            self.seen += 1;
            if self.seen > limits::LAYER_ENTRIES || path.len() > limits::PATH {
                let text =
                    format!("read the squashfs: `{}`: too many files, or too long a path", tar::text(&path));
                return Err(Error::new(Kind::Limit, text));
            }
            // A socket without its process is nothing; tar has none.
            if matches!(inode.kind, Node::Socket) {
                continue;
            }
            if matches!(inode.kind, Node::Directory { .. }) {
                path.push(b'/');
                let entry = self.entry(image, path.clone(), &inode)?;
                self.enter(image, path, &inode)?;
                return Ok(Some((entry, None)));
            }
            let entry = self.entry(image, path, &inode)?;
            let content = match &inode.kind {
                Node::File(data) if entry.stored() > 0 => Some(Content::new(data.clone())),
                _ => None,
            };
            return Ok(Some((entry, content)));
        }
    }

    /// What an inode is under this name.
    fn entry(&mut self, image: &mut Image, path: Vec<u8>, inode: &Inode) -> Result<Entry> {
        let kind = match &inode.kind {
            Node::Directory { .. } => tar::Kind::Directory,
            Node::File(data) => tar::Kind::file(data.size),
            Node::Symlink(target) => tar::Kind::Symlink { target: target.clone() },
            Node::Device(kind) => kind.clone(),
            Node::Fifo | Node::Socket => tar::Kind::Fifo,
        };
        let mut entry = Entry::new(kind, path, inode.mode & 0o7777);
        (entry.uid, entry.gid, entry.mtime) = (inode.uid, inode.gid, (inode.modified.into(), 0));
        if entry.kind != tar::Kind::Directory && inode.links > 1 {
            if let Some(first) = self.linked.get(&inode.number) {
                entry.kind = tar::Kind::Link { target: first.clone() };
                return Ok(entry);
            }
            self.names += entry.path.len();
            if self.names > limits::ARCHIVE_NAMES {
                return Err(Error::new(Kind::Limit, "read the squashfs: too many files with several names"));
            }
            self.linked.insert(inode.number, entry.path.clone());
        }
        entry.xattrs = image.attributes(inode.xattrs)?;
        Ok(entry)
    }

    /// Reads the list of a directory.
    fn enter(&mut self, image: &mut Image, path: Vec<u8>, inode: &Inode) -> Result<()> {
        let Node::Directory { block, offset, size } = inode.kind else {
            return Err(bad("a root that is no directory"));
        };
        if !self.entered.insert(inode.number) {
            return Err(bad("a directory that is in itself, or in two"));
        }
        // The size counts `.` and `..`, which are not stored, as three bytes.
        let mut left = i64::from(size) - 3;
        let mut rest: VecDeque<(Vec<u8>, u64)> = VecDeque::new();
        let mut at = Cursor::of(image.directories, u64::from(block) << 16 | u64::from(offset))?;
        while left > 0 {
            let header = at.bytes(image, 12)?;
            left -= 12;
            let (count, start) = (number(&header, 0, 4) + 1, number(&header, 4, 4));
            if count > 256 {
                return Err(bad("a directory's header with too many entries"));
            }
            for _ in 0..count {
                let about = at.bytes(image, 8)?;
                let length = number(&about, 6, 2) as usize + 1;
                let name = at.bytes(image, length)?;
                left -= 8 + length as i64;
                let is_name = length <= 256 && !name.iter().any(|b| matches!(b, 0 | b'/'));
                if !is_name || name == b"." || name == b".." {
                    return Err(bad(&format!("a file named `{}`", tar::text(&name))));
                }
                // Sorted by the file system's maker; a name that is there twice would be one file or the other.
                if rest.back().is_some_and(|(before, _)| *before >= name) {
                    return Err(bad(&format!("`{}` is out of order, or twice", tar::text(&name))));
                }
                rest.push_back((name, start << 16 | number(&about, 0, 2)));
            }
            if rest.len() > ENTRIES {
                let text = format!("read the squashfs: `{}`: more than {ENTRIES} entries", tar::text(&path));
                return Err(Error::new(Kind::Limit, text));
            }
        }
        self.open.push(Open { path, rest });
        Ok(())
    }
}

/// A file's content, block by block.
pub(super) struct Content {
    data: Data,
    /// Where the next block is, and how much of the file comes before it.
    position: u64,
    done: u64,
    block: Vec<u8>,
    read: usize,
}

impl Content {
    fn new(data: Data) -> Content {
        Content { position: data.start, data, done: 0, block: Vec::new(), read: 0 }
    }

    pub(super) fn read(&mut self, image: &mut Image, buffer: &mut [u8]) -> Result<usize> {
        if self.read == self.block.len() {
            if self.done == self.data.size {
                return Ok(0);
            }
            self.block = self.next(image)?;
            self.read = 0;
            self.done += self.block.len() as u64;
        }
        let rest = self.block.get(self.read..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(rest) {
            *to = *from;
        }
        self.read += count;
        Ok(count)
    }

    fn next(&mut self, image: &mut Image) -> Result<Vec<u8>> {
        let left = self.data.size - self.done;
        let wanted = left.min(u64::from(image.block_size)) as usize;
        if wanted < image.block_size as usize && self.data.fragment != NONE32 {
            return image.fragment(self.data.fragment, self.data.offset, wanted);
        }
        let size = self.data.sizes.u32(image)?;
        if size == 0 {
            // A hole.
            return Ok(vec![0; wanted]);
        }
        let block = image.data(self.position, size)?;
        self.position += u64::from(size & 0x00ff_ffff);
        match block.len() == wanted {
            true => Ok(block),
            false => Err(bad("a block of another size than the file's")),
        }
    }
}
