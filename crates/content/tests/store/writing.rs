//! How blobs come in.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use taru_content::{NoLayers, Want};
use taru_oci::{Algorithm, Descriptor, Digest, Hasher, media};
use taru_stdx::Kind;

use crate::support::{Dir, fetch, files};

#[test]
fn a_blob_is_there_once_it_is_verified() {
    let dir = Dir::new();
    let store = dir.store();
    let lease = store.lease("test").unwrap();
    // Longer than what small writes gather, and no multiple of it.
    let bytes: Vec<u8> = (0..1_000_003u32).map(|n| (n % 251) as u8).collect();
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(&bytes);
        let digest = hasher.finish();
        let mut ingest = store.ingest_as(&lease, algorithm).unwrap();
        for chunk in bytes.chunks(77_777) {
            ingest.write_all(chunk).unwrap();
        }
        assert_eq!(store.has(&digest).unwrap(), None);
        assert_eq!(ingest.commit(None).unwrap(), (digest.clone(), bytes.len() as u64));
        let descriptor = Descriptor::new(media::LAYER, digest.clone(), bytes.len() as u64);
        assert_eq!(store.read(&descriptor, 2_000_000).unwrap(), bytes);
        assert_eq!(store.read(&descriptor, 1_000_000).unwrap_err().kind(), Kind::Limit);
        let path = dir.path().join("content/blobs").join(algorithm.name()).join(digest.hex());
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(dir.path().join("content").metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert!(files(&dir.path().join("content/ingest")).is_empty());
}

#[test]
fn what_is_not_what_was_expected_is_removed() {
    let dir = Dir::new();
    let store = dir.store();
    let lease = store.lease("test").unwrap();
    let (good, bad) = (Digest::of(b"good"), Digest::of(b"bad"));
    for (digest, size) in [(&bad, 4), (&good, 5)] {
        let mut ingest = store.ingest(&lease, None).unwrap();
        ingest.write_all(b"good").unwrap();
        assert_eq!(ingest.commit(Some((digest, size))).unwrap_err().kind(), Kind::Invalid);
    }
    let descriptor = Descriptor::new(media::LAYER, bad, 4);
    let Want::Missing(mut ingest) = store.want(&lease, &descriptor).unwrap() else { panic!() };
    // Not a byte more than was promised.
    assert!(ingest.write_all(b"12345").is_err());
    ingest.write_all(b"good").unwrap();
    assert_eq!(ingest.commit(None).unwrap_err().kind(), Kind::Invalid);
    assert!(files(&dir.path().join("content/ingest")).is_empty());
    assert!(files(&dir.path().join("content/blobs/sha256")).is_empty());
    // There, but of another size than somebody says.
    store.put(&lease, b"good", Algorithm::Sha256).unwrap();
    let lie = Descriptor::new(media::LAYER, good, 5);
    assert_eq!(store.want(&lease, &lie).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn what_was_begun_is_continued_until_it_is_collected() {
    let dir = Dir::new();
    let store = dir.store();
    let bytes = vec![7u8; 700_000];
    let descriptor = Descriptor::of(media::LAYER, &bytes);
    let begin = |expected: u64| {
        let lease = store.lease("pull").unwrap();
        let Want::Missing(mut ingest) = store.want(&lease, &descriptor).unwrap() else { panic!() };
        assert_eq!(ingest.offset(), expected);
        ingest.write_all(&bytes[..300_000]).unwrap();
        // Meanwhile nobody else begins it, and nothing takes it away.
        assert!(matches!(store.want(&lease, &descriptor).unwrap(), Want::Busy));
        store.gc(&NoLayers).unwrap();
    };
    begin(0);
    dir.store();
    begin(300_000);
    assert_eq!(store.usage().unwrap().unfinished_bytes, 600_000);
    let freed = store.gc(&NoLayers).unwrap();
    assert_eq!((freed.blobs, freed.bytes), (0, 600_000));
    begin(0);
    let lease = store.lease("pull").unwrap();
    fetch(&store, &lease, &descriptor, &bytes);
    assert!(matches!(store.want(&lease, &descriptor).unwrap(), Want::There));
    assert!(files(&dir.path().join("content/ingest")).is_empty());
}

#[test]
fn what_ended_unfinished_is_removed_by_the_next_open() {
    let dir = Dir::new();
    let store = dir.store();
    let ingest = dir.path().join("content/ingest");
    std::fs::write(ingest.join("0123-4-5-6"), b"of another boot").unwrap();
    std::fs::write(ingest.join(format!("0123-sha256-{}", Digest::of(b"").hex())), b"of another boot")
        .unwrap();
    let lease = store.lease("test").unwrap();
    let mut writing = store.ingest(&lease, None).unwrap();
    writing.write_all(b"x").unwrap();
    dir.store();
    assert_eq!(files(&ingest).len(), 1, "that of the living");
    writing.commit(None).unwrap();
    assert!(files(&ingest).is_empty());
}
