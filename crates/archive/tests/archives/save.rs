//! Saving: the same bytes each time, whole images, both formats.

use std::io::Cursor;

use taru_archive::{Format, load, load_directory, save, save_directory};
use taru_oci::{Descriptor, Digest, Reference};
use taru_stdx::Kind;
use taru_testkit::image::digest;

use crate::world::{World, name, plain, small};

fn saved(world: &World, images: &[(Vec<Reference>, Descriptor)], format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    save(&mut out, &world.content, images, format, &|_, _| None).unwrap();
    out
}

/// Two images in a store, the first with two names.
fn two_images(world: &World) -> Vec<(Vec<Reference>, Descriptor)> {
    let one = world.load(small().build().oci_archive(&["a:1", "localhost/b:2"])).unwrap();
    let two = world.load(plain().docker_archive(&[])).unwrap();
    [one, two].concat().into_iter().map(|image| (image.names, image.descriptor)).collect()
}

#[test]
fn an_oci_archive_is_the_store_again() {
    let world = World::new();
    let images = two_images(&world);
    let bytes = saved(&world, &images, Format::Oci);
    assert_eq!(bytes, saved(&world, &images, Format::Oci), "the same bytes each time");
    let other = World::new();
    let loaded = other.load(bytes).unwrap();
    let again: Vec<_> = loaded.into_iter().map(|image| (image.names, image.descriptor)).collect();
    assert_eq!(again, images);
}

#[test]
fn a_docker_archive_has_plain_layers_named_by_their_diff_ids() {
    let world = World::new();
    let images = two_images(&world);
    let bytes = saved(&world, &images, Format::Docker);
    assert_eq!(bytes, saved(&world, &images, Format::Docker), "the same bytes each time");
    std::fs::write(world.dir().join("d.tar"), &bytes).unwrap();
    world.run(&["tar", "xf", "d.tar"]);
    let read = |path: &str| std::fs::read(world.dir().join(path)).unwrap();
    let items: serde_json::Value = serde_json::from_slice(&read("manifest.json")).unwrap();
    assert_eq!(items[0]["RepoTags"], serde_json::json!(["docker.io/library/a:1", "localhost/b:2"]));
    for item in items.as_array().unwrap() {
        let config: serde_json::Value =
            serde_json::from_slice(&read(item["Config"].as_str().unwrap())).unwrap();
        for (path, diff_id) in
            item["Layers"].as_array().unwrap().iter().zip(config["rootfs"]["diff_ids"].as_array().unwrap())
        {
            assert_eq!(digest(&read(path.as_str().unwrap())), diff_id.as_str().unwrap());
        }
    }
    // A size that is known is believed, and found out where it is wrong.
    let with = |add: u64| {
        let size = |_: &Digest, diff_id: &Digest| {
            let file = world.dir().join("blobs/sha256").join(diff_id.hex());
            Some(std::fs::metadata(file).unwrap().len() + add)
        };
        let mut out = Vec::new();
        save(&mut out, &world.content, &images, Format::Docker, &size).map(|()| out)
    };
    assert_eq!(with(0).unwrap(), bytes);
    let error = with(1).unwrap_err();
    assert!(error.to_string().contains("write the blob `sha256:"), "{error}");
    let other = World::new();
    let loaded = other.load(bytes).unwrap();
    let id = |world: &World, descriptor: &Descriptor| world.manifest(descriptor).config.digest;
    for (image, (names, descriptor)) in loaded.iter().zip(&images) {
        assert_eq!(image.names, *names);
        assert_eq!(id(&other, &image.descriptor), id(&world, descriptor), "the image's id stays");
    }
}

#[test]
fn a_directory_is_added_to() {
    let world = World::new();
    let images = two_images(&world);
    let dir = world.dir().join("layout");
    save_directory(&dir, &world.content, &images[..1]).unwrap();
    save_directory(&dir, &world.content, &images[1..]).unwrap();
    // The name goes to another image.
    save_directory(&dir, &world.content, &[(vec![name("a:1")], images[1].1.clone())]).unwrap();
    let other = World::new();
    let lease = other.content.lease("test").unwrap();
    let loaded = load_directory(&dir, &other.content, &lease).unwrap();
    let names_of = |at: usize| {
        loaded.iter().find(|i| i.descriptor.digest == images[at].1.digest).map(|i| i.names.clone()).unwrap()
    };
    assert_eq!((names_of(0), names_of(1)), (vec![name("localhost/b:2")], vec![name("a:1")]));
    let e = save_directory(world.dir(), &world.content, &images).unwrap_err();
    assert_eq!(e.kind(), Kind::Exists);
}

#[test]
fn what_is_missing_or_damaged_is_not_saved() {
    let world = World::new();
    let images = two_images(&world);
    let layer = &world.manifest(&images[0].1).layers[0];
    let path = world.content.dir().join("blobs/sha256").join(layer.digest.hex());
    let whole = std::fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    std::fs::write(&path, flipped).unwrap();
    for format in [Format::Oci, Format::Docker] {
        let mut out = Vec::new();
        save(&mut out, &world.content, &images, format, &|_, _| None).unwrap_err();
        let lease = world.content.lease("test").unwrap();
        load(Cursor::new(out), &World::new().content, &lease).unwrap_err();
    }
    std::fs::remove_file(&path).unwrap();
    for format in [Format::Oci, Format::Docker] {
        let e = save(&mut Vec::new(), &world.content, &images, format, &|_, _| None).unwrap_err();
        assert_eq!(e.kind(), Kind::NotFound, "{}", e.chain());
    }
}
