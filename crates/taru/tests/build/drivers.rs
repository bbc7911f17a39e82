//! Builds with every storage driver: the same image comes of it.

use std::fs;
use std::process::Command;

use taru_testkit::{Disk, Grant, Sandbox, sandbox, skip};

use crate::image::Image;
use crate::{USER, World};

/// Whatever a step can do to files, with every kind of mount.
const STEPS: &str = "COPY d /d\n\
    RUN echo 1 > /f && mkdir -p /g/h && echo 2 > /g/h/i && ln /f /j && ln -s f /k && chown 5:6 /g/h/i && chmod 4711 /g/h\n\
    RUN rm /d/gone && rm -r /d/sub && mkdir /d/sub && echo 3 > /d/sub/new && rm -r /d/whole && echo 4 > /d/whole\n\
    RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t --mount=type=secret,id=s,required \
    touch /c/x /t/x /d/at && [ $(cat /run/secrets/s) = secret ]\n\
    RUN [ ! -e /run ] && [ ! -e /c ] && [ ! -e /t ]\n\
    FROM bb AS other\nRUN mkdir /o && echo 5 > /o/p && chown 7:8 /o/p\n\
    FROM bb\nCOPY --from=other /o /o/\nCOPY busybox /g/\n\
    RUN --mount=from=other,source=/o,target=/m [ $(cat /m/p) = 5 ] && rm /g/h/i && true > /etc-is-not-there\n";

/// Builds with this driver, and gives what came of it.
fn build(world: &World<'_>) -> Image {
    for path in ["d/gone", "d/kept", "d/sub/old", "d/whole/x"] {
        world.file(path, path);
    }
    world.file("s", "secret");
    let outputs = ["--output", "type=docker,dest=x.tar", "--output", "type=image"];
    let words = [&["--secret", "id=s,src=s", "-t", "x"], &outputs[..]].concat();
    world.build(&World::with_busybox(STEPS), &words).succeeds();
    let again = world.build(&World::with_busybox(STEPS), &words).ok();
    assert_eq!(again.stderr.matches("CACHED").count(), 11, "{}", again.stderr);
    let seen =
        world.taru(&["run", "--rm", "x", "sh", "-c", "cat /j /d/sub/new /d/whole /o/p; ls /d"]).output();
    assert_eq!(seen.ok().stdout, "1\n3\n4\n5\nat\nkept\nsub\nwhole\n");
    let named = fs::read_to_string(world.store().join("snapshot/driver")).unwrap();
    assert_eq!(named.trim(), world.driver.unwrap());
    Image::read(&world.context().join("x.tar"))
}

fn assert_same(one: &Image, other: &Image) {
    assert_eq!((&one.files, &one.attributes), (&other.files, &other.attributes));
}

/// The first image is what the others must be.
fn expected(sandbox: &Sandbox) -> Image {
    let image = build(&World { driver: Some("overlay"), ..World::new(sandbox) });
    let names: Vec<&str> =
        image.files.keys().map(String::as_str).filter(|p| !p.starts_with("bin/")).collect();
    let wanted = "bin d d/at d/kept d/sub d/sub/new d/whole etc-is-not-there f g g/busybox g/h j k o o/p";
    assert_eq!(names.join(" "), wanted);
    assert_eq!((&image.files["g/h"][..], &image.files["o/p"][..11]), ("dir 4711 0:0", "file 644 7:"));
    image
}

#[test]
fn directories() {
    sandbox(|sandbox| {
        let _grant = Grant::new(&sandbox.dir(), USER);
        let image = expected(sandbox);
        for world in [World::new(sandbox), World::rootless(sandbox)] {
            let world = World { driver: Some("dir"), ..world };
            let _ = fs::remove_dir_all(world.store());
            assert_same(&image, &build(&world));
        }
    });
}

#[test]
fn erofs() {
    sandbox(|sandbox| {
        let image = expected(sandbox);
        let world = World { driver: Some("erofs"), ..World::new(sandbox) };
        // erofs cannot be mounted from a file of the sandbox's tmpfs.
        let disk = match Disk::ext4(&sandbox.dir(), 256 << 20, &[]) {
            Ok(disk) => disk,
            Err(lacking) => return sandbox.skip(&lacking),
        };
        let _ = fs::remove_dir_all(world.store());
        std::os::unix::fs::symlink(disk.path(), world.store()).unwrap();
        if world.taru(&["images"]).output().stderr.contains("erofs cannot be mounted from a file") {
            return sandbox.skip("erofs from a file (Linux 6.12)");
        }
        assert_same(&image, &build(&world));
        let layers = fs::read_dir(world.store().join("snapshot/layers")).unwrap();
        let mut layers = layers.map(|layer| layer.unwrap().path());
        assert!(layers.all(|layer| layer.join("image").is_file() && !layer.join("tree").exists()));
    });
}

#[test]
fn btrfs() {
    sandbox(|sandbox| {
        let _grant = Grant::new(&sandbox.dir(), USER);
        let image = expected(sandbox);
        let disk = sandbox.dir().join("disk");
        fs::File::create(&disk).unwrap().set_len(512 << 20).unwrap();
        let run = |program: &str, arguments: &[&str]| {
            let done = Command::new(program).current_dir(sandbox.dir()).args(arguments).output();
            done.is_ok_and(|done| done.status.success())
        };
        for world in [World::new(sandbox), World::rootless(sandbox)] {
            let world = World { driver: Some("btrfs"), ..world };
            let _ = fs::remove_dir_all(world.store());
            fs::create_dir(world.store()).unwrap();
            let store = world.store().display().to_string();
            // Users may remove subvolumes of theirs only where it is mounted so.
            let options = "loop,user_subvol_rm_allowed";
            if !run("mkfs.btrfs", &["-qf", "disk"]) || !run("mount", &["-o", options, "disk", &store]) {
                skip(sandbox.name(), "mkfs.btrfs (btrfs-progs), loop devices and btrfs in the kernel");
                return;
            }
            if world.user {
                std::os::unix::fs::chown(&store, Some(USER), Some(USER)).unwrap();
            }
            assert_same(&image, &build(&world));
            assert!(run("umount", &["--lazy", &store]));
        }
    });
}
