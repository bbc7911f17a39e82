//! Pushing: in one piece and in chunks, mounting, resuming, deleting.

use std::io::{Cursor, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use taru_oci::{Descriptor, Digest, Document, Manifest, Reference, media};
use taru_registry::{Client, Pushed};
use taru_stdx::Kind;
use taru_testkit::registry::Registry;

use crate::support::{client, client_with, name, noise};

/// Pushes an image of one layer; returns its manifest's digest.
pub(crate) fn push_image(client: &Client, reference: &Reference, layer: &[u8]) -> Digest {
    let layer_d = Descriptor::of(media::LAYER, layer);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        layer_d.digest
    );
    let config_d = Descriptor::of(media::CONFIG, config.as_bytes());
    client.push_blob(reference, &mut Cursor::new(layer), &layer_d, None).unwrap();
    client.push_blob(reference, &mut Cursor::new(config.as_bytes()), &config_d, None).unwrap();
    let manifest = serde_json::to_vec(&Manifest::new(config_d, vec![layer_d])).unwrap();
    client.push_manifest(reference, media::MANIFEST, &manifest).unwrap().digest
}

#[test]
fn what_is_pushed_is_pulled() {
    let Some(registry) = Registry::start() else { return };
    for (number, chunk) in [None, Some(100_000)].into_iter().enumerate() {
        let client = client_with(|s| s.chunk = chunk);
        let reference = name(registry.name(&format!("pushed/{number}:v1")));
        let content = noise(1_000_000 + number);
        let digest = push_image(&client, &reference, &content);
        let resolved = client.resolve(&reference).unwrap();
        assert_eq!(resolved.descriptor.digest, digest);
        let Document::Manifest(manifest) = resolved.document else { panic!() };
        let mut all = Vec::new();
        client.blob(&reference, &manifest.layers[0], 0).unwrap().verified().read_to_end(&mut all).unwrap();
        assert!(all == content);
        // A second time there is nothing to send.
        let again =
            client.push_blob(&reference, &mut Cursor::new(&content), &manifest.layers[0], None).unwrap();
        assert_eq!(again, Pushed::Present);
    }
}

#[test]
fn a_blob_is_mounted_from_another_repository() {
    let Some(registry) = Registry::start() else { return };
    let client = client();
    let (from, to) = (name(registry.name("from:1")), name(registry.name("to:1")));
    let content = noise(70_000);
    let blob = Descriptor::of(media::LAYER, &content);
    client.push_blob(&from, &mut Cursor::new(&content), &blob, None).unwrap();
    let mounted = client.push_blob(&to, &mut Cursor::new(b"not read"), &blob, Some("from")).unwrap();
    assert_eq!(mounted, Pushed::Mounted);
    // From where it is not: it is sent.
    let other = noise(70_001);
    let blob = Descriptor::of(media::LAYER, &other);
    let sent = client.push_blob(&to, &mut Cursor::new(&other), &blob, Some("from")).unwrap();
    assert_eq!(sent, Pushed::Sent);
}

#[test]
fn content_that_is_not_the_digests_is_refused() {
    let Some(registry) = Registry::start() else { return };
    let reference = name(registry.name("wrong:1"));
    let blob = Descriptor::of(media::LAYER, b"right");
    let e = client().push_blob(&reference, &mut Cursor::new(b"wrong"), &blob, None).unwrap_err();
    assert_eq!(e.kind(), Kind::Invalid);
    assert!(e.chain().to_string().contains(&registry.host()), "{e:?}");
    let e = client().push_blob(&reference, &mut Cursor::new(b"few"), &blob, None).unwrap_err();
    assert!(e.chain().to_string().contains("ends 2 bytes early"), "{e:?}");
}

/// Forwards to a registry, but resets the connections of which number `cut(n)` says so after that many bytes to it.
fn cutter(to: String, cut: impl Fn(usize) -> Option<u64> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let number = AtomicUsize::new(0);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), Ok(server)) = (client, TcpStream::connect(&to)) else { return };
            let cut = cut(number.fetch_add(1, Ordering::SeqCst));
            std::thread::spawn(move || forward(client, server, cut));
        }
    });
    host
}

fn forward(mut client: TcpStream, mut server: TcpStream, cut: Option<u64>) {
    let (mut back_from, mut back_to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut back_from, &mut back_to);
        let _ = back_to.shutdown(Shutdown::Write);
    });
    let mut left = cut.unwrap_or(u64::MAX);
    let mut buffer = [0; 8192];
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        match client.read(&mut buffer[..most]) {
            Ok(n @ 1..) if server.write_all(&buffer[..n]).is_ok() => left -= n as u64,
            _ => break,
        }
    }
    let _ = server.shutdown(Shutdown::Both);
    let _ = client.shutdown(Shutdown::Both);
}

#[test]
fn an_upload_that_was_cut_succeeds_in_the_end() {
    let Some(registry) = Registry::start() else { return };
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    // The first ones carry little more than two chunks. This registry forgets an upload of which a chunk was cut (its state
    // names another offset than its file has), so that it begins anew; evil/push.rs has one that goes on.
    let host = cutter(registry.host(), move |n| {
        count.store(n + 1, Ordering::SeqCst);
        (n < 4).then_some(700_000)
    });
    let client = client_with(|s| s.chunk = Some(300_000));
    let content = noise(3_000_000);
    let blob = Descriptor::of(media::LAYER, &content);
    let reference = name(format!("{host}/cut:1"));
    let pushed = client.push_blob(&reference, &mut Cursor::new(&content), &blob, None).unwrap();
    assert_eq!(pushed, Pushed::Sent);
    assert!(sent.load(Ordering::SeqCst) > 3, "it was not cut");
    let direct = name(registry.name("cut:1"));
    let mut all = Vec::new();
    client.blob(&direct, &blob, 0).unwrap().verified().read_to_end(&mut all).unwrap();
    assert!(all == content);
}

#[test]
fn one_piece_that_is_cut_is_sent_in_chunks() {
    let Some(registry) = Registry::start() else { return };
    let content = noise(20 << 20);
    let blob = Descriptor::of(media::LAYER, &content);
    let host = cutter(registry.host(), |n| (n < 3).then_some(9 << 20));
    let client = client_with(|_| {});
    let reference = name(format!("{host}/large:1"));
    assert_eq!(client.push_blob(&reference, &mut Cursor::new(&content), &blob, None).unwrap(), Pushed::Sent);
    let again = client_with(|_| {});
    let reference = name(registry.name("large:1"));
    let pushed = again.push_blob(&reference, &mut Cursor::new(&content), &blob, None).unwrap();
    assert_eq!(pushed, Pushed::Present);
}

#[test]
fn manifests_are_deleted_by_digest() {
    let Some(registry) = Registry::start() else { return };
    let client = client();
    let reference = name(registry.name("gone:1"));
    let digest = push_image(&client, &reference, &noise(1000));
    // This registry knows no deletion of a tag.
    let e = client.delete(&reference).unwrap_err();
    assert_eq!(e.kind(), Kind::Unsupported, "{e:?}");
    client.delete(&reference.with_digest(digest)).unwrap();
    assert_eq!(client.resolve(&reference).unwrap_err().kind(), Kind::NotFound);
}
