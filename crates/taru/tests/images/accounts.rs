//! T89: images whose `/etc/passwd` or `/etc/group` is none, against `taru` in a memory control group of 64 MiB. A user is looked
//! up in them before there is a container, and in a running one: nothing is waited for, read without end or outside.

use std::fs;

use taru_testkit::image::Tar;
use taru_testkit::sandbox;

use crate::bounded::{APP, Bounded};
use crate::world::app;

/// What stands in the place of a file of accounts.
type Make<'a> = &'a dyn Fn(Tar, &str) -> Tar;

#[test]
fn accounts_that_are_none_are_bounded() {
    sandbox(|sandbox| {
        let Some(bounded) = Bounded::new(sandbox) else { return };
        // The host's, in which the user is root.
        let outside = bounded.dir.join("outside");
        let outside = format!("../../../../../../../../../../..{}", outside.display());
        fs::write(bounded.dir.join("outside"), "web:x:0:0::/:/bin/sh\n").unwrap();
        // 4 GB, nearly all of them a hole.
        let large = |tar: Tar, path: &str| {
            let tar = tar.file(path, "x", 0o644).pax("GNU.sparse.map", "0,1");
            tar.pax("GNU.sparse.size", (4u64 << 30).to_string())
        };
        let cases: [(&str, Make<'_>, &str); 6] = [
            ("large", &large, "larger than 1048576 bytes"),
            ("a pipe", &|tar, path| tar.fifo(path, 0o644), "not a regular file"),
            ("a device", &|tar, path| tar.char_device(path, 1, 5, 0o666), "not a regular file"),
            ("a link to a device of the host", &|tar, path| tar.symlink(path, "/dev/zero"), "no such"),
            ("a link to a file of the host", &|tar, path| tar.symlink(path, &outside), "no such"),
            ("a directory", &|tar, path| tar.dir(path, 0o755), "it is a directory"),
        ];
        let archive = bounded.dir.join("archive");
        for (file, user) in [("passwd", "web"), ("group", "0:web")] {
            for (what, make, words) in cases {
                let what = format!("{file}: {what}");
                let image = app("accounts").layer(make(Tar::new(), &format!("etc/{file}"))).build();
                fs::write(&archive, image.oci_archive(&[APP])).unwrap();
                assert_eq!(bounded.taru("load -q", Some(&archive)).status, 0, "{what}");
                let output = bounded.taru(&format!("run -u {user} app:1 true"), None);
                assert_eq!(output.status, 125, "{what}: {}", output.stderr);
                assert!(output.stderr.contains(words), "{what}: {}", output.stderr);
                // Root needs nobody to be looked up; whoever is looked up in the running container may be as little there.
                bounded.taru.taru("run -d --name w app:1 sleep 1000").succeeds();
                let output = bounded.taru(&format!("exec -u {user} w true"), None);
                assert_ne!(output.status, 0, "{what}: {}", output.stderr);
                bounded.taru.clear();
            }
        }
    });
}
