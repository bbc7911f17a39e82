//! Every verb with `TARU_STORAGE_DRIVER=erofs`, where layers are images of erofs on a disk.

use std::fs;
use std::path::PathBuf;

use serde_json::json;
use taru_testkit::image::{Image, Tar};
use taru_testkit::registry::Registry;
use taru_testkit::{Disk, Sandbox, eventually, sandbox};

use crate::world::{Taru, app, busybox, disk, publish};

const APP: &str = "docker.io/library/app:1";

/// `taru` with this driver, on a disk; else the test says what is missing.
fn on<'a>(sandbox: &'a Sandbox, disk: &Disk) -> Option<Taru<'a>> {
    let taru = Taru::on(sandbox, disk).with("erofs");
    let opened = taru.taru("images");
    if opened.stderr.contains("erofs cannot be mounted from a file") {
        sandbox.skip("erofs from a file (Linux 6.12)");
        return None;
    }
    opened.succeeds();
    Some(taru)
}

/// The images of all layers.
fn images(taru: &Taru<'_>) -> Vec<PathBuf> {
    let layers = fs::read_dir(taru.state().join("snapshot/layers")).unwrap();
    let images = layers.map(|layer| layer.unwrap().path()).inspect(|layer| {
        assert!(!layer.join("tree").exists(), "{}", layer.display());
    });
    images.map(|layer| layer.join("image")).collect()
}

fn mount_table() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap()
}

#[test]
fn every_verb_reads_layers_that_are_images() {
    sandbox(|sandbox| {
        let Some(disk) = disk(sandbox) else { return };
        let Some(taru) = on(sandbox, &disk) else { return };
        let upper = Tar::new().opaque("etc").file("etc/only", "only\n", 0o640).owned(5, 6).whiteout("word");
        let upper = upper.file("x", "x\n", 0o4755).xattr("user.a", "value").hard_link("y", "x");
        let built = app("images").layer(upper).config(|c| c["config"]["Cmd"] = json!(["cat", "/x"])).build();
        taru.invoke("load -q").stdin(built.oci_archive(&[APP])).output().succeeds();
        assert_eq!(images(&taru).len(), 3);
        taru.taru("store check").succeeds();
        taru.taru("image verify app:1").succeeds();
        let before = mount_table();

        // With users of its own, and with the host's.
        assert_eq!(taru.taru("run --rm app:1").ok().stdout, "x\n");
        for options in ["", "--userns host"] {
            let look = "stat -c %a:%u:%g:%h /etc/only /x; ls /etc/only /word /etc/passwd 2>/dev/null; true";
            let seen = taru.sh(&format!("--rm {options}"), "app:1", look).ok().stdout;
            assert_eq!(seen, "640:5:6:1\n4755:0:0:2\n/etc/only\n", "{options}");
        }
        let script = "echo new >/x; rm /etc/only; mkdir /d; echo f >/d/f; echo up; exec sleep 1000";
        taru.invoke_words(&["run", "-d", "--name", "w", "app:1", "sh", "-c", script]).output().succeeds();
        eventually("it is up", || taru.taru("logs w").ok().stdout.contains("up"));
        assert_eq!(mount_table(), before);

        // What it changed, copied, exported, and as an image.
        let is_changed = |taru: &Taru<'_>| {
            let listed = taru.taru("diff w").ok().stdout;
            for line in ["A /d", "A /d/f", "D /etc/only", "C /x"] {
                assert!(listed.lines().any(|l| l == line), "{line}: {listed}");
            }
            let copied = taru.dir().join("y");
            taru.taru("cp w:/y .").succeeds();
            assert_eq!(fs::read_to_string(copied).unwrap(), "x\n", "a name of the image's file");
            taru.taru("export w -o all.tar").succeeds();
            let all = fs::read(taru.dir().join("all.tar")).unwrap();
            assert!(all.windows(4).any(|bytes| bytes == b"new\n") && all.len() > 1 << 20);
        };
        is_changed(&taru);
        taru.file("mine", "mine\n");
        taru.taru("cp mine w:/d").succeeds();
        assert_eq!(taru.taru("exec w cat /d/mine").ok().stdout, "mine\n");
        taru.taru("stop -t 0 w").succeeds();
        is_changed(&taru);
        taru.taru("commit w second").succeeds();
        assert_eq!(
            taru.sh("--rm", "second", "cat /x /d/f /d/mine; test ! -e /etc/only").ok().stdout,
            "new\nf\nmine\n"
        );
        assert_eq!(images(&taru).len(), 4);

        // Asked for by name, it is mounted, and nothing else is.
        fs::create_dir(taru.dir().join("at")).unwrap();
        taru.taru("image mount second at").succeeds();
        let at = taru.dir().join("at");
        assert_eq!(fs::read_to_string(at.join("x")).unwrap(), "new\n");
        assert!(!at.join("word").exists() && fs::write(at.join("x"), "").is_err());
        assert_eq!(mount_table().lines().count(), before.lines().count() + 1);
        taru.taru("image unmount at").succeeds();

        let used = taru.json("store df --format json");
        assert!(used.to_string().contains("layers"), "{used}");
        taru.taru("store check").succeeds();
        taru.taru("start w").succeeds();
        assert_eq!(taru.taru("exec w cat /x").ok().stdout, "new\n");
        taru.taru("rm -f w").succeeds();
        assert_eq!(mount_table(), before);
        taru.clear();
    });
}

#[test]
fn by_default_a_crowd_of_small_files_is_an_image_among_files() {
    sandbox(|sandbox| {
        let Some(disk) = disk(sandbox) else { return };
        if on(sandbox, &disk).is_none() {
            return;
        }
        let taru = Taru::in_dir(sandbox, &disk.path().join("default"));
        // Nothing that can be compressed: by its blob a layer is known to be large.
        let mut state = 1_u64;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        });
        let noise: Vec<u8> = noise.take(6 << 20).collect();
        let crowd = (0..300).fold(Tar::new().dir("crowd", 0o755), |tar, n| {
            tar.file(&format!("crowd/{n}"), format!("{n}\n"), 0o640).owned(5, 6)
        });
        let crowd = crowd.file("large", noise, 0o644);
        let built = app("among").layer(crowd).layer(Tar::new().whiteout("crowd/7")).build();
        taru.invoke("load -q").stdin(built.oci_archive(&[APP])).output().succeeds();
        let layers = fs::read_dir(taru.state().join("snapshot/layers")).unwrap();
        let are_images: Vec<bool> = layers.map(|l| l.unwrap().path().join("image").exists()).collect();
        assert_eq!((are_images.len(), are_images.iter().filter(|is| **is).count()), (4, 1));
        taru.taru("store check").succeeds();
        for options in ["", "--userns host"] {
            let look = "cat /word /crowd/299; ls /crowd | wc -l; stat -c %a:%u:%g /crowd/8; echo x >/crowd/8";
            let seen = taru.sh(&format!("--rm {options}"), "app:1", look).ok().stdout;
            assert_eq!(seen, "among\n299\n299\n640:5:6\n", "{options}");
        }
        fs::create_dir(taru.dir().join("at")).unwrap();
        taru.taru("image mount app:1 at").succeeds();
        assert_eq!(fs::read_to_string(taru.dir().join("at/crowd/299")).unwrap(), "299\n");
        taru.taru("image unmount at").succeeds();
        taru.clear();
    });
}

/// Flips a bit in the middle of an image.
fn flip(path: &PathBuf) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_image_is_found_and_healed() {
    sandbox(|sandbox| {
        let Some(registry) = Registry::start() else { return };
        let Some(disk) = disk(sandbox) else { return };
        let Some(taru) = on(sandbox, &disk) else { return };
        let config = |c: &mut serde_json::Value| c["config"]["Env"] = json!(["PATH=/bin"]);
        let built = Image::new().layer(busybox()).config(config).build();
        publish(sandbox, &registry, &built, "app:1");
        let name = registry.name("app:1");
        let pull = || taru.taru(&format!("pull -q {name}"));
        pull().succeeds();
        let heal = |line: &str| taru.taru(&line.replace("IMAGE", &name)).succeeds();
        for healed_by in ["store check --repair", "pull -q IMAGE", "run --rm IMAGE true"] {
            let [image] = &images(&taru)[..] else { panic!("another number of layers") };
            flip(image);
            let found = taru.taru("store check");
            assert_eq!(found.status, 1, "{}", found.stdout);
            assert!(found.stdout.contains("/bin/busybox: another content"), "{}", found.stdout);
            heal(healed_by);
            taru.taru("store check").succeeds();
            // Nothing of it can be mounted any more.
            fs::write(&images(&taru)[0], "").unwrap();
            assert_eq!(taru.taru("store check").status, 1);
            heal(healed_by);
            assert_eq!(taru.sh("--rm", &name, "echo whole").ok().stdout, "whole\n");
        }
        taru.clear();
    });
}

#[test]
fn who_cannot_mount_images_is_told_so() {
    sandbox(|sandbox| {
        let user = Taru::user(sandbox).with("erofs");
        let refused = user.taru("images");
        refused.fails_with("use the driver `erofs`: only root can mount images");
        assert!(
            refused.stderr.contains("hint: the driver `overlay` serves every user"),
            "{}",
            refused.stderr
        );
        // The sandbox's own directory is a tmpfs.
        let root = Taru::new(sandbox).with("erofs");
        let refused = root.taru("images");
        refused.fails_with("use the driver `erofs`: erofs cannot be mounted from a file in `");
        assert!(
            refused.stderr.contains("hint: the store must lie on a disk's file system"),
            "{}",
            refused.stderr
        );
        for mut taru in [user, root] {
            assert!(!taru.state().join("snapshot").exists());
            taru.driver = None;
            taru.taru("images").succeeds();
            taru.driver = Some("erofs");
            taru.taru("images").fails_with("it is kept by `overlay`");
            taru.driver = Some("ext4");
            let unknown = taru.taru("images");
            unknown.fails_with("use TARU_STORAGE_DRIVER=`ext4`: no such driver");
            assert!(unknown.stderr.contains("hint: overlay, erofs, dir or btrfs"), "{}", unknown.stderr);
        }
    });
}
