//! Servers with TLS: nothing leads from there to where there is none.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use taru_oci::{Descriptor, media};
use taru_stdx::Kind;

use crate::server::{Server, client_with};
use crate::tokens::{Dir, keyring};

/// A server with TLS for 127.0.0.1 that answers everything with this head and nothing else, and hangs up without TLS's goodbye.
pub(crate) struct Tls {
    pub(crate) host: String,
    pub(crate) dir: Dir,
    pub(crate) seen: Arc<Mutex<Vec<String>>>,
}

impl Tls {
    pub(crate) fn start(answer: String) -> Tls {
        let (dir, config) = certified();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let all = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let mut tls = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
                let mut lines = Vec::new();
                {
                    let mut reader = BufReader::new(&mut tls);
                    let mut line = String::new();
                    while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                        lines.push(std::mem::take(&mut line));
                    }
                }
                if !lines.is_empty() {
                    all.lock().unwrap().push(lines.concat());
                    let is_question = lines.first().is_some_and(|l| l.starts_with("HEAD"));
                    let no = "HTTP/1.1 404 No\r\n\r\n".to_owned();
                    let _ = tls.write_all(if is_question { &no } else { &answer }.as_bytes());
                    let _ = tls.flush();
                }
            }
        });
        Tls { host, dir, seen }
    }
}

/// How to be a server for 127.0.0.1, whose certificate is `crt` in the directory.
pub(crate) fn certified() -> (Dir, Arc<ServerConfig>) {
    let dir = Dir::new();
    let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out crt -subj /CN=x -days 9 \
                     -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=CA:false";
    let output =
        Command::new("openssl").args(arguments.split_whitespace()).current_dir(&dir.0).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let certificate = CertificateDer::from_pem_file(dir.0.join("crt")).unwrap();
    let key = PrivateKeyDer::from_pem_file(dir.0.join("key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    (dir, Arc::new(config))
}

#[test]
fn nothing_leads_from_https_to_http() {
    let plain = Server::start(|_, _, wire| wire.answer(200, &[], br#"{"token":"T"}"#));
    let redirect =
        format!("HTTP/1.1 302 F\r\nContent-Length: 0\r\nLocation: http://{}/x\r\n\r\n", plain.host());
    let realm = format!(
        "HTTP/1.1 401 F\r\nContent-Length: 0\r\nWWW-Authenticate: Bearer realm=\"http://{}/t\"\r\n\r\n",
        plain.host()
    );
    for (answer, word) in [(redirect, "leads from https to http"), (realm, "is without TLS")] {
        let server = Tls::start(answer);
        let (_dir, keyring) = keyring(&server.host);
        let client = client_with(|s| s.keyring = keyring);
        let e = client.resolve(&format!("{}/a:1", server.host).parse().unwrap()).unwrap_err();
        assert_eq!(e.kind(), Kind::Permission, "{e:?}");
        assert!(e.chain().to_string().contains(word), "{e:?}");
        assert_eq!(server.seen.lock().unwrap().len(), 1);
    }
    assert_eq!(plain.seen().len(), 0);
}

#[test]
fn no_content_is_sent_without_tls_for_a_registry_that_has_it() {
    let plain = Server::start(|_, _, wire| wire.answer(201, &[], b""));
    let location = format!("http://localhost:{}/up", plain.address.port());
    let server = Tls::start(format!("HTTP/1.1 202 A\r\nContent-Length: 0\r\nLocation: {location}\r\n\r\n"));
    let blob = Descriptor::of(media::LAYER, b"secret");
    let name = format!("{}/a:1", server.host).parse().unwrap();
    let e =
        client_with(|_| {}).push_blob(&name, &mut std::io::Cursor::new(b"secret"), &blob, None).unwrap_err();
    assert_eq!(e.kind(), Kind::Permission, "{e:?}");
    assert_eq!(plain.seen().len(), 0);
}

#[test]
fn a_password_is_not_sent_without_tls_to_a_server_that_has_it() {
    // Where an authority is given, loopback is verified like any other, and plain HTTP is no way out.
    let server = Server::start(|_, _, wire| wire.answer(401, &[("WWW-Authenticate", "Basic")], b""));
    let dir = Dir::new();
    let certs = dir.0.join(server.host());
    std::fs::create_dir_all(&certs).unwrap();
    let tls = Tls::start(String::new());
    std::fs::copy(tls.dir.0.join("crt"), certs.join("ca.crt")).unwrap();
    let (_dir, keyring) = keyring(&server.host());
    let client = client_with(|s| (s.keyring, s.certificates) = (keyring, vec![dir.0.clone()]));
    client.resolve(&server.name("a:1")).unwrap_err();
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn another_authority_is_refused_with_advice() {
    let server = Tls::start("HTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n".into());
    let dir = Dir::new();
    let certs = dir.0.join(&server.host);
    std::fs::create_dir_all(&certs).unwrap();
    let other = Tls::start(String::new());
    std::fs::copy(other.dir.0.join("crt"), certs.join("ca.crt")).unwrap();
    let client = client_with(|s| s.certificates = vec![dir.0.clone()]);
    let e = client.resolve(&format!("{}/a:1", server.host).parse().unwrap()).unwrap_err();
    assert_eq!(e.kind(), Kind::Permission, "{e:?}");
    assert!(e.hints()[0].contains(&format!("certs.d/{}/ca.crt", server.host)), "{:?}", e.hints());
    assert_eq!(server.seen.lock().unwrap().len(), 0);
}
