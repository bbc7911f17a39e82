//! Uploads to registries that have wishes, break and lie.

use std::io::Cursor;
use std::sync::{Arc, Mutex};

use taru_oci::{Descriptor, media};
use taru_registry::Pushed;
use taru_stdx::Kind;

use crate::server::{Request, Server, Wire, client_with, noise};

/// An upload as the specification has it; `odd` may answer a request otherwise.
fn uploads(
    smallest: u64,
    odd: impl Fn(&Request, usize, &mut Wire, &mut Vec<u8>) -> bool + Send + Sync + 'static,
) -> (Server, Arc<Mutex<Vec<u8>>>) {
    let kept: Arc<Mutex<Vec<u8>>> = Arc::default();
    let file = kept.clone();
    let server = Server::start(move |request, n, wire| {
        let mut file = file.lock().unwrap();
        if odd(request, n, wire, &mut file) {
            return;
        }
        let range = |file: &Vec<u8>| format!("0-{}", file.len().saturating_sub(1));
        match request.method.as_str() {
            "HEAD" => wire.text("HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n"),
            "POST" => {
                file.clear();
                wire.answer(
                    202,
                    &[("Location", "/up?s=1"), ("OCI-Chunk-Min-Length", &smallest.to_string())],
                    b"",
                );
            }
            "PATCH" => {
                let (from, to) = request.header("content-range").unwrap().split_once('-').unwrap();
                let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
                if from != file.len() || to + 1 - from != request.body.len() {
                    return wire.answer(416, &[("Location", "/up?s=1"), ("Range", &range(&file))], b"");
                }
                file.extend_from_slice(&request.body);
                wire.answer(202, &[("Location", "/up?s=2"), ("Range", &range(&file))], b"");
            }
            "GET" => wire.answer(204, &[("Location", "/up?s=3"), ("Range", &range(&file))], b""),
            "PUT" => {
                file.extend_from_slice(&request.body);
                wire.answer(201, &[("Location", "/v2/a/blobs/x")], b"");
            }
            _ => wire.answer(405, &[], b""),
        }
    });
    (server, kept)
}

#[test]
fn chunks_are_as_large_as_the_registry_wants() {
    let content = noise(1_000_000);
    let blob = Descriptor::of(media::LAYER, &content);
    let (server, kept) = uploads(300_000, |_, _, _, _| false);
    let client = client_with(|s| s.chunk = Some(1000));
    let pushed = client.push_blob(&server.name("a:1"), &mut Cursor::new(&content), &blob, None).unwrap();
    assert_eq!(pushed, Pushed::Sent);
    assert!(*kept.lock().unwrap() == content);
    let ranges: Vec<String> =
        server.seen().iter().filter_map(|r| r.header("content-range").map(str::to_owned)).collect();
    assert_eq!(ranges, ["0-299999", "300000-599999", "600000-899999", "900000-999999"]);
    let last = server.seen().last().unwrap().clone();
    assert_eq!(last.target, format!("/up?s=2&digest=sha256%3A{}", blob.digest.hex()));
}

#[test]
fn an_upload_goes_on_where_it_was_cut() {
    let content = noise(1_000_000);
    let blob = Descriptor::of(media::LAYER, &content);
    // Half of the third chunk arrives, and the answer to the fifth is lost.
    let (server, kept) = uploads(0, |request, _, _, file| {
        let is_patch = request.method == "PATCH";
        match file.len() {
            200_000 if is_patch => file.extend_from_slice(&request.body[..50_000]),
            450_000 if is_patch => file.extend_from_slice(&request.body),
            _ => return false,
        }
        true
    });
    let client = client_with(|s| s.chunk = Some(100_000));
    client.push_blob(&server.name("a:1"), &mut Cursor::new(&content), &blob, None).unwrap();
    assert!(*kept.lock().unwrap() == content);
    let seen = server.seen();
    assert_eq!(seen.iter().filter(|r| r.method == "POST").count(), 1);
    assert_eq!(seen.iter().filter(|r| r.method == "GET").count(), 2);
    let patched: usize = seen.iter().filter(|r| r.method == "PATCH").map(|r| r.body.len()).sum();
    assert_eq!(patched, 1_050_000);
}

#[test]
fn registries_that_lie_about_an_upload_are_left() {
    let content = noise(100_000);
    let blob = Descriptor::of(media::LAYER, &content);
    for (headers, kind) in [
        (vec![("Location", "/up"), ("Range", "0-999999")], Kind::Invalid),
        (vec![("Range", "0-9999")], Kind::Invalid),
        (vec![("Location", "file:///etc/passwd"), ("Range", "0-9999")], Kind::Invalid),
    ] {
        let (server, _) = uploads(0, move |request, _, wire, _| {
            if request.method == "PATCH" {
                wire.answer(202, &headers, b"");
            }
            request.method == "PATCH"
        });
        let client = client_with(|s| s.chunk = Some(10_000));
        let e = client.push_blob(&server.name("a:1"), &mut Cursor::new(&content), &blob, None).unwrap_err();
        assert_eq!(e.kind(), kind, "{e:?}");
    }
    // One that never gets further.
    let (server, _) = uploads(0, |request, _, _, _| request.method == "PATCH");
    let client = client_with(|s| s.chunk = Some(10_000));
    client.push_blob(&server.name("a:1"), &mut Cursor::new(&content), &blob, None).unwrap_err();
    assert_eq!(server.seen().iter().filter(|r| r.method == "PATCH").count(), 3);
    // One that wants chunks of a terabyte.
    let (server, _) = uploads(1 << 40, |_, _, _, _| false);
    let e = client.push_blob(&server.name("a:1"), &mut Cursor::new(&content), &blob, None).unwrap_err();
    assert_eq!(e.kind(), Kind::Limit);
}

#[test]
fn an_upload_that_leads_astray_is_not_followed() {
    let content = noise(1000);
    let blob = Descriptor::of(media::LAYER, &content);
    for location in ["http://169.254.169.254/up", "http://[fe80::1]/up"] {
        let (server, _) = uploads(0, move |request, _, wire, _| {
            if request.method == "POST" {
                wire.answer(202, &[("Location", location)], b"");
            }
            request.method == "POST"
        });
        let e = client_with(|_| {})
            .push_blob(&server.name("a:1"), &mut Cursor::new(&content), &blob, None)
            .unwrap_err();
        assert_eq!(e.kind(), Kind::Permission, "{e:?}");
    }
}

#[test]
fn a_refusal_in_the_middle_of_a_body_is_heard() {
    // It answers without reading; the client is still sending.
    let content = noise(30 << 20);
    let blob = Descriptor::of(media::LAYER, &content);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                use std::io::{Read, Write};
                let mut head = [0; 4096];
                let n = stream.read(&mut head).unwrap_or(0);
                let answer: &[u8] = match &head[..n.min(4)] {
                    b"HEAD" => b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n",
                    b"POST" => {
                        b"HTTP/1.1 202 OK\r\nConnection: close\r\nLocation: /up\r\nContent-Length: 0\r\n\r\n"
                    }
                    b"PUT " => b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                    _ => b"HTTP/1.0 400 Bad\r\n\r\n",
                };
                let _ = stream.write_all(answer);
                // Whatever comes stays unread until the client stops.
                let _ = stream.set_read_timeout(Some(std::time::Duration::from_millis(300)));
                std::thread::sleep(std::time::Duration::from_millis(100));
                while matches!(stream.read(&mut head), Ok(1..)) {}
            });
        }
    });
    let e = client_with(|_| {})
        .push_blob(&format!("{address}/a:1").parse().unwrap(), &mut Cursor::new(&content), &blob, None)
        .unwrap_err();
    assert_eq!(e.kind(), Kind::Limit, "{e:?}");
    assert!(e.chain().to_string().contains("413 Too Large"), "{e:?}");
}
