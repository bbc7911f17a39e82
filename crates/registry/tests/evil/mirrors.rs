//! Mirrors: asked first, and of no harm if they fail or lie.

use std::io::Read;

use taru_oci::{Descriptor, media};
use taru_registry::Registries;
use taru_stdx::Kind;

use crate::server::{Server, client_with, noise};
use crate::tokens::{Dir, keyring};

fn with_mirrors(mirrors: &[&Server], own: &Server) -> (Dir, Registries) {
    let dir = Dir::new();
    let file = dir.0.join("registries.conf");
    let mut text = format!("[[registry]]\nprefix = \"example.com\"\nlocation = \"{}/x\"\n", own.host());
    for mirror in mirrors {
        text += &format!("[[registry.mirror]]\nlocation = \"{}/m\"\n", mirror.host());
    }
    std::fs::write(&file, text).unwrap();
    (dir, Registries::of_files(&[file]).unwrap())
}

const IMAGE: &[u8] = br#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}"#;

#[test]
fn the_first_that_has_it_is_the_source() {
    let absent =
        Server::start(|_, _, wire| wire.answer(404, &[], br#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#));
    let lying = Server::start(|_, _, wire| wire.answer(200, &[("Content-Type", media::MANIFEST)], b"{}"));
    let honest = Server::start(|_, _, wire| wire.answer(200, &[("Content-Type", media::MANIFEST)], IMAGE));
    let (_dir, registries) = with_mirrors(&[&absent, &lying], &honest);
    let client = client_with(|s| s.registries = registries);
    let resolved = client.resolve(&"example.com/team/app:1".parse().unwrap()).unwrap();
    assert_eq!(resolved.source, honest.host());
    assert_eq!(absent.seen()[0].target, "/v2/m/team/app/manifests/1");
    assert_eq!(honest.seen()[0].target, "/v2/x/team/app/manifests/1");
    // When all fail, each is heard.
    let (_dir, registries) = with_mirrors(&[&absent], &absent);
    let e =
        client_with(|s| s.registries = registries).resolve(&"example.com/a:1".parse().unwrap()).unwrap_err();
    assert_eq!(e.kind(), Kind::NotFound);
    let one = format!("{}: 404 manifest unknown", absent.host());
    assert_eq!(e.chain().to_string(), format!("resolve `example.com/a:1`: {one}; {one}"));
}

#[test]
fn a_blob_that_breaks_at_a_mirror_goes_on_at_the_registry() {
    let content = noise(300_000);
    let (broken, whole) = (content.clone(), content.clone());
    let mirror = Server::start(move |request, n, wire| match n {
        0 => {
            wire.text("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n");
            let _ = std::io::Write::write_all(wire, &broken[..100_000]);
        }
        _ => wire.answer(if request.from() > 0 { 404 } else { 500 }, &[], b""),
    });
    let own = Server::start(move |request, _, wire| {
        let from = request.from();
        wire.answer(206, &[("Content-Range", &format!("bytes {from}-299999/300000"))], &whole[from..]);
    });
    let (_dir, registries) = with_mirrors(&[&mirror], &own);
    let client = client_with(|s| s.registries = registries);
    let blob = Descriptor::of(media::LAYER, &content);
    let mut all = Vec::new();
    client
        .blob(&"example.com/a:1".parse().unwrap(), &blob, 0)
        .unwrap()
        .verified()
        .read_to_end(&mut all)
        .unwrap();
    assert!(all == content);
    assert_eq!(own.seen()[0].header("range"), Some("bytes=100000-"));
}

#[test]
fn a_mirror_that_is_down_costs_one_more_try() {
    let down = Server::start(|_, _, wire| wire.answer(503, &[], b""));
    let own = Server::start(|_, _, wire| wire.answer(200, &[("Content-Type", media::MANIFEST)], IMAGE));
    let (_dir, registries) = with_mirrors(&[&down], &own);
    client_with(|s| (s.registries, s.retries) = (registries, 9))
        .resolve(&"example.com/a:1".parse().unwrap())
        .unwrap();
    assert_eq!((down.seen().len(), own.seen().len()), (2, 1));
}

#[test]
fn a_mirror_gets_the_credentials_for_itself_alone() {
    let mirror = Server::start(|_, _, wire| wire.answer(401, &[("WWW-Authenticate", "Basic")], b""));
    let own = Server::start(|request, _, wire| match request.header("authorization") {
        None => wire.answer(401, &[("WWW-Authenticate", "Basic")], b""),
        Some(_) => wire.answer(200, &[("Content-Type", media::MANIFEST)], IMAGE),
    });
    let (_dir, registries) = with_mirrors(&[&mirror], &own);
    let (_dir2, keyring) = keyring(&own.host());
    let client = client_with(|s| (s.registries, s.keyring) = (registries, keyring));
    client.resolve(&"example.com/a:1".parse().unwrap()).unwrap();
    assert!(mirror.seen().iter().all(|r| r.header("authorization").is_none()));
}
