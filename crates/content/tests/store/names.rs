//! Names, holds, leases, and what is collected.

use std::cell::RefCell;
use std::collections::BTreeSet;

use taru_content::{LayerStore, NoLayers};
use taru_oci::{Algorithm, Descriptor, Digest, Index, media};
use taru_stdx::{Kind, Result};

use crate::support::{Dir, image, image_of, layer, name};

/// Unpacked layers that are only names.
struct Layers(RefCell<BTreeSet<Digest>>);

impl LayerStore for Layers {
    fn list(&self) -> Result<Vec<Digest>> {
        Ok(self.0.borrow().iter().cloned().collect())
    }

    fn remove(&self, chain: &Digest) -> Result<u64> {
        assert!(self.0.borrow_mut().remove(chain));
        Ok(7)
    }
}

#[test]
fn what_is_named_stays_and_the_rest_goes() {
    let dir = Dir::new();
    let store = dir.store();
    let lease = store.lease("test").unwrap();
    let kept = image(&store, &lease, b"kept");
    let (held, chains) = {
        let layers = [layer(&store, &lease, b"base"), layer(&store, &lease, b"top")];
        image_of(&store, &lease, &layers)
    };
    let lost = image(&store, &lease, b"lost");
    let layers = Layers(RefCell::new(chains.iter().cloned().chain([Digest::of(b"stray")]).collect()));
    store.tag(&[(name("a:1"), kept.clone())]).unwrap();
    store.hold("container/1", &[], &chains).unwrap();
    assert_eq!(store.resolve(&name("a:1")).unwrap(), Some(kept.clone()));
    assert_eq!(store.resolve(&name("a:2")).unwrap(), None);

    // All of it is leased; the layer nobody knows is not.
    let freed = store.gc(&layers).unwrap();
    assert_eq!((freed.blobs, freed.layers, freed.layer_bytes), (0, 1, 7));
    lease.release().unwrap();
    let freed = store.gc(&layers).unwrap();
    // Two layers, a configuration and a manifest; one layer, a configuration and a manifest.
    assert_eq!((freed.blobs, freed.layers), (7, 0));
    assert_eq!(store.has(&held.digest).unwrap(), None);
    assert_eq!(store.has(&lost.digest).unwrap(), None);
    assert_eq!(store.has(&kept.digest).unwrap(), Some(kept.size));
    assert!(store.missing(&kept).unwrap().is_empty());

    assert_eq!(store.holds("container/").unwrap(), ["container/1"]);
    store.unhold("container/1").unwrap();
    assert_eq!(store.gc(&layers).unwrap().layers, 2);
    assert_eq!(store.untag(&name("a:1")).unwrap(), Some(kept));
    assert_eq!(store.untag(&name("a:1")).unwrap(), None);
    assert_eq!(store.gc(&layers).unwrap().blobs, 3);
    let usage = store.usage().unwrap();
    assert_eq!((usage.blobs, usage.bytes, usage.images), (0, 0, 0));
}

#[test]
fn a_name_that_moves_leaves_its_image_without_one() {
    let dir = Dir::new();
    let store = dir.store();
    let lease = store.lease("test").unwrap();
    let (one, two) = (image(&store, &lease, b"one"), image(&store, &lease, b"two"));
    let names = || -> Vec<(Option<String>, Digest)> {
        let mut all: Vec<_> = store
            .images()
            .unwrap()
            .into_iter()
            .map(|record| (record.name.map(|name| name.familiar()), record.descriptor.digest))
            .collect();
        all.sort();
        all
    };
    store.tag(&[(name("x"), one.clone()), (name("y"), one.clone())]).unwrap();
    store.tag(&[(name("x"), one.clone())]).unwrap();
    let (x, y) = (Some("x:latest".to_owned()), Some("y:latest".to_owned()));
    assert_eq!(names(), [(x.clone(), one.digest.clone()), (y.clone(), one.digest.clone())]);
    // It has another name still.
    store.tag(&[(name("x"), two.clone())]).unwrap();
    assert_eq!(names(), [(x.clone(), two.digest.clone()), (y.clone(), one.digest.clone())]);
    store.tag(&[(name("y"), two.clone())]).unwrap();
    let both = [(None, one.digest.clone()), (x.clone(), two.digest.clone()), (y.clone(), two.digest.clone())];
    assert_eq!(names(), both);
    drop(lease);
    assert_eq!(store.gc(&NoLayers).unwrap().blobs, 0, "kept without a name");
    // Named again, it has no record without.
    store.tag(&[(name("z"), one.clone())]).unwrap();
    store.keep(std::slice::from_ref(&one)).unwrap();
    assert_eq!(names().len(), 3);
    store.untag(&name("z")).unwrap();
    store.keep(std::slice::from_ref(&one)).unwrap();
    assert_eq!(store.prune().unwrap(), 1);
    assert_eq!(store.forget(&two.digest).unwrap().len(), 2);
    assert_eq!(store.gc(&NoLayers).unwrap().blobs, 6);
    assert!(names().is_empty());
}

#[test]
fn what_is_not_whole_gets_no_name() {
    let dir = Dir::new();
    let store = dir.store();
    let lease = store.lease("test").unwrap();
    let missing = Descriptor::of(media::LAYER, b"missing");
    let (manifest, _) = image_of(&store, &lease, std::slice::from_ref(&missing));
    let e = store.tag(&[(name("x"), manifest.clone())]).unwrap_err();
    assert_eq!(e.kind(), Kind::NotFound);
    assert!(e.to_string().contains(&missing.digest.to_string()), "{e}");
    assert_eq!(store.missing(&manifest).unwrap(), [missing]);
    // One transaction: the other image of the call is not named either.
    let whole = image(&store, &lease, b"whole");
    assert!(store.tag(&[(name("y"), whole.clone()), (name("x"), manifest.clone())]).is_err());
    assert!(store.images().unwrap().is_empty());

    // An index needs one whole manifest, whatever else it lists.
    let put = |manifests: Vec<Descriptor>| {
        let index = Index { schema_version: 2, manifests, ..Index::default() };
        let bytes = serde_json::to_vec(&index).unwrap();
        store.put(&lease, &bytes, Algorithm::Sha256).unwrap();
        Descriptor::of(media::INDEX, &bytes)
    };
    let absent = Descriptor::of(media::MANIFEST, b"another platform's");
    let index = put(vec![absent.clone(), manifest.clone(), whole]);
    store.tag(&[(name("x"), index)]).unwrap();
    assert_eq!(store.tag(&[(name("z"), put(vec![absent.clone()]))]).unwrap_err().kind(), Kind::NotFound);
    assert_eq!(store.tag(&[(name("z"), put(vec![absent, manifest]))]).unwrap_err().kind(), Kind::NotFound);
    drop(lease);
    // The index reaches the manifest with the missing layer, too.
    assert_eq!(store.gc(&NoLayers).unwrap().blobs, 2);
}

#[test]
fn a_hold_of_a_manifest_holds_what_it_leads_to() {
    let dir = Dir::new();
    let store = dir.store();
    let lease = store.lease("test").unwrap();
    let image = image(&store, &lease, b"held");
    store.hold("build/1", std::slice::from_ref(&image.digest), &[]).unwrap();
    store.hold("build/2", std::slice::from_ref(&image.digest), &[]).unwrap();
    drop(lease);
    assert_eq!(store.gc(&NoLayers).unwrap().blobs, 0);
    // Replaced by nothing.
    store.hold("build/1", &[], &[]).unwrap();
    assert_eq!(store.gc(&NoLayers).unwrap().blobs, 0);
    store.unhold("build/2").unwrap();
    assert_eq!(store.gc(&NoLayers).unwrap().blobs, 3);
    assert_eq!(store.holds("").unwrap(), ["build/1"]);
}

#[test]
fn labels_go_with_their_blob() {
    let dir = Dir::new();
    let store = dir.store();
    let lease = store.lease("test").unwrap();
    let digest = store.put(&lease, b"blob", Algorithm::Sha512).unwrap();
    store.label(&digest, "source", Some("docker.io/library/debian")).unwrap();
    store.label(&digest, "gone", Some("x")).unwrap();
    store.label(&digest, "gone", None).unwrap();
    let labels = store.labels(&digest).unwrap();
    assert_eq!(
        labels.into_iter().collect::<Vec<_>>(),
        [("source".to_owned(), "docker.io/library/debian".to_owned())]
    );
    drop(lease);
    store.gc(&NoLayers).unwrap();
    assert!(store.labels(&digest).unwrap().is_empty());
    assert_eq!(store.label(&digest, "a", Some("b")).unwrap_err().kind(), Kind::NotFound);
}
