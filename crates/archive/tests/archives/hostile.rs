//! Archives that are cut, lie, contradict themselves or want too much: an error each, and nothing left.

use serde_json::json;
use taru_oci::limits;
use taru_stdx::Kind;
use taru_testkit::image::{Pack, Tar, digest, index};

use crate::world::{World, name, plain, small};

const MARKER: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// Asserts that the archive is refused with these words, and that nothing of it is left.
#[track_caller]
fn refused(bytes: Vec<u8>, words: &str) {
    let world = World::new();
    let e = world.load(bytes).unwrap_err();
    assert!(e.chain().to_string().contains(words), "wanted `{words}`: {}", e.chain());
    assert_eq!(world.left(), (0, 0, 0));
}

/// T81: truncated at 200 offsets, compressed or not; random bytes; nothing.
#[test]
fn whatever_is_cut_is_refused_and_leaves_nothing() {
    let built = plain();
    let docker = built.docker_archive(&["a:1"]);
    let oci = small().build().oci_archive(&["a:1"]);
    // The archive is complete with its two blocks of zeros, which are all that is behind the last entry here.
    let forms = [docker.clone(), oci.clone(), Pack::Gzip.pack(&docker), Pack::Zstd.pack(&oci)];
    let world = World::new();
    for bytes in forms {
        for step in 0..50 {
            let at = bytes.len() * step / 50;
            let e = world.load(bytes[..at].to_vec()).unwrap_err();
            assert!(matches!(e.kind(), Kind::Invalid | Kind::System), "{at}: {e:?}");
        }
        let e = world.load(bytes[..bytes.len() - 1].to_vec()).unwrap_err();
        assert!(matches!(e.kind(), Kind::Invalid | Kind::System), "{e:?}");
    }
    let mut state = 88172645463325252u64;
    let noise: Vec<u8> = (0..100_000)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect();
    for bytes in [noise, Vec::new(), vec![0; 10], b"{}".to_vec()] {
        world.load(bytes).unwrap_err();
    }
    assert_eq!(world.left(), (0, 0, 0));
}

#[test]
fn documents_that_two_readers_could_read_differently() {
    let (one, two) = (plain(), small().config(|c| c["author"] = json!("mallory")).build());
    let with = |tar: Tar| tar.bytes();
    let blob = |tar: Tar, bytes: &[u8]| {
        tar.file(&format!("blobs/{}", digest(bytes).replace(':', "/")), bytes, 0o644)
    };
    // An OCI layout of one image whose manifest.json has another.
    let mut both = Tar::new()
        .file("oci-layout", MARKER, 0o644)
        .file("index.json", index(vec![one.descriptor()]).to_string(), 0o644)
        .file("other.json", &two.config, 0o644)
        .file("manifest.json", r#"[{"Config":"other.json","RepoTags":["a:1"],"Layers":[]}]"#, 0o644);
    for (_, bytes) in one.blobs() {
        both = blob(both, bytes);
    }
    refused(with(both), "differ in the image");
    let files = |config: &[u8]| {
        Tar::new().file("c.json", config, 0o644).file("l", &one.layers[0].tar, 0o644).file(
            "m",
            &one.layers[1].tar,
            0o644,
        )
    };
    let manifest = r#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["l","m"]}]"#;
    let doubled = files(&one.config).file("manifest.json", manifest, 0o644);
    refused(with(doubled.clone().file("c.json", "{}", 0o644)), "two entries are named `c.json`");
    refused(with(doubled.clone().file("./l", &one.layers[1].tar, 0o644)), "two entries are named `l`");
    refused(with(doubled.file("manifest.json", "[]", 0o644)), "two entries are named `manifest.json`");
    let twice = r#"[{"Config":"c.json","Config":"d.json","Layers":["l","m"]}]"#;
    refused(with(files(&one.config).file("manifest.json", twice, 0o644)), "duplicate field");
    // Both a manifest and an index (T91).
    let mut mixed: serde_json::Value = serde_json::from_slice(&one.manifest).unwrap();
    mixed["manifests"] = json!([]);
    let mixed = mixed.to_string();
    let mut descriptor = one.descriptor();
    descriptor["digest"] = json!(digest(mixed.as_bytes()));
    descriptor["size"] = json!(mixed.len());
    let mut tar = Tar::new().file("oci-layout", MARKER, 0o644).file(
        "index.json",
        index(vec![descriptor]).to_string(),
        0o644,
    );
    for bytes in one.blobs().into_iter().map(|(_, bytes)| bytes).chain([mixed.as_bytes()]) {
        tar = blob(tar, bytes);
    }
    refused(with(tar), "neither a manifest nor an index, or both");
}

/// T93: what is not what it is called.
#[test]
fn blobs_that_lie() {
    let built = plain();
    let files = |config: &[u8], layer: &[u8]| {
        Tar::new()
            .file("l", layer, 0o644)
            .file("m", &built.layers[1].tar, 0o644)
            .file("c.json", config, 0o644)
            .file("manifest.json", r#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["l","m"]}]"#, 0o644)
            .bytes()
    };
    refused(files(&built.config, &built.layers[1].tar), "has the diff id");
    refused(files(&built.config, b"hello"), "`l` is no layer");
    refused(files(b"{}", &built.layers[0].tar), "missing field");
    let path = |hex: &str| format!("blobs/sha256/{hex}");
    let hex = "a".repeat(64);
    refused(Tar::new().file(&path(&hex), &built.layers[0].tar, 0o644).bytes(), "verify the blob");
    refused(Tar::new().file(&path(&hex), "{}", 0o644).bytes(), "verify the blob");
    refused(Tar::new().file(&path("../../x"), "{}", 0o644).bytes(), "it leads up");
    refused(Tar::new().file(&path("short"), "{}", 0o644).bytes(), "as a digest");
    // A right digest of a wrong size, and a blob that is there already, but not what comes.
    let layout = |size: usize, layer: &[u8]| {
        let mut descriptor = built.descriptor();
        descriptor["size"] = json!(size);
        let mut tar = Tar::new().file("oci-layout", MARKER, 0o644).file(
            "index.json",
            index(vec![descriptor]).to_string(),
            0o644,
        );
        for (digest, bytes) in built.blobs() {
            let bytes = if digest == built.layers[0].digest { layer } else { bytes };
            tar = tar.file(&format!("blobs/{}", digest.replace(':', "/")), bytes, 0o644);
        }
        tar.bytes()
    };
    refused(layout(built.manifest.len() + 1, &built.layers[0].bytes), "its descriptor says");
    let world = World::new();
    world.load(layout(built.manifest.len(), &built.layers[0].bytes)).unwrap();
    let e = world.load(layout(built.manifest.len(), &built.layers[1].bytes)).unwrap_err();
    assert!(e.chain().to_string().contains("other bytes came"), "{}", e.chain());
}

#[test]
fn names_of_entries_lead_nowhere() {
    let outside = tempfile();
    for bad in ["/etc/passwd", "../x", "a/../../x", "a/.."] {
        refused(Tar::new().file(bad, "x", 0o644).bytes(), "as a path");
        refused(Tar::new().hard_link("l", bad).bytes(), "as a path");
    }
    for bad in ["/etc/passwd", "../x", "a/../../x", outside.as_str()] {
        refused(Tar::new().symlink("l", bad).bytes(), "follow the link");
    }
    let image = |config: &str| format!(r#"[{{"Config":"{config}","RepoTags":["a:1"],"Layers":[]}}]"#);
    for config in ["/etc/passwd", "../../etc/passwd"] {
        refused(Tar::new().file("manifest.json", image(config), 0o644).bytes(), "as a path");
    }
    let around = Tar::new().symlink("a", "b").symlink("b", "a").file("manifest.json", image("a"), 0o644);
    refused(around.bytes(), "leads nowhere");
    refused(Tar::new().char_device("null", 1, 3, 0o666).bytes(), "has no such files");
    refused(Tar::new().fifo("p", 0o666).bytes(), "has no such files");
}

fn tempfile() -> String {
    std::env::temp_dir().join("x").display().to_string()
}

/// T95: an archive that gives another image's name to its own changes nothing: names are returned, not given.
#[test]
fn an_archive_gives_no_name_away() {
    let world = World::new();
    let trusted = world.load(plain().docker_archive(&["trusted:1"])).unwrap();
    let lease = world.content.lease("test").unwrap();
    let other = small().config(|c| c["author"] = json!("mallory")).build();
    let archive = std::io::Cursor::new(other.oci_archive(&["trusted:1", "mine:1"]));
    let loaded = taru_archive::load(archive, &world.content, &lease).unwrap();
    assert_eq!(loaded[0].names, [name("trusted:1"), name("mine:1")]);
    let now = world.content.resolve(&name("trusted:1")).unwrap().unwrap();
    assert_eq!(now.digest, trusted[0].descriptor.digest);
    assert_eq!(world.content.resolve(&name("mine:1")).unwrap(), None);
    for bad in
        ["a:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "UPPER:1", "a/../b:1"]
    {
        refused(plain().docker_archive(&[bad]), "take the name");
    }
}

/// T76, T79, T80: what is too much is refused by its header, before it is read.
#[test]
fn nothing_is_read_without_bound() {
    let huge = |name: &str, start: &str| {
        let mut bytes = Tar::new().file(name, start, 0o644).claiming(3 << 30).unfinished();
        bytes.extend_from_slice(&vec![b' '; 64 << 10]);
        bytes
    };
    let blanks = " ".repeat(1024);
    for (name, start) in
        [("c.json", blanks.as_str()), ("manifest.json", "[ "), ("x", "hello"), ("index.json", "{")]
    {
        let world = World::new();
        let e = world.load(huge(name, start)).unwrap_err();
        assert_eq!(e.kind(), Kind::Limit, "{name}: {}", e.chain());
        assert_eq!(world.left(), (0, 0, 0));
    }
    let path = format!("blobs/sha256/{}", "a".repeat(64));
    assert_eq!(World::new().load(huge(&path, &blanks)).unwrap_err().kind(), Kind::Limit);

    let deep = ["[".repeat(1_000_000), "]".repeat(1_000_000)].concat();
    refused(Tar::new().file("manifest.json", &deep, 0o644).bytes(), "read `manifest.json`");
    let marker = Tar::new().file("oci-layout", MARKER, 0o644);
    refused(
        marker
            .file("index.json", format!(r#"{{"schemaVersion":2,"manifests":[],"x":{deep}}}"#), 0o644)
            .bytes(),
        "",
    );

    let documents = (0..4).fold(Tar::new(), |tar, n| tar.file(&n.to_string(), vec![b' '; 7 << 20], 0o644));
    refused(documents.bytes(), "documents of more than");
    let mut many = Vec::new();
    let block = Tar::new().dir("d", 0o755).unfinished();
    for _ in 0..=limits::ARCHIVE_ENTRIES {
        many.extend_from_slice(&block);
    }
    refused(many, "entries");
    let twice = Pack::Gzip.pack(&Pack::Gzip.pack(&plain().docker_archive(&["a:1"])));
    refused(twice, "compressed twice");
}
