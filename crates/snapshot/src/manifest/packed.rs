//! Records as they are held while they are sorted: packed one behind the other, for an allocation or two of each record
//! take longer than all that is done with it.
//!
//! ```text
//! LENGTH of all that follows, NUMBER, LENGTH, path | kind, mode, uid, gid, seconds, nanoseconds, detail, xattrs ...
//! ```
//! Numbers are in the machine's order: nobody else reads this.

use taru_tar::Xattrs;

use super::record::{Kind, Record};

/// Bytes of the length before each.
pub(super) const LENGTH: usize = 4;

/// Appends the record, the `number`th that came.
pub(super) fn pack(record: &Record, number: u32, into: &mut Vec<u8>) {
    let start = into.len();
    into.extend_from_slice(&[0; LENGTH]);
    into.extend_from_slice(&number.to_ne_bytes());
    bytes(&record.path, into);
    let kind = match &record.kind {
        Kind::Directory { is_opaque: false } => 0,
        Kind::Directory { is_opaque: true } => 1,
        Kind::Implicit => 2,
        Kind::File { .. } => 3,
        Kind::Sparse { .. } => 4,
        Kind::Link { .. } => 5,
        Kind::Symlink { .. } => 6,
        Kind::Character { .. } => 7,
        Kind::Block { .. } => 8,
        Kind::Fifo => 9,
        Kind::Whiteout => 10,
    };
    into.push(kind);
    for number in [record.mode, record.uid, record.gid, record.mtime.1] {
        into.extend_from_slice(&number.to_ne_bytes());
    }
    into.extend_from_slice(&record.mtime.0.to_ne_bytes());
    match &record.kind {
        Kind::File { size, hash } | Kind::Sparse { size, hash } => {
            into.extend_from_slice(&size.to_ne_bytes());
            into.extend_from_slice(hash);
        }
        Kind::Link { target } | Kind::Symlink { target } => bytes(target, into),
        Kind::Character { major, minor } | Kind::Block { major, minor } => {
            into.extend_from_slice(&major.to_ne_bytes());
            into.extend_from_slice(&minor.to_ne_bytes());
        }
        Kind::Directory { .. } | Kind::Implicit | Kind::Fifo | Kind::Whiteout => {}
    }
    for (name, value) in &record.xattrs {
        bytes(name, into);
        bytes(value, into);
    }
    let length = (into.len() - start - LENGTH) as u32;
    if let Some(place) = into.get_mut(start..start + LENGTH) {
        place.copy_from_slice(&length.to_ne_bytes());
    }
}

fn bytes(text: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(&(text.len() as u32).to_ne_bytes());
    into.extend_from_slice(text);
}

/// What is left to be read of a packed record, without the length before it.
pub(super) struct Packed<'p>(&'p [u8]);

impl<'p> Packed<'p> {
    /// That at `at`, of several; with the length before it.
    pub(super) fn at(held: &'p [u8], at: usize) -> Option<&'p [u8]> {
        let mut rest = Packed(held.get(at..)?);
        let length = rest.word()? as usize;
        rest.take(length)
    }

    /// The path and the number.
    pub(super) fn key(packed: &'p [u8]) -> Option<(&'p [u8], u32)> {
        let mut rest = Packed(packed);
        let number = rest.word()?;
        Some((rest.text()?, number))
    }

    /// The number and the record.
    pub(super) fn unpack(packed: &'p [u8]) -> Option<(u32, Record)> {
        let mut rest = Packed(packed);
        let number = rest.word()?;
        let path = rest.text()?.to_vec();
        let kind = *rest.take(1)?.first()?;
        let (mode, uid, gid, nanoseconds) = (rest.word()?, rest.word()?, rest.word()?, rest.word()?);
        let seconds = i64::from_ne_bytes(rest.array()?);
        let mut content = || Some((u64::from_ne_bytes(rest.array()?), rest.array()?));
        let kind = match kind {
            0 => Kind::Directory { is_opaque: false },
            1 => Kind::Directory { is_opaque: true },
            2 => Kind::Implicit,
            3 => content().map(|(size, hash)| Kind::File { size, hash })?,
            4 => content().map(|(size, hash)| Kind::Sparse { size, hash })?,
            5 => Kind::Link { target: rest.text()?.to_vec() },
            6 => Kind::Symlink { target: rest.text()?.to_vec() },
            7 => Kind::Character { major: rest.word()?, minor: rest.word()? },
            8 => Kind::Block { major: rest.word()?, minor: rest.word()? },
            9 => Kind::Fifo,
            _ => Kind::Whiteout,
        };
        let mut xattrs = Xattrs::new();
        while !rest.0.is_empty() {
            xattrs.push((rest.text()?.to_vec(), rest.text()?.to_vec()));
        }
        Some((number, Record { path, kind, mode, uid, gid, mtime: (seconds, nanoseconds), xattrs }))
    }

    fn take(&mut self, length: usize) -> Option<&'p [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn word(&mut self) -> Option<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    fn text(&mut self) -> Option<&'p [u8]> {
        let length = self.word()? as usize;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_unpacked_as_packed() {
        let kinds = [
            Kind::Directory { is_opaque: false },
            Kind::Directory { is_opaque: true },
            Kind::Implicit,
            Kind::File { size: 5, hash: [0xab; 32] },
            Kind::Sparse { size: u64::MAX, hash: [1; 32] },
            Kind::Link { target: b"a b".to_vec() },
            Kind::Symlink { target: b"../\xff\n\t%".to_vec() },
            Kind::Character { major: 1, minor: 3 },
            Kind::Block { major: 4_294_967_295, minor: 0 },
            Kind::Fifo,
            Kind::Whiteout,
        ];
        let records = kinds.map(|kind| Record {
            path: b"d/a\tb".into(),
            kind,
            mode: 0o4755,
            uid: 7,
            gid: 4_294_967_294,
            mtime: (-5, 999_999_999),
            xattrs: vec![(b"user.a".to_vec(), vec![0, 255]), (b"user.z".to_vec(), vec![])],
        });
        let (mut held, mut places) = (Vec::new(), Vec::new());
        for (number, record) in records.iter().enumerate() {
            places.push(held.len());
            pack(record, number as u32, &mut held);
        }
        for (number, (record, at)) in records.into_iter().zip(places).enumerate() {
            let packed = Packed::at(&held, at).unwrap();
            assert_eq!(Packed::key(packed), Some((&b"d/a\tb"[..], number as u32)));
            assert_eq!(Packed::unpack(packed), Some((number as u32, record)));
            assert_eq!(Packed::unpack(&packed[..packed.len() - 1]), None);
        }
        assert!(Packed::at(&held, held.len()).is_none());
    }
}
