//! What happens to a store on a disk that forgets (R03, R36, T94): flipped bits, cut files, damaged records.

use std::fs;
use std::path::PathBuf;

use taru_content::{Content, NoLayers, RECOVERED, Report};
use taru_oci::{Algorithm, Descriptor, Digest, media};
use taru_stdx::Kind;

use crate::support::{Dir, fetch, image, image_of, layer, name};

fn check(store: &Content, repair: bool) -> Report {
    store.check(repair, &|_| ()).unwrap()
}

fn blob(dir: &Dir, digest: &Digest) -> PathBuf {
    dir.path().join("content/blobs").join(digest.algorithm().name()).join(digest.hex())
}

/// Two images that share a layer: the shared layer, the first's own, and both images.
fn two_images(store: &Content) -> [Descriptor; 4] {
    let lease = store.lease("test").unwrap();
    let (base, own) = (layer(store, &lease, b"the base"), layer(store, &lease, b"one's own"));
    let (one, _) = image_of(store, &lease, &[base.clone(), own.clone()]);
    let (two, _) = image_of(store, &lease, std::slice::from_ref(&base));
    store.tag(&[(name("one"), one.clone()), (name("two"), two.clone())]).unwrap();
    [base, own, one, two]
}

#[test]
fn a_damaged_blob_is_named_with_its_images_and_healed_by_the_next_pull() {
    let dir = Dir::new();
    let store = dir.store();
    let [base, own, one, two] = two_images(&store);
    let well = check(&store, false);
    assert!(well.is_well(), "{well:?}");
    assert_eq!(well.blobs, 6);

    // One bit of one, the other cut to nothing.
    let mut bytes = fs::read(blob(&dir, &base.digest)).unwrap();
    bytes[3] ^= 0x10;
    fs::write(blob(&dir, &base.digest), bytes).unwrap();
    fs::write(blob(&dir, &own.digest), b"").unwrap();
    for repair in [false, true] {
        let report = check(&store, repair);
        assert_eq!(report.blobs, 4);
        let mut broken: Vec<_> = report.broken.iter().map(|b| (&b.digest, b.images.join(" "))).collect();
        broken.sort_by_key(|(_, images)| images.len());
        let (first, second) = ("docker.io/library/one:latest", "docker.io/library/two:latest");
        assert_eq!(broken, [(&own.digest, first.to_owned()), (&base.digest, format!("{first} {second}"))]);
        // What is cut is missing to whoever wants it, even before it is removed.
        let missing: Vec<_> = report.missing.iter().map(|m| (&m.descriptor.digest, m.images.len())).collect();
        assert!(missing.contains(&(&own.digest, 1)));
        assert_eq!(missing.contains(&(&base.digest, 2)), repair);
    }
    assert_eq!(store.missing(&two).unwrap(), std::slice::from_ref(&base));
    let lease = store.lease("pull").unwrap();
    fetch(&store, &lease, &base, b"the base");
    fetch(&store, &lease, &own, b"one's own");
    assert!(check(&store, false).is_well());
    assert!(store.missing(&one).unwrap().is_empty());
}

#[test]
fn a_blob_that_is_doubted_is_hashed_again() {
    let dir = Dir::new();
    let store = dir.store();
    let [base, own, ..] = two_images(&store);
    assert!(store.verify(&base.digest).unwrap());
    fs::write(blob(&dir, &base.digest), b"the bass").unwrap();
    assert_eq!(store.has(&base.digest).unwrap(), Some(8), "nobody looked");
    assert!(!store.verify(&base.digest).unwrap());
    assert!(!store.verify(&base.digest).unwrap());
    assert!(store.verify(&own.digest).unwrap());
    let lease = store.lease("pull").unwrap();
    fetch(&store, &lease, &base, b"the base");
    assert!(store.verify(&base.digest).unwrap());
    // Who has the bytes at hand heals it in passing.
    fs::write(blob(&dir, &base.digest), b"the bass").unwrap();
    store.put(&lease, b"the base", Algorithm::Sha256).unwrap();
    assert!(store.verify(&base.digest).unwrap());
}

#[test]
fn a_damaged_document_is_not_believed_and_takes_nothing_with_it() {
    let dir = Dir::new();
    let store = dir.store();
    let [base, _, one, two] = two_images(&store);
    let path = blob(&dir, &one.digest);
    let good = fs::read(&path).unwrap();
    // Still JSON, still a manifest, of the same size.
    let text = String::from_utf8(good.clone()).unwrap().replace("schemaVersion\":2", "schemaVersion\":3");
    fs::write(&path, text).unwrap();
    let e = store.read(&one, 1 << 20).unwrap_err();
    assert_eq!((e.kind(), e.hints().len()), (Kind::Invalid, 1));
    assert!(store.tag(&[(name("three"), one.clone())]).is_err());
    // Collection asks no document: its layers stay.
    assert_eq!(store.gc(&NoLayers).unwrap().blobs, 0);
    let report = check(&store, true);
    assert_eq!((report.broken.len(), report.missing.len()), (1, 1));
    assert_eq!(report.missing[0].descriptor, one);
    assert_eq!(store.gc(&NoLayers).unwrap().blobs, 0);
    assert_eq!(store.resolve(&name("two")).unwrap(), Some(two));
    let lease = store.lease("pull").unwrap();
    fetch(&store, &lease, &one, &good);
    assert!(store.missing(&one).unwrap().is_empty());
    assert_eq!(store.has(&base.digest).unwrap(), Some(8));
}

#[test]
fn swapped_files_and_strangers_are_seen() {
    let dir = Dir::new();
    let store = dir.store();
    let [base, own, ..] = two_images(&store);
    let spare = dir.path().join("spare");
    fs::rename(blob(&dir, &base.digest), &spare).unwrap();
    fs::rename(blob(&dir, &own.digest), blob(&dir, &base.digest)).unwrap();
    fs::rename(&spare, blob(&dir, &own.digest)).unwrap();
    fs::write(dir.path().join("content/blobs/sha256/README"), b"hello").unwrap();
    let report = check(&store, true);
    assert_eq!((report.broken.len(), report.strays.len()), (2, 1));
    let again = check(&store, false);
    assert_eq!((again.broken.len(), again.strays.len(), again.missing.len()), (0, 0, 2));
    // Directories stop neither a repair nor a collection.
    let blobs = dir.path().join("content/blobs/sha256");
    fs::create_dir(blobs.join("empty")).unwrap();
    fs::create_dir_all(blobs.join("a".repeat(64)).join("full")).unwrap();
    store.gc(&NoLayers).unwrap();
    assert_eq!(check(&store, true).strays.len(), 2);
    assert_eq!(check(&store, true).strays, [blobs.join("a".repeat(64))]);
}

#[test]
fn a_damaged_database_is_made_anew_from_what_is_there() {
    for how in ["garbage", "cut", "empty", "removed"] {
        let dir = Dir::new();
        let store = dir.store();
        let [base, own, one, two] = two_images(&store);
        let lost = {
            let lease = store.lease("test").unwrap();
            let digest = store.put(&lease, b"held by a container", Algorithm::Sha256).unwrap();
            store.hold("container/1", std::slice::from_ref(&digest), &[]).unwrap();
            digest
        };
        drop(store);
        let content = dir.path().join("content");
        // The log, too: it would be read into whatever is there.
        for file in ["content.db-wal", "content.db-shm"] {
            let _ = fs::remove_file(content.join(file));
        }
        let db = content.join("content.db");
        match how {
            "garbage" => {
                fs::write(db, vec![0xa5; 20_000]).unwrap();
                fs::write(content.join("content.db-wal"), "a log").unwrap();
            }
            "cut" => fs::File::options().write(true).open(db).unwrap().set_len(100).unwrap(),
            "empty" => fs::write(db, b"").unwrap(),
            _ => fs::remove_file(db).unwrap(),
        }

        let store = dir.store();
        assert_eq!(store.resolve(&name("one")).unwrap().as_ref(), Some(&one), "{how}");
        assert_eq!(store.resolve(&name("two")).unwrap().as_ref(), Some(&two), "{how}");
        assert_eq!(content.join("content.db.damaged").exists(), ["garbage", "cut"].contains(&how));
        if how == "garbage" {
            assert_eq!(fs::read(content.join("content.db.damaged-wal")).unwrap(), b"a log");
        }
        // Nobody knows what containers hold: nothing is collected until somebody says.
        assert_eq!(store.holds("").unwrap(), [RECOVERED]);
        assert_eq!(store.gc(&NoLayers).unwrap().blobs, 0);
        store.unhold(RECOVERED).unwrap();
        assert_eq!(store.gc(&NoLayers).unwrap().blobs, 1);
        assert_eq!(store.has(&lost).unwrap(), None);
        assert_eq!(store.has(&base.digest).unwrap(), Some(base.size));
        assert!(check(&store, false).is_well());
        store.untag(&name("one")).unwrap();
        assert_eq!(store.gc(&NoLayers).unwrap().blobs, 3);
        assert_eq!(store.has(&own.digest).unwrap(), None);
        assert_eq!(store.has(&base.digest).unwrap(), Some(base.size));
    }
}

#[test]
fn every_damaged_page_is_found_and_the_names_survive() {
    let dir = Dir::new();
    let store = dir.store();
    let lease = store.lease("test").unwrap();
    // Enough names for several pages.
    let one = image(&store, &lease, b"one");
    let names: Vec<_> = (0..200).map(|n| (name(&format!("image{n}")), one.clone())).collect();
    store.tag(&names).unwrap();
    drop(lease);
    drop(store);
    let content = dir.path().join("content");
    let db = content.join("content.db");
    // All of it into the file itself.
    let sqlite = rusqlite::Connection::open(&db).unwrap();
    sqlite.pragma_update(None, "journal_mode", "delete").unwrap();
    sqlite.pragma_update(None, "journal_mode", "wal").unwrap();
    drop(sqlite);
    let whole = fs::read(&db).unwrap();
    let pages = whole.len() / 4096;
    assert!(pages > 10);
    for page in 1..pages {
        let mut damaged = whole.clone();
        damaged[page * 4096..(page + 1) * 4096].fill(0x5a);
        fs::write(&db, damaged).unwrap();
        for file in ["content.db-wal", "content.db-shm"] {
            let _ = fs::remove_file(content.join(file));
        }
        // Some pages are missed by nobody until they are looked for.
        let store = match Content::open(&content) {
            Ok(store) => store,
            Err(e) => panic!("page {page}: {e:?}"),
        };
        let report = check(&store, true);
        assert!(report.broken.is_empty() && report.missing.is_empty(), "page {page}: {report:?}");
        assert_eq!(store.images().unwrap().len(), 200, "page {page}");
        assert!(check(&store, false).is_well(), "page {page}");
        assert_eq!(store.gc(&NoLayers).unwrap().blobs, 0, "page {page}");
    }
}

#[test]
fn one_broken_record_harms_no_other() {
    let dir = Dir::new();
    let store = dir.store();
    let [.., one, two] = two_images(&store);
    let sqlite = rusqlite::Connection::open(dir.path().join("content/content.db")).unwrap();
    let break_one = |sql: &str| {
        let changed = sqlite.execute(sql, []).unwrap();
        assert_eq!(changed, 1);
    };
    break_one("UPDATE image SET descriptor = '{\"mediaType\":' WHERE name LIKE '%one%'");
    assert_eq!(store.images().unwrap().len(), 1);
    assert_eq!(store.resolve(&name("two")).unwrap(), Some(two.clone()));
    assert_eq!(store.resolve(&name("one")).unwrap_err().kind(), Kind::Invalid);
    assert_eq!(store.gc(&NoLayers).unwrap().blobs, 0);
    assert_eq!(dir.store().images().unwrap().len(), 1);
    let report = check(&store, true);
    assert_eq!(report.records, ["the record of the image `docker.io/library/one:latest` is damaged"]);
    // Its document tells again what it is.
    assert_eq!(store.resolve(&name("one")).unwrap(), Some(one.clone()));
    assert!(check(&store, false).is_well());

    break_one("UPDATE image SET name = 'no name!' WHERE name LIKE '%one%'");
    assert_eq!(store.images().unwrap().len(), 1);
    assert_eq!(check(&store, true).records.len(), 1);
    let names: Vec<_> = store.images().unwrap().into_iter().map(|image| image.name).collect();
    assert_eq!(names.iter().filter(|name| name.is_none()).count(), 1);

    break_one("UPDATE image SET descriptor = '', digest = 'sha256:' WHERE name IS NULL");
    assert_eq!(check(&store, true).records.len(), 1);
    assert_eq!(store.images().unwrap().len(), 1);

    break_one(&format!("UPDATE blob SET size = size + 1 WHERE digest = '{}'", two.digest));
    assert_eq!(store.has(&two.digest).unwrap(), None);
    assert_eq!(check(&store, true).records.len(), 1);
    assert_eq!(store.has(&two.digest).unwrap(), Some(two.size));
    let Some(descriptor) = store.resolve(&name("two")).unwrap() else { panic!() };
    assert_eq!(descriptor.media_type, media::MANIFEST);
}
