//! Proxies, of HTTP and of SOCKS; and what a registry on the Internet may not reach through us.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

use taru_oci::media;
use taru_registry::{Credentials, Proxies, Registries};
use taru_stdx::Kind;

use rustls::{ServerConnection, StreamOwned};

use crate::server::{Server, client_with};
use crate::tls::{Tls, certified};
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

/// A proxy that is spoken to by TLS, as `https://127.0.0.1:PORT`; what is asked of it, it tells.
struct TlsProxy {
    host: String,
    certificates: Dir,
    heads: mpsc::Receiver<String>,
}

impl TlsProxy {
    /// Whatever one wants to be connected to is `target`; requests of plain HTTP it answers with an image.
    fn start(target: String) -> TlsProxy {
        let (dir, config) = certified();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        std::fs::create_dir(dir.0.join(&host)).unwrap();
        std::fs::copy(dir.0.join("crt"), dir.0.join(&host).join("ca.crt")).unwrap();
        let (tell, heads) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = ServerConnection::new(config.clone()).unwrap();
                let (tell, target) = (tell.clone(), target.clone());
                std::thread::spawn(move || {
                    let _ = serve(StreamOwned::new(connection, stream), &tell, &target);
                });
            }
        });
        TlsProxy { host, certificates: dir, heads }
    }
}

fn serve(
    mut client: StreamOwned<ServerConnection, TcpStream>,
    tell: &mpsc::Sender<String>,
    target: &str,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut one = [0];
        client.read_exact(&mut one)?;
        head.extend(one);
    }
    let head = String::from_utf8(head).unwrap();
    let is_tunnel = head.starts_with("CONNECT ");
    tell.send(head).unwrap();
    if !is_tunnel {
        let (kind, length) = (media::MANIFEST, IMAGE.len());
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
        client.write_all(&[head.as_bytes(), IMAGE].concat())?;
        return client.flush();
    }
    let mut server = TcpStream::connect(target)?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    // One thread for both directions, as there is one state of TLS.
    let soon = Some(std::time::Duration::from_millis(1));
    client.sock.set_read_timeout(soon)?;
    server.set_read_timeout(soon)?;
    while pass(&mut client, &mut server)? && pass(&mut server, &mut client)? {}
    Ok(())
}

/// Passes on what is there; `false` at the end.
fn pass(from: &mut impl Read, to: &mut impl Write) -> std::io::Result<bool> {
    let mut buffer = [0; 4096];
    match from.read(&mut buffer) {
        Ok(0) => Ok(false),
        Ok(length) => to.write_all(&buffer[..length]).and_then(|()| to.flush()).map(|()| true),
        Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => Ok(true),
        Err(e) => Err(e),
    }
}

#[test]
fn a_proxy_is_spoken_to_by_tls() {
    let length = IMAGE.len();
    let image = std::str::from_utf8(IMAGE).unwrap();
    let registry = Tls::start(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: {length}\r\n\r\n{image}",
        media::MANIFEST
    ));
    let proxy = TlsProxy::start(registry.host.clone());
    let address = format!("https://us%3Aer:pa%40ss@{}", proxy.host);
    let (_dir, registries) = plain();
    let client = client_with(|s| {
        (s.registries, s.retries) = (registries, 0);
        s.certificates = vec![proxy.certificates.0.clone()];
        s.proxies = proxies(&[("HTTPS_PROXY", address)]);
    });
    // By TLS in TLS.
    client.resolve(&"registry.invalid/a:1".parse().unwrap()).unwrap();
    let head = proxy.heads.recv().unwrap();
    assert!(head.starts_with("CONNECT registry.invalid:443 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nProxy-Authorization: Basic dXM6ZXI6cGFAc3M=\r\n"), "{head}");
    assert!(registry.seen.lock().unwrap()[0].starts_with("GET /v2/a/manifests/1 "), "{:?}", registry.seen);
}

#[test]
fn plain_requests_go_to_a_proxy_by_tls() {
    // What it leads to knows no TLS.
    let registry = Server::start(|_, _, _| {});
    let proxy = TlsProxy::start(registry.host());
    let address = format!("https://{}", proxy.host);
    let (_dir, registries) = plain();
    let client = client_with(|s| {
        (s.registries, s.retries) = (registries, 0);
        s.certificates = vec![proxy.certificates.0.clone()];
        s.proxies = proxies(&[("ALL_PROXY", address)]);
    });
    client.resolve(&"registry.invalid/a:1".parse().unwrap()).unwrap();
    assert!(proxy.heads.recv().unwrap().starts_with("CONNECT registry.invalid:443 "));
    let head = proxy.heads.recv().unwrap();
    assert!(head.starts_with("GET http://registry.invalid/v2/a/manifests/1 HTTP/1.1\r\n"), "{head}");
}

#[test]
fn a_proxy_that_nobody_vouches_for_is_asked_nothing() {
    let proxy = TlsProxy::start("127.0.0.1:1".to_owned());
    let client = |scheme: &str, host: &str| {
        client_with(|s| {
            // The registry is insecure; that says nothing of the proxy.
            (s.registries, s.retries) = (plain().1, 0);
            s.proxies = proxies(&[("ALL_PROXY", format!("{scheme}://u:secret@{host}"))]);
        })
    };
    let e = client("https", &proxy.host).resolve(&"registry.invalid/a:1".parse().unwrap()).unwrap_err();
    assert_eq!(e.kind(), Kind::Permission, "{e:?}");
    let words = format!("connect to the proxy `{}` by TLS: invalid peer certificate", proxy.host);
    assert!(e.chain().to_string().contains(&words), "{e:?}");
    let hint =
        format!("if you trust it, put its authority into /etc/containers/certs.d/{}/ca.crt", proxy.host);
    assert_eq!(e.hints(), [hint], "{e:?}");
    assert!(!format!("{e:?}").contains("secret"), "{e:?}");
    assert!(proxy.heads.try_recv().is_err());
    // One that speaks no TLS gets no password.
    let plain_proxy = Server::start(|_, _, wire| wire.answer(200, &[], b""));
    let e =
        client("https", &plain_proxy.host()).resolve(&"registry.invalid/a:1".parse().unwrap()).unwrap_err();
    assert_eq!(
        e.hints(),
        [format!("if it speaks plain HTTP, name it `http://{}`", plain_proxy.host())],
        "{e:?}"
    );
    assert_eq!(plain_proxy.seen().len(), 0);
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
