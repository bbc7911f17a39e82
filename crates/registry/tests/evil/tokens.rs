//! Tokens, and servers that want them without end.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use taru_oci::{Descriptor, media};
use taru_registry::{Credentials, Keyring};
use taru_stdx::Kind;

use crate::server::{Server, client, client_with, noise};

/// A directory that goes away with the test.
pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn new() -> Dir {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("taru-evil-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        Dir(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A file with the password `pw` of `anna` for `host`.
pub(crate) fn keyring(host: &str) -> (Dir, Keyring) {
    with_text(&format!(r#"{{"auths":{{"{host}":{{"auth":"YW5uYTpwdw=="}}}}}}"#))
}

fn with_text(text: &str) -> (Dir, Keyring) {
    let dir = Dir::new();
    let file = dir.0.join("auth.json");
    std::fs::write(&file, text).unwrap();
    (dir, Keyring { files: vec![file.clone()], written: Some(file) })
}

const IMAGE: &[u8] = br#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}"#;

/// A registry with its own token server at /token; a token is good for so many requests.
fn with_tokens(uses: usize, content: Vec<u8>) -> Server {
    let state = std::sync::Mutex::new((0, 0));
    Server::start(move |request, _, wire| {
        let host = request.header("host").unwrap().to_owned();
        let mut state = state.lock().unwrap();
        if request.target.starts_with("/token") {
            *state = (state.0 + 1, 0);
            return wire.answer(
                200,
                &[],
                format!(r#"{{"token":"T{}","expires_in":300}}"#, state.0).as_bytes(),
            );
        }
        let is_good =
            request.header("authorization") == Some(&format!("Bearer T{}", state.0)) && state.1 < uses;
        if !is_good {
            let challenge =
                format!("Bearer realm=\"http://{host}/token\",service=\"s\",scope=\"repository:a:pull\"");
            return wire.answer(401, &[("WWW-Authenticate", &challenge)], b"");
        }
        state.1 += 1;
        drop(state);
        if request.target.contains("/manifests/") {
            return wire.answer(200, &[("Content-Type", media::MANIFEST)], IMAGE);
        }
        let (from, size) = (request.from(), content.len());
        if from == 0 {
            wire.text(&format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n"));
        } else {
            wire.text(&format!(
                "HTTP/1.1 206 OK\r\nContent-Range: bytes {from}-{}/{size}\r\nContent-Length: {}\r\n\r\n",
                size - 1,
                size - from
            ));
        }
        let _ = wire.write_all(&content[from..size.min(from + 65536)]);
    })
}

#[test]
fn a_token_that_expires_within_a_blob_is_replaced() {
    let content = noise(500_000);
    let server = with_tokens(3, content.clone());
    let blob = Descriptor::of(media::LAYER, &content);
    let mut all = Vec::new();
    client().blob(&server.name("a:1"), &blob, 0).unwrap().verified().read_to_end(&mut all).unwrap();
    assert!(all == content);
    let tokens = server.seen().iter().filter(|r| r.target.starts_with("/token")).count();
    assert_eq!(tokens, 3);
}

#[test]
fn a_token_is_used_again() {
    let server = with_tokens(100, Vec::new());
    let client = client();
    for _ in 0..5 {
        client.resolve(&server.name("a:1")).unwrap();
    }
    let seen = server.seen();
    assert_eq!(seen.len(), 1 + 1 + 5);
    assert_eq!(seen[1].target, "/token?service=s&scope=repository%3Aa%3Apull");
    assert_eq!(seen[1].header("authorization"), None);
}

#[test]
fn a_server_that_is_never_content_is_left() {
    let bearer = |host: &str| format!("Bearer realm=\"http://{host}/token\"");
    let server = Server::start(move |request, _, wire| {
        if request.target.starts_with("/token") {
            return wire.answer(200, &[], br#"{"token":"T"}"#);
        }
        let challenge = bearer(request.header("host").unwrap());
        wire.answer(401, &[("WWW-Authenticate", &challenge)], br#"{"errors":[{"code":"UNAUTHORIZED"}]}"#);
    });
    let e = client().resolve(&server.name("a:1")).unwrap_err();
    assert_eq!((e.kind(), server.seen().len()), (Kind::Permission, 3), "{e:?}");
    assert_eq!(
        e.chain().to_string(),
        format!("resolve `{}`: {}: 401 unauthorized", server.name("a:1"), server.host())
    );
    assert!(e.hints()[0].contains(&format!("taru login {}", server.host())));
    // The same with a password, and without any way to log in.
    let (_dir, keyring) = keyring("127.0.0.1");
    let server = Server::start(|_, _, wire| wire.answer(401, &[("WWW-Authenticate", "Basic")], b""));
    let file = keyring.files[0].clone();
    let text = std::fs::read_to_string(&file).unwrap().replace("127.0.0.1", &server.host());
    std::fs::write(&file, text).unwrap();
    let client_with_password = client_with(|s| s.keyring = keyring);
    assert_eq!(client_with_password.resolve(&server.name("a:1")).unwrap_err().kind(), Kind::Permission);
    assert_eq!(server.seen().len(), 2);
    let server = Server::start(|_, _, wire| wire.answer(401, &[], b""));
    assert_eq!(client().resolve(&server.name("a:1")).unwrap_err().kind(), Kind::Permission);
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_realm_leads_no_further_than_a_redirect() {
    for (realm, kind) in [
        ("http://169.254.169.254/latest/", Kind::Permission),
        ("file:///etc/passwd", Kind::Invalid),
        ("http://[fe80::1]/", Kind::Permission),
        ("not an address", Kind::Invalid),
    ] {
        let server = Server::start(move |_, _, wire| {
            wire.answer(401, &[("WWW-Authenticate", &format!("Bearer realm=\"{realm}\""))], b"");
        });
        let (_dir, keyring) = keyring(&server.host());
        let e = client_with(|s| s.keyring = keyring).resolve(&server.name("a:1")).unwrap_err();
        assert_eq!((e.kind(), server.seen().len()), (kind, 1), "{e:?}");
        assert!(e.chain().to_string().contains("get a token for"), "{e:?}");
    }
}

#[test]
fn token_servers_flood_in_vain() {
    let server = Server::start(|request, _, wire| {
        if request.target.starts_with("/token") {
            wire.text("HTTP/1.1 200 OK\r\n\r\n");
            return wire.forever(&[b' '; 65536]);
        }
        let challenge = format!("Bearer realm=\"http://{}/token\"", request.header("host").unwrap());
        wire.answer(401, &[("WWW-Authenticate", &challenge)], b"");
    });
    let e = client().resolve(&server.name("a:1")).unwrap_err();
    assert!(e.chain().to_string().contains("larger than 1048576 bytes"), "{e:?}");
}

#[test]
fn each_kind_of_credentials_is_shown_in_its_way() {
    let asked = |text: &str, host: &str, server: &Server| {
        let (_dir, keyring) = with_text(&text.replace("HOST", host));
        let _ = client_with(|s| s.keyring = keyring).resolve(&server.name("team/app:1"));
        server.seen()
    };
    let start = || {
        Server::start(|request, _, wire| {
            if request.target.starts_with("/token") {
                return wire.answer(200, &[], br#"{"access_token":"T"}"#);
            }
            let challenge =
                format!("Bearer realm=\"http://{}/token\",service=\"s\"", request.header("host").unwrap());
            wire.answer(401, &[("WWW-Authenticate", &challenge)], b"");
        })
    };
    // A password, under the longest path that suits.
    let server = start();
    let text = r#"{"auths":{"HOST":{"auth":"eDp5"},"HOST/team":{"auth":"YW5uYTpwdw=="},"HOST/team/app2":{"auth":"eDp5"}}}"#;
    let seen = asked(text, &server.host(), &server);
    assert_eq!(seen[1].header("authorization"), Some("Basic YW5uYTpwdw=="));
    // An old key.
    let server = start();
    let seen = asked(r#"{"auths":{"https://HOST/v1/":{"auth":"YW5uYTpwdw=="}}}"#, &server.host(), &server);
    assert_eq!(seen[1].header("authorization"), Some("Basic YW5uYTpwdw=="));
    // An identity token is for POST.
    let server = start();
    let seen = asked(
        r#"{"auths":{"HOST":{"auth":"PHRva2VuPjo=","identitytoken":"REFRESH"}}}"#,
        &server.host(),
        &server,
    );
    let body = String::from_utf8(seen[1].body.clone()).unwrap();
    assert_eq!((seen[1].method.as_str(), seen[1].header("authorization")), ("POST", None));
    assert_eq!(
        body,
        "grant_type=refresh_token&client_id=taru&service=s&scope=repository%3Ateam%2Fapp%3Apull&refresh_token=REFRESH"
    );
    // A token for the registry itself.
    let server = start();
    let seen = asked(r#"{"auths":{"HOST":{"registrytoken":"OWN"}}}"#, &server.host(), &server);
    assert_eq!(seen[1].header("authorization"), Some("Bearer OWN"));
    assert_eq!(seen.len(), 2);
    // Another server's are not.
    let server = start();
    let seen = asked(r#"{"auths":{"other.example":{"auth":"YW5uYTpwdw=="}}}"#, &server.host(), &server);
    assert_eq!(seen[1].header("authorization"), None);
}

#[test]
fn helpers_are_asked_told_and_bounded() {
    let dir = Dir::new();
    let name = format!("taru-test-{}", std::process::id());
    let helper = dir.0.join(format!("docker-credential-{name}"));
    let log = dir.0.join("log");
    let script = format!(
        "#!/bin/sh\nread -r line\necho \"$1 $line\" >> {}\ncase $1 in\nget) if test -e {}; then cat {}; else echo 'credentials not found in native keychain'; exit 1; fi;;\nesac\n",
        log.display(),
        dir.0.join("kept").display(),
        dir.0.join("kept").display(),
    );
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", dir.0.display(), std::env::var("PATH").unwrap());
    // The helper is looked up in PATH, which is the process's: a process of its own.
    if std::env::var_os("TARU_TEST_HELPER").is_none() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tokens::helpers_are_asked_told_and_bounded", "--nocapture"])
            .env("TARU_TEST_HELPER", &dir.0)
            .env("PATH", path)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    // In the inner process, the outer's directory.
    let outer = PathBuf::from(std::env::var_os("TARU_TEST_HELPER").unwrap());
    let name = std::fs::read_dir(&outer).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let name = name.filter_map(|n| n.strip_prefix("docker-credential-").map(str::to_owned)).next().unwrap();
    let server = Server::start(|request, _, wire| match request.header("authorization") {
        Some("Basic YW5uYTpwdw==") => wire.answer(200, &[("Content-Type", media::MANIFEST)], IMAGE),
        _ => wire.answer(401, &[("WWW-Authenticate", "Basic")], b""),
    });
    let (_dir, keyring) = with_text(&format!(r#"{{"credsStore":"{name}"}}"#));
    let client = client_with(|s| s.keyring = keyring.clone());
    assert_eq!(client.resolve(&server.name("a:1")).unwrap_err().kind(), Kind::Permission);
    let kept = format!(r#"{{"ServerURL":"{}","Username":"anna","Secret":"pw"}}"#, server.host());
    std::fs::write(outer.join("kept"), &kept).unwrap();
    client.resolve(&server.name("a:1")).unwrap();
    client
        .login(&server.host(), &Credentials::Password { user: "anna".into(), password: "pw".into() })
        .unwrap();
    assert!(client.logout(&server.host()).unwrap());
    let log = std::fs::read_to_string(outer.join("log")).unwrap();
    let host = server.host();
    let verbs: Vec<&str> = log.lines().map(|l| l.split(' ').next().unwrap()).collect();
    assert_eq!(verbs, ["get", "get", "store", "get", "erase"]);
    assert!(log.contains(&format!("store {kept}")), "{log}");
    assert!(log.contains(&format!("erase {host}")), "{log}");
    // The password is with the helper alone.
    assert!(!std::fs::read_to_string(&keyring.files[0]).unwrap().contains("auths"));
    // One that says too much, and one that is not there.
    std::fs::write(outer.join("kept"), vec![b'x'; 1 << 20]).unwrap();
    let e = client.resolve(&server.name("a:1")).unwrap_err();
    assert!(e.chain().to_string().contains("more than 65536 bytes"), "{e:?}");
    let (_dir, keyring) =
        with_text(r#"{"credHelpers":{"HOST":"../../bin/sh"}}"#.replace("HOST", &host).as_str());
    let e = client_with(|s| s.keyring = keyring).resolve(&server.name("a:1")).unwrap_err();
    assert!(e.chain().to_string().contains("no name of a program"), "{e:?}");
}
