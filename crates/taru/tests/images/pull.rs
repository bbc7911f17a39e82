//! `taru pull` and `taru run --pull`, from a real registry.

use std::fs;

use taru_testkit::image::{Image, Tar, architecture};
use taru_testkit::registry::Registry;
use taru_testkit::sandbox;

use crate::world::{Taru, app, publish, write_index};

/// How often somebody asked the registry for a blob.
fn blobs_asked(registry: &Registry) -> usize {
    registry.log().lines().filter(|line| line.contains("GET /v2/") && line.contains("/blobs/")).count()
}

#[test]
fn an_image_is_pulled_by_tag_and_by_digest_and_not_twice() {
    sandbox(|sandbox| {
        let Some(registry) = Registry::start() else { return };
        let built = app("one").build();
        publish(sandbox, &registry, &built, "team/app:1");
        let (name, id) = (registry.name("team/app:1"), built.digest());
        Taru::each(sandbox, |taru| {
            let pulled = taru.taru(&format!("pull --progress plain {name}")).ok();
            assert_eq!(pulled.text(), id);
            let short = built.layers[0].digest["sha256:".len()..][..12].to_owned();
            assert!(pulled.stderr.contains(&format!("{short}  fetched")), "{}", pulled.stderr);
            assert!(pulled.stderr.contains(&format!("{short}  unpacked")), "{}", pulled.stderr);
            for (digest, _) in built.blobs() {
                assert!(taru.has_blob(&digest), "{digest}");
            }
            let before = blobs_asked(&registry);
            assert_eq!(taru.taru(&format!("pull --quiet {name}")).ok().stderr, "");
            let by_digest = format!("{}@{id}", registry.name("team/app"));
            assert_eq!(taru.taru(&format!("pull -q {by_digest}")).ok().text(), id);
            assert_eq!(blobs_asked(&registry), before, "nothing has changed, nothing is fetched");
            assert_eq!(taru.names(), [name.clone(), by_digest.clone()]);
            assert_eq!(taru.taru(&format!("run {by_digest}")).ok().stdout, "one\n");
            assert_eq!(
                taru.taru(&format!("run {}", &id[7..19])).ok().stdout,
                "one\n",
                "by the id's beginning"
            );
        });
    });
}

#[test]
fn of_an_index_only_the_wanted_platform_is_fetched() {
    sandbox(|sandbox| {
        let Some(registry) = Registry::start() else { return };
        let here = app("here").build();
        let other = Image::new()
            .layer(Tar::new().file("word", "there\n", 0o644))
            .config(|c| c["architecture"] = "s390x".into())
            .build();
        let dir = sandbox.dir().join("index");
        let id = write_index(&dir, "all", &[&here, &other]);
        registry.copy(&format!("oci:{}:all", dir.display()), "all:1");
        let name = registry.name("all:1");
        Taru::each(sandbox, |taru| {
            assert_eq!(taru.taru(&format!("pull -q {name}")).ok().text(), id);
            assert!(taru.has_blob(&here.digest()) && !taru.has_blob(&other.digest()));
            let inspected = taru.json(&format!("image inspect {name}"));
            assert_eq!(inspected[0]["platform"], format!("linux/{}", architecture()));
            assert_eq!(inspected[0]["manifest"]["digest"], here.digest());

            taru.taru(&format!("image inspect --platform linux/s390x {name}")).fails();
            assert_eq!(taru.taru(&format!("pull -q --platform linux/s390x {name}")).ok().text(), id);
            assert!(taru.has_blob(&other.digest()));
            let inspected = taru.json(&format!("image inspect --platform linux/s390x {name}"));
            assert_eq!(inspected[0]["platform"], "linux/s390x");
            let none = taru.taru(&format!("pull --platform linux/riscv64 {name}"));
            none.fails_with("linux/riscv64");
            assert!(none.stderr.contains("linux/s390x"), "it says what there is: {}", none.stderr);
        });
    });
}

#[test]
fn run_pulls_always_if_missing_or_never() {
    sandbox(|sandbox| {
        let Some(registry) = Registry::start() else { return };
        Taru::each(sandbox, |taru| {
            publish(sandbox, &registry, &app("old").build(), "app:1");
            let name = registry.name("app:1");
            let never = taru.taru(&format!("run --pull never {name}"));
            never.fails_with("no such image in the store");
            assert!(never.stderr.contains("hint: `taru pull"), "{}", never.stderr);
            assert_eq!(never.status, 125);
            assert_eq!(taru.taru(&format!("run {name}")).ok().stdout, "old\n");
            publish(sandbox, &registry, &app("new").build(), "app:1");
            assert_eq!(taru.taru(&format!("run {name}")).ok().stdout, "old\n");
            assert_eq!(taru.taru(&format!("run --pull never {name}")).ok().stdout, "old\n");
            assert_eq!(taru.taru(&format!("run --pull always {name}")).ok().stdout, "new\n");
            assert_eq!(
                taru.names(),
                [name.clone(), "<none>".to_owned()],
                "the old one is kept without its name"
            );
            // No registry is asked for an id.
            let before = registry.log();
            let id = taru.id(&name);
            for id in [id.as_str(), &id["sha256:".len()..][..12]] {
                for command in ["run --pull always", "pull"] {
                    let refused = taru.taru(&format!("{command} {id}"));
                    refused.fails_with(&format!("pull `{id}`: it is the id of an image"));
                    assert!(refused.stderr.contains("hint: `taru images`"), "{}", refused.stderr);
                }
                assert_eq!(taru.taru(&format!("run {id}")).ok().stdout, "new\n");
            }
            assert_eq!(registry.log(), before);
        });
    });
}

#[test]
fn an_image_of_another_processor_is_refused() {
    sandbox(|sandbox| {
        let Some(registry) = Registry::start() else { return };
        let built = app("there").config(|c| c["architecture"] = "mips64le".into()).build();
        publish(sandbox, &registry, &built, "mips:1");
        let name = registry.name("mips:1");
        Taru::each(sandbox, |taru| {
            let refused = taru.taru(&format!("run {name}"));
            refused.fails_with("it is for `linux/mips64le`, this host is");
            assert!(refused.stderr.contains("qemu-user-static"), "{}", refused.stderr);
            taru.taru(&format!("run --platform linux/{} {name}", architecture()))
                .fails_with("linux/mips64le");
        });
    });
}

#[test]
fn layers_that_two_images_share_are_fetched_and_kept_once() {
    sandbox(|sandbox| {
        let Some(registry) = Registry::start() else { return };
        let (one, two) = (app("one").build(), app("two").build());
        assert_eq!(one.layers[0].digest, two.layers[0].digest);
        publish(sandbox, &registry, &one, "one:1");
        publish(sandbox, &registry, &two, "two:1");
        Taru::each(sandbox, |taru| {
            taru.taru(&format!("pull -q {}", registry.name("one:1"))).succeeds();
            let before = blobs_asked(&registry);
            let second = taru.taru(&format!("pull {}", registry.name("two:1"))).ok();
            // Its configuration and its upper layer.
            assert_eq!(blobs_asked(&registry) - before, 2, "{}", registry.log());
            assert!(second.stderr.contains("here already"), "{}", second.stderr);
            let layers = taru.stored().into_iter().filter(|s| s.starts_with("snapshot/layers/")).count();
            assert_eq!(layers, 3);
            taru.taru(&format!("rmi {}", registry.name("one:1"))).succeeds();
            assert_eq!(taru.taru(&format!("run {}", registry.name("two:1"))).ok().stdout, "two\n");
        });
    });
}

#[test]
fn of_what_a_killed_pull_left_nothing_is_used() {
    sandbox(|sandbox| {
        let Some(registry) = Registry::start() else { return };
        let here = app("here").build();
        let other = app("there").config(|c| c["architecture"] = "s390x".into()).build();
        let dir = sandbox.dir().join("index");
        write_index(&dir, "all", &[&here, &other]);
        registry.copy(&format!("oci:{}:all", dir.display()), "all:1");
        let name = registry.name("all:1");
        Taru::each(sandbox, |taru| {
            taru.taru(&format!("pull -q --platform linux/s390x {name}")).succeeds();
            // A pull that ends after the documents.
            let hex = here.layers[1].digest.strip_prefix("sha256:").unwrap().to_owned();
            let blob =
                registry.storage().join(format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]));
            let aside = sandbox.dir().join("aside");
            fs::rename(&blob, &aside).unwrap();
            taru.taru(&format!("pull -q {name}")).fails();
            assert!(taru.has_blob(&here.digest()));
            let inspected = taru.json(&format!("image inspect {name}"));
            assert_eq!(inspected[0]["platform"], "linux/s390x");
            fs::rename(&aside, &blob).unwrap();
            assert_eq!(taru.taru(&format!("run {name}")).ok().stdout, "here\n");
        });
    });
}
