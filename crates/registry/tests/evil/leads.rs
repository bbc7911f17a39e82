//! Where answers lead: redirects.

use taru_oci::{Descriptor, media};
use taru_stdx::Kind;

use crate::server::{Server, client, client_with};
use crate::tokens::keyring;

#[test]
fn a_loop_ends() {
    let server = Server::start(|_, n, wire| wire.answer(307, &[("Location", &format!("/v2/a/{n}"))], b""));
    let e = client().resolve(&server.name("a:1")).unwrap_err();
    assert!(e.chain().to_string().ends_with("more than 5 redirects"), "{e:?}");
    assert_eq!((e.kind(), server.seen().len()), (Kind::Limit, 6));
}

#[test]
fn only_the_web_is_followed_and_never_to_the_link() {
    for (location, kind) in [
        ("file:///etc/passwd", Kind::Invalid),
        ("gopher://127.0.0.1/", Kind::Invalid),
        ("unix:/run/docker.sock", Kind::Invalid),
        ("data:,x", Kind::Invalid),
        ("http://user:pw@127.0.0.1/", Kind::Invalid),
        ("http://169.254.169.254/latest/meta-data/", Kind::Permission),
        ("http://[::ffff:169.254.169.254]/", Kind::Permission),
        ("http://[fe80::1]/", Kind::Permission),
        ("http://[fd00:ec2::254]/", Kind::Permission),
        ("http://0.0.0.0/", Kind::Permission),
        ("http://224.0.0.1/", Kind::Permission),
    ] {
        let server = Server::start(move |_, _, wire| wire.answer(302, &[("Location", location)], b""));
        let e = client().resolve(&server.name("a:1")).unwrap_err();
        assert_eq!((e.kind(), server.seen().len()), (kind, 1), "{location}: {e:?}");
        assert!(!format!("{e:?}").contains("pw@"), "{e:?}");
    }
}

#[test]
fn credentials_stay_where_they_belong_and_signatures_out_of_errors() {
    let other = Server::start(|_, _, wire| wire.answer(403, &[], b"<Error>expired</Error>"));
    let location = format!("http://{}/blob?X-Amz-Signature=S3CRET", other.host());
    let server = Server::start(move |request, _, wire| match request.header("authorization") {
        None => wire.answer(401, &[("WWW-Authenticate", "Basic realm=\"x\"")], b""),
        Some(_) => wire.answer(307, &[("Location", &location)], b""),
    });
    let (_dir, keyring) = keyring(&server.host());
    let client = client_with(|s| s.keyring = keyring);
    let blob = Descriptor::of(media::LAYER, b"x");
    let e = client.blob(&server.name("a:1"), &blob, 0).unwrap_err();
    assert_eq!(e.kind(), Kind::Permission, "{e:?}");
    assert!(!format!("{e:?} {:?}", e.hints()).contains("S3CRET"));
    let who = format!("{}, where {} leads: 403", other.host(), server.host());
    assert!(e.chain().to_string().contains(&who), "{e:?}");
    assert!(server.seen()[1].header("authorization").unwrap().starts_with("Basic "));
    assert_eq!(other.seen().len(), 1);
    assert_eq!(other.seen()[0].header("authorization"), None);
    // Another port of the same host is another server as well: that is what was just tested.
    assert_ne!(other.address.port(), server.address.port());
}

#[test]
fn foreign_layers_are_not_fetched_from_anywhere() {
    let server = Server::start(|_, _, wire| wire.answer(200, &[], b"x"));
    for media_type in [
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    ] {
        let mut layer = Descriptor::of(media_type, b"x");
        layer.urls.push(format!("http://{}/x", server.host()));
        let e = client().blob(&server.name("a:1"), &layer, 0).unwrap_err();
        assert_eq!((e.kind(), e.hints().len()), (Kind::Unsupported, 1), "{e:?}");
    }
    // Nor are the addresses of other layers.
    let mut layer = Descriptor::of(media::LAYER, b"x");
    layer.urls.push("http://127.0.0.1:1/x".into());
    client().blob(&server.name("a:1"), &layer, 0).unwrap();
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_blob_is_read_where_it_leads() {
    let content = b"the content";
    let other = Server::start(move |_, _, wire| wire.answer(200, &[], content));
    let location = format!("http://{}/blob?sig=1", other.host());
    let server = Server::start(move |_, _, wire| wire.answer(307, &[("Location", &location)], b""));
    let blob = Descriptor::of(media::LAYER, content);
    let mut all = Vec::new();
    std::io::Read::read_to_end(&mut client().blob(&server.name("a:1"), &blob, 0).unwrap(), &mut all).unwrap();
    assert_eq!(all, content);
    assert_eq!(other.seen()[0].target, "/blob?sig=1");
}
