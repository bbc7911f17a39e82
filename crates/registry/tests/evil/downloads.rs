//! Files from anywhere: as bounded, and led no further, than what a registry sends.

use std::io::{Read, Write};

use taru_registry::error_of;
use taru_stdx::{Kind, Result};

use crate::server::{Server, client, client_with};
use crate::tls::Tls;
use crate::tokens::{Dir, keyring};

fn fetch(client: &taru_registry::Client, url: &str, limit: u64) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    client.download(url, limit)?.read_to_end(&mut all).map_err(error_of)?;
    Ok(all)
}

#[test]
fn a_file_comes_with_its_name_and_date_whatever_is_tried() {
    let server = Server::start(|request, n, wire| match (n, request.target.as_str()) {
        (0, _) => wire.answer(503, &[("Retry-After", "0")], b""),
        (_, "/a%20b.tar?x=1") => wire.answer(302, &[("Location", "other")], b""),
        _ => wire.answer(200, &[("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")], b"content"),
    });
    // Credentials are for registries.
    let (_dir, keyring) = keyring(&server.host());
    let client = client_with(|s| s.keyring = keyring);
    let url = format!("http://{}/a%20b.tar?x=1#y", server.host());
    let mut download = client.download(&url, 7).unwrap();
    let about = (download.name.as_deref(), download.modified, download.length);
    assert_eq!(about, (Some("a b.tar"), Some(784_111_777), Some(7)));
    let mut text = String::new();
    download.read_to_string(&mut text).unwrap();
    assert_eq!(text, "content");
    let seen = server.seen();
    assert_eq!(seen.iter().map(|r| r.target.as_str()).collect::<Vec<_>>()[1..], ["/a%20b.tar?x=1", "/other"]);
    assert!(seen.iter().all(|r| r.header("authorization").is_none()));
}

#[test]
fn no_answer_leads_where_a_registrys_may_not() {
    for (location, kind) in [
        ("file:///etc/passwd", Kind::Invalid),
        ("http://user:pw@127.0.0.1/", Kind::Invalid),
        ("http://169.254.169.254/latest/meta-data/", Kind::Permission),
        ("http://[::ffff:169.254.169.254]/", Kind::Permission),
        ("http://[fd00:ec2::254]/", Kind::Permission),
        ("http://0.0.0.0/", Kind::Permission),
    ] {
        let server = Server::start(move |_, _, wire| wire.answer(302, &[("Location", location)], b""));
        let e = fetch(&client(), &format!("http://{}/a?sig=S3CRET", server.host()), 9).unwrap_err();
        assert_eq!((e.kind(), server.seen().len()), (kind, 1), "{location}: {e:?}");
        let text = e.chain().to_string();
        assert!(text.starts_with(&format!("fetch `http://{}/a`: ", server.host())), "{text}");
        assert!(!format!("{e:?}").contains("pw@") && !text.contains("S3CRET"), "{e:?}");
    }
    let server = Server::start(|_, n, wire| wire.answer(307, &[("Location", &format!("/{n}"))], b""));
    let e = fetch(&client(), &format!("http://{}/a", server.host()), 9).unwrap_err();
    assert!(e.chain().to_string().ends_with("more than 10 redirects"), "{e:?}");
    assert_eq!((e.kind(), server.seen().len()), (Kind::Limit, 11));
    for (status, kind) in [(404, Kind::NotFound), (410, Kind::NotFound), (403, Kind::Permission)] {
        let server = Server::start(move |_, _, wire| wire.answer(status, &[], b""));
        let e = fetch(&client(), &format!("http://{}/a", server.host()), 9).unwrap_err();
        assert_eq!((e.kind(), server.seen().len()), (kind, 1), "{e:?}");
    }
}

#[test]
fn no_more_comes_than_is_wanted() {
    let server = Server::start(|_, _, wire| wire.answer(200, &[], &[0; 100]));
    let url = format!("http://{}/a", server.host());
    assert_eq!(fetch(&client(), &url, 100).unwrap().len(), 100);
    assert_eq!(client().download(&url, 99).unwrap_err().kind(), Kind::Limit);
    let server = Server::start(|_, _, wire| {
        wire.text("HTTP/1.1 200 OK\r\n\r\n");
        wire.forever(&[0; 4096]);
    });
    let e = fetch(&client(), &format!("http://{}/a", server.host()), 1 << 20).unwrap_err();
    assert_eq!(e.kind(), Kind::Limit, "{e:?}");
    // What breaks off is no file.
    let server = Server::start(|_, _, wire| {
        wire.text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n");
        let _ = wire.write_all(&[0; 50]);
    });
    let e = fetch(&client(), &format!("http://{}/a", server.host()), 100).unwrap_err();
    assert!(e.chain().to_string().contains("the connection ended 50 bytes before the answer did"), "{e:?}");
}

#[test]
fn tls_is_not_left_and_its_end_is_the_servers_own() {
    let plain = Server::start(|_, _, wire| wire.answer(200, &[], b"x"));
    let redirect =
        format!("HTTP/1.1 302 F\r\nContent-Length: 0\r\nLocation: http://{}/x\r\n\r\n", plain.host());
    let cut = "HTTP/1.1 200 OK\r\n\r\nthe first half".to_owned();
    for (answer, kind, word) in
        [(redirect, Kind::Permission, "leads from https to http"), (cut, Kind::System, "read what")]
    {
        let server = Tls::start(answer);
        let dir = Dir::new();
        std::fs::create_dir_all(dir.0.join(&server.host)).unwrap();
        std::fs::copy(server.dir.0.join("crt"), dir.0.join(&server.host).join("ca.crt")).unwrap();
        let client = client_with(|s| s.certificates = vec![dir.0.clone()]);
        let e = fetch(&client, &format!("https://{}/a", server.host), 99).unwrap_err();
        assert_eq!(e.kind(), kind, "{e:?}");
        assert!(e.chain().to_string().contains(word), "{e:?}");
        assert_eq!(server.seen.lock().unwrap().len(), 1);
        // A certificate of nobody's is never taken, on this very host neither.
        let e = fetch(&client_with(|_| {}), &format!("https://{}/a", server.host), 99).unwrap_err();
        assert_eq!((e.kind(), server.seen.lock().unwrap().len()), (Kind::Permission, 1), "{e:?}");
    }
    assert_eq!(plain.seen().len(), 0);
}
