//! Images that are not what they say: `taru image verify`, damaged blobs, damaged files, signatures.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use taru_testkit::image::{Image, Tar, digest};
use taru_testkit::registry::Registry;
use taru_testkit::{Sandbox, sandbox};

use crate::world::{Taru, app, busybox, has, peer, publish};

const APP: &str = "docker.io/library/app:1";

/// Flips a bit in the middle of a file, and leaves its time.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let time = fs::metadata(path).unwrap().modified().unwrap();
    fs::write(path, bytes).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn a_flipped_bit_is_found_in_a_blob_and_in_an_unpacked_file() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let built = app("whole").build();
            taru.invoke("load -q").stdin(built.oci_archive(&[APP])).output().succeeds();
            let well = taru.taru("image verify app:1").ok().stdout;
            assert_eq!(
                well,
                "signature: the policy wants none\nblobs: 4 read\nlayers: 2 compared file by file\n"
            );
            let word = find(&taru.state().join("snapshot/layers"), "word").unwrap();
            flip(&word);
            let report = taru.taru("image verify --format json app:1");
            assert_eq!(report.status, 1);
            let report: serde_json::Value = serde_json::from_str(&report.stdout).unwrap();
            assert_eq!((&report["well"], report["faults"].as_array().unwrap().len()), (&json!(false), 1));
            assert!(report["faults"][0].as_str().unwrap().contains("/word: "), "{report}");
            flip(&word);
            taru.taru("image verify app:1").succeeds();
            let blob = taru.blob(&built.layers[0].digest);
            flip(&blob);
            let broken = taru.taru("image verify app:1");
            assert_eq!(broken.status, 1);
            assert!(
                broken.stdout.contains(&format!("BROKEN blob {}: another content", built.layers[0].digest)),
                "{}",
                broken.stdout
            );
            flip(&blob);
        });
    });
}

/// The file of this name below `dir`.
fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name() == name {
            return Some(entry.path());
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir())
            && let Some(found) = find(&entry.path(), name)
        {
            return Some(found);
        }
    }
    None
}

#[test]
fn a_registry_with_a_damaged_blob_is_not_believed() {
    sandbox(|sandbox| {
        let Some(registry) = Registry::start() else { return };
        let built = app("whole").build();
        publish(sandbox, &registry, &built, "app:1");
        let name = registry.name("app:1");
        let hex = &built.layers[0].digest["sha256:".len()..];
        let data =
            registry.storage().join("docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex).join("data");
        Taru::each(sandbox, |taru| {
            flip(&data);
            let failed = taru.taru(&format!("pull -q {name}"));
            failed.fails();
            assert!(failed.stderr.contains(hex), "it names the blob: {}", failed.stderr);
            assert_eq!(taru.names(), Vec::<String>::new());
            taru.taru("store gc").succeeds();
            assert_eq!(taru.stored(), Vec::<String>::new());
            flip(&data);
            assert_eq!(taru.taru(&format!("run {name}")).ok().stdout, "whole\n");
        });
    });
}

/// Damages a file of the upper layer, takes one of the lower layer away, and has that found.
fn damage(taru: &Taru<'_>) {
    let layers = taru.state().join("snapshot/layers");
    flip(&find(&layers, "word").unwrap());
    fs::remove_file(find(&layers, "touch").unwrap()).unwrap();
    let found = taru.taru("store check");
    assert_eq!(found.status, 1);
    for part in ["/word: another content", "/bin/touch: missing"] {
        assert!(found.stdout.contains(part), "{}", found.stdout);
    }
}

#[track_caller]
fn assert_whole(taru: &Taru<'_>, image: &str) {
    taru.taru("store check").succeeds();
    assert_eq!(taru.sh("", image, "cat /word; ls /bin/touch").ok().stdout, "whole\n/bin/touch\n");
    assert_eq!(taru.stored().iter().filter(|s| s.starts_with("snapshot/staging")).count(), 0);
}

#[test]
fn layers_that_were_found_broken_are_healed_by_a_pull_a_load_and_a_run() {
    sandbox(|sandbox| {
        let Some(registry) = Registry::start() else { return };
        // A layer between the broken ones is whole.
        let between = || Tar::new().file("between", "x", 0o644);
        let built = Image::new()
            .layer(busybox())
            .layer(between())
            .layer(Tar::new().file("word", "whole\n", 0o644))
            .config(|c| c["config"]["Env"] = json!(["PATH=/bin"]))
            .build();
        publish(sandbox, &registry, &built, "app:1");
        let name = registry.name("app:1");
        let hex = &built.layers[0].digest["sha256:".len()..];
        let fetched = || registry.log().lines().filter(|l| l.contains("GET /v2/") && l.contains(hex)).count();
        Taru::each(sandbox, |taru| {
            let pull = || taru.taru(&format!("pull --progress plain {name}"));
            pull().succeeds();
            assert_whole(taru, &name);
            let before = fetched();
            damage(taru);
            let healed = pull().ok();
            let short = |at: usize| &built.layers[at].digest["sha256:".len()..][..12];
            for (at, unpacked) in [(0, true), (1, false), (2, true)] {
                let line = format!("{}  unpacked", short(at));
                assert_eq!(healed.stderr.contains(&line), unpacked, "{line}: {}", healed.stderr);
            }
            assert_eq!(fetched(), before, "its blobs are here");
            assert_whole(taru, &name);

            damage(taru);
            taru.invoke("load -q").stdin(built.oci_archive(&[])).output().succeeds();
            assert_whole(taru, &name);

            damage(taru);
            assert_eq!(taru.taru(&format!("run {name} cat /word")).ok().stdout, "whole\n");
            assert_whole(taru, &name);

            // Its blob is damaged as well: that comes from the registry.
            damage(taru);
            flip(&taru.blob(&built.layers[0].digest));
            pull().succeeds();
            assert_eq!(fetched(), before + 1);
            assert_whole(taru, &name);

            // What a container runs on is not taken away from under it.
            taru.taru(&format!("run -d --name box {name} sleep 1000")).succeeds();
            damage(taru);
            let refused = pull();
            refused.fails_with("container `box` runs on it");
            assert!(refused.stderr.contains("hint: `taru stop box` first"), "{}", refused.stderr);
            let used = taru.sh("", &name, "test -e /bin/touch || echo broken").ok();
            assert_eq!(used.stdout, "broken\n");
            assert!(used.stderr.contains("container `box` runs on it"), "{}", used.stderr);
            taru.taru("stop -t 0 box").succeeds();
            pull().succeeds();
            assert_whole(taru, &name);
            taru.taru("start box").succeeds();
            assert_eq!(taru.taru("exec box cat /word").ok().stdout, "whole\n");
            taru.taru("rm -f box").succeeds();
        });
    });
}

#[test]
fn a_layer_of_which_nothing_is_known_is_healed() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let built = app("whole").build();
            let load = || taru.invoke("load -q").stdin(built.oci_archive(&[APP])).output();
            load().succeeds();
            for (file, content) in [("layer.json", "{"), ("manifest", ""), ("layer.json", "")] {
                for layer in fs::read_dir(taru.state().join("snapshot/layers")).unwrap() {
                    fs::write(layer.unwrap().path().join(file), content).unwrap();
                }
                assert_eq!(taru.taru("store check").status, 1, "{file}");
                load().succeeds();
                assert_whole(taru, "app:1");
            }
        });
    });
}

/// The key `NAME.key` with `NAME.pub`.
fn key(dir: &Path, name: &str) {
    let (secret, public) = (format!("{name}.key"), format!("{name}.pub"));
    peer(
        dir,
        &["openssl", "genpkey", "-out", &secret, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    );
    peer(dir, &["openssl", "pkey", "-in", &secret, "-pubout", "-out", &public]);
}

/// Puts a signature of `image` by the key `KEY.key` into the registry, as cosign does.
fn sign(sandbox: &Sandbox, registry: &Registry, dir: &Path, key: &str, repository: &str, image: &str) {
    let payload = format!(
        r#"{{"critical":{{"identity":{{"docker-reference":"{}"}},"image":{{"docker-manifest-digest":"{image}"}},"type":"cosign container image signature"}},"optional":null}}"#,
        registry.name(repository)
    );
    fs::write(dir.join("payload"), &payload).unwrap();
    let secret = format!("{key}.key");
    peer(dir, &["openssl", "dgst", "-sha256", "-sign", &secret, "-out", "signature", "payload"]);
    let signature = peer(dir, &["openssl", "base64", "-A", "-in", "signature"]);
    let config = br#"{"architecture":"","os":"","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let layout = sandbox.dir().join(format!("signature-{key}"));
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    let put = |bytes: &[u8]| {
        let digest = digest(bytes);
        fs::write(layout.join("blobs").join(digest.replace(':', "/")), bytes).unwrap();
        (digest, bytes.len())
    };
    let ((config, config_size), (layer, size)) = (put(config), put(payload.as_bytes()));
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size},
        "layers": [{"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "digest": layer, "size": size,
            "annotations": {"dev.cosignproject.cosign/signature": signature.trim()}}],
    })
    .to_string();
    let (manifest, manifest_size) = put(manifest.as_bytes());
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": manifest, "size": manifest_size,
        "annotations": {"org.opencontainers.image.ref.name": "it"}}]});
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    registry.copy(
        &format!("oci:{}:it", layout.display()),
        &format!("{repository}:{}.sig", image.replace(':', "-")),
    );
}

#[test]
fn a_signature_is_verified_with_a_key_and_by_the_policy() {
    sandbox(|sandbox| {
        let Some(registry) = Registry::start() else { return };
        if !has(sandbox, "openssl") {
            return;
        }
        let dir = sandbox.dir();
        let (signed, bare) = (app("signed").build(), app("bare").build());
        publish(sandbox, &registry, &signed, "team/signed:1");
        publish(sandbox, &registry, &bare, "team/bare:1");
        key(&dir, "good");
        key(&dir, "other");
        sign(sandbox, &registry, &dir, "good", "team/signed", &signed.digest());
        let (signed, bare) = (registry.name("team/signed:1"), registry.name("team/bare:1"));
        Taru::each(sandbox, |taru| {
            for name in [&signed, &bare] {
                taru.taru(&format!("pull -q {name}")).succeeds();
            }
            let verify = |key: &str, name: &str| {
                taru.taru(&format!("image verify --key {} {name}", dir.join(key).display()))
            };
            assert_eq!(verify("good.pub", &signed).ok().stdout.lines().next(), Some("signature: good"));
            for (key, name, why) in [
                ("other.pub", &signed, "it is of another key"),
                ("good.pub", &bare, "it has none"),
                ("nosuch.pub", &signed, "No such file or directory"),
            ] {
                let bad = verify(key, name);
                assert_eq!(bad.status, 1, "{}", bad.stdout);
                bad.fails_with(why);
                assert!(bad.stdout.starts_with("signature: BAD\n"), "{}", bad.stdout);
            }
            // The policy of this user says the same, for pulls too.
            let policy = taru.home().join(".config/containers");
            fs::create_dir_all(&policy).unwrap();
            let requirement = json!([{"type": "sigstoreSigned", "keyPath": dir.join("good.pub"), "signedIdentity": {"type": "matchRepository"}}]);
            let text = json!({"default": [{"type": "insecureAcceptAnything"}], "transports": {"docker": {registry.host(): requirement}}});
            fs::write(policy.join("policy.json"), text.to_string()).unwrap();
            assert_eq!(
                taru.taru(&format!("image verify {signed}")).ok().stdout.lines().next(),
                Some("signature: good")
            );
            assert_eq!(taru.taru(&format!("image verify {bare}")).status, 1);
            taru.taru(&format!("pull -q {signed}")).succeeds();
            taru.taru(&format!("pull -q {bare}")).fails_with("the policy wants a signature, and it has none");
            fs::remove_file(policy.join("policy.json")).unwrap();
        });
    });
}

#[test]
fn an_image_that_leads_out_of_its_root_is_refused() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let evil = app("x").layer(Tar::new().file("../../escaped", "x", 0o644)).build();
            let failed = taru.invoke("load -q").stdin(evil.oci_archive(&[APP])).output();
            failed.fails();
            assert_eq!(taru.names(), Vec::<String>::new());
            taru.taru("store gc").succeeds();
            assert_eq!(taru.stored(), Vec::<String>::new());
        });
        assert!(Command::new("find").args(["/run", "-name", "escaped"]).output().unwrap().stdout.is_empty());
    });
}
