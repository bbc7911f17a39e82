//! `taru cp export diff commit image mount`, on containers that run and that have ended, and against what tries to lead
//! them out of the container (T22, T40-T42 of docs/security.md).

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::json;
use taru_testkit::{Sandbox, eventually, sandbox};

use crate::world::{Taru, app};

/// Starts the container `w`, which does `script`, says so, and goes on.
fn start(taru: &Taru<'_>, options: &str, script: &str) {
    let image = app("files").config(|c| c["config"]["Volumes"] = json!({"/data": {}})).build();
    taru.invoke("load -q").stdin(image.oci_archive(&["docker.io/library/app:1"])).output().succeeds();
    let script = format!("{script}; echo up; exec sleep 1000");
    let mut words = vec!["run", "-d", "--name", "w"];
    words.extend(options.split_whitespace());
    words.extend(["app:1", "sh", "-c", &script]);
    taru.invoke_words(&words).output().succeeds();
    eventually("it is up", || taru.taru("logs w").ok().stdout.contains("up"));
}

/// The names in a tar, sorted.
fn listed(tar: &Path) -> Vec<String> {
    let output = Command::new("tar").arg("tf").arg(tar).output().unwrap();
    assert!(output.status.success());
    let mut names: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn files_are_copied_out_and_in_by_the_rules_of_cp() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            start(
                taru,
                "",
                "mkdir -p /d/e; echo q >/d/e/f; ln -s /etc/passwd /d/l; echo v >/data/v; ln -s mine /tmp/link; \
                 mkfifo /tmp/fifo 2>/dev/null || /bin/busybox mkfifo /tmp/fifo",
            );
            let dir = taru.dir();
            taru.taru("cp w:/word .").succeeds();
            assert_eq!(fs::read_to_string(dir.join("word")).unwrap(), "files\n");
            taru.taru("cp w:/word renamed").succeeds();
            taru.taru("cp w:/data/v .").succeeds();
            // A directory that is there gets the source as a part; one that is not becomes it.
            taru.taru("cp w:/d new").succeeds();
            taru.taru("cp w:/d new").succeeds();
            taru.taru("cp w:/d/. content").succeeds();
            for path in ["renamed", "v", "new/e/f", "new/d/e/f", "content/e/f"] {
                assert!(dir.join(path).is_file(), "{path}");
            }
            // A link is a link, and leads nowhere on the way.
            assert_eq!(fs::read_link(dir.join("new/l")).unwrap(), Path::new("/etc/passwd"));
            taru.taru("cp -L w:/d/l followed").succeeds();
            assert!(fs::read_to_string(dir.join("followed")).unwrap().contains("web:x:33"));

            let file = taru.file("mine", "mine\n");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
            taru.taru("cp mine w:/tmp").succeeds();
            taru.taru("cp new w:/tmp").succeeds();
            let seen = taru.taru("exec w stat -c %a:%u:%g /tmp/mine /tmp/new/e/f").ok().stdout;
            assert!(seen.starts_with("640:0:0\n"), "{seen}");

            let tar = taru.redirected("cp w:/d -", "d.tar");
            assert_eq!(listed(&tar), ["d/", "d/e/", "d/e/f", "d/l"]);
            taru.invoke("cp - w:/tmp").stdin(fs::read(&tar).unwrap()).output().succeeds();
            assert_eq!(taru.taru("exec w cat /tmp/d/e/f").ok().stdout, "q\n");

            // At the destination a link leads to what is replaced; what is no file is not.
            symlink("renamed", dir.join("link")).unwrap();
            symlink("made", dir.join("dangling")).unwrap();
            for (link, made) in [("link", "renamed"), ("dangling", "made")] {
                taru.taru(&format!("cp w:/d/e/f {link}")).succeeds();
                assert_eq!(fs::read_to_string(dir.join(made)).unwrap(), "q\n");
                assert!(dir.join(link).is_symlink());
            }
            taru.taru("cp renamed w:/tmp/link").succeeds();
            assert_eq!(taru.taru("exec w cat /tmp/mine").ok().stdout, "q\n");
            let made = Command::new("mkfifo").arg(dir.join("fifo")).status().unwrap();
            assert!(made.success());

            for (line, words) in [
                ("cp w:/word fifo", "`fifo` is neither a file nor a directory"),
                ("cp mine w:/tmp/fifo", "`/tmp/fifo` is neither a file nor a directory"),
                ("cp w:/tmp/fifo got", "copy `/tmp/fifo`: it is neither a file nor a directory"),
                ("cp fifo w:/tmp/got", "it is neither a file nor a directory"),
                ("cp w:/nothing .", "copy `/nothing`"),
                ("cp nothing w:/tmp", "/nothing`: No such file or directory"),
                ("cp mine w:/nowhere/", "no such directory"),
                ("cp mine w:/nowhere/mine", "no such directory `/nowhere`"),
                ("cp w:/word nowhere/word", "no such directory `nowhere`"),
                ("cp new w:/word", "a directory over a file"),
                ("cp a b", "neither side is a container"),
                ("cp w:/a w:/b", "copy by way of the host"),
                ("cp nobody:/a .", "no such container"),
            ] {
                taru.taru(line).fails_with(words);
            }
            taru.taru("rm -f w").succeeds();
        });
    });
}

#[test]
fn an_ended_container_gives_and_takes_files_too_and_leaves_nothing_mounted() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            start(taru, "", "echo x >/made; echo v >/data/v");
            taru.taru("kill w").succeeds();
            taru.taru("wait w").succeeds();
            for path in ["/made", "/data/v"] {
                taru.taru(&format!("cp w:{path} .")).succeeds();
            }
            assert_eq!(fs::read_to_string(taru.dir().join("made")).unwrap(), "x\n");
            taru.file("new", "new\n");
            taru.taru("cp new w:/data").succeeds();
            let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
            assert!(!mounts.contains("overlay"), "{mounts}");
            assert!(!taru.state().join("run/containers").read_dir().unwrap().any(|_| true));
            taru.taru("start w").succeeds();
            eventually("it runs again", || taru.taru("exec w cat /data/new").stdout == "new\n");
            taru.taru("rm -f w").succeeds();
        });
    });
}

#[test]
fn a_container_that_lost_its_program_and_its_users_still_gives_files() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            // An ordinary user has no ids for others here.
            let (options, lost) =
                if taru.user { ("-w /tmp", "exec `sh`") } else { ("-u web -w /tmp", "find user `web`") };
            start(taru, options, "true");
            taru.taru("exec -u 0 w rm -rf /tmp /etc/passwd /etc/group /bin/sh").succeeds();
            taru.taru("kill w").succeeds();
            taru.taru("wait w").succeeds();
            taru.taru("start w").fails_with(lost);
            taru.taru("cp w:/word .").succeeds();
            assert_eq!(fs::read_to_string(taru.dir().join("word")).unwrap(), "files\n");
            taru.taru("rm w").succeeds();
        });
    });
}

#[test]
fn a_container_whose_bind_is_gone_still_gives_and_takes_files() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let (gone, kept) = (taru.dir().join("gone"), taru.dir().join("kept"));
            for dir in [&gone, &kept] {
                fs::create_dir(dir).unwrap();
                taru.give(dir);
            }
            let options = format!("-v {}:/srv/gone:rw -v {}:/srv/kept:rw", gone.display(), kept.display());
            start(taru, &options, "echo x >/made; echo g >/srv/gone/g; echo k >/srv/kept/k");
            taru.taru("kill w").succeeds();
            taru.taru("wait w").succeeds();
            fs::remove_dir_all(&gone).unwrap();
            taru.taru("start w").fails_with("gone");
            for path in ["made", "srv/kept/k"] {
                taru.taru(&format!("cp w:/{path} .")).succeeds();
            }
            taru.taru("cp w:/srv/gone/g .").fails_with("copy `/srv/gone/g`");
            taru.file("new", "new\n");
            taru.taru("cp new w:/tmp").succeeds();
            taru.taru("export w -o all.tar").succeeds();
            let names = listed(&taru.dir().join("all.tar"));
            assert!(names.contains(&"tmp/new".to_owned()), "{names:?}");
            taru.taru("rm w").succeeds();
        });
    });
}

#[test]
fn an_untouched_container_has_no_changes() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let bind = format!("-v {}:/srv/deep/bind", taru.dir().display());
            start(taru, &bind, "true");
            for _ in 0..2 {
                assert_eq!(taru.taru("diff w").ok().stdout, "");
                taru.taru("kill w").succeeds();
                taru.taru("wait w").succeeds();
                assert_eq!(taru.taru("diff w").ok().stdout, "");
                taru.taru("start w").succeeds();
                eventually("it runs again", || taru.taru("exec w true").status == 0);
            }
            taru.taru("exec w touch /etc/mine /srv/deep/mine").succeeds();
            let changes = taru.taru("diff w").ok().stdout;
            assert_eq!(changes, "C /etc\nA /etc/mine\nA /srv\nA /srv/deep\nA /srv/deep/mine\n");
            taru.taru("rm -f w").succeeds();
        });
    });
}

#[test]
fn changes_are_listed_committed_and_exported() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            start(
                taru,
                "",
                "echo x >/made; rm /word; echo y >>/etc/group; echo v >/data/v; chmod 4711 /made",
            );
            let changes = taru.taru("diff w").ok().stdout;
            for line in ["A /made", "D /word", "C /etc/group"] {
                assert!(changes.lines().any(|l| l == line), "{line}: {changes}");
            }
            assert!(!changes.contains("/data") && !changes.contains("hosts"), "{changes}");

            let words = ["commit", "-m", "why", "-a", "me", "-c", "ENV NEW=1", "w", "new:1"];
            let made = taru.invoke_words(&words).output().ok();
            // An ordinary user's has no control group: nothing can make it stand still.
            assert_eq!(
                made.stderr.contains("`w` went on while it was committed"),
                taru.user,
                "{}",
                made.stderr
            );
            assert_eq!(made.stdout.trim(), taru.id("new:1"));
            let quiet = taru.taru("commit --no-pause w").ok();
            assert_eq!(quiet.stderr, "");
            taru.taru(&format!("rmi {}", quiet.stdout.trim())).succeeds();
            let image = &taru.json("image inspect new:1")[0]["image"];
            let history = image["history"].as_array().unwrap().last().unwrap();
            assert_eq!((&history["comment"], &history["author"]), (&json!("why"), &json!("me")));
            assert_eq!(image["rootfs"]["diff_ids"].as_array().unwrap().len(), 3);
            let seen = taru.sh("", "new:1", "cat /made; stat -c %a /made; echo $NEW; ls /word /data/v");
            assert_eq!(seen.stdout, "x\n4711\n1\n", "{}", seen.stderr);

            let tar = taru.redirected("export w", "w.tar");
            let names = listed(&tar);
            assert!(names.contains(&"made".to_owned()) && !names.contains(&"word".to_owned()));
            assert!(!names.contains(&"data/v".to_owned()), "a volume is not part of the root");
            taru.taru("rm -f w").succeeds();
        });
    });
}

#[test]
fn only_a_container_of_an_image_can_be_compared() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        taru.taru("run -d --name h host -- sleep 1000").succeeds();
        taru.taru("diff h").fails_with("it is of no image");
        taru.taru("commit h x:1").fails_with("it is of no image");
        taru.taru("cp h:/etc/hostname .").succeeds();
        taru.taru("rm -f h").succeeds();
        taru.clear();
    });
}

#[test]
fn an_image_is_mounted_where_it_is_asked_for_and_stays_meanwhile() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        let image = app("mounted").build();
        taru.invoke("load -q").stdin(image.oci_archive(&["docker.io/library/app:1"])).output().succeeds();
        let at = taru.dir().join("at");
        fs::create_dir(&at).unwrap();
        taru.taru("image mount app:1 at").succeeds();
        assert_eq!(fs::read_to_string(at.join("word")).unwrap(), "mounted\n");
        assert!(fs::write(at.join("word"), "x").is_err());
        taru.taru("image mount app:1 at").fails_with("something is mounted there");
        taru.taru("image rm app:1").succeeds();
        assert_eq!(fs::read_to_string(at.join("word")).unwrap(), "mounted\n", "it is held");
        taru.taru("image unmount at").succeeds();
        taru.taru("image unmount at").fails_with("no image is mounted there");
        taru.taru("store gc").succeeds();
        taru.clear();
    });
}

/// A container that swaps a directory and a symbolic link out of it as fast as it can.
const SWAP: &str = "mkdir -p /real /t; echo own >/real/secret; (while :; do rm -rf /t/x; \
                    ln -s $DECOY /t/x; rm -f /t/x; mkdir /t/x; echo own >/t/x/secret; done) & sleep 0";

#[test]
fn what_swaps_links_under_a_copy_leads_nowhere() {
    sandbox(|sandbox: &Sandbox| {
        let taru = Taru::new(sandbox);
        let decoy = sandbox.decoy();
        start(&taru, "", &SWAP.replace("$DECOY", decoy.path()));
        fs::create_dir(taru.dir().join("payload")).unwrap();
        taru.file("payload/secret", "overwritten\n");
        taru.file("payload/planted", "planted\n");
        for n in 0..sandbox.tries(40, 2000) {
            // In and out of the place that is swapped: whatever comes of it, it is the container's.
            let _ = taru.taru("cp payload/. w:/t/x");
            let _ = taru.taru("cp payload/secret w:/t/x/secret");
            let out = taru.dir().join(format!("out.{n}"));
            let _ = taru.taru(&format!("cp w:/t/x/secret {}", out.display()));
            decoy.assert_unseen(&fs::read_to_string(&out).unwrap_or_default());
        }
        taru.taru("rm -f w").succeeds();
        taru.clear();
    });
}

#[test]
fn files_that_wait_or_lead_out_do_not_hold_anything_up() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        let decoy = sandbox.decoy();
        let secret = decoy.secret().display().to_string();
        start(
            &taru,
            "",
            &format!(
                "mkdir /s; mkfifo /s/fifo 2>/dev/null || /bin/busybox mkfifo /s/fifo; ln -s {secret} /s/out; \
                 ln -s ../../../../..{secret} /s/up; rm -f /etc/passwd; ln -s {secret} /etc/passwd"
            ),
        );
        taru.taru("cp w:/s got").succeeds();
        assert!(!taru.dir().join("got/fifo").exists());
        for name in ["out", "up"] {
            assert!(fs::symlink_metadata(taru.dir().join("got").join(name)).unwrap().is_symlink());
            taru.taru(&format!("cp -L w:/s/{name} led")).fails();
        }
        // Looked up in the container's own files, which lead nowhere any more.
        taru.taru("exec -u web w id").fails();
        taru.taru("export w -o all.tar").succeeds();
        assert!(listed(&taru.dir().join("all.tar")).contains(&"s/fifo".to_owned()));
        let meta = fs::metadata(decoy.secret()).unwrap();
        assert_eq!(meta.uid(), 0);
        decoy.assert_untouched();
        taru.taru("rm -f w").succeeds();
        taru.clear();
    });
}

#[test]
fn a_damaged_layer_is_found_by_the_check_and_unpacked_again() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let image = app("whole").build();
            taru.invoke("load -q").stdin(image.oci_archive(&["docker.io/library/app:1"])).output().succeeds();
            taru.taru("store check").succeeds();
            let layers = taru.state().join("snapshot/layers");
            let word = fs::read_dir(&layers)
                .unwrap()
                .map(|layer| layer.unwrap().path().join("tree/word"))
                .find(|path| path.exists())
                .unwrap();
            // Only root mounts images. One that is known as broken would be healed first.
            let place = (!taru.user).then(|| taru.dir().join("mounted").display().to_string());
            if let Some(place) = &place {
                fs::create_dir(place).unwrap();
                taru.taru(&format!("image mount app:1 {place}")).succeeds();
            }
            fs::write(&word, "WHOLE\n").unwrap();
            let found = taru.taru("store check");
            assert_eq!(found.status, 1);
            assert!(found.stdout.contains("/word: another content (of app:1)"), "{}", found.stdout);
            // What is mounted is not taken away beneath whoever reads it.
            if let Some(place) = &place {
                let refused = taru.taru("store check --repair");
                assert_eq!(refused.status, 1);
                let said = format!("{}{}", refused.stdout, refused.stderr);
                assert!(said.contains(&format!("it is mounted on `{place}`")), "{said}");
                assert_eq!(fs::read_to_string(format!("{place}/word")).unwrap(), "WHOLE\n");
                taru.taru(&format!("image unmount {place}")).succeeds();
            }
            taru.taru("store check --repair").succeeds();
            taru.taru("store check").succeeds();
            assert_eq!(taru.taru("run app:1").ok().stdout, "whole\n");
            // A blob that is gone is named with its image, and only a pull or load brings it back.
            fs::write(taru.blob(&image.layers[1].digest), "x").unwrap();
            assert_eq!(taru.taru("store check --repair").status, 1);
            let missing = taru.taru("store check");
            assert!(missing.stdout.contains("missing (of app:1)"), "{}", missing.stdout);
            taru.invoke("load -q").stdin(image.oci_archive(&["docker.io/library/app:1"])).output().succeeds();
            taru.taru("store check").succeeds();
        });
    });
}
