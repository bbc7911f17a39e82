//! T105-T107: what contexts, caches and steps do to reach the host. A decoy stays as it was.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use taru_testkit::{Decoy, sandbox};

use crate::World;

#[test]
fn t105_a_cache_whose_paths_change_leads_nowhere() {
    sandbox(|sandbox| {
        let world = World::new(sandbox);
        let decoy: Decoy = sandbox.decoy();
        let target = decoy.dir().display().to_string();
        // The first step makes a path of the cache a link to the host; later ones mount it, and write through it.
        let text = World::with_busybox(&format!(
            "RUN --mount=type=cache,id=c,target=/c ln -s {target} /c/sub && ln -s /../../../..{target} /c/up\n\
             RUN --mount=type=cache,id=c,target=/c,source=sub/deep touch /c/x\n\
             RUN --mount=type=cache,id=c,target=/c,source=up touch /c/y; true\n"
        ));
        // Either it is refused, or it stays inside the cache.
        let built = world.build(&text, &[]);
        decoy.assert_untouched();
        decoy.assert_unseen(&built.stdout);
        decoy.assert_unseen(&built.stderr);
    });
}

#[test]
fn t105_links_of_a_caches_origin_stay_links() {
    sandbox(|sandbox| {
        let world = World::new(sandbox);
        let decoy: Decoy = sandbox.decoy();
        let (dir, secret) = (decoy.dir().display(), decoy.secret().display().to_string());
        let text = World::with_busybox(&format!(
            "FROM bb AS origin\nRUN mkdir -p /o/sub && ln -s {secret} /o/file && ln -s {dir} /o/sub/dir && echo own > /o/own\n\
             FROM bb\n\
             RUN --mount=type=cache,id=c,from=origin,source=/o,target=/c \
             [ $(cat /c/own) = own ] && [ \"$(readlink /c/file)\" = {secret} ] && [ -L /c/sub/dir ] && cp -a /c /kept\n\
             RUN cat /kept/file /kept/sub/dir/secret; ls -lR /kept\n"
        ));
        let built = world.build(&text, &[]).ok();
        decoy.assert_unseen(&built.stdout);
        decoy.assert_unseen(&built.stderr);
        // Nor did anything of the host come into the store.
        let text = fs::read_to_string(&secret).unwrap();
        let found = Command::new("grep").args(["-rlF", &text]).arg(world.store()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    });
}

#[test]
fn t106_links_of_a_context_stay_inside() {
    sandbox(|sandbox| {
        let world = World::new(sandbox);
        let decoy: Decoy = sandbox.decoy();
        let secret = decoy.secret();
        symlink(&secret, world.context().join("secret")).unwrap();
        symlink(decoy.dir(), world.context().join("dir")).unwrap();
        for text in [
            "FROM scratch\nCOPY secret /\n",
            "FROM scratch\nCOPY dir/ /d/\n",
            "FROM scratch\nCOPY dir/* /d/\n",
            "FROM scratch\nADD secret /x/\n",
            "FROM scratch\nCOPY ../../../../../../..{} /\n",
        ] {
            let text = text.replace("{}", &secret.display().to_string());
            let built = world.build(&text, &["-o", "out"]);
            decoy.assert_unseen(&built.stdout);
            let _ = fs::remove_dir_all(world.context().join("out"));
            decoy.assert_untouched();
        }
        // The lists and the Dockerfile themselves.
        symlink(&secret, world.context().join(".dockerignore")).unwrap();
        let built = world.build("FROM scratch\nCOPY busybox /\n", &[]);
        decoy.assert_unseen(&built.stderr);
        fs::remove_file(world.context().join("Dockerfile")).unwrap();
        fs::remove_file(world.context().join(".dockerignore")).unwrap();
        symlink(&secret, world.context().join("Dockerfile")).unwrap();
        let built = world.taru(&["build", "."]).output();
        built.fails();
        decoy.assert_unseen(&built.stderr);
        // An archive as the context, with a way out.
        fs::remove_file(world.context().join("Dockerfile")).unwrap();
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        archive.append_link(&mut header, "way", decoy.dir()).unwrap();
        for (name, content) in [("way/planted", "x"), ("Dockerfile", "FROM scratch\nCOPY way /w\n")] {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
        let _ = world.taru(&["build", "-"]).stdin(archive.into_inner().unwrap()).output();
        decoy.assert_untouched();
    });
}

#[test]
fn t107_mount_points_are_not_removed_through_what_a_step_made_of_them() {
    sandbox(|sandbox| {
        let world = World::new(sandbox);
        let decoy: Decoy = sandbox.decoy();
        let target = decoy.dir().display().to_string();
        let text = World::with_busybox(&format!(
            "RUN --mount=type=tmpfs,target=/a/b/c rm -rf /a/b/c; mv /a /z; ln -s {target} /a; true\n\
             RUN --mount=type=cache,target=/x/y mv /x /old 2>/dev/null; ln -s {target} /x; true\n\
             RUN ls / > /list\n"
        ));
        world.build(&text, &["-t", "x"]).succeeds();
        decoy.assert_untouched();
        // Links of the image as mount points lead to places inside it.
        let text = World::with_busybox(&format!(
            "RUN ln -s {target} /a && ln -s /../../..{target} /b\n\
             RUN --mount=type=tmpfs,target=/a touch /a/planted\n\
             RUN --mount=type=cache,target=/b touch /b/planted\n\
             COPY busybox /a/planted\nADD busybox /b/other/\nWORKDIR /a/w\n"
        ));
        world.build(&text, &[]).succeeds();
        decoy.assert_untouched();
    });
}
