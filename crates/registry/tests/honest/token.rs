//! Tokens that a real registry verifies: a token server of ours signs them with openssl, `docker-registry` trusts its certificate.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use taru_registry::{Credentials, Keyring};
use taru_stdx::Kind;
use taru_testkit::registry::{Options, Registry};

use crate::push::push_image;
use crate::support::{Dir, client, client_with, name, noise, openssl};

/// The password `pw` of `anna`.
const ANNA: &str = "Authorization: Basic YW5uYTpwdw==";

/// A token (RFC 7519) for these scopes, as the registry wants it: RS256, its key in a certificate beside.
fn token(dir: &std::path::Path, scopes: &[(String, Vec<String>)]) -> String {
    let pem = std::fs::read_to_string(dir.join("token.crt")).unwrap();
    let certificate: String = pem.lines().filter(|l| !l.starts_with("---")).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let access: Vec<serde_json::Value> = scopes
        .iter()
        .map(|(name, actions)| serde_json::json!({"type": "repository", "name": name, "actions": actions}))
        .collect();
    let header = serde_json::json!({"typ": "JWT", "alg": "RS256", "x5c": [certificate]});
    let claims = serde_json::json!({
        "iss": "issuer", "sub": "", "aud": "service", "exp": now + 300, "nbf": now - 10, "iat": now - 10, "jti": now.to_string(), "access": access,
    });
    let encode = |v: &serde_json::Value| URL_SAFE_NO_PAD.encode(v.to_string());
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let work = Dir::new();
    std::fs::write(work.0.join("text"), &signed).unwrap();
    let key = dir.join("token.key");
    openssl(&work.0, &["dgst", "-sha256", "-sign", key.to_str().unwrap(), "-out", "signature", "text"]);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(std::fs::read(work.0.join("signature")).unwrap()))
}

/// Gives anybody the right to pull, and anna that to push; keeps the requests.
fn token_server(dir: PathBuf) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/token", listener.local_addr().unwrap());
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let all = seen.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut reader = BufReader::new(&stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|n| n > 0) {}
            let length = head
                .lines()
                .find_map(|l| l.strip_prefix("Content-Length: "))
                .map_or(0, |n| n.parse().unwrap());
            let mut form = vec![0; length];
            reader.read_exact(&mut form).unwrap();
            let query = format!("{}&{}", head.split(' ').nth(1).unwrap(), String::from_utf8(form).unwrap());
            all.lock().unwrap().push(format!("{} {query}", head.split(' ').next().unwrap()));
            let is_anna = head.contains(ANNA) || query.contains("refresh_token=REFRESH");
            let is_wrong = head.contains("Authorization: ") && !is_anna;
            let plain =
                query.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",").replace("%20", "&scope=");
            let scopes: Vec<(String, Vec<String>)> = plain
                .split(['?', '&'])
                .filter_map(|p| p.strip_prefix("scope=repository:"))
                .filter_map(|p| p.rsplit_once(':'))
                .map(|(name, actions)| {
                    let allowed = actions.split(',').filter(|a| *a == "pull" || is_anna);
                    (name.to_owned(), allowed.map(str::to_owned).collect())
                })
                .collect();
            let answer = match is_wrong {
                true => {
                    let body = r#"{"details":"incorrect username or password"}"#;
                    format!("HTTP/1.1 401 No\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                }
                false => {
                    let body = format!(r#"{{"token":"{}"}}"#, token(&dir, &scopes));
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                }
            };
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (address, seen)
}

#[test]
fn tokens_are_for_what_is_done() {
    let dir = Dir::new();
    let arguments =
        "req -x509 -newkey rsa:2048 -nodes -keyout token.key -out token.crt -subj /CN=issuer -days 9";
    openssl(&dir.0, &arguments.split(' ').collect::<Vec<_>>());
    let (realm, seen) = token_server(dir.0.clone());
    let bundle = dir.0.join("token.crt").to_str().unwrap().to_owned();
    let options =
        Options { token: Some([realm, "service".into(), "issuer".into(), bundle]), ..Options::default() };
    let Some(registry) = Registry::with(options) else { return };
    let file = dir.0.join("auth.json");
    let keyring = Keyring { files: vec![file.clone()], written: Some(file.clone()) };
    let anna = client_with(|s| s.keyring = keyring.clone());
    let reference = name(registry.name("team/app:1"));

    let wrong = Credentials::Password { user: "anna".into(), password: "s3cret".into() };
    let e = anna.login(&registry.host(), &wrong).unwrap_err();
    assert!(e.chain().to_string().contains("401 incorrect username or password"), "{e:?}");
    assert!(!format!("{e:?}").contains("s3cret"));
    anna.login(&registry.host(), &Credentials::Password { user: "anna".into(), password: "pw".into() })
        .unwrap();
    let digest = push_image(&anna, &reference, &noise(1000));
    // Nobody may pull but not push.
    assert_eq!(client().resolve(&reference).unwrap().descriptor.digest, digest);
    let blob = taru_oci::Descriptor::of("x", b"new");
    let e = client().push_blob(&reference, &mut std::io::Cursor::new(b"new"), &blob, None).unwrap_err();
    assert_eq!(e.kind(), Kind::Permission, "{e:?}");
    // One token for all of a push; mounting asks for the other repository's, too.
    seen.lock().unwrap().clear();
    let layer = taru_oci::Descriptor::of(taru_oci::media::LAYER, &noise(1000));
    let to = name(registry.name("other/app:1"));
    anna.push_blob(&to, &mut std::io::Cursor::new(noise(1000)), &layer, Some("team/app")).unwrap();
    let asked = seen.lock().unwrap().clone();
    assert!(
        asked
            .last()
            .unwrap()
            .contains("scope=repository%3Aother%2Fapp%3Apull%2Cpush&scope=repository%3Ateam%2Fapp%3Apull"),
        "{asked:?}"
    );
    // An identity token.
    std::fs::write(
        &file,
        format!(
            r#"{{"auths":{{"{}":{{"auth":"{}","identitytoken":"REFRESH"}}}}}}"#,
            registry.host(),
            STANDARD.encode("<token>:")
        ),
    )
    .unwrap();
    let by_identity = client_with(|s| s.keyring = keyring);
    push_image(&by_identity, &name(registry.name("third/app:1")), &noise(10));
    assert!(seen.lock().unwrap().last().unwrap().starts_with("POST "));
}
