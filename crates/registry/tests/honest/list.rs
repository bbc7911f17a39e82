//! Tags, repositories, referrers, search.

use std::io::Cursor;

use taru_oci::{Descriptor, Manifest, media};
use taru_testkit::registry::Registry;

use crate::push::push_image;
use crate::support::{client, name, noise};

#[test]
fn tags_and_repositories_are_listed() {
    let Some(registry) = Registry::start() else { return };
    let client = client();
    for tag in ["1", "2", "bookworm"] {
        push_image(&client, &name(registry.name(&format!("team/app:{tag}"))), &noise(100));
    }
    push_image(&client, &name(registry.name("other:1")), &noise(100));
    let mut tags = client.tags(&name(registry.name("team/app"))).unwrap();
    tags.sort();
    assert_eq!(tags, ["1", "2", "bookworm"]);
    assert_eq!(client.catalog(&registry.host()).unwrap(), ["other", "team/app"]);
    let found = client.search(&registry.host(), "app", 5).unwrap();
    assert_eq!(found.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["team/app"]);
    let e = client.resolve(&name(registry.name("team/app:bokworm"))).unwrap_err();
    assert_eq!(e.hints(), [format!("near tags of `{}`: bookworm", registry.name("team/app"))]);
}

#[test]
fn referrers_are_kept_by_a_tag_where_the_registry_has_no_list() {
    let Some(registry) = Registry::start() else { return };
    let client = client();
    let reference = name(registry.name("app:1"));
    let digest = push_image(&client, &reference, &noise(100));
    let subject = client.resolve(&reference).unwrap().descriptor;
    assert_eq!(client.referrers(&reference, &digest, None).unwrap(), []);
    let mut pushed = Vec::new();
    for kind in ["application/x.sbom", "application/x.signature"] {
        let empty = Descriptor::of(media::EMPTY, b"{}");
        client.push_blob(&reference, &mut Cursor::new(b"{}"), &empty, None).unwrap();
        let mut artifact = Manifest::new(empty.clone(), vec![empty]);
        artifact.artifact_type = Some(kind.into());
        artifact.subject = Some(subject.clone());
        let bytes = serde_json::to_vec(&artifact).unwrap();
        let own = reference.with_digest(taru_oci::Digest::of(&bytes));
        pushed.push(client.push_manifest(&own, media::MANIFEST, &bytes).unwrap().digest);
    }
    let all = client.referrers(&reference, &digest, None).unwrap();
    assert_eq!(all.iter().map(|d| d.digest.clone()).collect::<Vec<_>>(), pushed);
    let one = client.referrers(&reference, &digest, Some("application/x.sbom")).unwrap();
    assert_eq!(one.iter().map(|d| d.digest.clone()).collect::<Vec<_>>(), pushed[..1]);
}
