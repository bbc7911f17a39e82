//! Images made to harm (T76, T91, T93, T97): nothing of them is believed unseen, and none takes much memory.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use taru_content::{Content, Lease, NoLayers};
use taru_oci::{Algorithm, Descriptor, Digest, Index, Manifest, limits, media};
use taru_stdx::Kind;

use crate::support::{Dir, image, image_of, layer, name};

fn put(store: &Content, lease: &Lease, media_type: &str, bytes: &[u8]) -> Descriptor {
    store.put(lease, bytes, Algorithm::Sha256).unwrap();
    Descriptor::of(media_type, bytes)
}

#[test]
fn t93_right_digest_wrong_size_and_layers_without_diff_ids() {
    let dir = Dir::new();
    let store = dir.store();
    let lease = store.lease("test").unwrap();
    let mut lie = layer(&store, &lease, b"a layer");
    lie.size += 1;
    let (manifest, _) = image_of(&store, &lease, std::slice::from_ref(&lie));
    assert_eq!(store.tag(&[(name("x"), manifest)]).unwrap_err().kind(), Kind::NotFound);
    // Of the manifest itself, too.
    let mut good = image(&store, &lease, b"good");
    good.size -= 1;
    assert_eq!(store.read(&good, 1 << 20).unwrap_err().kind(), Kind::Invalid);
    assert_eq!(store.tag(&[(name("x"), good.clone())]).unwrap_err().kind(), Kind::NotFound);

    // One layer more than the configuration knows.
    good.size += 1;
    let bytes = store.read(&good, 1 << 20).unwrap();
    let mut manifest: Manifest = serde_json::from_slice(&bytes).unwrap();
    manifest.layers.push(layer(&store, &lease, b"another"));
    let more = put(&store, &lease, media::MANIFEST, &serde_json::to_vec(&manifest).unwrap());
    assert_eq!(store.tag(&[(name("x"), more)]).unwrap_err().kind(), Kind::Invalid);
    assert!(store.images().unwrap().is_empty());
    drop(lease);
    store.gc(&NoLayers).unwrap();
    assert_eq!(store.usage().unwrap().blobs, 0);
}

#[test]
fn t93_images_by_sha512_are_images() {
    let dir = Dir::new();
    let store = dir.store();
    let lease = store.lease("test").unwrap();
    let of = |media_type: &str, bytes: &[u8]| {
        let digest = store.put(&lease, bytes, Algorithm::Sha512).unwrap();
        Descriptor::new(media_type, digest, bytes.len() as u64)
    };
    let tar = of(media::LAYER, b"a layer");
    let text = format!(r#"{{"os":"linux","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#, tar.digest);
    let config = of(media::CONFIG, text.as_bytes());
    let manifest = of(media::MANIFEST, &serde_json::to_vec(&Manifest::new(config, vec![tar])).unwrap());
    store.tag(&[(name("x"), manifest)]).unwrap();
    drop(lease);
    assert_eq!(store.gc(&NoLayers).unwrap().blobs, 0);
    assert_eq!(store.check(false, &|_| ()).unwrap().blobs, 3);
}

#[test]
fn t91_what_a_descriptor_calls_a_manifest_has_to_be_one() {
    let dir = Dir::new();
    let store = dir.store();
    let lease = store.lease("test").unwrap();
    let good = image(&store, &lease, b"good");
    let text = store.read(&good, 1 << 20).unwrap();
    let twice = String::from_utf8(text.clone()).unwrap().replace("\"layers\":", "\"layers\":[],\"layers\":");
    for (media_type, bytes) in [
        (media::INDEX, &text[..]),
        (media::MANIFEST, twice.as_bytes()),
        (media::MANIFEST, b"[]"),
        (media::INDEX, b""),
    ] {
        let lie = put(&store, &lease, media_type, bytes);
        assert_eq!(store.tag(&[(name("x"), lie)]).unwrap_err().kind(), Kind::Invalid, "{media_type}");
    }
    // Indexes in indexes, deeper than anybody needs.
    let mut inner = good;
    for depth in 0..=limits::INDEX_DEPTH {
        let index = Index { schema_version: 2, manifests: vec![inner], ..Index::default() };
        inner = put(&store, &lease, media::INDEX, &serde_json::to_vec(&index).unwrap());
        let named = store.tag(&[(name("x"), inner.clone())]);
        match named {
            Ok(()) => assert!(depth < limits::INDEX_DEPTH),
            Err(e) => assert_eq!((depth, e.kind()), (limits::INDEX_DEPTH, Kind::Limit)),
        }
    }
}

#[test]
fn t97_others_are_kept_out() {
    let dir = Dir::new();
    let content = dir.path().join("content");
    drop(dir.store());
    std::fs::set_permissions(&content, std::fs::Permissions::from_mode(0o755)).unwrap();
    drop(dir.store());
    assert_eq!(content.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    // Made by somebody with other ideas, and empty.
    let other = dir.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o777)).unwrap();
    let store = Content::open(&other).unwrap();
    let lease = store.lease("test").unwrap();
    store.tag(&[(name("x"), image(&store, &lease, b"x"))]).unwrap();
    for (file, bits) in
        [("", 0o700), ("content.db", 0o600), ("index.json", 0o600), ("blobs", 0o700), ("lock", 0o600)]
    {
        let mode = other.join(file).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, bits, "{file}");
    }
}

const HERE: &str = "TARU_CONTENT_HOSTILE";

/// Not a test: what the test below runs.
#[test]
fn take_it_in_this_process() {
    let Ok(dir) = std::env::var(HERE) else { return };
    let store = Content::open(dir.as_ref()).unwrap();
    let lease = store.lease("test").unwrap();
    // A document of 3 GB of blanks, as a sparse file would be: refused by its size.
    let blanks = Descriptor::new(media::MANIFEST, Digest::of(b""), 3 << 30);
    assert_eq!(store.read(&blanks, limits::MANIFEST).unwrap_err().kind(), Kind::Limit);
    // A large layer in large pieces.
    let piece = vec![b' '; 1 << 20];
    let mut ingest = store.ingest(&lease, None).unwrap();
    for _ in 0..200 {
        ingest.write_all(&piece).unwrap();
    }
    let (digest, size) = ingest.commit(None).unwrap();
    // Which calls itself a manifest, and a configuration.
    let manifest = Descriptor::new(media::MANIFEST, digest.clone(), size);
    assert_eq!(store.tag(&[(name("x"), manifest)]).unwrap_err().kind(), Kind::Limit);
    let config = Descriptor::new(media::CONFIG, digest, size);
    let bytes = serde_json::to_vec(&Manifest::new(config, Vec::new())).unwrap();
    let manifest = put(&store, &lease, media::MANIFEST, &bytes);
    assert_eq!(store.tag(&[(name("x"), manifest)]).unwrap_err().kind(), Kind::Limit);
    // Six indexes of 9,999 manifests each, all there, in one.
    let good = image(&store, &lease, b"good");
    let children = (0..6u64).map(|number| {
        let mut absent: Vec<Descriptor> = (0..9_998u64)
            .map(|n| Descriptor::new(media::MANIFEST, Digest::of(&(number * 10_000 + n).to_le_bytes()), 1))
            .collect();
        absent.push(good.clone());
        let index = Index { schema_version: 2, manifests: absent, ..Index::default() };
        put(&store, &lease, media::INDEX, &serde_json::to_vec(&index).unwrap())
    });
    let index = Index { schema_version: 2, manifests: children.collect(), ..Index::default() };
    let index = put(&store, &lease, media::INDEX, &serde_json::to_vec(&index).unwrap());
    assert_eq!(store.tag(&[(name("x"), index)]).unwrap_err().kind(), Kind::Limit);
    store.check(false, &|_| ()).unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    eprintln!("peak {}", peak.trim().strip_suffix(" kB").unwrap());
}

#[test]
fn t76_no_image_takes_more_than_64_mib() {
    let dir = Dir::new();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["hostile::take_it_in_this_process", "--exact", "--nocapture", "--test-threads=1"])
        .env(HERE, dir.path().join("content"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    let peak: u64 = text.lines().find_map(|line| line.strip_prefix("peak ")).unwrap().parse().unwrap();
    eprintln!("peak: {peak} kB");
    assert!(peak < 64 << 10, "{peak} kB");
}
