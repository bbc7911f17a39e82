//! What is read, and what is refused.

use super::*;
use crate::Piece;
use tar::GnuExtSparseHeader;
use taru_testkit::image::Tar;

fn read(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>> {
    let mut reader = Reader::new(bytes, 100).needs_end();
    let mut found = Vec::new();
    while let Some(entry) = reader.entry()? {
        let content = reader.whole(1 << 20)?;
        found.push((entry, content));
    }
    Ok(found)
}

#[test]
fn entries_come_as_they_were_put_in() {
    let long = "n".repeat(300);
    let tar = Tar::new()
        .dir("d", 0o755)
        .file("d/f", "hello", 0o4755)
        .owned(7, 3_000_000_000)
        .xattr("user.k", "v")
        .pax("SCHILY.acl.ace", "acl")
        .pax("SCHILY.acl.access", "user::rwx,user:7:r--,group::r-x,mask::r-x,other::r-x")
        .symlink(&long, &long)
        .char_device("c", 1, 3, 0o600)
        .file("old/", "", 0o755);
    let found = read(&tar.bytes()).unwrap();
    assert_eq!(found.len(), 5);
    assert_eq!((&found[0].0.kind, found[0].0.path.as_slice()), (&Kind::Directory, b"d/".as_slice()));
    let file = &found[1].0;
    assert_eq!((file.mode, file.uid, file.gid), (0o4755, 7, 3_000_000_000));
    assert_eq!((&file.kind, file.stored(), file.mtime), (&Kind::file(5), 5, (1_600_000_000, 0)));
    let [(acl, value), attribute] = &file.xattrs[..] else { panic!("{:?}", file.xattrs) };
    assert_eq!((&acl[..], value.len()), (&b"system.posix_acl_access"[..], 4 + 5 * 8));
    assert_eq!(*attribute, (b"user.k".to_vec(), b"v".to_vec()));
    assert_eq!(file.records, [(b"SCHILY.acl.ace".to_vec(), b"acl".to_vec())]);
    assert_eq!(found[1].1, b"hello");
    assert_eq!(found[2].0.path.len(), 300);
    assert_eq!(found[2].0.kind, Kind::Symlink { target: long.into_bytes() });
    assert_eq!(found[3].0.kind, Kind::Character { major: 1, minor: 3 });
    assert_eq!(found[4].0.kind, Kind::Directory);
}

#[test]
fn content_is_read_in_part_or_passed_over() {
    let tar = Tar::new().file("a", "0123456789", 0).file("b", "abc", 0).file("c", "xyz", 0).bytes();
    let mut reader = Reader::new(io::BufReader::with_capacity(7, tar.as_slice()), 10);
    reader.entry().unwrap();
    let mut four = [0; 4];
    reader.read_exact(&mut four).unwrap();
    assert_eq!(&four, b"0123");
    reader.entry().unwrap();
    let mut all = Vec::new();
    let mut content = reader.content();
    let mut take = |bytes: &[u8]| {
        all.extend_from_slice(bytes);
        Ok(())
    };
    while content.next(2, &mut take).unwrap() > 0 {}
    assert_eq!(all, b"abc");
    assert_eq!(reader.entry().unwrap().unwrap().path, b"c");
    assert_eq!(reader.whole(2).unwrap_err().kind(), Class::Limit);
    assert_eq!(reader.entry().unwrap(), None);
    assert_eq!(reader.entry().unwrap(), None);
}

#[test]
fn every_cut_is_seen() {
    let tar = Tar::new().dir("d", 0o755).file("d/f", "hello".repeat(200), 0o644);
    let whole = tar.bytes();
    for at in 0..whole.len() {
        let e = read(&whole[..at]).unwrap_err();
        assert_eq!(e.kind(), Class::Invalid, "{at}: {}", e.chain());
    }
    read(&whole).unwrap();
    // Where the end may be missing, everything before it may not.
    let all = |bytes: &[u8]| {
        let mut reader = Reader::new(bytes, 100);
        std::iter::from_fn(|| reader.entry().transpose()).collect::<Result<Vec<Entry>>>()
    };
    let without_end = tar.unfinished();
    for at in (0..without_end.len()).filter(|at| ![0, 512].contains(at)) {
        assert_eq!(all(&whole[..at]).unwrap_err().kind(), Class::Invalid, "{at}");
    }
    for end in [0, 512, 513, 1024] {
        assert_eq!(all(&whole[..without_end.len() + end]).unwrap().len(), 2, "{end}");
    }
}

#[test]
fn what_has_two_meanings_is_refused() {
    let file = || Tar::new().file("f", "hello", 0o644);
    let long = Tar::new().of_kind(b'L', "././@LongLink", "long\0");
    for (tar, words) in [
        (file().pax("size", "1024"), "size is told in two ways"),
        (file().claiming(0).pax("size", "5"), "size is told in two ways"),
        (long.clone().file("f", "", 0o644).pax("path", "other"), "path is told in two ways"),
        (long.clone().file("f", "", 0o644).pax("path", "long"), "path is told in two ways"),
        (long.clone().of_kind(b'L', "././@LongLink", "b").file("f", "", 0o644), "two long names"),
        (long.clone(), "ends before the entry"),
        (Tar::new().of_kind(b'L', "l", "a\0b\0").file("f", "", 0), "a zero in it"),
        (Tar::new().of_kind(b'x', "x", "7 ab=1\n").file("f", "", 0).pax("uid", "1"), "two extended"),
        (file().pax("uid", "1").pax("uid", "2"), "`uid` twice"),
        (file().pax("uid", "-1"), "`-1`"),
        (file().pax("uid", "4294967295"), "the id 4294967295"),
        (file().pax("mtime", "now"), "`now`"),
        (Tar::new().of_kind(b'g', "g", "18 size=123456789\n").file("f", "", 0), "global"),
        (Tar::new().of_kind(b'Q', "q", ""), "unknown type 0x51"),
        (Tar::new().of_kind(b'V', "label", ""), "unknown type 0x56"),
        (Tar::new().of_kind(b'5', "d", "content"), "content where there can be none"),
        (Tar::new().of_kind(b'0', "d/", "content"), "content where there can be none"),
        (Tar::new().dir("d", 0).pax("GNU.sparse.size", "1"), "a sparse map where there can be none"),
        (Tar::new().of_kind(b'S', "s", ""), "not GNU tar's"),
        (Tar::new().of_kind(b'x', "x", "5 a\n").file("f", "", 0), "not `LENGTH KEY=VALUE`"),
        (Tar::new().of_kind(b'x', "x", "99999999999999999999 a=b\n").file("f", "", 0), "not `LENGTH"),
        (file().pax("path", "a\0b"), "a zero in it"),
        (Tar::new().file("", "", 0), "without a name"),
    ] {
        let e = read(&tar.bytes()).unwrap_err();
        assert!(e.chain().to_string().contains(words), "{words}: {}", e.chain());
    }
    let behind = [file().bytes(), file().bytes()].concat();
    assert!(read(&behind).unwrap_err().to_string().contains("behind its end"));
    let between = [file().unfinished(), vec![0; 512], file().bytes()].concat();
    assert!(read(&between).unwrap_err().to_string().contains("between two entries"));
    let comment = Tar::new().of_kind(b'g', "g", "14 comment=ab\n").file("f", "", 0);
    assert_eq!(read(&comment.bytes()).unwrap().len(), 1);
}

#[test]
fn headers_and_entries_are_bounded() {
    let limit = |tar: Tar| assert_eq!(read(&tar.bytes()).unwrap_err().kind(), Class::Limit);
    let name = "n".repeat(limits::PATH + 1);
    limit(Tar::new().file(&name, "", 0));
    limit(Tar::new().symlink("s", &name));
    limit(Tar::new().of_kind(b'L', "././@LongLink", "").claiming(3 << 30));
    limit((0..101).fold(Tar::new(), |tar, n| tar.file(&n.to_string(), "", 0)));
    limit((0..101).fold(Tar::new(), |tar, _| tar.of_kind(b'g', "g", "")));
    limit(Tar::new().file("f", "", 0).claiming(limits::FILE + 1));
    limit(Tar::new().file("f", "", 0).pax("GNU.sparse.realsize", (limits::FILE + 1).to_string()));
    assert!(read(&Tar::new().file("f", "", 0).claiming(8 << 60).bytes()).is_err());
    let mut endless = Tar::new().file("f", "", 0).bytes();
    endless.resize(endless.len() + limits::TAR_PADDING as usize, 0);
    assert!(read(&endless).unwrap().len() == 1);
    endless.push(0);
    assert!(read(&endless).unwrap_err().to_string().contains("behind its end"));
}

#[test]
fn sizes_beyond_the_header_come_from_pax() {
    for in_header in [0, LARGEST] {
        let large = Tar::new().file("f", "", 0).claiming(in_header).pax("size", "8589934592").bytes();
        assert_eq!(Reader::new(&large[..], 1).entry().unwrap().unwrap().stored(), 1 << 33);
        let small = Tar::new().file("f", "", 0).claiming(in_header).pax("size", "512").bytes();
        assert!(Reader::new(&small[..], 1).entry().is_err());
    }
    let binary = Tar::new().file("f", "", 0).claiming(1 << 33).bytes();
    assert_eq!(Reader::new(&binary[..], 1).entry().unwrap().unwrap().stored(), 1 << 33);
}

/// An old sparse file of GNU tar's, its map in the header and `more` blocks of 21 pieces.
fn gnu_sparse(pieces: &[(u64, u64)], size: u64, goes_on: impl Fn(usize) -> u8) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(EntryType::GNUSparse);
    header.as_old_mut().name[0] = b's';
    header.set_size(pieces.iter().map(|(_, length)| length).sum());
    let gnu = header.as_gnu_mut().unwrap();
    gnu.set_real_size(size);
    gnu.isextended = [goes_on(0)];
    let (first, rest) = pieces.split_at(pieces.len().min(4));
    for (place, (offset, length)) in gnu.sparse.iter_mut().zip(first) {
        place.set_offset(*offset);
        place.set_length(*length);
    }
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    for (n, some) in rest.chunks(21).enumerate() {
        let mut block = GnuExtSparseHeader::new();
        for (place, (offset, length)) in block.sparse_mut().iter_mut().zip(some) {
            place.set_offset(*offset);
            place.set_length(*length);
        }
        block.isextended = [goes_on(n + 1)];
        bytes.extend_from_slice(block.as_bytes());
    }
    let stored: u64 = pieces.iter().map(|(_, length)| length).sum();
    bytes.resize(bytes.len() + stored.next_multiple_of(512) as usize + 1024, 0);
    bytes
}

#[test]
fn sparse_maps_of_all_formats() {
    let pieces: Vec<(u64, u64)> = (0..30).map(|n| (n * 1000, 10)).collect();
    let as_read = |all: &[(u64, u64)]| -> Option<Vec<Piece>> {
        Some(all.iter().map(|&(offset, length)| Piece { offset, length }).collect())
    };
    let whole = gnu_sparse(&pieces, 40_000, |n| u8::from(n < 2));
    let found = read(&whole).unwrap();
    assert_eq!(found[0].0.kind, Kind::File { size: 40_000, pieces: as_read(&pieces) });
    assert_eq!(found[0].0.stored(), 300);
    assert!(read(&gnu_sparse(&pieces, 40_000, |n| 2 * u8::from(n < 2))).is_err(), "not 0 or 1");
    assert!(read(&gnu_sparse(&pieces, 40_000, |_| 1)).is_err(), "no end");
    assert!(read(&gnu_sparse(&pieces[..3], 40_000, |_| 1)).is_err(), "no end");
    let file = |content: &str| Tar::new().file("GNUSparseFile.0/s", content, 0).pax("GNU.sparse.name", "s");
    let map = as_read(&[(5, 1), (8, 2)]);
    let in_front = format!("2\n5\n1\n8\n2\n{}abc", "\0".repeat(502));
    for tar in [
        file("abc").pax("GNU.sparse.size", "10").pax("GNU.sparse.map", "5,1,8,2"),
        file("abc")
            .pax("GNU.sparse.size", "10")
            .pax("GNU.sparse.numblocks", "2")
            .pax("GNU.sparse.offset", "5")
            .pax("GNU.sparse.numbytes", "1")
            .pax("GNU.sparse.offset", "8")
            .pax("GNU.sparse.numbytes", "2"),
        file(&in_front)
            .pax("GNU.sparse.major", "1")
            .pax("GNU.sparse.minor", "0")
            .pax("GNU.sparse.realsize", "10"),
    ] {
        let found = read(&tar.bytes()).unwrap();
        assert_eq!(found[0].0.path, b"s");
        assert_eq!(found[0].0.kind, Kind::File { size: 10, pieces: map.clone() });
        assert_eq!(found[0].1, b"abc");
    }
    for bad in [
        file("abc").pax("GNU.sparse.map", "5,1,8,2"),
        file("abc").pax("GNU.sparse.size", "9").pax("GNU.sparse.map", "5,1,8,2"),
        file("abc").pax("GNU.sparse.size", "10").pax("GNU.sparse.map", "5,1,8"),
        file("abc").pax("GNU.sparse.size", "10").pax("GNU.sparse.map", "5,1"),
        file("abc").pax("GNU.sparse.size", "10").pax("GNU.sparse.major", "2"),
        file("2\n5\n").pax("GNU.sparse.major", "1").pax("GNU.sparse.minor", "0").pax("GNU.sparse.size", "10"),
    ] {
        assert_eq!(read(&bad.bytes()).unwrap_err().kind(), Class::Invalid);
    }
}
