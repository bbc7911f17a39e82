//! What files have besides content and owner: capabilities, access control lists. An image has no id of the host that built it.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};

use taru_testkit::{Grant, sandbox};

use crate::image::Image;
use crate::{USER, World};

/// `cap_net_raw=ep` in revision 2, which names no root: version and flag, permitted, inheritable, each for 32 capabilities.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Whether an ACL has an entry of this tag, permissions and id.
fn has_entry(acl: &[u8], tag: u8, permissions: u8, id: u8) -> bool {
    acl[4..].chunks(8).any(|entry| entry == [tag, 0, permissions, 0, id, 0, 0, 0])
}

#[test]
fn capabilities_and_acls_of_a_build_are_the_images() {
    sandbox(|sandbox| {
        let worlds = [World::new(sandbox), World::rootless(sandbox)];
        let _grant = Grant::new(&sandbox.dir(), USER);
        let mut seen = Vec::new();
        for world in &worlds {
            let tools = ["/usr/sbin/setcap", "/usr/sbin/getcap", "/usr/bin/setfacl", "/usr/bin/getfacl"];
            if !world.tools(&tools, "setcap (libcap2-bin) and setfacl (acl)") {
                return;
            }
            let text = World::with_busybox(
                "COPY tools /\n\
                 RUN mkdir -p /d/e && touch /d/f && chown 33:44 /d/f && setcap cap_net_raw+ep /d/f && \
                 setfacl -m u:33:rwx,g:44:r-x /d/f && setfacl -d -m u:33:r-x /d/e\n\
                 FROM bb AS again\nCOPY --from=bb /d /copied\nCOPY busybox /copied/e/\n",
            );
            world.build(&text, &["--output", "type=docker,dest=x.tar"]).succeeds();
            let image = Image::read(&world.context().join("x.tar"));
            for file in ["d/f", "copied/f"] {
                assert!(image.files[file].starts_with("file 674 33:44 0 "), "{file}: {}", image.files[file]);
                let attributes = &image.attributes[file];
                assert_eq!(attributes["security.capability"], CAPABILITY, "{file}");
                let acl = &attributes["system.posix_acl_access"];
                assert!(has_entry(acl, 2, 7, 33) && has_entry(acl, 8, 5, 44), "{file}: {acl:?}");
                assert_eq!(attributes.len(), 2, "{file}: {attributes:?}");
            }
            for dir in ["d/e", "copied/e"] {
                assert_eq!(image.files[dir], "dir 755 0:0");
                let acl = &image.attributes[dir]["system.posix_acl_default"];
                assert!(has_entry(acl, 2, 5, 33), "{dir}: {acl:?}");
            }
            // A layer that only puts something into a directory leaves that as it was.
            assert_eq!((&image.files["copied"][..], &image.files["bin"][..]), ("dir 755 0:0", "dir 755 0:0"));
            seen.push((image.files, image.attributes));
        }
        assert_eq!(seen[0], seen[1], "root's and an ordinary user's");
        // Where the archive goes, containers see the same.
        for from in &worlds {
            for to in &worlds {
                let archive = fs::read(from.context().join("x.tar")).unwrap();
                let name = if from.user { "users" } else { "roots" };
                to.taru(&["load", "-q", "--tag", name]).stdin(archive).output().succeeds();
                let script =
                    "getcap /d/f /copied/f; getfacl -cnp /d/f /copied/e; stat -c %u:%g /d/f /copied/f";
                let shown = to.taru(&["run", "--rm", name, "sh", "-c", script]).output().ok().stdout;
                for line in [
                    "/d/f cap_net_raw=ep",
                    "/copied/f cap_net_raw=ep",
                    "user:33:rwx",
                    "group:44:r-x",
                    "default:user:33:r-x",
                    "33:44",
                ] {
                    assert!(shown.lines().any(|l| l == line), "{line} of {shown}");
                }
            }
        }
    });
}

#[test]
fn holes_and_names_of_files_are_kept() {
    sandbox(|sandbox| {
        for world in [World::new(sandbox), World::rootless(sandbox)] {
            let sparse = fs::File::create(world.context().join("sparse")).unwrap();
            sparse.set_len(64 << 20).unwrap();
            sparse.write_all_at(b"data", 32 << 20).unwrap();
            fs::create_dir(world.context().join("d")).unwrap();
            fs::rename(world.context().join("sparse"), world.context().join("d/sparse")).unwrap();
            fs::hard_link(world.context().join("d/sparse"), world.context().join("d/too")).unwrap();
            let packed = std::process::Command::new("tar")
                .args(["-cSf", "d.tar", "--owner=0", "--group=0", "d"])
                .current_dir(world.context())
                .status();
            assert!(packed.unwrap().success());
            let text = World::with_busybox(
                "COPY d /context\nADD d.tar /archive\n\
                 RUN mkdir /run && truncate -s 64M /run/sparse && \
                 echo -n data | dd of=/run/sparse bs=1M seek=32 conv=notrunc && ln /run/sparse /run/too\n\
                 FROM bb\nCOPY --from=bb /run /copied\n",
            );
            world.build(&text, &["-t", "x"]).succeeds();
            let dirs = ["/context", "/archive/d", "/run", "/copied"];
            let script = dirs.map(|dir| {
                format!("stat -c '%s %h' {dir}/sparse {dir}/too; du -k {dir}/sparse | cut -f1; sha256sum < {dir}/too")
            });
            let seen = world.taru(&["run", "--rm", "x", "sh", "-c", &script.join("; ")]).output().ok().stdout;
            let lines: Vec<&str> = seen.lines().collect();
            let mut content = vec![0; 64 << 20];
            content[32 << 20..][..4].copy_from_slice(b"data");
            let digest = taru_oci::Digest::of(&content);
            for (dir, lines) in dirs.iter().zip(lines.chunks(4)) {
                assert_eq!(lines[..2], ["67108864 2", "67108864 2"], "{dir}: {seen}");
                assert!(lines[2].parse::<u64>().unwrap() < 1024, "{dir}: {seen}");
                assert!(lines[3].starts_with(digest.hex()), "{dir}: {seen}");
            }
            // Into a directory as well, over what is there; a link there leads nowhere else.
            fs::create_dir_all(world.context().join("out/copied")).unwrap();
            std::os::unix::fs::symlink("/nowhere", world.context().join("out/copied/too")).unwrap();
            if world.user {
                for path in ["out", "out/copied"] {
                    std::os::unix::fs::chown(world.context().join(path), Some(USER), Some(USER)).unwrap();
                }
            }
            world.build(&text, &["-o", "out"]).succeeds();
            let (one, too) =
                ["sparse", "too"].map(|name| world.context().join("out/copied").join(name)).into();
            let (one, too) = (fs::symlink_metadata(one).unwrap(), fs::symlink_metadata(too).unwrap());
            assert_eq!((one.len(), one.ino(), one.nlink()), (64 << 20, too.ino(), 2));
            assert!(one.blocks() < 2048);
        }
    });
}
