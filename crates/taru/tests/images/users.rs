//! Files of an ordinary user's containers and layers that only a user namespace may read: with subordinate ids, and with a
//! single id.

use std::fs;
use std::os::unix::fs::MetadataExt;

use taru_testkit::image::{Image, Tar};
use taru_testkit::{Grant, eventually, sandbox};

use crate::world::{Taru, USER, app, has};

/// An image with files of several owners, shut to everybody else.
fn shut() -> Image {
    let tar = Tar::new()
        .dir("srv", 0o700)
        .owned(33, 33)
        .file("srv/data", "data\n", 0o600)
        .owned(33, 33)
        .dir("srv/shut", 0)
        .owned(33, 33)
        .file("srv/shut/deep", "deep\n", 0o400)
        .owned(7, 8)
        .file("shadow", "shadow\n", 0)
        .owned(0, 42);
    app("shut").layer(tar)
}

const OWNERS: [(&str, &str); 4] =
    [("/srv", "700:33:33"), ("/srv/data", "600:33:33"), ("/srv/shut/deep", "400:7:8"), ("/shadow", "0:0:42")];

/// What the container `w` sees of [`OWNERS`], and what it must see; with a single id all is root's.
fn check_owners(taru: &Taru<'_>, single: bool) {
    for (path, seen) in OWNERS {
        let mode = seen.split(':').next().unwrap();
        let want = if single { format!("{mode}:0:0\n") } else { format!("{seen}\n") };
        assert_eq!(taru.taru(&format!("exec -u 0 w stat -c %a:%u:%g {path}")).ok().stdout, want, "{path}");
    }
}

fn load(taru: &Taru<'_>) {
    let archive = shut().build().oci_archive(&["docker.io/library/app:1"]);
    taru.invoke("load -q").stdin(archive).output().succeeds();
}

/// Everything that reads files of layers and containers, by turns while the container runs and when it has ended.
fn all_verbs(taru: &Taru<'_>, single: bool) {
    load(taru);
    taru.taru("store check").succeeds();
    let script = "echo x >/srv/made; mkdir /own; echo y >/own/y; rm -rf /srv/shut; echo up; exec sleep 1000";
    taru.invoke_words(&["run", "-d", "--name", "w", "app:1", "sh", "-c", script]).output().succeeds();
    eventually("it is up", || taru.taru("logs w").ok().stdout.contains("up"));
    let changes = taru.taru("diff w").ok().stdout;
    for line in ["A /srv/made", "D /srv/shut", "A /own/y"] {
        assert!(changes.lines().any(|l| l == line), "{line}: {changes}");
    }
    taru.taru("commit w live:1").succeeds();
    taru.taru("kill w").succeeds();
    taru.taru("wait w").succeeds();
    assert_eq!(taru.taru("diff w").ok().stdout, changes);

    // Out of the ended container: the caller's, shut or not.
    taru.taru("cp w:/srv got").succeeds();
    for (name, content) in [("data", "data\n"), ("made", "x\n")] {
        let path = taru.dir().join("got").join(name);
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
        assert_eq!(fs::metadata(&path).unwrap().uid(), USER);
    }
    taru.taru("cp -a w:/srv kept").fails_with("only root can give files to others");
    assert!(!taru.dir().join("kept").exists());
    taru.file("new", "new\n");
    taru.taru("cp new w:/srv").succeeds();
    taru.taru("export -o all.tar w").succeeds();
    taru.taru("commit w ended:1").succeeds();
    taru.taru("rm w").succeeds();

    // Away and back, and what is in it is what was.
    taru.taru("image save -o saved.tar ended:1").succeeds();
    taru.taru("store check").succeeds();
    taru.taru("rmi ended:1 live:1 app:1").succeeds();
    assert_eq!(taru.stored(), Vec::<String>::new());
    taru.taru("load -q -i saved.tar").succeeds();
    taru.taru("store check").succeeds();
    taru.taru("run -d --name w ended:1 sleep 1000").succeeds();
    assert_eq!(taru.taru("exec -u 0 w cat /srv/new /srv/data /shadow").ok().stdout, "new\ndata\nshadow\n");
    taru.taru("rm -f w").succeeds();
    taru.taru("import all.tar flat:1").succeeds();
    assert_eq!(taru.taru("run flat:1 cat /srv/made").ok().stdout, "x\n");

    // Owners are the image's, as far as there are ids for them.
    load(taru);
    taru.taru("run -d --name w app:1 sleep 1000").succeeds();
    check_owners(taru, single);
    taru.taru("rm -f w").succeeds();
    taru.taru("store gc").succeeds();
    taru.taru("image prune --all").succeeds();
    assert_eq!(taru.stored(), Vec::<String>::new());
}

#[test]
fn shut_files_of_subordinate_ids_go_through_every_verb() {
    sandbox(|sandbox| {
        if !has(sandbox, "newuidmap") {
            return;
        }
        let grant = Grant::new(&sandbox.dir(), USER);
        all_verbs(&Taru::user(sandbox), false);
        drop(grant);
    });
}

#[test]
fn whoever_has_no_ids_for_the_images_user_is_told_which_would_do() {
    sandbox(|sandbox| {
        let taru = Taru::user(sandbox);
        load(&taru);
        let refused = taru.taru("run -u web app:1 true");
        assert_eq!(refused.status, 125);
        refused.fails_with("run as 33:33: you have no such ids to give");
        assert!(refused.stderr.contains("hint: /etc/subuid"), "{}", refused.stderr);
        taru.clear();
    });
}

#[test]
fn shut_files_of_a_single_id_go_through_every_verb() {
    sandbox(|sandbox| all_verbs(&Taru::user(sandbox), true));
}

#[test]
fn ids_that_come_later_give_layers_their_owners_and_ids_that_go_are_named() {
    sandbox(|sandbox| {
        if !has(sandbox, "newuidmap") {
            return;
        }
        let taru = Taru::user(sandbox);
        load(&taru);
        taru.taru("run -d --name w app:1 sleep 1000").succeeds();
        check_owners(&taru, true);
        let grant = Grant::new(&sandbox.dir(), USER);
        // What a container stands on stays.
        assert_eq!(taru.taru("run app:1 stat -c %u /srv").ok().stdout, "0\n");
        check_owners(&taru, true);
        taru.taru("rm -f w").succeeds();
        taru.taru("run -d --name w app:1 sleep 1000").succeeds();
        check_owners(&taru, false);
        taru.taru("kill w").succeeds();
        taru.taru("wait w").succeeds();
        drop(grant);
        for line in ["start w", "diff w", "run app:1 true", "store gc", "rm w"] {
            taru.taru(line).fails_with("its files have ids that are not yours now: 300000-365535");
        }
        let grant = Grant::new(&sandbox.dir(), USER);
        taru.taru("store check").succeeds();
        taru.clear();
        drop(grant);
        // Nothing is there that would need them.
        load(&taru);
        taru.clear();
    });
}
