//! The end of an image: its directories, the counts of names, the superblock.

use taru_stdx::Result;

use crate::format::{self, BLOCK, DIRENT, INODE, LINKS_AT, Layout, Node, ROOT_AT, SLOT};
use crate::image::Image;
use crate::output::{no_room, place};
use crate::tree::{DIRECTORY, Tree};

/// A directory that is in the image.
struct Placed {
    /// Which, of all that were made.
    dir: u32,
    /// The place of its parent in the list of these.
    parent: u32,
    /// The number of its inode.
    number: u64,
    /// Bytes of its entries.
    size: u64,
    /// Directories in it.
    below: u32,
}

impl Placed {
    /// How many bytes of the entries lie behind the inode with so many bytes of attributes; what they take together.
    fn behind(&self, xattrs: usize) -> (u64, u64) {
        let (tail, inode) = (self.size % BLOCK, (INODE + xattrs) as u64);
        if inode + tail <= BLOCK { (tail, inode + tail) } else { (0, inode) }
    }
}

/// The entries of a directory: their names, what they are, whose numbers they have.
fn entries<'t>(
    tree: &'t Tree,
    children: &[u32],
    number: u64,
    parent: u64,
    of_directory: &dyn Fn(u32) -> u64,
) -> Vec<(&'t [u8], u8, u64)> {
    let mut all: Vec<(&[u8], u8, u64)> = Vec::with_capacity(children.len() + 2);
    for at in children {
        let node = &tree.nodes[*at as usize];
        let leads_to = match node.file_type {
            DIRECTORY => of_directory(node.leads_to as u32),
            _ => node.leads_to,
        };
        all.push((tree.name(node), node.file_type, leads_to));
    }
    // Some names come before these two.
    for (name, leads_to) in [(&b"."[..], number), (b"..", parent)] {
        let place = all.partition_point(|(other, ..)| *other < name);
        all.insert(place, (name, DIRECTORY, leads_to));
    }
    all
}

/// How many of `lengths`, of names, an entry each, the next block takes, and what they take there.
fn block(lengths: impl Iterator<Item = usize>) -> (usize, usize) {
    let mut taken = (0, 0);
    for length in lengths {
        let bytes = taken.1 + DIRENT + length;
        if bytes > BLOCK as usize {
            break;
        }
        taken = (taken.0 + 1, bytes);
    }
    taken
}

/// Bytes of a directory with these names.
fn size(tree: &Tree, children: &[u32]) -> u64 {
    let all = entries(tree, children, 0, 0, &|_| 0);
    let (mut rest, mut size) = (&all[..], 0);
    loop {
        let (count, bytes) = block(rest.iter().map(|(name, ..)| name.len()));
        rest = rest.get(count..).unwrap_or_default();
        if rest.is_empty() || count == 0 {
            return size + bytes as u64;
        }
        size += BLOCK;
    }
}

/// The blocks of a directory; the last one as long as it is.
fn bytes_of(all: &[(&[u8], u8, u64)]) -> Vec<u8> {
    let (mut rest, mut bytes) = (all, Vec::new());
    while !rest.is_empty() {
        bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
        let (count, _) = block(rest.iter().map(|(name, ..)| name.len()));
        let (now, later) = rest.split_at(count.max(1).min(rest.len()));
        let mut name_at = now.len() * DIRENT;
        for (name, file_type, number) in now {
            bytes.extend_from_slice(&number.to_le_bytes());
            bytes.extend_from_slice(&(name_at as u16).to_le_bytes());
            bytes.extend_from_slice(&[*file_type, 0]);
            name_at += name.len();
        }
        now.iter().for_each(|(name, ..)| bytes.extend_from_slice(name));
        rest = later;
    }
    bytes
}

/// The names in the directory `dir`, in a list sorted by directories.
fn children<'s>(tree: &Tree, sorted: &'s [u32], dir: u32) -> &'s [u32] {
    let of = |at: &u32| tree.nodes[*at as usize].dir;
    let start = sorted.partition_point(|at| of(at) < dir);
    let rest = sorted.get(start..).unwrap_or_default();
    rest.get(..rest.partition_point(|at| of(at) == dir)).unwrap_or_default()
}

impl Image {
    /// Writes all that is left: the image is complete then, but not synced. `uuid` becomes the file system's.
    ///
    /// # Errors
    /// Any error of the file; [`taru_stdx::Kind::Limit`] for what an image has no room for.
    pub fn finish(mut self, uuid: &[u8; 16]) -> Result<()> {
        let sorted = self.tree.sorted();
        let (mut placed, linked, inodes) = self.reachable(&sorted);
        let mut at = self.output.directories();
        let base = at;
        for (n, directory) in placed.iter_mut().enumerate() {
            directory.size = size(&self.tree, children(&self.tree, &sorted, directory.dir));
            if n == 0 {
                directory.number = ROOT_AT / SLOT;
                continue;
            }
            let (_, length) = directory.behind(self.xattrs_of(directory.dir).len());
            at = place(at, length);
            directory.number = at / SLOT;
            at += length;
        }
        self.output.reserve(at - base)?;
        let mut first = vec![0; BLOCK as usize];
        self.write_directories(&sorted, &placed, &mut first)?;
        self.output.flush()?;
        self.count_names(linked)?;
        let blocks = u32::try_from(self.output.blocks()).map_err(|_| no_room("so much"))?;
        format::put_super(&mut first, inodes, blocks, self.is_chunked, uuid);
        self.output.change(0, &first)
    }

    fn xattrs_of(&self, dir: u32) -> &[u8] {
        self.tree.directories.get(dir as usize).map(|directory| &*directory.xattrs).unwrap_or_default()
    }

    /// The directories that can be reached, a parent before those in it; the number of each name of files that have several;
    /// how many inodes there are, further names counted, too.
    fn reachable(&self, sorted: &[u32]) -> (Vec<Placed>, Vec<u64>, u64) {
        let of = |dir, parent| Placed { dir, parent, number: 0, size: 0, below: 0 };
        let (mut placed, mut linked, mut inodes) = (vec![of(0, 0)], Vec::new(), 1);
        let mut next = 0;
        while let Some(dir) = placed.get(next).map(|directory| directory.dir) {
            let mut below = 0;
            for at in children(&self.tree, sorted, dir) {
                let node = &self.tree.nodes[*at as usize];
                inodes += 1;
                if node.file_type == DIRECTORY {
                    below += 1;
                    placed.push(of(node.leads_to as u32, next as u32));
                } else if node.is_linked {
                    linked.push(node.leads_to);
                }
            }
            placed[next].below = below;
            next += 1;
        }
        (placed, linked, inodes)
    }

    /// Writes all directories; the root's inode into `first`, the first block.
    fn write_directories(&mut self, sorted: &[u32], placed: &[Placed], first: &mut [u8]) -> Result<()> {
        let mut numbers = vec![0; self.tree.directories.len()];
        for directory in placed {
            numbers[directory.dir as usize] = directory.number;
        }
        for (n, directory) in placed.iter().enumerate() {
            let parent = placed[directory.parent as usize].number;
            let names = children(&self.tree, sorted, directory.dir);
            let all = entries(&self.tree, names, directory.number, parent, &|dir| numbers[dir as usize]);
            let bytes = bytes_of(&all);
            let xattrs = std::mem::take(&mut self.tree.directories[directory.dir as usize].xattrs);
            let is_root = n == 0;
            let (mut tail, length) = directory.behind(xattrs.len());
            let room = first.len() - ROOT_AT as usize;
            if is_root && length > room as u64 {
                tail = 0;
            }
            let (whole, behind) = bytes.split_at(bytes.len() - tail as usize);
            let block = match whole.len() as u64 {
                0 => 0,
                length => self.output.allocate(length.div_ceil(BLOCK))?,
            };
            if !whole.is_empty() {
                self.output.content(u64::from(block) * BLOCK, whole)?;
            }
            let own = &self.tree.directories[directory.dir as usize];
            let node = Node {
                mode: 0o4 << 12 | own.mode,
                size: directory.size,
                layout: if tail > 0 { Layout::Inline(block) } else { Layout::Plain(block) },
                xattrs: xattrs.len(),
                uid: own.uid,
                gid: own.gid,
                mtime: own.mtime,
                links: directory.below + 2,
            };
            if is_root {
                let all = [&node.to_bytes(directory.number)[..], &xattrs, behind].concat();
                let place = first.get_mut(ROOT_AT as usize..ROOT_AT as usize + all.len());
                place.ok_or_else(|| no_room("the root's attributes"))?.copy_from_slice(&all);
            } else {
                self.output.node(|number| node.to_bytes(number), &xattrs, behind)?;
            }
        }
        Ok(())
    }

    /// Writes how many names files have that have several: `linked` has the number of each as often.
    fn count_names(&self, mut linked: Vec<u64>) -> Result<()> {
        linked.sort_unstable();
        for same in linked.chunk_by(|a, b| a == b) {
            if let [number, _, ..] = same {
                self.output.change(number * SLOT + LINKS_AT, &(same.len() as u32).to_le_bytes())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::FileType;

    #[test]
    fn entries_lie_in_blocks() {
        let names: Vec<Vec<u8>> = (0..200).map(|n| format!("{n:0100}").into_bytes()).collect();
        let all: Vec<(&[u8], u8, u64)> =
            names.iter().map(|name| (&name[..], FileType::Regular.of_entry(), 7)).collect();
        let bytes = bytes_of(&all);
        // 36 of 112 bytes each.
        assert_eq!(bytes.len(), 5 * 4096 + 20 * 112);
        assert_eq!(u16::from_le_bytes([bytes[8], bytes[9]]), 36 * 12);
        assert_eq!(u16::from_le_bytes([bytes[4096 + 8 + 12], bytes[4096 + 9 + 12]]), 36 * 12 + 100);
        assert_eq!(&bytes[5 * 4096 + 20 * 12..][..100], &names[180][..]);
    }
}
