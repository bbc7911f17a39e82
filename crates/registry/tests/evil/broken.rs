//! Connections that break, and content that is not what it should be.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use taru_oci::{Descriptor, Digest, media};
use taru_registry::{Client, error_of};
use taru_stdx::{Kind, Result};
use taru_testkit::eventually;

use crate::server::{Request, Server, Wire, client, client_with, hasty_client, noise};

const EMPTY_IMAGE: &[u8] = br#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}"#;

/// Reads a blob of a server that answers so.
fn fetch(
    client: &Client,
    content: &[u8],
    answer: impl Fn(&Request, usize, &mut Wire) + Send + Sync + 'static,
) -> (Result<Vec<u8>>, Server) {
    let server = Server::start(answer);
    let blob = Descriptor::of(media::LAYER, content);
    let read = || {
        let mut all = Vec::new();
        client
            .blob(&server.name("a:1"), &blob, 0)?
            .verified()
            .read_to_end(&mut all)
            .map_err(error_of)
            .map(|_| all)
    };
    (read(), server)
}

/// Answers with the part that is asked for, but ends after `most` bytes of it.
fn part(request: &Request, content: &[u8], most: usize, wire: &mut Wire) {
    let (from, size) = (request.from(), content.len());
    let rest = &content[from..];
    if from > 0 {
        let range = format!("bytes {from}-{}/{size}", size - 1);
        wire.text(&format!(
            "HTTP/1.1 206 Part\r\nETag: \"e\"\r\nContent-Range: {range}\r\nContent-Length: {}\r\n\r\n",
            rest.len()
        ));
    } else {
        wire.text(&format!("HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: {size}\r\n\r\n"));
    }
    let _ = wire.write_all(&rest[..most.min(rest.len())]);
}

#[test]
fn a_blob_comes_whole_over_connections_that_break_every_64_kb() {
    let content = Arc::new(noise(1 << 20));
    let served = content.clone();
    let (read, server) =
        fetch(&client(), &content, move |request, _, wire| part(request, &served, 65536, wire));
    assert!(read.unwrap() == *content);
    let seen = server.seen();
    assert_eq!(seen.len(), 16);
    // The rest of the same content, not of another one.
    assert!(seen[1..].iter().all(|r| r.header("if-range") == Some("\"e\"")));
    assert_eq!(seen[3].header("range"), Some("bytes=196608-"));
}

#[test]
fn connections_that_bring_nothing_are_counted() {
    let content = Arc::new(noise(1 << 20));
    for most in [0, 1, 1000] {
        let served = content.clone();
        let (read, server) =
            fetch(&client(), &content, move |request, _, wire| part(request, &served, most, wire));
        let e = read.unwrap_err();
        assert!(e.chain().to_string().contains("ended"), "{e:?}");
        assert_eq!(server.seen().len(), 3, "{most}");
    }
}

#[test]
fn a_stalled_connection_is_replaced() {
    let content = Arc::new(noise(300_000));
    let served = content.clone();
    // Long enough that only the first connection stalls.
    let client = client_with(|s| s.stall = Duration::from_secs(3));
    let (read, server) = fetch(&client, &content, move |request, n, wire| {
        part(request, &served, if n == 0 { 100_000 } else { usize::MAX }, wire);
        if n == 0 {
            wire.stall();
        }
    });
    assert!(read.unwrap() == *content);
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn a_byte_now_and_then_is_a_stall() {
    // The last request may be given up before the server gets to see it.
    let thrice = |server: &Server| eventually("three requests", || server.seen().len() == 3);
    let (read, server) = fetch(&hasty_client(), &noise(1 << 20), |_, _, wire| {
        wire.text("HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n");
        wire.drip();
    });
    let e = read.unwrap_err();
    assert!(e.chain().to_string().contains("stalls"), "{e:?}");
    assert_eq!(e.kind(), Kind::Limit);
    thrice(&server);
    // Also in a manifest, and in a head.
    for start in ["HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", "HTTP/1.1 200 "] {
        let server = Server::start(move |_, _, wire| {
            wire.text(start);
            wire.drip();
        });
        let e = hasty_client().resolve(&server.name("a:1")).unwrap_err();
        assert_eq!(e.kind(), Kind::Limit, "{e:?}");
        thrice(&server);
    }
}

#[test]
fn a_wrong_range_is_refused() {
    let content = Arc::new(noise(200_000));
    for range in [
        "bytes 0-199999/200000",
        "bytes 65536-199999/200001",
        "bytes 65537-199999/200000",
        "bytes */200000",
        "x",
        "",
    ] {
        let served = content.clone();
        let (read, server) = fetch(&client(), &content, move |request, n, wire| match n {
            0 => part(request, &served, 65536, wire),
            _ => {
                let headers: &[(&str, &str)] =
                    if range.is_empty() { &[] } else { &[("Content-Range", range)] };
                wire.answer(206, headers, &served[65536..]);
            }
        });
        let e = read.unwrap_err();
        assert_eq!((e.kind(), server.seen().len()), (Kind::Invalid, 2), "{range}: {e:?}");
    }
}

#[test]
fn a_server_that_knows_no_ranges_begins_anew() {
    let content = Arc::new(noise(200_000));
    let served = content.clone();
    let (read, server) = fetch(&client(), &content, move |_, n, wire| {
        wire.text("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n");
        let _ = wire.write_all(&served[..if n == 0 { 100_000 } else { 200_000 }]);
    });
    assert!(read.unwrap() == *content);
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn other_content_than_the_digests_is_refused() {
    let content = noise(50_000);
    let (read, _server) = fetch(&client(), &content, |_, _, wire| wire.answer(200, &[], &vec![7; 50_000]));
    assert!(read.unwrap_err().chain().to_string().starts_with("verify `sha256:"));
    let server =
        Server::start(|_, _, wire| wire.answer(200, &[("Content-Type", media::MANIFEST)], EMPTY_IMAGE));
    let name = server.name("a:1");
    for size in [EMPTY_IMAGE.len(), EMPTY_IMAGE.len() - 1, EMPTY_IMAGE.len() + 1] {
        let other = Descriptor::new(media::MANIFEST, Digest::of(b"other"), size as u64);
        assert_eq!(client().fetch_document(&name, &other).unwrap_err().kind(), Kind::Invalid);
    }
    let e = client().resolve(&name.with_digest(Digest::of(b"other"))).unwrap_err();
    assert!(e.chain().to_string().contains(&format!("instead of `{}`", Digest::of(b"other"))), "{e:?}");
    // More than any document may have is not asked for.
    let before = server.seen().len();
    let huge = Descriptor::new(media::CONFIG, Digest::of(b""), 100 << 20);
    assert_eq!(client().fetch_document(&name, &huge).unwrap_err().kind(), Kind::Limit);
    assert_eq!(server.seen().len(), before);
}

#[test]
fn what_came_counts_not_what_was_announced() {
    let server = Server::start(|request, _, wire| {
        match request.method.as_str() {
        "HEAD" => wire.text(&format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\nContent-Type: {}\r\nDocker-Content-Digest: {}\r\n\r\n",
            media::MANIFEST,
            Digest::of(b"other")
        )),
        _ => wire.answer(200, &[("Content-Type", media::MANIFEST)], EMPTY_IMAGE),
    }
    });
    let name = server.name("a:1");
    assert_eq!(client().head(&name).unwrap().unwrap().digest, Digest::of(b"other"));
    assert_eq!(client().resolve(&name).unwrap().descriptor, Descriptor::of(media::MANIFEST, EMPTY_IMAGE));
    // An answer that contradicts itself was damaged on its way.
    let server = Server::start(|_, _, wire| {
        wire.answer(
            200,
            &[
                ("Content-Type", media::MANIFEST),
                ("Docker-Content-Digest", &Digest::of(b"other").to_string()),
            ],
            EMPTY_IMAGE,
        );
    });
    assert_eq!(client().resolve(&server.name("a:1")).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn manifests_of_other_kinds_are_refused_with_a_reason() {
    for (media_type, body, kind, word) in [
        (media::DOCKER_SCHEMA1_SIGNED, r#"{"schemaVersion":1,"fsLayers":[]}"#, Kind::Unsupported, "schema 1"),
        ("application/json", r#"{"schemaVersion":1,"fsLayers":[]}"#, Kind::Unsupported, "schema 1"),
        (
            "text/html",
            "<html>log in to the hotel's network</html>",
            Kind::Invalid,
            "sent what cannot be used",
        ),
        (media::MANIFEST, "", Kind::Invalid, "sent what cannot be used"),
        (
            media::MANIFEST,
            r#"{"schemaVersion":2,"manifests":[]}"#,
            Kind::Invalid,
            "an index that calls itself",
        ),
        (
            media::INDEX,
            r#"{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}"#,
            Kind::Invalid,
            "read the manifest",
        ),
    ] {
        let server = Server::start(move |_, _, wire| {
            wire.answer(200, &[("Content-Type", media_type)], body.as_bytes())
        });
        let e = client().resolve(&server.name("a:1")).unwrap_err();
        assert_eq!(e.kind(), kind, "{e:?}");
        assert!(e.chain().to_string().contains(word), "{e:?}");
        assert!(e.chain().to_string().contains(&server.host()), "{e:?}");
    }
}

#[test]
fn passing_troubles_pass() {
    let server = Server::start(|_, n, wire| match n {
        0 => wire.answer(503, &[], b""),
        // Nobody waits for a day, or a century.
        1 => wire.answer(429, &[("Retry-After", "86400")], b""),
        2 => wire.answer(429, &[("Retry-After", "Thu, 06 Nov 2994 08:49:37 GMT")], b""),
        _ => wire.answer(200, &[("Content-Type", media::MANIFEST)], EMPTY_IMAGE),
    });
    client_with(|s| s.retries = 3).resolve(&server.name("a:1")).unwrap();
    assert_eq!(server.seen().len(), 4);
    // But not for ever; and a refusal is one at once.
    for (status, requests) in [(500, 3), (502, 3), (429, 3), (400, 1), (403, 1), (418, 1)] {
        let server = Server::start(move |_, _, wire| {
            wire.answer(status, &[], br#"{"errors":[{"code":"DENIED","message":"no"}]}"#)
        });
        let e = client().resolve(&server.name("a:1")).unwrap_err();
        assert_eq!(
            e.chain().to_string(),
            format!("resolve `{}`: {}: {status} no", server.name("a:1"), server.host())
        );
        assert_eq!(server.seen().len(), requests, "{status}");
    }
}

#[test]
fn nobody_there_is_said() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let e = client_with(|s| s.retries = 1).resolve(&format!("{address}/a:1").parse().unwrap()).unwrap_err();
    assert_eq!(
        e.chain().to_string(),
        format!("resolve `{address}/a:1`: connect to `{address}`: Connection refused")
    );
}
