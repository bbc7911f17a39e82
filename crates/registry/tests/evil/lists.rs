//! Lists of registries that have what Debian's has not: pages, referrers, a search.

use taru_oci::{Descriptor, Digest, Manifest, media};

use crate::server::{Server, client};

#[test]
fn pages_are_put_together() {
    let server = Server::start(|request, n, wire| match n {
        0 => wire.answer(
            200,
            &[("Link", "</v2/_catalog?last=b&n=2>; rel=\"next\"")],
            br#"{"repositories":["a","b"]}"#,
        ),
        1 if request.target == "/v2/_catalog?last=b&n=2" => {
            wire.answer(
                200,
                &[("Link", "<?last=c>; rel=\"next\"")],
                br#"{"repositories":["c","bad\u001b[2Jname"]}"#,
            );
        }
        _ => wire.answer(200, &[], br#"{"repositories":null}"#),
    });
    assert_eq!(client().catalog(&server.host()).unwrap(), ["a", "b", "c"]);
    assert_eq!(server.seen()[2].target, "/v2/_catalog?last=c");
}

#[test]
fn a_search_is_shown_without_escapes() {
    let server = Server::start(|_, _, wire| {
        wire.answer(
            200,
            &[],
            br#"{"num_results":2,"results":[
            {"name":"debian","description":"Debian \u001b[31mis\nfree","star_count":5000,"is_official":true},
            {"name":"x/y","description":null}, {"name":"z"}]}"#,
        );
    });
    let found = client().search(&server.host(), "a&b", 2).unwrap();
    assert_eq!(server.seen()[0].target, "/v1/search?q=a%26b&n=2");
    assert_eq!(found.len(), 2);
    assert_eq!(
        (found[0].description.as_str(), found[0].stars, found[0].is_official),
        ("Debian  [31mis free", 5000, true)
    );
    assert_eq!((found[1].name.as_str(), found[1].description.as_str()), ("x/y", ""));
}

#[test]
fn referrers_are_listed_by_the_interface_page_by_page() {
    let entry = |kind: &str| {
        format!(
            r#"{{"mediaType":"{}","digest":"{}","size":1,"artifactType":"{kind}"}}"#,
            media::MANIFEST,
            Digest::of(kind.as_bytes())
        )
    };
    let index = |entries: &str| {
        format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{entries}]}}"#, media::INDEX)
    };
    let pages = [index(&format!("{},{}", entry("a"), entry("b"))), index(&entry("a2")), index(&entry("a"))];
    let server = Server::start(move |request, _, wire| {
        let kind = ("Content-Type", media::INDEX);
        match request.target.contains("last=1") {
            false => wire.answer(
                200,
                &[kind, ("Link", "</v2/x/referrers/y?last=1>; rel=\"next\"")],
                pages[0].as_bytes(),
            ),
            true => wire.answer(200, &[kind], pages[1].as_bytes()),
        }
    });
    let subject = Digest::of(b"subject");
    let all = client().referrers(&server.name("x:1"), &subject, None).unwrap();
    assert_eq!(all.iter().map(|d| d.artifact_type.as_deref().unwrap()).collect::<Vec<_>>(), ["a", "b", "a2"]);
    assert_eq!(server.seen()[0].target, format!("/v2/x/referrers/{subject}"));
    // A registry that does not filter is filtered after.
    let one = client().referrers(&server.name("x:1"), &subject, Some("a")).unwrap();
    assert_eq!(one.len(), 1);
    assert_eq!(server.seen()[2].target, format!("/v2/x/referrers/{subject}?artifactType=a"));
}

#[test]
fn a_registry_that_keeps_the_list_is_not_given_one() {
    let server = Server::start(|request, _, wire| match request.method.as_str() {
        "PUT" => wire.answer(201, &[("OCI-Subject", "sha256:x")], b""),
        _ => wire.answer(404, &[], b""),
    });
    let empty = Descriptor::of(media::EMPTY, b"{}");
    let mut artifact = Manifest::new(empty.clone(), vec![empty.clone()]);
    artifact.subject = Some(empty);
    let bytes = serde_json::to_vec(&artifact).unwrap();
    client().push_manifest(&server.name("x:1"), media::MANIFEST, &bytes).unwrap();
    assert_eq!(server.seen().len(), 1);
}
