//! `taru image rm`, `tag`, `prune`, `taru store gc` and `df`: what stays and what goes.

use taru_testkit::image::Built;
use taru_testkit::sandbox;

use crate::world::{Taru, app};

fn load(taru: &Taru<'_>, built: &Built, names: &[&str]) {
    taru.invoke("load -q").stdin(built.oci_archive(names)).output().succeeds();
}

fn full(name: &str) -> String {
    format!("docker.io/library/{name}")
}

#[test]
fn a_name_goes_alone_and_an_id_with_all_of_them() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let built = app("x").build();
            load(taru, &built, &[&full("app:1")]);
            let id = built.digest();
            taru.taru("tag app:1 app:2 localhost:5000/app:3").succeeds();
            assert_eq!(taru.names(), [full("app:1"), full("app:2"), "localhost:5000/app:3".to_owned()]);
            assert_eq!(taru.taru("rmi app:1").ok().stdout, "untagged app:1\n");
            taru.taru("rmi app:1").fails_with("no such image in the store");
            let several = taru.taru(&format!("image rm {}", &id[7..20]));
            several.fails_with("it has 2 names");
            assert!(several.stderr.contains("app:2, localhost:5000/app:3"), "{}", several.stderr);
            let gone = taru.taru(&format!("image rm -f {}", &id[7..20])).ok().stdout;
            assert_eq!(gone, format!("untagged app:2\nuntagged localhost:5000/app:3\ndeleted {id}\n"));
            assert_eq!(taru.stored(), Vec::<String>::new(), "its blobs and layers are gone at once");
            // The last name takes the image with it.
            load(taru, &built, &[&full("app:1")]);
            assert_eq!(taru.taru("rmi app:1").ok().stdout, format!("untagged app:1\ndeleted {id}\n"));
            assert_eq!(taru.stored(), Vec::<String>::new());
        });
    });
}

#[test]
fn an_image_that_a_container_uses_stays() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            load(taru, &app("x").build(), &[&full("app:1"), &full("app:2")]);
            taru.taru("run -d --name user app:1 sleep 1000").succeeds();
            taru.taru("rmi app:2").succeeds();
            let refused = taru.taru("rmi app:1");
            refused.fails_with("container `user` uses it");
            assert!(refused.stderr.contains("hint: `taru rm user` first"), "{}", refused.stderr);
            taru.taru("image prune --all").succeeds();
            assert_eq!(taru.names(), [full("app:1")]);
            taru.taru("rmi -f app:1").succeeds();
            assert_eq!(taru.names(), Vec::<String>::new());
            // Its container goes on, and may be started again.
            assert_eq!(taru.taru("exec user cat /word").ok().stdout, "x\n");
            taru.taru("stop -t 0 user").succeeds();
            taru.taru("store gc").succeeds();
            taru.taru("start user").succeeds();
            assert_eq!(taru.taru("exec user cat /word").ok().stdout, "x\n");
            taru.taru("rm -f user").succeeds();
            taru.taru("store gc").succeeds();
            assert_eq!(taru.stored(), Vec::<String>::new());
        });
    });
}

#[test]
fn prune_takes_images_without_a_name_and_gc_what_nothing_needs() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let (old, new) = (app("old").build(), app("new").build());
            load(taru, &old, &[&full("app:1")]);
            load(taru, &new, &[&full("app:1")]);
            assert_eq!(taru.names(), ["<none>".to_owned(), full("app:1")]);
            let freed = taru.taru("image prune").ok().stdout;
            assert!(freed.starts_with(&format!("deleted {}\nfreed ", old.digest())), "{freed}");
            assert_eq!(taru.names(), [full("app:1")]);
            assert!(!taru.has_blob(&old.layers[1].digest) && taru.has_blob(&new.layers[0].digest));
            assert_eq!(taru.taru("store gc").ok().stdout, "removed 0 blobs and 0 layers, 0 B\n");
            let rows = taru.json("store df --format json");
            let count = |kind: &str| {
                let row = rows.as_array().unwrap().iter().find(|row| row["kind"] == kind).unwrap();
                (row["count"].as_u64().unwrap(), row["reclaimable"].as_u64().unwrap())
            };
            assert_eq!((count("blobs"), count("layers").0, count("containers").0), ((4, 0), 2, 0));
            let table = taru.taru("store df").ok().stdout;
            assert!(table.starts_with("KIND "), "{table}");
        });
    });
}

#[test]
fn the_beginning_of_an_id_must_be_that_of_one_image() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        // Of 17 images two begin with the same digit; three digits are asked for, so that they differ most likely.
        let built = app("x").build();
        load(&taru, &built, &[&full("app:1")]);
        taru.taru(&format!("image inspect {}", &built.digest()[7..10])).succeeds();
        taru.taru(&format!("image inspect {}", &built.digest()[7..9])).fails_with("no such image");
        taru.taru("tag app:1 app@sha256:0000000000000000000000000000000000000000000000000000000000000000")
            .fails_with("a digest is no name");
        let history = taru.json("history --format json app:1");
        assert_eq!(history.as_array().unwrap().len(), 2);
        taru.clear();
    });
}
