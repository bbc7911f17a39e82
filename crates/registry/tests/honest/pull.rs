//! Pulling.

use std::io::Read;

use taru_oci::{Descriptor, Digest, Document, Platform};
use taru_stdx::Kind;
use taru_testkit::registry::Registry;

use crate::support::{Dir, client, layout, name, noise};

#[test]
fn an_image_of_several_platforms_is_pulled_by_tag_and_by_digest() {
    let Some(registry) = Registry::start() else { return };
    let dir = Dir::new();
    let content = noise(3 << 20);
    let made = layout(&dir.0, &content);
    registry.copy(&format!("oci:{}:latest", dir.0.display()), "team/app:1");
    let client = client();
    let reference = name(registry.name("team/app:1"));

    let resolved = client.resolve(&reference).unwrap();
    assert_eq!(resolved.descriptor.digest, made.index.digest);
    assert_eq!(resolved.descriptor.media_type, made.index.media_type);
    assert_eq!(resolved.source, registry.host());
    let Document::Index(index) = &resolved.document else { panic!("{:?}", resolved.document) };
    let chosen = index.choose(&Platform::host()).unwrap();
    assert_eq!(chosen.digest, made.manifest.digest);
    let head = client.head(&reference).unwrap().unwrap();
    assert_eq!((&head.digest, head.size), (&made.index.digest, made.index.size));

    let manifest = client.fetch_document(&reference, chosen).unwrap();
    let Document::Manifest(manifest) = Document::parse(&manifest, &chosen.media_type).unwrap() else {
        panic!()
    };
    assert_eq!(manifest.config.digest, made.config.digest);
    client.fetch_document(&reference, &manifest.config).unwrap();
    let by_digest = client.resolve(&reference.with_digest(made.manifest.digest.clone())).unwrap();
    assert_eq!(by_digest.descriptor.digest, made.manifest.digest);

    let mut all = Vec::new();
    client.blob(&reference, &made.layer, 0).unwrap().verified().read_to_end(&mut all).unwrap();
    assert!(all == content);
    let mut rest = Vec::new();
    client.blob(&reference, &made.layer, 1_000_001).unwrap().read_to_end(&mut rest).unwrap();
    assert!(rest == content[1_000_001..]);
    assert_eq!(client.blob(&reference, &made.layer, made.layer.size).unwrap().read(&mut [0; 9]).unwrap(), 0);
}

#[test]
fn what_is_not_there_is_said_by_the_registry() {
    let Some(registry) = Registry::start() else { return };
    let client = client();
    let reference = name(registry.name("team/app:nope"));
    let e = client.resolve(&reference).unwrap_err();
    assert_eq!(e.kind(), Kind::NotFound);
    let host = registry.host();
    assert_eq!(e.chain().to_string(), format!("resolve `{reference}`: {host}: 404 manifest unknown"));
    assert_eq!(client.head(&reference).unwrap(), None);
    let absent = Descriptor::new("x", Digest::of(b"absent"), 6);
    assert_eq!(client.blob(&reference, &absent, 0).unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn a_name_is_resolved_and_one_client_serves_many_threads() {
    let Some(registry) = Registry::start() else { return };
    // By name, of which the first address may be ::1, where nobody listens.
    let host = registry.host().replace("127.0.0.1", "localhost");
    let reference = name(format!("{host}/app:1"));
    let client = client();
    let contents: Vec<Vec<u8>> = (0..6).map(|n| noise(700_000 + n)).collect();
    let blobs: Vec<Descriptor> =
        contents.iter().map(|c| Descriptor::of("application/octet-stream", c)).collect();
    std::thread::scope(|scope| {
        for (content, blob) in contents.iter().zip(&blobs) {
            let (client, reference) = (&client, &reference);
            scope.spawn(move || {
                client.push_blob(reference, &mut std::io::Cursor::new(content), blob, None).unwrap();
                for offset in [0, 123_456] {
                    let mut all = Vec::new();
                    client.blob(reference, blob, offset).unwrap().read_to_end(&mut all).unwrap();
                    assert!(all == content[offset as usize..]);
                }
            });
        }
    });
}
