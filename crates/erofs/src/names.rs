//! Names in an image that is being made, and what they lead to.

use taru_stdx::Result;

use crate::file::{Attributes, FileType, Inode};
use crate::image::Image;
use crate::output::no_room;
use crate::tree::{DIRECTORY, Dir, Directory, Entry, grow, plain};
use crate::xattr;

impl Image {
    /// What `name` in `dir` leads to.
    pub fn find(&self, dir: Dir, name: &[u8]) -> Option<Entry> {
        let node = self.tree.nodes.get(self.tree.find(dir, name)?)?;
        Some(match node.file_type {
            DIRECTORY => Entry::Directory(Dir(node.leads_to as u32)),
            other => Entry::Inode(Inode { number: node.leads_to, file_type: FileType::named(other) }),
        })
    }

    /// Makes a directory, root's own, of 1970. Whatever has the name is gone.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Limit`] where there is no more memory.
    pub fn make_dir(&mut self, dir: Dir, name: &[u8]) -> Result<Dir> {
        let new = self.tree.directories.len() as u32;
        grow(&mut self.tree.directories, 1);
        self.tree.insert(dir, name, DIRECTORY, u64::from(new), false)?;
        self.tree.directories.push(plain());
        Ok(Dir(new))
    }

    /// Gives a directory these attributes instead of those it has.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Limit`] for what an image has no room for.
    pub fn set(&mut self, dir: Dir, attributes: &Attributes<'_>) -> Result<()> {
        let mut xattrs = Vec::new();
        xattr::encode(attributes.xattrs, &mut xattrs)?;
        let Some(place) = self.tree.directories.get_mut(dir.0 as usize) else { return Ok(()) };
        self.tree.attributes = self.tree.attributes + xattrs.len() - place.xattrs.len();
        *place = Directory {
            mtime: attributes.mtime,
            uid: attributes.uid,
            gid: attributes.gid,
            mode: (attributes.mode & 0o7777) as u16,
            xattrs: xattrs.into_boxed_slice(),
        };
        match self.tree.is_full() {
            true => Err(no_room("the attributes of so many directories in the memory that there is")),
            false => Ok(()),
        }
    }

    /// Gives `inode` its first name. Whatever has the name is gone.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Limit`] where there is no more memory.
    pub fn insert(&mut self, dir: Dir, name: &[u8], inode: Inode) -> Result<()> {
        self.tree.insert(dir, name, inode.file_type.of_entry(), inode.number, false)
    }

    /// Gives what `from` leads to, which is no directory, a further name. Whatever has that is gone.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Limit`] where there is no more memory.
    pub fn link(&mut self, from: (Dir, &[u8]), dir: Dir, name: &[u8]) -> Result<()> {
        let Some(node) = self.tree.find(from.0, from.1).and_then(|at| self.tree.nodes.get_mut(at)) else {
            return Ok(());
        };
        node.is_linked = true;
        let (file_type, leads_to) = (node.file_type, node.leads_to);
        self.tree.insert(dir, name, file_type, leads_to, true)
    }

    /// Takes a name away, of a directory with all that is in it.
    pub fn remove(&mut self, dir: Dir, name: &[u8]) {
        self.tree.remove(dir, name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inode(number: u64) -> Inode {
        Inode { number, file_type: FileType::Fifo }
    }

    fn image(memory: usize) -> Image {
        Image::new(std::fs::File::open("/dev/null").unwrap(), memory)
    }

    #[test]
    fn names_lead_where_they_were_last_said_to() {
        let mut image = image(1 << 20);
        let a = image.make_dir(Dir::ROOT, b"a").unwrap();
        for n in 0..3000u64 {
            image.insert(a, format!("{n}").as_bytes(), inode(n)).unwrap();
        }
        for n in (0..3000).step_by(3) {
            image.remove(a, format!("{n}").as_bytes());
        }
        image.insert(a, b"1", inode(9999)).unwrap();
        for n in 0..3000 {
            let expected = match n {
                1 => Some(9999),
                n if n % 3 == 0 => None,
                n => Some(n),
            };
            let found = image.find(a, format!("{n}").as_bytes());
            assert_eq!(found, expected.map(|n| Entry::Inode(inode(n))), "{n}");
        }
        assert_eq!(image.find(Dir::ROOT, b"1"), None);
        let again = image.make_dir(Dir::ROOT, b"a").unwrap();
        assert_eq!(image.find(again, b"1"), None);
        assert_eq!(image.find(Dir::ROOT, b"a"), Some(Entry::Directory(again)));
        let names = image.tree.sorted();
        assert!(names.is_sorted_by_key(|at| image.tree.nodes[*at as usize].dir));
    }

    #[test]
    fn memory_is_bounded() {
        assert_eq!(size_of::<crate::tree::Node>(), 24);
        let mut image = image(1 << 20);
        let mut count = 0u64;
        let error = loop {
            if let Err(error) = image.insert(Dir::ROOT, format!("{count:020}").as_bytes(), inode(count)) {
                break error;
            }
            count += 1;
        };
        assert_eq!(error.kind(), taru_stdx::Kind::Limit);
        assert!((16_000..24_000).contains(&count), "{count}");
        let value = vec![0; 60_000];
        let xattrs = [(b"user.a".to_vec(), value)];
        let attributes = Attributes { mode: 0, uid: 0, gid: 0, mtime: (0, 0), xattrs: &xattrs };
        let mut image = Image::new(std::fs::File::open("/dev/null").unwrap(), 100_000);
        image.set(Dir::ROOT, &attributes).unwrap();
        image.set(Dir::ROOT, &attributes).unwrap();
        let dir = image.make_dir(Dir::ROOT, b"a").unwrap();
        assert_eq!(image.set(dir, &attributes).unwrap_err().kind(), taru_stdx::Kind::Limit);
    }
}
