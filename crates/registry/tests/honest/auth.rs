//! Showing who we are: passwords, helpers, certificates.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use taru_registry::{Client, Credentials, Keyring, Settings};
use taru_stdx::Kind;
use taru_testkit::registry::{Options, Registry};

use crate::push::push_image;
use crate::support::{Dir, certificates, client, client_with, name, noise};

fn password(user: &str, password: &str) -> Credentials {
    Credentials::Password { user: user.into(), password: password.into() }
}

fn with_file(file: PathBuf) -> Client {
    client_with(|s| s.keyring = Keyring { files: vec![file.clone()], written: Some(file) })
}

#[test]
fn one_logs_in_with_a_password_and_out_again() {
    let options = Options { user: Some(("anna".into(), "pass:wörd".into())), ..Options::default() };
    let Some(registry) = Registry::with(options) else { return };
    let dir = Dir::new();
    let file = dir.0.join("sub/config.json");
    let client = with_file(file.clone());
    let reference = name(registry.name("private/app:1"));

    let e = client.resolve(&reference).unwrap_err();
    assert_eq!(e.kind(), Kind::Permission);
    assert!(
        e.hints().iter().any(|h| h.contains(&format!("taru login {}", registry.host()))),
        "{:?}",
        e.hints()
    );
    let e = client.login(&registry.host(), &password("anna", "s3cret-wrong")).unwrap_err();
    assert_eq!(e.kind(), Kind::Permission);
    assert!(!format!("{e:?}").contains("s3cret"), "{e:?}");
    assert!(!file.exists());

    client.login(&registry.host(), &password("anna", "pass:wörd")).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let digest = push_image(&client, &reference, &noise(100));
    // Another process, with the same file.
    assert_eq!(with_file(file.clone()).resolve(&reference).unwrap().descriptor.digest, digest);

    assert!(client.logout(&registry.host()).unwrap());
    assert!(!client.logout(&registry.host()).unwrap());
    assert_eq!(client.resolve(&reference).unwrap_err().kind(), Kind::Permission);
}

#[test]
fn skopeo_understands_the_file_of_a_login() {
    let options = Options { user: Some(("anna".into(), "pw".into())), ..Options::default() };
    let Some(registry) = Registry::with(options) else { return };
    let dir = Dir::new();
    let file = dir.0.join("auth.json");
    std::fs::write(&file, r#"{"auths": {"other.example": {"auth": "eDp5"}}, "HttpHeaders": {"X": "1"}}"#)
        .unwrap();
    let client = with_file(file.clone());
    client.login(&registry.host(), &password("anna", "pw")).unwrap();
    push_image(&client, &name(registry.name("app:1")), &noise(10));
    let output = std::process::Command::new("skopeo")
        .args(["inspect", "--raw", "--tls-verify=false", "--authfile"])
        .arg(&file)
        .arg(format!("docker://{}", registry.name("app:1")))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // What others keep there stays.
    let kept: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(kept["HttpHeaders"]["X"], "1");
    assert_eq!(kept["auths"]["other.example"]["auth"], "eDp5");
}

#[test]
fn a_certificate_is_verified_and_one_is_shown() {
    let dir = Dir::new();
    certificates(&dir.0);
    let file = |name: &str| dir.0.join(name);
    let options = Options {
        tls: Some((file("server.crt"), file("server.key"))),
        client_ca: Some(file("ca.crt")),
        ..Options::default()
    };
    let Some(registry) = Registry::with(options) else { return };
    let reference = name(registry.name("app:1"));
    let certs = file("certs.d").join(registry.host());
    std::fs::create_dir_all(&certs).unwrap();
    let with =
        || Client::new(Settings { certificates: vec![file("certs.d")], retries: 0, ..Settings::default() });

    // On loopback without anything, it is not verified, but the server wants to see a certificate.
    let e = client().resolve(&reference).unwrap_err();
    assert_eq!(e.kind(), Kind::Permission, "{e:?}");
    // An authority that did not sign it.
    let other = Dir::new();
    certificates(&other.0);
    std::fs::copy(other.0.join("ca.crt"), certs.join("ca.crt")).unwrap();
    std::fs::copy(file("client.crt"), certs.join("client.cert")).unwrap();
    std::fs::copy(file("client.key"), certs.join("client.key")).unwrap();
    let e = with().resolve(&reference).unwrap_err();
    assert_eq!(e.kind(), Kind::Permission, "{e:?}");
    assert!(e.hints().iter().any(|h| h.contains("certs.d")), "{:?}", e.hints());
    // The right one.
    std::fs::copy(file("ca.crt"), certs.join("ca.crt")).unwrap();
    let digest = push_image(&with(), &reference, &noise(100));
    assert_eq!(with().resolve(&reference).unwrap().descriptor.digest, digest);
    // A certificate without its key.
    std::fs::remove_file(certs.join("client.key")).unwrap();
    assert!(with().resolve(&reference).unwrap_err().chain().to_string().contains("client.key"));
}
