//! Proxies, of HTTP and of SOCKS; and what a registry on the Internet may not reach through us.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

use taru_oci::media;
use taru_registry::{Credentials, Proxies, Registries};
use taru_stdx::Kind;

use crate::server::{Server, client_with};
use crate::tokens::Dir;

const IMAGE: &[u8] = br#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}"#;

fn proxies(variables: &[(&str, String)]) -> Proxies {
    Proxies::from_variables(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| v.clone()))
        .unwrap()
}

/// registry.invalid speaks plain HTTP.
fn plain() -> (Dir, Registries) {
    let dir = Dir::new();
    let file = dir.0.join("registries.conf");
    std::fs::write(&file, "[[registry]]\nlocation = \"registry.invalid\"\ninsecure = true\n").unwrap();
    (dir, Registries::of_files(&[file]).unwrap())
}

#[test]
fn plain_requests_go_to_the_proxy_whole_and_others_through_it() {
    let proxy = Server::start(|request, _, wire| match request.method.as_str() {
        // No way to TLS: plain HTTP is tried, as the registry is insecure.
        "CONNECT" => wire.answer(502, &[], b""),
        _ => wire.answer(200, &[("Content-Type", media::MANIFEST)], IMAGE),
    });
    let address = format!("http://us%3Aer:pa%40ss@{}", proxy.host());
    let (_dir, registries) = plain();
    let client = client_with(|s| {
        (s.registries, s.retries) = (registries, 0);
        s.proxies = proxies(&[("http_proxy", address.clone()), ("https_proxy", address)]);
    });
    // The first try is by TLS, which the proxy refuses: no TLS is no reason to go on without.
    let e = client.resolve(&"registry.invalid/a:1".parse().unwrap()).unwrap_err();
    assert!(e.chain().to_string().contains("502"), "{e:?}");
    assert!(!format!("{e:?}").contains("pa@ss"), "{e:?}");
    let seen = proxy.seen();
    assert_eq!((seen[0].method.as_str(), seen[0].target.as_str()), ("CONNECT", "registry.invalid:443"));
    assert_eq!(seen[0].header("proxy-authorization"), Some("Basic dXM6ZXI6cGFAc3M="));
}

#[test]
fn a_public_registry_leads_to_no_private_address() {
    // The proxy stands for a registry on the Internet.
    let proxy = Server::start(|request, n, wire| match (request.method.as_str(), n) {
        ("CONNECT", _) => wire.text("HTTP/1.1 200 OK\r\n\r\n"),
        ("GET", _) => wire.answer(302, &[("Location", "http://10.0.0.1/admin")], b""),
        _ => {}
    });
    let (_dir, registries) = plain();
    let client = client_with(|s| {
        (s.registries, s.retries) = (registries, 0);
        s.proxies = proxies(&[
            ("http_proxy", format!("http://{}", proxy.host())),
            ("https_proxy", format!("http://{}", proxy.host())),
        ]);
    });
    // By TLS the proxy hangs up, so that plain HTTP is tried.
    let e = client.resolve(&"registry.invalid/a:1".parse().unwrap()).unwrap_err();
    assert_eq!(e.kind(), Kind::Permission, "{e:?}");
    assert!(e.chain().to_string().contains("http://10.0.0.1/admin"), "{e:?}");
    assert_eq!(proxy.seen().last().unwrap().target, "http://registry.invalid/v2/a/manifests/1");
}

#[test]
fn docker_io_is_where_docker_has_it() {
    let proxy = Server::start(|_, _, wire| wire.answer(502, &[], b""));
    let client = client_with(|s| {
        s.retries = 0;
        s.proxies = proxies(&[("HTTPS_PROXY", format!("http://{}", proxy.host()))]);
    });
    client.resolve(&"debian".parse().unwrap()).unwrap_err();
    client.search("docker.io", "x", 1).unwrap_err();
    let nobody = Credentials::Password { user: "anna".into(), password: "pw".into() };
    client.login("index.docker.io", &nobody).unwrap_err();
    let asked: Vec<String> = proxy.seen().iter().map(|r| format!("{} {}", r.method, r.target)).collect();
    assert_eq!(
        asked,
        [
            "CONNECT registry-1.docker.io:443",
            "CONNECT index.docker.io:443",
            "CONNECT registry-1.docker.io:443"
        ]
    );
}

#[test]
fn socks_connects_by_name() {
    let registry = Server::start(|_, _, wire| wire.answer(200, &[("Content-Type", media::MANIFEST)], IMAGE));
    let target = registry.host();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), tell, target) = (stream, tell.clone(), target.clone()) else { return };
            std::thread::spawn(move || {
                let exact = |stream: &mut TcpStream, n: usize| {
                    let mut bytes = vec![0; n];
                    stream.read_exact(&mut bytes).map(|()| bytes)
                };
                let hello = exact(&mut stream, 4).unwrap();
                assert_eq!(hello, [5, 2, 0, 2]);
                stream.write_all(&[5, 2]).unwrap();
                let user = exact(&mut stream, 1 + 1 + 1 + 1 + 2).unwrap();
                assert_eq!(user, [1, 1, b'u', 2, b'p', b'w']);
                stream.write_all(&[1, 0]).unwrap();
                let head = exact(&mut stream, 5).unwrap();
                let name = exact(&mut stream, usize::from(head[4]) + 2).unwrap();
                let port = u16::from_be_bytes([name[name.len() - 2], name[name.len() - 1]]);
                let _ = tell.send((String::from_utf8(name[..name.len() - 2].to_vec()).unwrap(), port));
                stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
                let mut server = TcpStream::connect(&target).unwrap();
                let (mut back, mut to) = (server.try_clone().unwrap(), stream.try_clone().unwrap());
                std::thread::spawn(move || {
                    std::io::copy(&mut back, &mut to).map(|_| to.shutdown(std::net::Shutdown::Both))
                });
                let _ = std::io::copy(&mut stream, &mut server);
            });
        }
    });
    let (_dir, registries) = plain();
    let client = client_with(|s| {
        s.registries = registries;
        s.proxies = proxies(&[("ALL_PROXY", format!("socks5://u:pw@{address}"))]);
    });
    client.resolve(&"registry.invalid/a:1".parse().unwrap()).unwrap();
    assert_eq!(told.recv().unwrap(), ("registry.invalid".to_owned(), 443));
    assert_eq!(told.recv().unwrap(), ("registry.invalid".to_owned(), 80));
}
