//! Signatures, made with openssl, kept in a registry as cosign does, and judged by us and by skopeo alike.

use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use taru_oci::{Descriptor, Digest, Manifest, Reference, media};
use taru_registry::{Client, Policy};
use taru_stdx::Kind;
use taru_testkit::registry::Registry;

use crate::push::push_image;
use crate::support::{Dir, client, name, noise, openssl};

const DOCUMENT: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// Makes the key `NAME.key` and its `NAME.pub`.
fn key(dir: &Path, name: &str) {
    let (secret, public) = (format!("{name}.key"), format!("{name}.pub"));
    let kind: &[&str] = match name.split('-').next().unwrap() {
        "p256" => &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "p384" => &["EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
        "ed25519" => &["ed25519"],
        _ => &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    };
    openssl(dir, &[&["genpkey", "-out", &secret, "-algorithm"], kind].concat());
    openssl(dir, &["pkey", "-in", &secret, "-pubout", "-out", &public]);
}

/// The document that says: `image` is `name`.
fn payload(name: &str, image: &Digest) -> String {
    format!(
        r#"{{"critical":{{"identity":{{"docker-reference":"{name}"}},"image":{{"docker-manifest-digest":"{image}"}},"type":"cosign container image signature"}},"optional":null}}"#
    )
}

fn sign(dir: &Path, key: &str, payload: &[u8]) -> Vec<u8> {
    std::fs::write(dir.join("payload"), payload).unwrap();
    let secret = format!("{key}.key");
    if key.starts_with("ed25519") {
        openssl(
            dir,
            &["pkeyutl", "-sign", "-inkey", &secret, "-rawin", "-in", "payload", "-out", "signature"],
        );
    } else {
        openssl(dir, &["dgst", "-sha256", "-sign", &secret, "-out", "signature", "payload"]);
    }
    std::fs::read(dir.join("signature")).unwrap()
}

/// Puts signatures beside `image`.
fn attach(client: &Client, reference: &Reference, image: &Digest, signatures: &[(Vec<u8>, Vec<u8>)]) {
    let tag = reference.with_tag(&format!("sha256-{}.sig", image.hex())).unwrap();
    let config = Descriptor::of(media::CONFIG, b"{}");
    client.push_blob(&tag, &mut Cursor::new(b"{}"), &config, None).unwrap();
    let mut layers = Vec::new();
    for (payload, signature) in signatures {
        let mut layer = Descriptor::of(DOCUMENT, payload);
        client.push_blob(&tag, &mut Cursor::new(payload), &layer, None).unwrap();
        layer.annotations.insert("dev.cosignproject.cosign/signature".into(), STANDARD.encode(signature));
        layers.push(layer);
    }
    let manifest = serde_json::to_vec(&Manifest::new(config, layers)).unwrap();
    client.push_manifest(&tag, media::MANIFEST, &manifest).unwrap();
}

/// What skopeo thinks, with the same policy; `None` if it was built without such signatures.
fn skopeo_accepts(dir: &Path, reference: &Reference, policy: &str) -> Option<bool> {
    std::fs::write(dir.join("policy.json"), policy).unwrap();
    std::fs::create_dir_all(dir.join("registries.d")).unwrap();
    std::fs::write(dir.join("registries.d/all.yaml"), "default-docker:\n  use-sigstore-attachments: true\n")
        .unwrap();
    let target = dir.join("copied");
    let _ = std::fs::remove_dir_all(&target);
    let output = Command::new("skopeo")
        .arg("--policy")
        .arg(dir.join("policy.json"))
        .arg("--registries.d")
        .arg(dir.join("registries.d"))
        .args(["copy", "--quiet", "--src-tls-verify=false", "--remove-signatures"])
        .arg(format!("docker://{reference}"))
        .arg(format!("dir:{}", target.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // Debian 12 builds it without.
    if said.contains("sigstore disabled") {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| taru_testkit::skip("policy: skopeo as the peer", "skopeo with sigstore"));
        return None;
    }
    let is_about_policy = said.is_empty() || said.contains("Source image rejected");
    assert!(output.status.success() || is_about_policy, "skopeo: {said}");
    Some(output.status.success())
}

fn signed(dir: &Path, key: &str, identity: &str) -> String {
    let path = dir.join(format!("{key}.pub"));
    format!(
        r#"{{"default":[{{"type":"reject"}}],"transports":{{"docker":{{"127.0.0.1":[{{"type":"reject"}}],"":[{{"type":"sigstoreSigned","keyPath":"{}"{identity}}}]}}}}}}"#,
        path.display()
    )
}

const REPOSITORY: &str = r#","signedIdentity":{"type":"matchRepository"}"#;

#[test]
fn signatures_of_every_kind_of_key_are_verified() {
    let Some(registry) = Registry::start() else { return };
    let dir = Dir::new();
    let client = client();
    for kind in ["p256", "p384", "ed25519", "rsa"] {
        key(&dir.0, kind);
        let other = format!("{kind}-other");
        key(&dir.0, &other);
        let reference = name(registry.name(&format!("{kind}:1")));
        let image = push_image(&client, &reference, &noise(100));
        let descriptor = client.resolve(&reference).unwrap().descriptor;
        let check = |key: &str| {
            Policy::parse(signed(&dir.0, key, "").as_bytes()).unwrap().check(&client, &reference, &descriptor)
        };

        let e = check(kind).unwrap_err();
        assert_eq!(e.kind(), Kind::Permission);
        assert_eq!(
            e.chain().to_string(),
            format!("accept `{reference}`: the policy wants a signature, and it has none")
        );

        let payload = payload(&reference.to_string(), &image);
        let signature = sign(&dir.0, kind, payload.as_bytes());
        let mut broken = signature.clone();
        *broken.last_mut().unwrap() ^= 1;
        attach(&client, &reference, &image, &[(payload.clone().into(), broken)]);
        let e = check(kind).unwrap_err();
        assert!(e.chain().to_string().contains("it is of another key"), "{e:?}");

        // A bad one beside it does no harm.
        attach(&client, &reference, &image, &[(b"{}".to_vec(), b"x".to_vec()), (payload.into(), signature)]);
        check(kind).unwrap();
        assert_eq!(check(&other).unwrap_err().kind(), Kind::Permission);
        assert_ne!(skopeo_accepts(&dir.0, &reference, &signed(&dir.0, kind, "")), Some(false), "{kind}");
        assert_ne!(skopeo_accepts(&dir.0, &reference, &signed(&dir.0, &other, "")), Some(true), "{kind}");
    }
}

#[test]
fn a_signature_is_for_one_image_under_one_name() {
    let Some(registry) = Registry::start() else { return };
    let dir = Dir::new();
    let client = client();
    key(&dir.0, "p256");
    let reference = name(registry.name("team/app:1"));
    let image = push_image(&client, &reference, &noise(100));
    let descriptor = client.resolve(&reference).unwrap().descriptor;
    let host = registry.host();
    let bare = format!("{host}/team/app");
    let one = |identity: &str| format!(r#","signedIdentity":{identity}"#);
    let cases = [
        // Signed as, the rule, whether it is accepted.
        (format!("{bare}:1"), String::new(), true),
        (format!("{bare}:2"), String::new(), false),
        (bare.clone(), String::new(), false),
        (bare.clone(), REPOSITORY.to_owned(), true),
        (format!("{host}/team/other"), REPOSITORY.to_owned(), false),
        (format!("{bare}:1"), one(r#"{"type":"matchExact"}"#), true),
        (format!("{bare}:2"), one(r#"{"type":"matchExact"}"#), false),
        ("quay.io/x/y:3".into(), one(r#"{"type":"exactReference","dockerReference":"quay.io/x/y:3"}"#), true),
        (
            "quay.io/x/y:4".into(),
            one(r#"{"type":"exactReference","dockerReference":"quay.io/x/y:3"}"#),
            false,
        ),
        ("quay.io/x/y:4".into(), one(r#"{"type":"exactRepository","dockerRepository":"quay.io/x/y"}"#), true),
        (
            "quay.io/x/z:4".into(),
            one(r#"{"type":"exactRepository","dockerRepository":"quay.io/x/y"}"#),
            false,
        ),
        (
            "vendor.example/signed/app:1".into(),
            one(&format!(
                r#"{{"type":"remapIdentity","prefix":"{host}/team","signedPrefix":"vendor.example/signed"}}"#
            )),
            true,
        ),
        (
            "vendor.example/signed/app:2".into(),
            one(&format!(
                r#"{{"type":"remapIdentity","prefix":"{host}/team","signedPrefix":"vendor.example/signed"}}"#
            )),
            false,
        ),
    ];
    for (signed_as, rule, is) in cases {
        let payload = payload(&signed_as, &image);
        let signature = sign(&dir.0, "p256", payload.as_bytes());
        attach(&client, &reference, &image, &[(payload.into(), signature)]);
        let policy = signed(&dir.0, "p256", &rule);
        let checked = Policy::parse(policy.as_bytes()).unwrap().check(&client, &reference, &descriptor);
        assert_eq!(checked.is_ok(), is, "{signed_as} {rule}: {checked:?}");
        assert_ne!(skopeo_accepts(&dir.0, &reference, &policy), Some(!is), "skopeo: {signed_as} {rule}");
    }
    // A good signature of another image.
    for wrong in [
        payload(&bare, &Digest::of(b"other")),
        payload(&bare, &image).replace("cosign container", "atomic container"),
        "{}".into(),
    ] {
        let signature = sign(&dir.0, "p256", wrong.as_bytes());
        attach(&client, &reference, &image, &[(wrong.into(), signature)]);
        let policy = signed(&dir.0, "p256", REPOSITORY);
        let e =
            Policy::parse(policy.as_bytes()).unwrap().check(&client, &reference, &descriptor).unwrap_err();
        assert_eq!(e.kind(), Kind::Permission);
        assert_ne!(skopeo_accepts(&dir.0, &reference, &policy), Some(true));
    }
}

#[test]
fn a_policy_rejects_accepts_and_says_what_it_does_not_know() {
    let client = client();
    let reference = name("quay.io/team/app:1");
    let descriptor = Descriptor::of(media::MANIFEST, b"x");
    let check = |text: &str| Policy::parse(text.as_bytes()).unwrap().check(&client, &reference, &descriptor);
    check(r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).unwrap();
    let e = check(r#"{"default":[{"type":"insecureAcceptAnything"},{"type":"reject"}]}"#).unwrap_err();
    assert_eq!(e.chain().to_string(), "accept `quay.io/team/app:1`: the policy rejects it");
    let e = check(r#"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"/x"}]}"#).unwrap_err();
    assert_eq!((e.kind(), e.chain().to_string().contains("`signedBy`")), (Kind::Unsupported, true));
    let e = check(r#"{"default":[{"type":"sigstoreSigned","keyPath":"/nonexistent/k"}]}"#).unwrap_err();
    assert!(e.chain().to_string().contains("/nonexistent/k"), "{e:?}");
    Policy::anything().check(&client, &reference, &descriptor).unwrap();
}
