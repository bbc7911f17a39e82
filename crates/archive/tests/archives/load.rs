//! Loading what is right, in whatever shape it comes.

use serde_json::json;
use taru_archive::load_directory;
use taru_testkit::image::{Built, Pack, Tar, digest, index};

use crate::world::{World, name, plain, small};

/// `blobs/` entries of an image.
fn blobs(mut tar: Tar, built: &Built) -> Tar {
    for (digest, bytes) in built.blobs() {
        tar = tar.file(&format!("blobs/{}", digest.replace(':', "/")), bytes, 0o644);
    }
    tar
}

const MARKER: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

#[test]
fn an_oci_archive_keeps_every_digest() {
    let (world, built) = (World::new(), small().build());
    let loaded = world.load(built.oci_archive(&["example.com/a:1", "busybox:2"])).unwrap();
    assert_eq!(loaded.len(), 1);
    assert_eq!(loaded[0].names, [name("example.com/a:1"), name("busybox:2")]);
    assert_eq!(loaded[0].descriptor.digest.to_string(), built.digest());
    for (digest, bytes) in built.blobs() {
        assert_eq!(world.content.has(&digest.parse().unwrap()).unwrap(), Some(bytes.len() as u64));
    }
    assert_eq!(world.left().0, 4, "manifest, configuration, two layers");
}

#[test]
fn a_docker_archive_keeps_the_image_id() {
    let (world, built) = (World::new(), plain());
    let loaded = world.load(built.docker_archive(&["a:1", "localhost:5000/b/c:2"])).unwrap();
    assert_eq!(loaded[0].names, [name("a:1"), name("localhost:5000/b/c:2")]);
    let manifest = world.manifest(&loaded[0].descriptor);
    assert_eq!(manifest.config.digest.to_string(), digest(&built.config));
    let layers: Vec<String> = manifest.layers.iter().map(|l| l.digest.to_string()).collect();
    assert_eq!(layers, built.layers.iter().map(|l| l.diff_id.clone()).collect::<Vec<_>>());
    assert_eq!(world.left().0, 4);
}

#[test]
fn an_archive_comes_in_any_compression_and_in_a_directory() {
    let built = plain();
    let plain = built.docker_archive(&["a:1"]);
    let world = World::new();
    let first = world.load(plain.clone()).unwrap();
    std::fs::write(world.dir().join("a.tar"), &plain).unwrap();
    world.run(&["xz", "-k", "a.tar"]);
    for packed in [
        Pack::Gzip.pack(&plain),
        Pack::Zstd.pack(&plain),
        std::fs::read(world.dir().join("a.tar.xz")).unwrap(),
    ] {
        assert_eq!(World::new().load(packed).unwrap(), first);
    }
    built.write_layout(&world.dir().join("layout"), Some("latest"));
    let lease = world.content.lease("test").unwrap();
    let loaded = load_directory(&world.dir().join("layout"), &world.content, &lease).unwrap();
    assert_eq!((loaded[0].names.len(), loaded[0].label.as_deref()), (0, Some("latest")));
    assert_eq!(loaded[0].descriptor.digest.to_string(), built.digest());
}

#[test]
fn documents_first_or_last_layers_by_link() {
    let built = plain();
    let manifest =
        |layers: [&str; 2]| json!([{"Config": "config", "RepoTags": ["a:1"], "Layers": layers}]).to_string();
    let [one, two] = [&built.layers[0].tar, &built.layers[1].tar];
    let files = |tar: Tar| {
        tar.file("./one/layer.tar", one, 0o644).file("two.tar", two, 0o644).file(
            "config",
            &built.config,
            0o644,
        )
    };
    let links = |tar: Tar| tar.symlink("x/layer.tar", "../one/layer.tar").hard_link("y", "./two.tar");
    let forms = [
        files(Tar::new()).file("manifest.json", manifest(["one/layer.tar", "two.tar"]), 0o644),
        files(Tar::new().file("manifest.json", manifest(["one/layer.tar", "two.tar"]), 0o644)),
        links(files(Tar::new().file("manifest.json", manifest(["x/layer.tar", "y"]), 0o644))),
        files(links(Tar::new())).file("manifest.json", manifest(["x/layer.tar", "y"]), 0o644),
        // What Docker wrote beside each layer, and what the same writer repeats.
        files(Tar::new().file("one/json", "{}", 0o644).file("one/VERSION", "1.0", 0o644))
            .file("two.tar", two, 0o644)
            .file("manifest.json", manifest(["one/layer.tar", "two.tar"]), 0o644),
    ];
    let world = World::new();
    let wanted = world.load(built.docker_archive(&["a:1"])).unwrap();
    for tar in forms {
        assert_eq!(World::new().load(tar.bytes()).unwrap(), wanted);
    }
}

#[test]
fn compressed_layers_in_a_docker_archive_are_verified_and_kept() {
    let built = small().build();
    let archive = |layers: [&[u8]; 2]| {
        Tar::new()
            .file("a", layers[0], 0o644)
            .file("b", layers[1], 0o644)
            .file("c.json", &built.config, 0o644)
            .file("manifest.json", r#"[{"Config":"c.json","RepoTags":null,"Layers":["a","b"]}]"#, 0o644)
            .bytes()
    };
    let [one, two] = [built.layers[0].bytes.as_slice(), built.layers[1].bytes.as_slice()];
    let world = World::new();
    let loaded = world.load(archive([one, two])).unwrap();
    let layers = world.manifest(&loaded[0].descriptor).layers;
    assert_eq!(layers[0].media_type, "application/vnd.oci.image.layer.v1.tar+gzip");
    assert_eq!(layers[1].digest.to_string(), built.layers[1].digest);
    let e = World::new().load(archive([two, one])).unwrap_err();
    assert!(e.chain().to_string().contains("has the diff id"), "{}", e.chain());
}

#[test]
fn an_index_of_platforms_comes_whole_or_in_part() {
    let here = small().build();
    let other = small().config(|c| c["architecture"] = json!("s390x")).build();
    let inner = index(vec![here.descriptor(), other.descriptor()]).to_string();
    let outer = index(vec![json!({
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": digest(inner.as_bytes()), "size": inner.len(),
        "annotations": {"org.opencontainers.image.ref.name": "quay.io/a/b:1"},
    })]);
    let archive = |images: &[&Built]| {
        let mut tar =
            Tar::new().file("oci-layout", MARKER, 0o644).file("index.json", outer.to_string(), 0o644);
        for image in images {
            tar = blobs(tar, image);
        }
        let path = format!("blobs/{}", digest(inner.as_bytes()).replace(':', "/"));
        tar.file(&path, &inner, 0o644).bytes()
    };
    for images in [&[&here, &other][..], &[&here], &[&other]] {
        let world = World::new();
        let loaded = world.load(archive(images)).unwrap();
        assert_eq!(loaded[0].descriptor.digest.to_string(), digest(inner.as_bytes()));
        assert_eq!(loaded[0].names, [name("quay.io/a/b:1")]);
    }
    let e = World::new().load(archive(&[])).unwrap_err();
    assert!(e.to_string().contains("no image of it is there"), "{}", e.chain());
}

#[test]
fn layers_that_are_in_the_store_may_be_left_out() {
    let (world, built) = (World::new(), small().build());
    world.load(built.oci_archive(&["a:1"])).unwrap();
    let thin = Tar::new()
        .file("oci-layout", MARKER, 0o644)
        .file("index.json", index(vec![built.descriptor()]).to_string(), 0o644)
        .file(&format!("blobs/{}", built.digest().replace(':', "/")), &built.manifest, 0o644)
        .file(&format!("blobs/{}", digest(&built.config).replace(':', "/")), &built.config, 0o644)
        .bytes();
    world.load(thin.clone()).unwrap();
    let e = World::new().load(thin).unwrap_err();
    assert!(e.chain().to_string().contains("is missing in it"), "{}", e.chain());
}
