//! The power goes right behind a command that succeeded (R01): all that it reported is there, bit by bit.

use std::fs;

use taru_testkit::image::Tar;
use taru_testkit::registry::Registry;
use taru_testkit::{Disk, sandbox};

use crate::world::{Taru, app, busybox, disk, publish};

/// Cuts the power; what came back is in order without any repair.
#[track_caller]
fn cut(taru: &Taru<'_>, disk: &Disk, names: &[&str]) {
    disk.cut_power();
    taru.taru("store check").succeeds();
    let mut names: Vec<String> = names.iter().map(|name| full(name)).collect();
    names.sort();
    // One that gave its name to another stays without.
    let there: Vec<String> = taru.names().into_iter().filter(|name| name != "<none>").collect();
    assert_eq!(there, names);
    for name in names {
        taru.taru(&format!("run {name} true")).succeeds();
    }
}

fn full(name: &str) -> String {
    if name.contains('/') { name.to_owned() } else { format!("docker.io/library/{name}") }
}

fn word(taru: &Taru<'_>, image: &str) -> String {
    taru.taru(&format!("run {image} cat /word")).ok().stdout
}

#[test]
fn images_that_were_loaded_imported_and_named_are_there() {
    sandbox(|sandbox| {
        let Some(disk) = disk(sandbox) else { return };
        let taru = Taru::on(sandbox, &disk);
        // A new store, its very first image.
        taru.invoke("load -q").stdin(app("one").build().oci_archive(&[&full("one:1")])).output().succeeds();
        cut(&taru, &disk, &["one:1"]);
        assert_eq!(word(&taru, "one:1"), "one\n");
        // Another that shares a layer.
        taru.invoke("load -q")
            .stdin(app("two").build().docker_archive(&[&full("two:1")]))
            .output()
            .succeeds();
        cut(&taru, &disk, &["one:1", "two:1"]);
        assert_eq!(word(&taru, "two:1"), "two\n");

        taru.taru("tag two:1 three:1 one:1").succeeds();
        let id = taru.id("two:1");
        cut(&taru, &disk, &["one:1", "two:1", "three:1"]);
        assert_eq!((taru.id("three:1"), word(&taru, "one:1")), (id, "two\n".to_owned()));

        let root = busybox().file("word", "imported\n", 0o644);
        taru.invoke("import -q - four:1").stdin(root.bytes()).output().succeeds();
        cut(&taru, &disk, &["one:1", "two:1", "three:1", "four:1"]);
        assert_eq!(word(&taru, "four:1"), "imported\n");

        taru.taru("rmi one:1 two:1 four:1").succeeds();
        cut(&taru, &disk, &["three:1"]);
        taru.taru("rmi three:1").succeeds();
        cut(&taru, &disk, &[]);
        taru.taru("image prune --all").succeeds();
        assert_eq!(taru.stored(), Vec::<String>::new());
    });
}

#[test]
fn an_image_that_was_pulled_is_there() {
    sandbox(|sandbox| {
        let Some(disk) = disk(sandbox) else { return };
        let Some(registry) = Registry::start() else { return };
        let taru = Taru::on(sandbox, &disk);
        let base = || app("pulled").layer(Tar::new().file("large", vec![7; 3 << 20], 0o600));
        let (one, two) = (base().build(), base().layer(Tar::new().whiteout("large")).build());
        for (built, image) in [(&one, "app:1"), (&two, "app:2")] {
            publish(sandbox, &registry, built, image);
        }
        let names = [registry.name("app:1"), registry.name("app:2")];
        for (at, built) in [one, two].iter().enumerate() {
            assert_eq!(taru.taru(&format!("pull -q {}", names[at])).ok().text(), built.digest());
            cut(&taru, &disk, &[names[0].as_str(), &names[1]][..=at]);
            assert_eq!(word(&taru, &names[at]), "pulled\n");
        }
    });
}

#[test]
fn what_was_built_and_committed_is_there() {
    sandbox(|sandbox| {
        let Some(disk) = disk(sandbox) else { return };
        let taru = Taru::on(sandbox, &disk);
        taru.invoke("load -q").stdin(app("base").build().oci_archive(&[&full("base:1")])).output().succeeds();
        fs::create_dir(taru.dir().join("context")).unwrap();
        taru.file("context/copied", "copied\n");
        let text = "FROM base:1\nCOPY copied /\nRUN mkdir /made && echo built > /word && rm /bin/pwd\n";
        taru.file("context/Dockerfile", text);
        taru.taru("build -q -t built:1 --iidfile id context").succeeds();
        cut(&taru, &disk, &["base:1", "built:1"]);
        assert_eq!(fs::read_to_string(taru.dir().join("id")).unwrap().trim(), taru.id("built:1"));
        let script = "cat /word /copied; ls -d /made; test -e /bin/pwd || echo gone";
        assert_eq!(taru.sh("", "built:1", script).ok().stdout, "built\ncopied\n/made\ngone\n");
        // The cache of its steps is durable with it: nothing is executed twice.
        let again = taru.taru("build --progress plain -t built:1 context").ok();
        assert_eq!(again.stderr.matches("CACHED").count(), 3, "{}", again.stderr);

        taru.taru("build -q --output type=local,dest=out context").succeeds();
        taru.taru("build -q --output type=oci,dest=out.tar context").succeeds();
        disk.cut_power();
        assert_eq!(fs::read_to_string(taru.dir().join("out/word")).unwrap(), "built\n");
        let loaded = taru.taru("load -q --tag out:1 -i out.tar").ok();
        assert_eq!(word(&taru, "out:1"), "built\n", "{}", loaded.stdout);

        // In the background: what one in the foreground was is not said to be kept.
        taru.sh("-d --name box", "base:1", "echo committed > /word; rm /bin/pwd").succeeds();
        taru.taru("wait box").succeeds();
        let id = taru.taru("commit box committed:1").ok();
        cut(&taru, &disk, &["base:1", "built:1", "out:1", "committed:1"]);
        assert_eq!(id.text(), taru.id("committed:1"));
        let script = "cat /word; test -e /bin/pwd || echo gone";
        assert_eq!(taru.sh("", "committed:1", script).ok().stdout, "committed\ngone\n");
        taru.taru("rm box").succeeds();
        disk.cut_power();
        assert!(!taru.taru("ps -a").ok().stdout.contains("box"), "what was removed is back");
    });
}

#[test]
fn what_was_saved_is_there() {
    sandbox(|sandbox| {
        let Some(disk) = disk(sandbox) else { return };
        let taru = Taru::on(sandbox, &disk);
        let built = app("saved").build();
        taru.invoke("load -q").stdin(built.oci_archive(&[&full("app:1")])).output().succeeds();
        taru.file("docker.tar", "what was there before");
        for (line, from) in [
            ("save -o oci.tar app:1", "oci.tar"),
            ("save --format docker -o docker.tar app:1", "docker.tar"),
            ("save -o layout/ app:1", "layout"),
        ] {
            taru.taru(line).succeeds();
            disk.cut_power();
            let other = taru.another("other");
            other.taru(&format!("load -q -i {}", taru.dir().join(from).display())).succeeds();
            assert_eq!(word(&other, "app:1"), "saved\n", "{line}");
            other.clear();
        }
        let temporary = fs::read_dir(taru.dir()).unwrap().flatten().map(|entry| entry.file_name());
        let left: Vec<_> = temporary.filter(|name| name.to_string_lossy().contains("tmp")).collect();
        assert!(left.is_empty(), "{left:?}");
    });
}
