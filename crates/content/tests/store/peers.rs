//! The store is an OCI image layout that others read: skopeo.

use std::process::Command;

use taru_content::NoLayers;
use taru_oci::{Algorithm, Descriptor, media};

use crate::support::{Dir, image, image_of, name};

fn skopeo(args: &[&str]) -> Option<std::process::Output> {
    match Command::new("skopeo").args(args).output() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            taru_testkit::skip("peers", "skopeo");
            None
        }
        other => Some(other.unwrap()),
    }
}

fn ok(output: std::process::Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn skopeo_reads_the_store_by_name() {
    let dir = Dir::new();
    let store = dir.store();
    let lease = store.lease("test").unwrap();
    // gzip of nothing: skopeo looks into no layer, but its checks want one of the type.
    let empty = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let digest = store.put(&lease, &empty, Algorithm::Sha256).unwrap();
    let layer = Descriptor::new(media::LAYER_GZIP, digest, 20);
    let (with_layer, _) = image_of(&store, &lease, &[layer]);
    let other = image(&store, &lease, b"other");
    store.tag(&[(name("debian:12"), with_layer.clone()), (name("localhost:5000/x"), other)]).unwrap();

    let source = format!("oci:{}:docker.io/library/debian:12", dir.path().join("content").display());
    let Some(output) = skopeo(&["inspect", "--raw", &source]) else { return };
    let raw = ok(output);
    assert_eq!(taru_oci::Digest::of(raw.as_bytes()), with_layer.digest);
    let inspected = ok(skopeo(&["inspect", &source]).unwrap());
    assert!(inspected.contains(&with_layer.digest.to_string()), "{inspected}");
    let source = format!("oci:{}:localhost:5000/x:latest", dir.path().join("content").display());
    let target = format!("dir:{}", dir.path().join("copy").display());
    ok(skopeo(&["--insecure-policy", "copy", &source, &target]).unwrap());

    // Gone from the index with the name.
    store.untag(&name("debian:12")).unwrap();
    drop(lease);
    store.gc(&NoLayers).unwrap();
    let gone = format!("oci:{}:docker.io/library/debian:12", dir.path().join("content").display());
    assert!(!skopeo(&["inspect", "--raw", &gone]).unwrap().status.success());
    ok(skopeo(&["inspect", "--raw", &source]).unwrap());
}

#[test]
fn a_layout_that_skopeo_wrote_is_a_store() {
    let dir = Dir::new();
    let store = dir.store();
    let lease = store.lease("test").unwrap();
    let image = image(&store, &lease, b"one");
    store.tag(&[(name("one:1"), image.clone())]).unwrap();
    let source = format!("oci:{}:docker.io/library/one:1", store.dir().display());
    let copy = dir.path().join("copy");
    let target = format!("oci:{}:quay.io/me/one:2", copy.display());
    let Some(output) = skopeo(&["--insecure-policy", "copy", "--preserve-digests", &source, &target]) else {
        return;
    };
    ok(output);
    let adopted = taru_content::Content::open(&copy).unwrap();
    let images = adopted.images().unwrap();
    assert_eq!(images.len(), 1);
    assert_eq!(images[0].name, Some(name("quay.io/me/one:2")));
    assert_eq!(images[0].descriptor.digest, image.digest);
    assert!(adopted.check(false, &|_| ()).unwrap().is_well());
    // And skopeo still reads it after we wrote its index.
    adopted.tag(&[(name("three"), images[0].descriptor.clone())]).unwrap();
    for name in ["quay.io/me/one:2", "docker.io/library/three:latest"] {
        ok(skopeo(&["inspect", "--raw", &format!("oci:{}:{name}", copy.display())]).unwrap());
    }
}
