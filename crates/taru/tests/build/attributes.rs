//! What files have besides content and owner: capabilities, access control lists. An image has no id of the host that built it.

use std::fs;

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
