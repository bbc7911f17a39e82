//! Caches, secrets, outputs, failures.

use std::fs;

use taru_testkit::{Disk, eventually, sandbox, skip};

use crate::image::Image;
use crate::{World, count};

fn id(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim().to_owned()
}

#[test]
fn nothing_is_done_twice_and_everything_that_changed_is() {
    sandbox(|sandbox| {
        let world = World::new(sandbox);
        world.file("a.txt", "1").file("b.txt", "1");
        let text = World::with_busybox("COPY a.txt /\nRUN date +%N > /now\nFROM bb AS x\nCOPY b.txt /\n");
        let words = ["--target", "bb"];
        let first = world.build(&text, &words).ok();
        let second = world.build(&text, &words).ok();
        assert_eq!(id(&first.stdout), id(&second.stdout), "the same image again");
        assert_eq!(second.stderr.matches("CACHED").count(), 4, "{}", second.stderr);
        // Not the time of a file: its content.
        world.file("a.txt", "1");
        assert_eq!(id(&world.build(&text, &words).ok().stdout), id(&first.stdout));
        world.file("a.txt", "2");
        let third = world.build(&text, &words).ok();
        assert_eq!(third.stderr.matches("CACHED").count(), 2, "{}", third.stderr);
        let none = world.build(&text, &["--target", "bb", "--no-cache"]).ok();
        assert_eq!(none.stderr.matches("CACHED").count(), 0, "{}", none.stderr);
        assert_ne!(id(&none.stdout), id(&third.stdout));
    });
}

#[test]
fn the_same_input_has_the_same_digest_in_two_stores() {
    sandbox(|sandbox| {
        let world = World::new(sandbox);
        world.file("a.txt", "1");
        let text = World::with_busybox("COPY a.txt /d/\nWORKDIR /w\nRUN echo x > f && mkdir g\nENV A=1\n");
        let epoch = ["--build-arg", "SOURCE_DATE_EPOCH=1700000000"];
        let first = id(&world.build(&text, &epoch).ok().stdout);
        fs::rename(world.store(), world.dir().join("old")).unwrap();
        fs::set_permissions(
            world.context().join("a.txt"),
            std::os::unix::fs::PermissionsExt::from_mode(0o644),
        )
        .unwrap();
        world.file("a.txt", "1");
        assert_eq!(id(&world.build(&text, &epoch).ok().stdout), first);
    });
}

#[test]
fn a_failure_names_its_line_and_tags_nothing() {
    sandbox(|sandbox| {
        let world = World::new(sandbox);
        let text = World::with_busybox("RUN echo before; echo why >&2; exit 7\nRUN true\n");
        let failed = world.build(&text, &["-t", "app"]);
        assert_eq!(failed.status, 1, "{}", failed.stderr);
        for part in ["| before", "| why", "Dockerfile:4", "its exit status is 7"] {
            assert!(failed.stderr.contains(part), "{part}: {}", failed.stderr);
        }
        let images = world.taru(&["images"]).output().ok();
        assert!(!images.stdout.contains("app"), "{}", images.stdout);
        assert_eq!(count(&world.store().join("build/tmp")), 0);
        assert_eq!(count(&world.store().join("containers")), 0);
        let e = world.build("FROM scratch\nCOPY nope /\n", &[]);
        assert!(e.stderr.contains("Dockerfile:2") && e.stderr.contains("`nope`"), "{}", e.stderr);
        let e = world.build("FROM scratch\nRUNN x\nCOPY a\n", &[]);
        assert!(e.stderr.contains("did you mean RUN?") && e.stderr.contains("Dockerfile:3"), "{}", e.stderr);
    });
}

#[test]
fn secrets_are_seen_by_their_step_alone() {
    sandbox(|sandbox| {
        let world = World::new(sandbox);
        world.file("../secret.txt", "s3cret-in-file");
        let text = World::with_busybox(
            "RUN --mount=type=secret,id=f --mount=type=secret,id=e,env=E --mount=type=secret,id=f,target=/x/y,mode=0444,uid=5 \
             [ $(wc -c < /run/secrets/f) = 14 ] && [ ${#E} = 13 ] && ls -ln /x/y > /seen\n\
             RUN [ ! -e /run/secrets/f ] && [ -z \"$E\" ] && [ ! -e /x ] && [ ! -e /run ]\n",
        );
        let words = ["--secret", "id=f,src=../secret.txt", "--secret", "id=e,env=SECRET"];
        world.file("Dockerfile", &text);
        let built = world
            .taru(&[&["build", "--progress", "plain", "-t", "x"], &words[..], &["."]].concat())
            .env("SECRET", "s3cret-in-env")
            .output();
        built.succeeds();
        for secret in ["s3cret-in-file", "s3cret-in-env"] {
            let found = std::process::Command::new("grep")
                .args(["-rlF", secret])
                .arg(world.store())
                .output()
                .unwrap();
            assert_eq!(String::from_utf8_lossy(&found.stdout), "", "{secret} is in the store");
        }
        let seen = world.taru(&["run", "--rm", "x", "cat", "/seen"]).output().ok();
        assert!(seen.stdout.starts_with("-r--r--r--    1 5        0"), "{}", seen.stdout);
        let missing = World::with_busybox("RUN --mount=type=secret,id=no,required true\n");
        let e = world.build(&missing, &[]);
        assert!(e.stderr.contains("the secret `no`"), "{}", e.stderr);
    });
}

#[test]
fn secrets_are_on_no_disk() {
    sandbox(|sandbox| {
        let world = World::new(sandbox);
        let disk = match Disk::ext4(&sandbox.dir(), 128 << 20, &[]) {
            Ok(disk) => disk,
            Err(lacking) => return sandbox.skip(&lacking),
        };
        fs::create_dir(disk.path().join("state")).unwrap();
        std::os::unix::fs::symlink(disk.path().join("state"), world.store()).unwrap();
        world.file("../secret.txt", "s3cret");
        let text = World::with_busybox(
            "RUN --mount=type=secret,id=f [ $(cat /run/secrets/f) = s3cret ] && \
             grep ' /run/secrets/f ' /proc/self/mountinfo | grep -o ' - [^ ]*' > /seen\n",
        );
        let file = ["--secret", "id=f,src=../secret.txt", "-t", "x"];
        world.build(&text, &file).succeeds();
        let seen = world.taru(&["run", "--rm", "x", "cat", "/seen"]).output().ok();
        assert_eq!(seen.stdout, " - tmpfs\n");
        for dir in ["/dev/shm", "/run"] {
            let left = fs::read_dir(dir).unwrap().flatten().map(|e| e.file_name());
            let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with("taru-step-")).collect();
            assert!(left.is_empty(), "{dir}: {left:?}");
        }
        // The runtime is told variables in a file.
        let variable = World::with_busybox("RUN --mount=type=secret,id=f,env=F true\n");
        let refused = world.build(&variable, &file);
        assert!(
            refused.stderr.contains("as a variable: it would be written to the disk"),
            "{}",
            refused.stderr
        );
    });
}

#[test]
fn mounts_of_steps() {
    sandbox(|sandbox| {
        let world = World::new(sandbox);
        world.file("d/f", "from the context").file("d/ignored", "x").file(".dockerignore", "**/ignored\n");
        let text = World::with_busybox(
            "FROM bb AS other\nRUN mkdir -p /o/p && echo other > /o/p/q && chown 7:8 /o/p/q\n\
             FROM bb\n\
             RUN --mount=type=cache,target=/c,id=c,mode=0700,uid=5 [ -z \"$(ls /c)\" ] && echo 1 > /c/n && ls -nd /c > /mode\n\
             RUN --mount=type=cache,target=/c,id=c [ $(cat /c/n) = 1 ]\n\
             RUN --mount=target=/m,source=d [ \"$(cat /m/f)\" = 'from the context' ] && [ ! -e /m/ignored ] && ! touch /m/x\n\
             RUN --mount=target=/m,source=d,rw touch /m/x && rm /m/f\n\
             RUN --mount=target=/m/file,source=d/f [ \"$(cat /m/file)\" = 'from the context' ]\n\
             RUN --mount=from=other,source=/o,target=/m [ $(cat /m/p/q) = other ] && ls -n /m/p/q > /owner\n\
             RUN --mount=type=tmpfs,target=/t,size=1m touch /t/x && grep -q ' /t ' /proc/mounts\n\
             RUN --network=none [ \"$(ls /sys/class/net)\" = lo ]\n\
             RUN [ ! -e /m ] && [ ! -e /t ] && [ ! -e /c ]\n",
        );
        world.build(&text, &["-t", "x"]).succeeds();
        let seen = world.taru(&["run", "--rm", "x", "cat", "/mode", "/owner"]).output().ok();
        assert!(seen.stdout.starts_with("drwx------    2 5        0"), "{}", seen.stdout);
        assert!(seen.stdout.contains("1 7        8"), "{}", seen.stdout);
        assert_eq!(fs::read_to_string(world.context().join("d/f")).unwrap(), "from the context");
        // A named context has a list of its own.
        world.file("second/ignored", "x").file("second/own", "x").file("second/.dockerignore", "own\n");
        let text = World::with_busybox(
            "FROM bb\nRUN --mount=from=two,target=/m [ -e /m/ignored ] && [ ! -e /m/own ]\n",
        );
        world.build(&text, &["--build-context", "two=second"]).succeeds();
        let e = world.build(&World::with_busybox("RUN --security=insecure true\n"), &[]);
        assert!(e.stderr.contains("--allow security.insecure"), "{}", e.stderr);
    });
}

#[test]
fn what_builds_keep_goes_when_it_is_asked_for() {
    sandbox(|sandbox| {
        let world = World::new(sandbox);
        let text = World::with_busybox(
            "FROM bb\nRUN --mount=type=cache,target=/c [ -e /c/x ] && echo found > /w || echo new > /c/x\n",
        );
        let cached = || world.build(&text, &["-t", "x"]).ok().stderr.matches("CACHED").count();
        cached();
        let all = cached();
        // For as long as builds may want it, collecting takes nothing of it; layers of mount points they make anew.
        let kept = world.taru(&["store", "gc"]).output().ok().stdout;
        assert!(kept.starts_with("removed 0 blobs and ") && kept.ends_with(" 0 B\n"), "{kept}");
        assert_eq!(cached(), all);
        world.taru(&["rmi", "x"]).output().succeeds();
        let gone = world.taru(&["store", "gc", "--builds"]).output().ok().stdout;
        assert!(gone.starts_with("removed ") && !gone.starts_with("removed 0"), "{gone}");
        assert!(gone.ends_with("\nemptied 1 cache mount\n"), "{gone}");
        let left = world.taru(&["store", "df", "--format", "json"]).output().ok().stdout;
        let rows: Vec<serde_json::Value> = serde_json::from_str(&left).unwrap();
        assert!(rows.iter().all(|row| row["bytes"] == 0), "{left}");
        assert_eq!(cached(), 0);
        world.taru(&["run", "x", "test", "!", "-e", "/w"]).output().succeeds();
    });
}

#[test]
fn a_step_whose_mounts_or_network_are_others_is_another() {
    sandbox(|sandbox| {
        let world = World::new(sandbox);
        world.file("s", "one");
        let done = |step: &str, words: &[&str]| {
            let built = world.build(&World::with_busybox(&format!("FROM bb\n{step}\n")), words).ok();
            3 - built.stderr.matches("CACHED").count()
        };
        let step = |mount: &str| format!("RUN --mount={mount} true");
        done("RUN true", &[]);
        for mount in [
            "type=secret,id=a",
            "type=secret,id=b,target=/run/secrets/a",
            "type=secret,id=a,env=E",
            "type=secret,id=a,target=/run/secrets/a,env=E",
            "type=cache,id=a,target=/c",
            "type=cache,id=b,target=/c",
            "type=cache,id=a,target=/c,source=/sub",
            "type=cache,id=a,target=/c,from=bb,source=/bin",
            "type=cache,id=a,target=/c,readonly",
            "type=tmpfs,target=/c,size=1m",
            "type=tmpfs,target=/c,size=2m",
            "target=/c,source=s",
            "target=/c,source=s,readwrite",
        ] {
            assert_eq!(done(&step(mount), &[]), 1, "{mount} is like another");
            assert_eq!(done(&step(mount), &[]), 0, "{mount} is not like itself");
        }
        // What a secret is makes no other step.
        let given = ["--secret", "id=a,src=s"];
        assert_eq!(done(&step("type=secret,id=a,required"), &given), 1);
        world.file("s", "two");
        assert_eq!(done(&step("type=secret,id=a,required"), &given), 0);
        // The network: that which the step has, whoever said so.
        assert_eq!(done("RUN echo n", &[]), 1);
        assert_eq!(done("RUN echo n", &["--network", "none"]), 2, "this step and the one of bb");
        assert_eq!(done("RUN --network=none echo n", &["--network", "none"]), 0);
        assert_eq!(done("RUN --network=host echo n", &["--network", "none"]), 1);
    });
}

#[test]
fn caches_that_are_locked_in_any_order_wait_for_no_one_for_ever() {
    sandbox(|sandbox| {
        let world = World::new(sandbox);
        let lock =
            |id: &str, target: &str| format!("--mount=type=cache,sharing=locked,id={id},target={target}");
        // Twice in one step: one cache, at two places.
        let twice = format!("RUN {} {} echo x > /1/x && cat /2/x\n", lock("a", "/1"), lock("a", "/2"));
        let private = "RUN --mount=type=cache,id=p,sharing=private,target=/1 --mount=type=cache,id=p,target=/2 \
                       echo x > /1/x && cat /2/x\n";
        world.build(&World::with_busybox(&format!("{twice}{private}")), &[]).succeeds();
        // Two stages, each of which wants first what the other has.
        let steps = |first: &str, second: &str| {
            let number =
                |n: u32| format!("RUN {} {} echo {n} >> /1/n\n", lock(first, "/1"), lock(second, "/2"));
            (0..4).map(number).collect::<String>()
        };
        let text = World::with_busybox(&format!(
            "FROM bb AS x\n{}RUN touch /x\nFROM bb AS y\n{}RUN touch /y\nFROM bb\nCOPY --from=x /x /\nCOPY --from=y /y /\n",
            steps("a", "b"),
            steps("b", "a"),
        ));
        world.build(&text, &[]).succeeds();
    });
}

#[test]
fn outputs_and_contexts() {
    sandbox(|sandbox| {
        let world = World::new(sandbox);
        world.file("a.txt", "a").file("other/o", "from the other context").file("real", "");
        std::os::unix::fs::symlink("real", world.context().join("iid")).unwrap();
        let text = "FROM scratch\nCOPY a.txt /d/\nCOPY --from=second o /\n";
        let words = [
            "--build-context",
            "second=other",
            "--label",
            "l=1",
            "--iidfile",
            "iid",
            "-t",
            "one",
            "-t",
            "two:2",
        ];
        let built = world.build(text, &words).ok();
        assert_eq!(fs::read_to_string(world.context().join("real")).unwrap(), id(&built.stdout));
        let images = world.taru(&["images"]).output().ok().stdout;
        assert!(images.contains("one:latest") && images.contains("two:2"), "{images}");
        world.build(text, &["--build-context", "second=other", "-o", "out"]).succeeds();
        assert_eq!(fs::read_to_string(world.context().join("out/o")).unwrap(), "from the other context");
        assert_eq!(fs::read_to_string(world.context().join("out/d/a.txt")).unwrap(), "a");
        fs::remove_dir_all(world.context().join("out")).unwrap();
        world
            .build("FROM one\nCOPY --from=two:2 /o /p\n", &["--output", "type=docker,dest=x.tar"])
            .succeeds();
        let image = Image::read(&world.context().join("x.tar"));
        assert_eq!(image.files.keys().collect::<Vec<_>>(), ["d", "d/a.txt", "o", "p"]);
        assert_eq!(image.config["Labels"]["l"], "1");
        world.build("FROM one\n", &["--output", "type=oci,dest=y.tar"]).succeeds();
        let seen = std::process::Command::new("skopeo")
            .args(["inspect", &format!("oci-archive:{}", world.context().join("y.tar").display())])
            .output();
        match seen {
            Ok(seen) => assert!(seen.status.success(), "{}", String::from_utf8_lossy(&seen.stderr)),
            Err(_) => skip(sandbox.name(), "skopeo"),
        }
        // The Dockerfile, or a whole context, on standard input.
        world.taru(&["build", "-q", "-"]).stdin("FROM scratch\nLABEL a=b\n").output().succeeds();
        world
            .taru(&["build", "-q", "-f", "-", "."])
            .stdin("FROM scratch\nCOPY a.txt /\n")
            .output()
            .succeeds();
        let tar = std::process::Command::new("tar")
            .args(["-cz", "Dockerfile", "a.txt", "other"])
            .current_dir(world.context())
            .output()
            .unwrap();
        world.taru(&["build", "-q", "-"]).stdin(tar.stdout).output().succeeds();
        let e = world.build(text, &["--squash"]);
        assert!(e.stderr.contains("COPY --from=STAGE / /"), "{}", e.stderr);
    });
}

#[test]
fn caches_come_from_elsewhere() {
    sandbox(|sandbox| {
        let world = World::new(sandbox);
        let text = World::with_busybox("RUN date +%N > /now\n");
        let first = world.build(&text, &["--cache-to", "type=local,dest=../cache", "-t", "x"]).ok();
        fs::rename(world.store(), world.dir().join("old")).unwrap();
        let second = world.build(&text, &["--cache-from", "type=local,src=../cache", "-t", "x"]).ok();
        assert_eq!(second.stderr.matches("CACHED").count(), 3, "{}", second.stderr);
        assert_eq!(id(&first.stdout), id(&second.stdout));
        let e = world.build(&text, &["--cache-to", "type=gha"]);
        assert!(e.stderr.contains("type=local,dest=DIR"), "{}", e.stderr);
    });
}

#[test]
fn another_platform_is_built_without_programs() {
    sandbox(|sandbox| {
        let world = World::new(sandbox);
        world.file("a.txt", "a");
        let built = world.build(
            "FROM scratch\nCOPY a.txt /\nARG TARGETARCH\nENV A=$TARGETARCH\n",
            &["--platform", "linux/s390x", "-t", "x"],
        );
        built.succeeds();
        assert!(world.taru(&["images"]).output().ok().stdout.contains("linux/s390x"));
        let e = world.build(&World::with_busybox(""), &["--platform", "linux/s390x"]);
        assert!(e.stderr.contains("this host is") && e.stderr.contains("binfmt"), "{}", e.stderr);
    });
}

#[test]
fn an_ordinary_user_builds() {
    sandbox(|sandbox| {
        let world = World::rootless(sandbox);
        world.file("a.txt", "a");
        let text = World::with_busybox("COPY a.txt /d/\nRUN echo x > /f && rm /d/a.txt && id -u > /uid\n");
        let built = world.build(&text, &["-t", "x"]);
        built.succeeds();
        let seen = world.taru(&["run", "--rm", "x", "sh", "-c", "cat /f /uid; ls /d"]).output().ok();
        assert_eq!(seen.stdout, "x\n0\n");
        let part = World::with_busybox("RUN --mount=type=cache,target=/c,source=/sub true\n");
        world.build(&part, &[]).fails_with("hint: leave `source` out");
    });
}

#[test]
fn a_build_that_is_killed_leaves_whole_records_only() {
    sandbox(|sandbox| {
        let world = World::new(sandbox);
        let text = World::with_busybox("RUN echo started; sleep 7654321\n");
        world.file("Dockerfile", &text);
        let mut running = world.taru(&["build", "--progress", "plain", "-t", "x", "."]).spawn();
        eventually("the step runs", || running.stderr().contains("| started"));
        running.kill();
        let sleeps = || {
            let processes = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
            let mut lines = processes.filter_map(|p| fs::read(p.path().join("cmdline")).ok());
            lines.any(|line| String::from_utf8_lossy(&line).contains("sleep 7654321"))
        };
        eventually("the step ends with the build", || !sleeps());
        // The next command brings it in line: the step's container is gone.
        world.taru(&["ps", "-a"]).output().succeeds();
        let built = world.build(&World::with_busybox("RUN echo other\n"), &["-t", "x"]).ok();
        assert_eq!(built.stderr.matches("CACHED").count(), 2, "{}", built.stderr);
        assert_eq!(count(&world.store().join("build/tmp")), 0);
        assert!(!world.taru(&["ps", "-a"]).output().ok().stdout.contains("build"), "no container is left");
    });
}
