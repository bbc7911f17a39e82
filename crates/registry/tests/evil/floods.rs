//! More than anybody asked for.

use std::io::{Read, Write};

use taru_oci::{Descriptor, Digest, limits, media};
use taru_registry::error_of;
use taru_stdx::Kind;

use crate::server::{Server, client, noise};

/// What a flood may have cost at most: the limit, and what lay in buffers of the kernel.
const MOST: u64 = limits::MANIFEST + (16 << 20);

#[test]
fn a_manifest_of_a_hundred_gigabytes_is_not_begun() {
    for length in ["107374182400", "104857600"] {
        let server = Server::start(move |_, _, wire| {
            wire.text(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
            wire.forever(&[b' '; 65536]);
        });
        let e = client().resolve(&server.name("a:1")).unwrap_err();
        assert!(e.chain().to_string().ends_with("the answer is larger than 4194304 bytes"), "{e:?}");
        assert_eq!(server.seen().len(), 1);
        assert!(server.sent() < MOST);
    }
}

#[test]
fn a_manifest_without_end_is_cut() {
    for (head, body) in [("", &[b' '; 65536][..]), ("Transfer-Encoding: chunked\r\n", b"5\r\n     \r\n")] {
        let server = Server::start(move |_, _, wire| {
            wire.text(&format!("HTTP/1.1 200 OK\r\n{head}\r\n"));
            wire.forever(&body.repeat(1 + 65536 / body.len()));
        });
        let e = client().resolve(&server.name("a:1")).unwrap_err();
        assert!(e.chain().to_string().ends_with("the answer is larger than 4194304 bytes"), "{e:?}");
        // Chunks of 5 bytes come with 5 more.
        assert!(server.sent() < 3 * MOST, "{}", server.sent());
    }
}

#[test]
fn heads_without_end_are_cut() {
    for endless in ["X: y\r\n", "xxxxxxxx", "HTTP/1.1 100 Continue\r\n\r\n"] {
        let server = Server::start(move |_, _, wire| {
            wire.text(if endless.starts_with("HTTP") { "" } else { "HTTP/1.1 200 OK\r\n" });
            wire.forever(&endless.repeat(1000).into_bytes());
        });
        let e = client().resolve(&server.name("a:1")).unwrap_err();
        assert_eq!(e.kind(), Kind::Invalid, "{e:?}");
        assert!(server.sent() < MOST);
    }
}

#[test]
fn a_blob_is_no_longer_than_its_descriptor() {
    let content = noise(100_000);
    let blob = Descriptor::of(media::LAYER, &content);
    for (head, message) in [
        ("Content-Length: 107374182400\r\n", "107374182400 bytes instead of 100000"),
        ("Content-Length: 99999\r\n", "99999 bytes instead of 100000"),
        ("Transfer-Encoding: chunked\r\n", "sends more than the 100000 bytes"),
        ("", "sends more than the 100000 bytes"),
    ] {
        let is_chunked = head.starts_with("Transfer");
        let mut body = content.clone();
        if is_chunked {
            body = [b"186a0\r\n", &content[..], b"\r\n4\r\nmore\r\n"].concat();
        }
        let server = Server::start(move |_, _, wire| {
            wire.text(&format!("HTTP/1.1 200 OK\r\n{head}\r\n"));
            let _ = wire.write_all(&body);
            wire.forever(if is_chunked { b"4\r\nmore\r\n" } else { &[0; 65536] });
        });
        let read = || {
            let mut all = Vec::new();
            client().blob(&server.name("a:1"), &blob, 0)?.read_to_end(&mut all).map_err(error_of).map(|_| all)
        };
        let e = read().unwrap_err();
        assert!(e.chain().to_string().contains(message), "{e:?}");
        assert!(server.sent() < MOST);
        assert_eq!(server.seen().len(), 1);
    }
}

#[test]
fn an_encoding_is_not_asked_for_and_refused() {
    let server =
        Server::start(|_, _, wire| wire.answer(200, &[("Content-Encoding", "gzip")], &[0x1f, 0x8b, 8]));
    let e = client().resolve(&server.name("a:1")).unwrap_err();
    assert!(e.chain().to_string().contains("encoded as `gzip`"), "{e:?}");
    assert_eq!(server.seen()[0].header("accept-encoding"), Some("identity"));
}

#[test]
fn an_index_has_bounds() {
    let entry = r#"{"mediaType":"x","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}"#;
    let many = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, vec![entry; 50_000].join(","));
    let fewer = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, vec![entry; 10_001].join(","));
    for index in [many, fewer] {
        let server = Server::start(move |_, _, wire| {
            wire.answer(200, &[("Content-Type", media::INDEX)], index.as_bytes())
        });
        let e = client().resolve(&server.name("a:1")).unwrap_err();
        assert!(matches!(e.kind(), Kind::Limit | Kind::Invalid), "{e:?}");
    }
}

#[test]
fn an_index_cannot_lead_to_itself() {
    let claimed = Digest::of(b"anything");
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{}","digest":"{claimed}","size":{}}}]}}"#,
        media::INDEX,
        207
    );
    let server = Server::start(move |_, _, wire| {
        wire.answer(200, &[("Content-Type", media::INDEX)], index.as_bytes())
    });
    let name = server.name("a:1");
    let resolved = client().resolve(&name).unwrap();
    let taru_oci::Document::Index(index) = resolved.document else { panic!() };
    let mut child = index.manifests[0].clone();
    child.size = resolved.descriptor.size;
    let e = client().fetch_document(&name, &child).unwrap_err();
    assert!(e.chain().to_string().contains("instead of `sha256:"), "{e:?}");
}

#[test]
fn lists_have_bounds() {
    let page: Vec<String> = (0..1000).map(|n| format!("\"tag{n}\"")).collect();
    let page = format!(r#"{{"tags":[{}]}}"#, page.join(","));
    // Each page leads to a further one.
    let server = Server::start(move |_, n, wire| {
        wire.answer(200, &[("Link", &format!("</v2/a/tags/list?last={n}>; rel=\"next\""))], page.as_bytes());
    });
    let e = client().tags(&server.name("a:1")).unwrap_err();
    assert_eq!(e.kind(), Kind::Limit, "{e:?}");
    assert_eq!(server.seen().len(), 101);
    // A page that leads to itself, and one that leads elsewhere.
    for link in
        ["</v2/a/tags/list?n=1000>; rel=\"next\"", "<http://127.0.0.2:1/x>; rel=\"next\"", "rel=\"next\""]
    {
        let server =
            Server::start(move |_, _, wire| wire.answer(200, &[("Link", link)], br#"{"tags":["x"]}"#));
        let e = client().tags(&server.name("a:1")).unwrap_err();
        assert_eq!(e.kind(), Kind::Invalid, "{e:?}");
        assert_eq!(server.seen().len(), 1);
    }
}
