//! `taru save`, `load` and `import`, with skopeo and podman on the other side.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use taru_testkit::image::{Image, Tar};
use taru_testkit::sandbox;

use crate::world::{Taru, app, busybox, has, peer};

const APP: &str = "docker.io/library/app:1";

#[test]
fn what_is_saved_is_loaded_again_with_its_digest() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let (one, two) = (app("one").build(), app("two").build());
            let one_file = taru.file("one.tar", one.oci_archive(&[APP]));
            assert_eq!(
                taru.taru(&format!("load -q -i {}", one_file.display())).ok().stdout,
                "loaded app:1\n"
            );
            let loaded = taru.invoke("load -q").stdin(two.docker_archive(&["other:2"])).output().ok();
            assert_eq!(loaded.stdout, "loaded other:2\n");
            // A run has nothing to unpack: the layers are there already.
            assert_eq!(taru.stored().iter().filter(|s| s.starts_with("snapshot/layers/")).count(), 3);

            taru.taru("save -o both.tar app:1 other:2").succeeds();
            taru.taru("image save -o layout/ app:1").succeeds();
            taru.taru("save -o layout other:2").succeeds();
            let stream = taru.redirected("save app:1", "stream.tar");
            taru.taru("save --format docker -o docker.tar app:1").succeeds();
            taru.taru("tag app:1 also:1").succeeds();
            taru.taru("save -o named.tar app:1 also:1").succeeds();
            taru.taru(&format!("save -o nameless.tar {}", &one.digest()[7..20])).succeeds();

            let there = taru.another(if taru.user { "user-there" } else { "root-there" });
            let from = |file: &str| format!("load -q -i {}", taru.dir().join(file).display());
            assert_eq!(there.taru(&from("both.tar")).ok().stdout, "loaded app:1\nloaded other:2\n");
            assert_eq!(there.id("app:1"), one.digest());
            assert_eq!(there.taru("run other:2").ok().stdout, "two\n");
            there.clear();
            assert_eq!(there.taru(&from("layout")).ok().stdout, "loaded app:1\nloaded other:2\n");
            assert_eq!(there.id("app:1"), one.digest());
            there.clear();
            let bytes = fs::read(stream).unwrap();
            assert_eq!(there.invoke("load -q").stdin(bytes).output().ok().stdout, "loaded app:1\n");
            assert_eq!(there.taru("run app:1").ok().stdout, "one\n");
            assert_eq!(there.taru(&from("named.tar")).ok().stdout, "loaded app:1\nloaded also:1\n");
            there.clear();
            // Uncompressed it is another manifest, but the same configuration, which is Docker's id.
            assert_eq!(there.taru(&from("docker.tar")).ok().stdout, "loaded app:1\n");
            assert_ne!(there.id("app:1"), one.digest());
            let inspected = there.json("image inspect app:1");
            assert_eq!(inspected[0]["image"]["rootfs"]["diff_ids"][1], one.layers[1].diff_id);
            assert_eq!(there.taru("run app:1").ok().stdout, "one\n");
            there.clear();
            assert_eq!(there.taru(&from("nameless.tar")).ok().stdout, format!("loaded {}\n", one.digest()));
            assert_eq!(there.names(), ["<none>"]);
            there.clear();
        });
    });
}

#[test]
fn names_are_given_as_far_as_they_are_asked_for() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            // T95: an archive that has an app, and calls it debian as well.
            let (mine, evil) = (app("mine").build(), app("evil").build());
            let debian = "docker.io/library/debian:latest";
            taru.invoke("load -q").stdin(mine.oci_archive(&[debian])).output().succeeds();
            let file = taru.file("evil.tar", evil.oci_archive(&[APP, debian]));
            let load = |options: &str| taru.taru(&format!("load -q {options} -i {}", file.display()));

            assert_eq!(load("--only app:1").ok().stdout, "loaded app:1\n");
            assert_eq!(taru.id("debian"), mine.digest());
            taru.taru("rmi app:1").succeeds();
            assert_eq!(load("--tag quay.io/team/tool:7").ok().stdout, "loaded quay.io/team/tool:7\n");
            assert_eq!(taru.names(), [debian, "quay.io/team/tool:7"]);
            assert_eq!(taru.id("debian"), mine.digest());
            let missing = load("--only app:9");
            missing.fails_with("the archive has no image of that name");
            assert!(missing.stderr.contains("hint: it has app:1, debian:latest"), "{}", missing.stderr);
            load("--tag app@sha256:0000000000000000000000000000000000000000000000000000000000000000").fails();

            // Without a word all of them; who loses a name is told.
            let all = load("").ok().stdout;
            assert!(all.contains("loaded app:1\n"), "{all}");
            assert!(
                all.contains(&format!("loaded debian:latest, which was {}\n", &mine.digest()[7..19])),
                "{all}"
            );
            assert_eq!(taru.taru("run debian").ok().stdout, "evil\n");
            assert!(taru.names().contains(&"<none>".to_owned()), "what lost its name is kept");
        });
    });
}

#[test]
fn skopeo_and_podman_read_what_is_saved_and_write_what_is_loaded() {
    sandbox(|sandbox| {
        if !has(sandbox, "skopeo") || !has(sandbox, "podman") {
            return;
        }
        let taru = Taru::new(sandbox);
        let dir = taru.dir();
        let built = app("one").build();
        taru.invoke("load -q").stdin(built.oci_archive(&[APP])).output().succeeds();
        taru.taru("save -o oci.tar app:1").succeeds();
        taru.taru("save --format docker -o docker.tar app:1").succeeds();
        for from in [
            "oci-archive:oci.tar",
            "docker-archive:oci.tar",
            "docker-archive:docker.tar",
            "oci-archive:docker.tar",
        ] {
            let config: Value =
                serde_json::from_str(&peer(&dir, &["skopeo", "inspect", "--config", from])).unwrap();
            assert_eq!(config["rootfs"]["diff_ids"][0], built.layers[0].diff_id, "{from}");
            peer(&dir, &["skopeo", "copy", "--quiet", from, "dir:copy"]);
        }
        for (to, file) in [
            ("docker-archive:s-docker.tar:app:2", "s-docker.tar"),
            ("oci-archive:s-oci.tar:app:2", "s-oci.tar"),
        ] {
            // Docker's manifests know no zstd: from the uncompressed one.
            peer(&dir, &["skopeo", "copy", "--quiet", "docker-archive:docker.tar", to]);
            assert!(
                taru.taru(&format!("load -q --tag from:skopeo -i {file}"))
                    .ok()
                    .stdout
                    .contains("loaded from:skopeo")
            );
            assert_eq!(taru.taru("run from:skopeo").ok().stdout, "one\n", "{file}");
        }
        let root = dir.join("podman").display().to_string();
        let podman = |args: &[&str]| {
            let mut argv =
                vec!["podman", "--root", &root, "--runroot", "/run/podman", "--storage-driver", "vfs"];
            argv.extend_from_slice(args);
            peer(&dir, &argv)
        };
        for (file, format) in [("oci.tar", "oci-archive"), ("docker.tar", "docker-archive")] {
            assert!(podman(&["load", "--quiet", "--input", file]).contains(APP), "{file}");
            podman(&["save", "--quiet", "--format", format, "--output", "podman.tar", APP]);
            taru.taru("rmi app:1").succeeds();
            assert_eq!(taru.taru("load -q -i podman.tar").ok().stdout, "loaded app:1\n");
            assert_eq!(taru.taru("run app:1").ok().stdout, "one\n");
            podman(&["rmi", "--force", "--all"]);
            fs::remove_file(dir.join("podman.tar")).unwrap();
        }
        fs::remove_dir_all(dir.join("podman")).unwrap();
        let _ = fs::remove_dir_all("/run/podman");
        taru.clear();
        for left in ["/run/libpod", "/run/containers", "/run/lock", "/run/crun", "/run/runc", "/run/netns"] {
            let _ = fs::remove_dir_all(left);
        }
    });
}

#[test]
fn a_save_that_fails_leaves_no_file() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let built = app("x").build();
            taru.invoke("load -q").stdin(built.oci_archive(&[APP])).output().succeeds();
            let old = taru.file("old.tar", "what was there");
            taru.taru("save -o old.tar app:1 nosuch:1").fails_with("no such image in the store");
            fs::remove_file(taru.blob(&built.layers[1].digest)).unwrap();
            taru.taru("save -o old.tar app:1").fails();
            taru.taru("save -o new.tar app:1").fails();
            assert_eq!(fs::read_to_string(&old).unwrap(), "what was there");
            let left: Vec<_> = fs::read_dir(taru.dir()).unwrap().flatten().map(|e| e.file_name()).collect();
            assert_eq!(left, ["old.tar"]);
            taru.taru("save -o /nonexistent/x.tar app:1").fails_with("No such file or directory");
            taru.taru("save --format docker -o dir/ app:1").fails_with("a directory is an OCI layout");
        });
    });
}

#[test]
fn a_load_that_fails_changes_nothing() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let whole = app("x").build().oci_archive(&[APP]);
            for (name, bytes) in [
                ("cut", whole[..whole.len() / 2].to_vec()),
                ("empty", Vec::new()),
                ("no archive", b"hello\n".to_vec()),
                ("no image", Tar::new().file("a", "b", 0o644).bytes()),
            ] {
                let failed = taru.invoke("load -q").stdin(bytes).output();
                failed.fails();
                assert!(
                    failed.stderr.starts_with("taru: load from standard input: "),
                    "{name}: {}",
                    failed.stderr
                );
                assert_eq!(taru.names(), Vec::<String>::new(), "{name}");
            }
            taru.taru("load -i nosuch.tar").fails_with("No such file or directory");
            taru.taru("load -i .").fails_with("an OCI layout has `oci-layout` and `index.json`");
            taru.taru("store gc").succeeds();
            assert_eq!(taru.stored(), Vec::<String>::new());
        });
    });
}

#[test]
fn a_terminal_is_not_written_to_nor_read_from() {
    sandbox(|sandbox| {
        if !has(sandbox, "script") {
            return;
        }
        let taru = Taru::new(sandbox);
        taru.invoke("load -q").stdin(app("x").build().oci_archive(&[APP])).output().succeeds();
        let at_terminal = |words: &str| {
            let line = format!("{} --root {} {words}", env!("CARGO_BIN_EXE_taru"), taru.state().display());
            let output = Command::new("script").args(["-qec", &line, "/dev/null"]).output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let said = at_terminal("save app:1");
        assert!(
            said.contains("standard output is a terminal") && said.contains("hint: name a file with -o"),
            "{said}"
        );
        let said = at_terminal("load");
        assert!(said.contains("standard input is a terminal"), "{said}");
        taru.clear();
    });
}

#[test]
fn a_root_file_system_becomes_an_image() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let tree = busybox().dir("srv", 0o755).file("srv/hello", "hello\n", 0o644);
            let file = taru.file("root.tar", tree.bytes());
            let words = [
                "import",
                "-q",
                "root.tar",
                "app:1",
                "-c",
                r#"CMD ["cat", "hello"]"#,
                "-c",
                "ENV PATH=/bin A='b c'",
                "-c",
                "WORKDIR /srv",
                "-c",
                "LABEL a=1",
                "-c",
                "VOLUME /data",
                "-c",
                "STOPSIGNAL QUIT",
                "-m",
                "from a tree",
            ];
            let import =
                || taru.invoke_words(&words).env("SOURCE_DATE_EPOCH", "1700000000").output().ok().stdout;
            let id = import();
            assert_eq!(import(), id, "the same twice");
            assert_eq!(taru.taru("run app:1").ok().stdout, "hello\n");
            assert_eq!(taru.sh("", "app:1", "echo $A; pwd; ls -d /data").ok().stdout, "b c\n/srv\n/data\n");
            let image = &taru.json("image inspect app:1")[0]["image"];
            assert_eq!(image["created"], "2023-11-14T22:13:20.000000000Z");
            assert_eq!(image["config"]["Labels"], json!({"a": "1"}));
            assert_eq!(image["config"]["StopSignal"], "QUIT");
            assert_eq!(image["history"][0]["comment"], "from a tree");

            // From a pipe, compressed, for another platform, without a name.
            let packed = taru_testkit::image::Pack::Gzip.pack(&fs::read(&file).unwrap());
            let piped = taru.invoke("import -q --platform linux/arm64 -").stdin(packed).output().ok();
            let platform =
                taru.json(&format!("image inspect {}", &piped.text()[7..20]))[0]["platform"].clone();
            assert_eq!(platform, "linux/arm64");

            let wrong =
                taru.invoke_words(&["import", "root.tar", "-c", "FROM x", "-c", "EXPOSE 99999"]).output();
            wrong.fails_with("change `FROM x`: `FROM` is none of the instructions");
            assert!(wrong.stderr.contains("change `EXPOSE 99999`"), "all is told: {}", wrong.stderr);
            assert_eq!(wrong.status, 2);
            taru.taru("import . x").fails_with("it is a directory");
            taru.invoke("import - x").stdin("no tar").output().fails_with("import `-`");
            taru.taru("import nosuch.tar x").fails_with("No such file or directory");
        });
    });
}

#[test]
fn images_of_system_containers_are_imported() {
    sandbox(|sandbox| {
        if !has(sandbox, "mksquashfs") || !has(sandbox, "xz") {
            return;
        }
        let taru = Taru::new(sandbox);
        let dir = taru.dir();
        let metadata = format!(
            "architecture: {}\ncreation_date: 1700000000\nproperties:\n  os: Tiny\n  release: edge\n",
            std::env::consts::ARCH
        );
        // Both in one file, and each in its own.
        let mut unified =
            Tar::new().file("metadata.yaml", &metadata, 0o644).dir("rootfs", 0o755).dir("rootfs/bin", 0o755);
        unified = unified.file("rootfs/bin/sh", fs::read("/bin/busybox").unwrap(), 0o755);
        unified = unified.file("rootfs/word", "system\n", 0o644);
        taru.file("unified.tar", unified.bytes());
        taru.file("meta.tar", Tar::new().file("metadata.yaml", &metadata, 0o644).bytes());
        peer(&dir, &["xz", "-0", "unified.tar"]);
        peer(&dir, &["xz", "-0", "meta.tar"]);
        tree(&dir.join("tree"));
        peer(&dir, &["mksquashfs", "tree", "root.squashfs", "-quiet", "-no-progress", "-all-root"]);
        taru.taru("import -q --system unified.tar.xz one:1").succeeds();
        taru.taru("import -q --metadata meta.tar.xz root.squashfs two:1").succeeds();
        for name in ["one:1", "two:1"] {
            let image = taru.json(&format!("image inspect {name}"))[0]["image"].clone();
            let labels = &image["config"]["Labels"];
            assert_eq!(
                (&labels["io.taru.kind"], &labels["io.taru.property.os"]),
                (&json!("system"), &json!("Tiny"))
            );
            assert_eq!(
                taru.invoke_words(&["run", "--entrypoint=", name, "/bin/sh", "-c", "read w </word; echo $w"])
                    .output()
                    .ok()
                    .stdout,
                "system\n"
            );
        }
        taru.taru("import --system root.squashfs x").fails();
        taru.clear();
    });
}

fn tree(root: &Path) {
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::copy("/bin/busybox", root.join("bin/sh")).unwrap();
    fs::write(root.join("word"), "system\n").unwrap();
}

#[test]
fn an_image_without_layers_is_an_image_too() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        taru.invoke("load -q").stdin(Image::new().build().oci_archive(&[APP])).output().succeeds();
        taru.taru("run app:1").fails_with("names no program");
        taru.taru("run app:1 sh").fails();
        taru.taru("image verify app:1").succeeds();
        taru.clear();
    });
}

#[test]
fn busybox_of_this_host_is_an_image() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let make = |name: &str| {
                let words = ["image", "bootstrap", "-q", name, "busybox", "-c", "ENV A=1"];
                taru.invoke_words(&words).output().ok().text().to_owned()
            };
            assert_eq!(make("a:1"), make("b:1"), "the same twice");
            assert_eq!(taru.sh("", "a:1", "ls -d /tmp && echo $A $PATH").ok().stdout.lines().count(), 2);
            taru.taru("image bootstrap x nosuch:suite").fails();
            taru.taru("image bootstrap --include curl x busybox").fails_with("it has no variant");
        });
    });
}

#[test]
fn hundreds_of_layers_need_few_descriptors() {
    sandbox(|sandbox| {
        let many = (0..300).fold(app("many"), |image, n| {
            // Directories that are not named take after those of the layers below.
            image.layer(Tar::new().file(&format!("d{}/f{n}", n % 7), [], 0o644))
        });
        let taru = Taru::new(sandbox);
        let load = taru.invoke("load -q").stdin(many.build().oci_archive(&["docker.io/library/many:1"]));
        load.under(["prlimit", "--nofile=256"]).output().succeeds();
        // A mount takes one for each layer.
        let run = taru.invoke_words(&["run", "many:1", "sh", "-c", "cat /word; ls /d0 | wc -l"]);
        assert_eq!(run.under(["prlimit", "--nofile=1024"]).output().ok().stdout, "many\n43\n");
        taru.clear();
    });
}
