//! What the writer makes is accepted; a byte that is another, wherever it has a meaning, is refused (T111).

use std::fs::File;
use std::os::unix::fs::FileExt;

use taru_stdx::Kind;

use super::*;
use crate::file::Attributes;
use crate::format::DIRENT;
use crate::{Dir, Image as Writer, Inode};

const MEMORY: usize = 1 << 20;
const UUID: [u8; 16] = *b"0123456789abcdef";
const ROOT: u64 = ROOT_AT / SLOT;

type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

fn file() -> File {
    taru_sys::fd::memfd_create(c"image", false).unwrap().into()
}

fn attributes(xattrs: &Xattrs) -> Attributes<'_> {
    Attributes { mode: 0o644, uid: 1, gid: 2, mtime: (3, 4), xattrs }
}

/// An image with one of everything, and what is in it.
struct Sample {
    bytes: Vec<u8>,
    short: Inode,
    long: Inode,
    sparse: Inode,
    fifo: Inode,
    link: Inode,
}

impl Sample {
    fn new() -> Sample {
        let none = Xattrs::new();
        let some: Xattrs = vec![
            (b"user.a".into(), b"value".into()),
            (b"trusted.overlay.opaque".into(), b"y".into()),
            (b"system.posix_acl_access".into(), vec![2, 0, 0, 0]),
        ];
        let much: Xattrs = vec![(b"user.much".into(), vec![7; 9000])];
        let (none, some, much) = (attributes(&none), attributes(&some), attributes(&much));
        let file = file();
        let mut image = Writer::new(file.try_clone().unwrap(), MEMORY);
        let content = |image: &mut Writer, a: &Attributes<'_>, size: usize| {
            let mut open = image.begin(a, size as u64).unwrap();
            image.append(&mut open, &vec![b'c'; size]).unwrap();
            image.end(open, a).unwrap()
        };
        image.set(Dir::ROOT, &some).unwrap();
        let a = image.make_dir(Dir::ROOT, b"a").unwrap();
        let b = image.make_dir(Dir::ROOT, b"b").unwrap();
        let deep = image.make_dir(a, b"deep").unwrap();
        image.set(deep, &much).unwrap();
        let short = content(&mut image, &some, 100);
        image.insert(Dir::ROOT, b"short", short).unwrap();
        image.link((Dir::ROOT, b"short"), a, b"again").unwrap();
        let long = content(&mut image, &none, 10_000);
        image.insert(a, b"long", long).unwrap();
        for (n, size) in [0, 4033, 4096, 8192].into_iter().enumerate() {
            let inode = content(&mut image, &much, size);
            image.insert(deep, format!("{n}").as_bytes(), inode).unwrap();
        }
        let mut open = image.begin_sparse(&none, 100_000).unwrap();
        image.append_at(&mut open, 5000, b"x").unwrap();
        image.append_at(&mut open, 99_999, b"y").unwrap();
        let sparse = image.end(open, &none).unwrap();
        image.insert(b, b"sparse", sparse).unwrap();
        let link = image.symlink(&none, b"a/long").unwrap();
        image.insert(b, b"link", link).unwrap();
        let fifo = image.node(&none, FileType::Fifo, (0, 0)).unwrap();
        image.insert(b, b"fifo", fifo).unwrap();
        let disk = image.node(&some, FileType::Block, (4095, 1 << 19)).unwrap();
        image.insert(b, b"disk", disk).unwrap();
        // More than a block of names.
        for n in 0..50 {
            image.insert(b, format!("{n:0100}").as_bytes(), disk).unwrap();
        }
        for n in 0..49 {
            image.link((b, b"disk"), b, format!("{n:0100}").as_bytes()).unwrap();
        }
        image.remove(b, format!("{:0100}", 49).as_bytes());
        image.finish(&UUID).unwrap();
        let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        Sample { bytes, short, long, sparse, fifo, link }
    }

    fn node(&self, number: u64) -> Node {
        Node::from_bytes(self.bytes[(number * SLOT) as usize..][..INODE].try_into().unwrap())
    }

    /// Where the entries of a directory that fit behind its inode lie.
    fn entries(&self, number: u64) -> usize {
        let node = self.node(number);
        assert!(matches!(node.layout, Layout::Inline(0)));
        (number * SLOT) as usize + INODE + node.xattrs
    }

    /// The number that a name in the directory `number` leads to, and where its entry is.
    fn find(&self, number: u64, name: &str) -> (u64, usize) {
        let at = self.entries(number);
        let all = entries(&self.bytes[at..at + self.node(number).size as usize], true).unwrap();
        let n = all.iter().position(|entry| entry.name == name.as_bytes()).unwrap();
        (all[n].number, at + n * DIRENT)
    }

    /// The image with these bytes at `at`; its checksum is made right.
    fn with(&self, at: usize, part: &[u8]) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes[at..at + part.len()].copy_from_slice(part);
        if (SUPER_AT + SUPER..BLOCK as usize).contains(&at) {
            seal(&mut bytes);
        }
        bytes
    }

    /// The image with another inode.
    fn with_node(&self, number: u64, change: impl FnOnce(&mut Node)) -> Vec<u8> {
        let mut node = self.node(number);
        change(&mut node);
        self.with((number * SLOT) as usize, &node.to_bytes(number))
    }
}

/// Makes the checksum right.
fn seal(bytes: &mut [u8]) {
    let (inodes, is_chunked) = format::counted(bytes[SUPER_AT..].first_chunk().unwrap());
    let blocks = (bytes.len() as u64 / BLOCK) as u32;
    bytes[SUPER_AT..SUPER_AT + SUPER].fill(0);
    format::put_super(&mut bytes[..BLOCK as usize], inodes, blocks, is_chunked, &UUID);
}

fn verified(bytes: &[u8]) -> Result<()> {
    let file = file();
    file.write_all_at(bytes, 0).unwrap();
    verify(&file, &UUID, MEMORY)
}

#[track_caller]
fn refused(bytes: &[u8], words: &str) {
    let error = verified(bytes).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    let text = error.to_string();
    assert!(text.starts_with("verify the image: ") && text.contains(words), "{text}");
}

#[test]
fn what_the_writer_makes_is_accepted() {
    verified(&Sample::new().bytes).unwrap();
    let empty = file();
    Writer::new(empty.try_clone().unwrap(), MEMORY).finish(&UUID).unwrap();
    verify(&empty, &UUID, MEMORY).unwrap();
}

#[test]
fn a_superblock_is_the_writers() {
    let sample = Sample::new();
    for (at, words) in [
        (0, "something before it"),
        (SUPER_AT, "the magic number"),
        (SUPER_AT + 4, "the checksum"),
        (SUPER_AT + 8, "the features"),
        (SUPER_AT + 12, "the size of blocks"),
        (SUPER_AT + 13, "none of ours"),
        (SUPER_AT + 14, "the root's number"),
        (SUPER_AT + 36, "the number of blocks"),
        (SUPER_AT + 48, "the uuid"),
        (SUPER_AT + 80, "the features"),
        // Compression, further devices, packed inodes.
        (SUPER_AT + 84, "none of ours"),
        (SUPER_AT + 86, "none of ours"),
        (SUPER_AT + 96, "none of ours"),
        (SUPER_AT + 127, "none of ours"),
        // Behind the root.
        (BLOCK as usize - 1, "the checksum"),
    ] {
        let mut bytes = sample.bytes.clone();
        bytes[at] ^= 0x90;
        refused(&bytes, words);
    }
    let mut bytes = sample.bytes.clone();
    bytes[SUPER_AT + 16] += 1;
    seal(&mut bytes);
    refused(&bytes, "the number of inodes");
    refused(&sample.bytes[..sample.bytes.len() - 1], "its size");
    refused(&[], "its size");
    let short = &sample.bytes[..sample.bytes.len() - BLOCK as usize];
    refused(short, "the number of blocks");
    let mut sealed = short.to_vec();
    seal(&mut sealed);
    assert_eq!(verified(&sealed).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn a_name_leads_to_one_place() {
    let sample = Sample::new();
    let (a, a_at) = sample.find(ROOT, "a");
    let (deep, deep_at) = sample.find(a, "deep");
    let number = |number: u64| number.to_le_bytes();
    let twice = "it is not behind the one before, or has two parents";
    // In a circle: to itself, to the root, to the one above.
    refused(&sample.with(deep_at, &number(a)), twice);
    refused(&sample.with(deep_at, &number(ROOT)), twice);
    refused(&sample.with(a_at, &number(ROOT)), twice);
    // The directory of another.
    refused(&sample.with(a_at, &number(deep)), "lead");
    refused(&sample.with(a_at, &number(1 << 40)), "a name of nothing");
    refused(&sample.with(a_at, &number(u64::MAX)), "a name of nothing");
    let entries = sample.entries(a);
    let (_, again) = sample.find(a, "again");
    let (_, dot) = sample.find(a, ".");
    refused(&sample.with(dot, &number(deep)), "where `.` and `..` lead");
    refused(&sample.with(dot + DIRENT, &number(a)), "where `.` and `..` lead");
    // One name less of one inode, one more of another.
    refused(&sample.with(again, &number(sample.long.number)), "the number of its names");
    // As a directory, as another type, as none.
    for (file_type, words) in
        [(2, "the number of its names"), (7, "its type"), (6, "an unknown type"), (0, "an unknown type")]
    {
        refused(&sample.with(again + 10, &[file_type]), words);
    }
    refused(&sample.with(again + 11, &[1]), "its entries");
    // Names, in their order: `.`, `..`, `again`, `deep`, `long`.
    let names = entries + 5 * DIRENT;
    assert_eq!(&sample.bytes[names..names + 16], b"...againdeeplong");
    for (at, name, words) in [
        (names + 3, &b"zgain"[..], "names out of order"),
        (names + 8, b"agai", "names out of order"),
        (names + 3, b"ag/in", "its entries"),
        (names + 3, b"ag\0in", "its entries"),
        (names, b"-", "it lacks `.` or `..`"),
    ] {
        refused(&sample.with(at, name), words);
    }
    for at in 0..5 {
        refused(&sample.with(entries + at * DIRENT + 8, &[0, 0]), "its entries");
        refused(&sample.with(entries + at * DIRENT + 8, &[0xff, 0xff]), "its entries");
    }
}

#[test]
fn an_inode_has_its_one_layout() {
    let sample = Sample::new();
    let (short, long, sparse) = (sample.short.number, sample.long.number, sample.sparse.number);
    let (a, _) = sample.find(ROOT, "a");
    let blocks = (sample.bytes.len() as u64 / BLOCK) as u32;
    let at = |number: u64| (number * SLOT) as usize;
    // Compact; compressed, in two ways; a layout that is none; what is reserved.
    for (offset, byte) in
        [(0, 0), (0, 1 | 1 << 1), (0, 1 | 3 << 1), (0, 1 | 5 << 1), (1, 1), (6, 1), (63, 1), (20, 0)]
    {
        for number in [short, a, sparse] {
            refused(&sample.with(at(number) + offset, &[byte]), "what is reserved");
        }
    }
    refused(&sample.with_node(long, |node| node.layout = Layout::Inline(blocks)), "its blocks");
    refused(&sample.with_node(long, |node| node.layout = Layout::Inline(blocks - 1)), "its blocks");
    refused(&sample.with_node(long, |node| node.layout = Layout::Inline(u32::MAX)), "its blocks");
    refused(&sample.with_node(long, |node| node.layout = Layout::Inline(0)), "its blocks");
    refused(&sample.with_node(long, |node| node.layout = Layout::Plain(1)), "its layout");
    refused(&sample.with_node(short, |node| node.layout = Layout::Inline(1)), "its blocks");
    refused(&sample.with_node(short, |node| node.layout = Layout::Chunks(0)), "its blocks");
    refused(&sample.with_node(long, |node| node.size = 1 << 62 | 1), "its blocks");
    refused(&sample.with_node(long, |node| node.size = u64::MAX), "its layout");
    refused(&sample.with_node(long, |node| node.mtime.1 = 1_000_000_000), "its time");
    refused(&sample.with_node(long, |node| node.mode = 0o4 << 12), "its type");
    refused(&sample.with_node(short, |node| node.links = 1), "the number of its names");
    refused(&sample.with_node(a, |node| node.links += 1), "the number of its names");
    refused(&sample.with_node(sample.fifo.number, |node| node.size = 1), "its size");
    refused(&sample.with_node(sample.fifo.number, |node| node.layout = Layout::Plain(1)), "its layout");
    refused(&sample.with_node(sample.link.number, |node| node.size = 4097), "its");
    // The tail leaves the block in which the inode is.
    refused(
        &sample.with_node(sample.link.number, |node| node.size = 4000),
        "what lies behind it leaves its block",
    );
    // Attributes that go on behind the image, and into what lies there.
    refused(&sample.with_node(short, |node| node.xattrs += 4), "its extended attributes");
    refused(&sample.with_node(short, |node| node.xattrs = 12), "its extended attributes");
    refused(&sample.with(at(short) + INODE + 12 + 1, &[9]), "its extended attributes");
    // Chunks: of another size, behind the image, before the first block, twice the same.
    let map = at(sparse) + INODE;
    let block = |at: usize| u32::from_le_bytes(sample.bytes[at..at + 4].try_into().unwrap());
    assert_eq!((block(map), block(map + 8)), (HOLE, HOLE));
    refused(&sample.with_node(sparse, |node| node.layout = Layout::Chunks(1)), "the size of its chunks");
    refused(&sample.with_node(sparse, |node| node.layout = Layout::Chunks(31)), "the size of its chunks");
    refused(&sample.with_node(sparse, |node| node.size = 1 << 63), "the size of its chunks");
    for wrong in [0, blocks, u32::MAX - 1, block(map + 24 * 4)] {
        refused(&sample.with(map + 4, &wrong.to_le_bytes()), "its blocks");
    }
    let mut bytes = sample.bytes.clone();
    bytes[SUPER_AT + 80] = 0;
    seal(&mut bytes);
    refused(&bytes, "chunks that the superblock does not announce");
}

#[test]
fn names_are_bounded() {
    let file = file();
    let sample = Sample::new();
    file.write_all_at(&sample.bytes, 0).unwrap();
    let error = verify(&file, &UUID, 24 * 20).unwrap_err();
    assert!(error.to_string().ends_with("more names than there can be"), "{error}");
}

/// Whatever bit is another: it is refused, or the image is one that could have been written.
#[test]
fn no_mutant_does_harm() {
    let sample = Sample::new();
    let file = file();
    file.write_all_at(&sample.bytes, 0).unwrap();
    let mut state = 1u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    // Where there is anything but contents.
    let meaning: Vec<usize> =
        (0..sample.bytes.len()).filter(|at| !matches!(sample.bytes[*at], 0 | b'c' | 7)).collect();
    let (mut refused, mut accepted) = (0, 0);
    for n in 0..1500 {
        let near = meaning[next(meaning.len())] + next(8);
        let at = near.min(sample.bytes.len() - 1);
        let byte = match n % 3 {
            0 => sample.bytes[at] ^ 1 << next(8),
            1 => next(256) as u8,
            _ => [0, 0xff, 0x7f, 0x80][next(4)],
        };
        let mutant = sample.with(at, &[byte]);
        let first = &mutant[..BLOCK as usize];
        file.write_all_at(&[byte], at as u64).unwrap();
        file.write_all_at(first, 0).unwrap();
        match verify(&file, &UUID, MEMORY) {
            Ok(()) => accepted += 1,
            Err(error) => {
                assert_eq!(error.kind(), Kind::Invalid, "{error}");
                refused += 1;
            }
        }
        file.write_all_at(&[sample.bytes[at]], at as u64).unwrap();
        file.write_all_at(&sample.bytes[..BLOCK as usize], 0).unwrap();
    }
    // Owners, times, permissions, contents, values of attributes and names that keep their order have any bytes.
    assert!(refused > accepted, "{refused} refused, {accepted} accepted");
    verify(&file, &UUID, MEMORY).unwrap();
}
