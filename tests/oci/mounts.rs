//! `mounts`, `root`, masked and read-only paths, propagation.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::json;
use taru_testkit::{Family, Sandbox, sandbox};

/// A directory on the host with a file in it, to bind.
fn source(sandbox: &Sandbox) -> PathBuf {
    let dir = sandbox.dir().join("source");
    fs::create_dir_all(dir.join("sub")).expect("make a directory");
    fs::write(dir.join("file"), "content").expect("write a file");
    dir
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// The options of the last mount on `/mnt`, as `mountinfo` has them: the mount's, the file system's.
const MOUNTINFO: &str = "grep ' /mnt ' /proc/self/mountinfo | tail -1";

fn options_of(line: &str) -> (Vec<&str>, Vec<&str>) {
    let fields: Vec<&str> = line.split_whitespace().collect();
    assert!(fields.len() > 8, "no mount: `{line}`");
    (fields[5].split(',').collect(), fields[fields.len() - 1].split(',').collect())
}

#[test]
fn root_is_read_only_or_not() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().sh("echo x > /file && echo wrote || echo refused");
        assert_eq!(sandbox.runtime().prints(&bundle), "refused");
        assert_eq!(sandbox.runtime().prints(&bundle.clone().writable()), "wrote");
        assert_eq!(fs::read_to_string(bundle.rootfs().join("file")).expect("written"), "x\n");
    });
}

#[test]
fn the_default_mounts_are_there() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().sh("cut -d' ' -f 5- /proc/self/mountinfo");
        let seen = sandbox.runtime().prints(&bundle);
        for (place, kind) in [
            ("/proc", "proc"),
            ("/dev", "tmpfs"),
            ("/dev/pts", "devpts"),
            ("/dev/shm", "tmpfs"),
            ("/dev/mqueue", "mqueue"),
            ("/sys", "sysfs"),
        ] {
            let found = seen
                .lines()
                .any(|line| line.starts_with(&format!("{place} ")) && line.contains(&format!(" - {kind} ")));
            assert!(found, "{place} of type {kind} in:\n{seen}");
        }
    });
}

#[test]
fn nothing_of_the_host_is_mounted() {
    sandbox(|sandbox| {
        let seen = sandbox.runtime().prints(&sandbox.bundle().args(&["/bin/cat", "/proc/self/mountinfo"]));
        for line in seen.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            assert!(!fields[4].starts_with("/run/taru-test"), "a host mount point: {line}");
        }
        // The root is the bundle's, whatever it was mounted from.
        assert_eq!(seen.lines().filter(|line| line.split(' ').nth(4) == Some("/")).count(), 1, "{seen}");
    });
}

#[test]
fn bind_of_a_directory_and_of_a_file() {
    sandbox(|sandbox| {
        let source = source(sandbox);
        let bundle = sandbox
            .bundle()
            .mount("/mnt", "bind", path(&source), &["bind"])
            .mount("/etc/bound", "bind", path(&source.join("file")), &["bind", "ro"])
            .sh("cat /mnt/file /etc/bound; echo new > /mnt/new; echo x >> /etc/bound || echo refused");
        assert_eq!(sandbox.runtime().prints(&bundle), "contentcontentrefused");
        assert_eq!(fs::read_to_string(source.join("new")).expect("written through"), "new\n");
        // The missing mount point of the file was made, as a file.
        assert!(fs::metadata(bundle.rootfs().join("etc/bound")).expect("a mount point").is_file());
    });
}

#[test]
fn missing_mount_points_are_created() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "plain modes of new mount points") {
            return;
        }
        let bundle = sandbox
            .bundle()
            .mount("/deep/er/dir", "tmpfs", "tmpfs", &["mode=700"])
            .sh("stat -c %a /deep /deep/er /deep/er/dir");
        assert_eq!(sandbox.runtime().prints(&bundle), "755\n755\n700");
    });
}

#[test]
fn mounts_are_done_in_order() {
    sandbox(|sandbox| {
        let source = source(sandbox);
        let bundle = sandbox
            .bundle()
            .mount("/mnt", "tmpfs", "tmpfs", &[])
            .mount("/mnt/in", "bind", path(&source), &["bind"])
            .sh("cat /mnt/in/file");
        assert_eq!(sandbox.runtime().prints(&bundle), "content");
    });
}

#[test]
fn mount_flags_are_exact() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "flags that undo others") {
            return;
        }
        let cases: &[(&[&str], &[&str], &[&str])] = &[
            (&["ro"], &["ro"], &["rw"]),
            (&["nosuid", "nodev", "noexec"], &["rw", "nosuid", "nodev", "noexec"], &["ro"]),
            (&["nosuid", "suid", "nodev", "dev", "noexec", "exec"], &[], &["nosuid", "nodev", "noexec"]),
            (&["noatime"], &["noatime"], &["relatime"]),
            (&["relatime"], &["relatime"], &[]),
            (&["strictatime"], &[], &["relatime", "noatime"]),
            (&["nodiratime"], &["nodiratime"], &[]),
            (&["ro", "rw"], &["rw"], &["ro"]),
        ];
        for (options, present, absent) in cases {
            let tmpfs = sandbox.bundle().mount("/mnt", "tmpfs", "tmpfs", options).sh(MOUNTINFO);
            let source = source(sandbox);
            let mut with_bind = vec!["bind"];
            with_bind.extend_from_slice(options);
            let bind = sandbox.bundle().mount("/mnt", "bind", path(&source), &with_bind).sh(MOUNTINFO);
            for bundle in [tmpfs, bind] {
                let line = sandbox.runtime().prints(&bundle);
                let (flags, _) = options_of(&line);
                for flag in *present {
                    assert!(flags.contains(flag), "{options:?}: no {flag} in {line}");
                }
                for flag in *absent {
                    assert!(!flags.contains(flag), "{options:?}: {flag} in {line}");
                }
            }
        }
    });
}

#[test]
fn file_system_options_reach_the_file_system() {
    sandbox(|sandbox| {
        let bundle = sandbox
            .bundle()
            .mount("/mnt", "tmpfs", "tmpfs", &["size=128k", "mode=0750", "uid=7", "gid=8", "nr_inodes=50"])
            .sh(&format!("{MOUNTINFO}; stat -c %a:%u:%g /mnt"));
        let seen = sandbox.runtime().prints(&bundle);
        let (_, options) = options_of(seen.lines().next().unwrap_or(""));
        for option in ["size=128k", "nr_inodes=50", "uid=7", "gid=8"] {
            assert!(options.contains(&option), "{option} in {seen}");
        }
        if !sandbox.peer_lacks(&[Family::Runc], "the mode of a tmpfs whose mount point is there") {
            assert_eq!(seen.lines().nth(1), Some("750:7:8"));
        }
    });
}

#[test]
fn a_tmpfs_has_the_mode_of_the_directory_it_covers() {
    sandbox(|sandbox| {
        let bundle = |options: &[&str]| {
            let bundle =
                sandbox.bundle().mount("/covered", "tmpfs", "tmpfs", options).sh("stat -c %a /covered");
            let dir = bundle.rootfs().join("covered");
            fs::create_dir(&dir).expect("make a directory");
            fs::set_permissions(&dir, fs::Permissions::from_mode(0o712)).expect("chmod");
            bundle
        };
        for (options, mode) in [(&[][..], "712"), (&["ro", "nosuid"], "712"), (&["mode=750"], "750")] {
            assert_eq!(sandbox.runtime().prints(&bundle(options)), mode, "{options:?}");
        }
        // Where there is no directory, the kernel's own mode.
        let bundle = sandbox.bundle().mount("/absent", "tmpfs", "tmpfs", &[]).sh("stat -c %a /absent");
        assert_eq!(sandbox.runtime().prints(&bundle), "1777");
    });
}

#[test]
fn a_remount_changes_the_mount_and_the_file_system() {
    sandbox(|sandbox| {
        let line = |options: &[&str]| {
            let bundle = sandbox.bundle().mount("/mnt", "tmpfs", "tmpfs", &["size=4m", "nosuid", "noexec"]);
            sandbox.runtime().prints(&bundle.mount("/mnt", "tmpfs", "tmpfs", options).sh(MOUNTINFO))
        };
        let seen = line(&["remount", "size=64k", "nodev", "ro", "shared"]);
        let (mount, file_system) = options_of(&seen);
        assert!(mount.contains(&"nodev") && mount.contains(&"ro"), "{seen}");
        assert!(file_system.contains(&"size=64k"), "{seen}");
        if !sandbox.peer_lacks(&[Family::Crun], "the propagation of a remount") {
            assert!(seen.contains(" shared:"), "{seen}");
        }
        if !sandbox.peer_lacks(&[Family::Runc, Family::Crun], "a remount that leaves the rest as it is") {
            assert!(mount.contains(&"nosuid") && file_system.contains(&"rw"), "{seen}");
        }
    });
}

#[test]
fn a_bad_file_system_option_is_refused() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().mount("/mnt", "tmpfs", "tmpfs", &["no_such_option=1"]);
        sandbox.runtime().run(&bundle).fails_with("/mnt");
        sandbox.assert_no_leaks();
    });
}

/// A tree with a second file system mounted inside.
fn nested_source(sandbox: &Sandbox) -> PathBuf {
    let source = source(sandbox);
    let sub = source.join("sub");
    let run = |args: &[&str]| sandbox.runtime().beside(args.iter().copied()).output().succeeds();
    run(&["mount", "-t", "tmpfs", "sub", path(&sub)]);
    fs::write(sub.join("inner"), "inner").expect("write a file");
    source
}

fn unmount_nested(sandbox: &Sandbox) {
    let sub = sandbox.dir().join("source/sub");
    sandbox.runtime().beside(["umount"]).arg(sub).output().succeeds();
}

#[test]
fn rbind_takes_submounts_and_bind_does_not() {
    sandbox(|sandbox| {
        let source = nested_source(sandbox);
        for (option, seen) in [("rbind", "inner"), ("bind", "none")] {
            let bundle = sandbox
                .bundle()
                .mount("/mnt", "bind", path(&source), &[option])
                .sh("cat /mnt/sub/inner 2>/dev/null || echo none");
            assert_eq!(sandbox.runtime().prints(&bundle), seen, "{option}");
        }
        unmount_nested(sandbox);
    });
}

#[test]
fn ro_is_of_one_mount_and_rro_of_all() {
    sandbox(|sandbox| {
        let source = nested_source(sandbox);
        let script = "echo x > /mnt/top && echo wrote || echo refused; echo x > /mnt/sub/f && echo wrote || echo refused";
        for (options, seen) in [
            (&["rbind", "ro"][..], "refused\nwrote"),
            (&["rbind", "rro"][..], "refused\nrefused"),
            (&["rbind", "ro", "rro"][..], "refused\nrefused"),
        ] {
            let bundle = sandbox.bundle().mount("/mnt", "bind", path(&source), options).sh(script);
            assert_eq!(sandbox.runtime().prints(&bundle), seen, "{options:?}");
        }
        unmount_nested(sandbox);
    });
}

#[test]
fn recursive_attributes_reach_submounts() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "rnoatime") {
            return;
        }
        let source = nested_source(sandbox);
        let bundle = sandbox
            .bundle()
            .mount("/mnt", "bind", path(&source), &["rbind", "rnosuid", "rnodev", "rnoexec", "rnoatime"])
            .sh("grep ' /mnt/sub ' /proc/self/mountinfo");
        let seen = sandbox.runtime().prints(&bundle);
        let (flags, _) = options_of(&seen);
        for flag in ["nosuid", "nodev", "noexec", "noatime", "rw"] {
            assert!(flags.contains(&flag), "{flag} in {seen}");
        }
        unmount_nested(sandbox);
    });
}

#[test]
fn propagation_options() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "shared bind mounts") {
            return;
        }
        let source = source(sandbox);
        for (option, tag) in [
            ("shared", Some("shared:")),
            ("slave", None),
            ("private", None),
            ("unbindable", Some("unbindable")),
            ("rshared", Some("shared:")),
        ] {
            let bundle =
                sandbox.bundle().mount("/mnt", "bind", path(&source), &["rbind", option]).sh(MOUNTINFO);
            let line = sandbox.runtime().prints(&bundle);
            match tag {
                Some(tag) => assert!(line.contains(tag), "{option}: {line}"),
                None => assert!(!line.contains("shared:"), "{option}: {line}"),
            }
        }
        // Also where the root's are to be private.
        let bundle = sandbox
            .bundle()
            .put("/linux/rootfsPropagation", json!("rprivate"))
            .mount("/mnt", "bind", path(&source), &["rbind", "rshared"])
            .sh(MOUNTINFO);
        let line = sandbox.runtime().prints(&bundle);
        assert!(line.contains("shared:"), "{line}");
    });
}

#[test]
fn a_shared_source_is_not_shared_by_a_user_namespace() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "propagation that stays as the root's") {
            return;
        }
        let source = source(sandbox);
        let run = |args: &[&str]| sandbox.runtime().beside(args.iter().copied()).output().succeeds();
        run(&["mount", "-t", "tmpfs", "top", path(&source)]);
        run(&["mount", "--make-shared", path(&source)]);
        fs::create_dir(source.join("sub")).expect("make a directory");
        run(&["mount", "-t", "tmpfs", "sub", path(&source.join("sub"))]);
        // `slave` is of the one mount: what lies below has the propagation of the root.
        for options in [&["rbind"][..], &["rbind", "slave"]] {
            let bundle = sandbox
                .bundle()
                .user_namespace(200_000)
                .mount("/mnt", "bind", path(&source), options)
                .sh("grep ' /mnt' /proc/self/mountinfo");
            let seen = sandbox.runtime().prints(&bundle);
            let inbound = seen.lines().filter(|line| line.contains(" master:") && !line.contains(" shared:"));
            assert_eq!(inbound.count(), 2, "{options:?}: {seen}");
        }
        run(&["umount", "-R", path(&source)]);
    });
}

#[test]
fn rslave_receives_mounts_of_the_host() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "rslave without rootfsPropagation") {
            return;
        }
        let source = source(sandbox);
        let run = |args: &[&str]| sandbox.runtime().beside(args.iter().copied()).output().succeeds();
        run(&["mount", "-t", "tmpfs", "top", path(&source)]);
        run(&["mount", "--make-shared", path(&source)]);
        fs::create_dir(source.join("late")).expect("make a directory");
        let bundle = sandbox.bundle().idle().mount("/mnt", "bind", path(&source), &["rbind", "rslave"]);
        let container = sandbox.runtime().start(&bundle);
        run(&["mount", "-t", "tmpfs", "late", path(&source.join("late"))]);
        fs::write(source.join("late/file"), "arrived").expect("write a file");
        assert_eq!(container.exec(["/bin/cat", "/mnt/late/file"]).ok().text(), "arrived");
        container.delete_force().succeeds();
        run(&["umount", path(&source.join("late"))]);
        run(&["umount", path(&source)]);
    });
}

#[test]
fn rootfs_propagation_and_its_aliases() {
    sandbox(|sandbox| {
        let root =
            "grep ' / / ' /proc/self/mountinfo || grep -E '^[^ ]+ [^ ]+ [^ ]+ [^ ]+ / ' /proc/self/mountinfo";
        for name in ["private", "rprivate", "slave", "rslave", ""] {
            let bundle = sandbox.bundle().put("/linux/rootfsPropagation", json!(name)).sh(root);
            let output = sandbox.runtime().run(&bundle);
            assert!(output.status == 0, "rootfsPropagation `{name}`: {}", output.stderr);
            assert!(!output.stdout.contains("shared:"), "`{name}`: {}", output.stdout);
        }
        for name in ["shared", "rshared"] {
            if sandbox.peer_lacks(&[Family::Runc], "shared for a root that was not") {
                continue;
            }
            let bundle = sandbox.bundle().put("/linux/rootfsPropagation", json!(name)).sh(root);
            let output = sandbox.runtime().run(&bundle).ok();
            assert!(output.stdout.contains("shared:"), "`{name}`: {}", output.stdout);
        }
        let bundle = sandbox.bundle().put("/linux/rootfsPropagation", json!("sideways"));
        if !sandbox.peer_lacks(&[Family::Crun], "refusal of an unknown rootfsPropagation") {
            sandbox.runtime().run(&bundle).fails_with("sideways");
        }
    });
}

#[test]
fn mounts_of_a_container_do_not_reach_the_host() {
    sandbox(|sandbox| {
        // The worst case: the bundle lies on a shared mount, as everything does under systemd.
        let run = |args: &[&str]| sandbox.runtime().beside(args.iter().copied()).output().succeeds();
        let dir = sandbox.dir().join("shared");
        fs::create_dir_all(&dir).expect("make a directory");
        run(&["mount", "-t", "tmpfs", "top", path(&dir)]);
        run(&["mount", "--make-rshared", path(&dir)]);
        let bundle = sandbox.bundle();
        let moved = dir.join("rootfs");
        run(&["cp", "-a", path(&bundle.rootfs()), path(&moved)]);
        let before = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo").lines().count();
        let bundle = bundle.put("/root/path", json!(moved)).idle().mount("/mnt", "tmpfs", "tmpfs", &[]);
        let container = sandbox.runtime().start(&bundle);
        let during = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo").lines().count();
        assert_eq!(during, before);
        container.delete_force().succeeds();
        run(&["umount", path(&dir)]);
    });
}

#[test]
fn masked_paths_are_empty() {
    sandbox(|sandbox| {
        let bundle = sandbox
            .bundle()
            .file("secret/file", "secret", 0o644)
            .file("secret-file", "secret", 0o644)
            .put("/linux/maskedPaths", json!(["/secret", "/secret-file", "/proc/kcore", "/no/such/path"]))
            .sh(
                "ls -A /secret; cat /secret-file; wc -c < /secret-file; echo x > /secret/new || echo refused",
            );
        assert_eq!(sandbox.runtime().prints(&bundle), "0\nrefused");
    });
}

#[test]
fn readonly_paths_cannot_be_written() {
    sandbox(|sandbox| {
        let bundle = sandbox
            .bundle()
            .writable()
            .file("data/file", "old", 0o644)
            .put("/linux/readonlyPaths", json!(["/data", "/proc/sys", "/no/such/path"]))
            .sh("echo x > /data/new || echo refused; echo x > /data/file || echo refused; echo x > /ok && echo fine; \
                 echo 1 > /proc/sys/net/ipv4/ip_forward || echo refused");
        assert_eq!(sandbox.runtime().prints(&bundle), "refused\nrefused\nfine\nrefused");
        assert_eq!(fs::read_to_string(bundle.rootfs().join("data/file")).expect("a file"), "old");
    });
}

#[test]
fn readonly_paths_keep_the_flags_of_the_mount_below() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "flags below read-only paths") {
            return;
        }
        let bundle = sandbox
            .bundle()
            .mount("/mnt", "tmpfs", "tmpfs", &["nosuid", "nodev", "noexec"])
            .put("/linux/readonlyPaths", json!(["/mnt"]))
            .sh(MOUNTINFO);
        let line = sandbox.runtime().prints(&bundle);
        let (flags, _) = options_of(&line);
        for flag in ["ro", "nosuid", "nodev", "noexec"] {
            assert!(flags.contains(&flag), "{flag} in {line}");
        }
    });
}

#[test]
fn tmpcopyup_copies_what_was_there() {
    sandbox(|sandbox| {
        let bundle = sandbox
            .bundle()
            .file("data/dir/file", "copied", 0o640)
            .mount("/data", "tmpfs", "tmpfs", &["tmpcopyup"])
            .sh("cat /data/dir/file; echo; stat -c %a /data/dir/file; echo x > /data/new; ls /data; readlink /data/link");
        symlink("dir/file", bundle.rootfs().join("data/link")).expect("make a symlink");
        assert_eq!(sandbox.runtime().prints(&bundle), "copied\n640\ndir\nlink\nnew\ndir/file");
        assert!(!bundle.rootfs().join("data/new").exists());
    });
}

#[test]
fn a_mount_without_source_or_options() {
    sandbox(|sandbox| {
        let bundle =
            sandbox.bundle().mount_json(json!({ "destination": "/mnt", "type": "tmpfs" })).sh(MOUNTINFO);
        let line = sandbox.runtime().prints(&bundle);
        assert!(line.contains(" - tmpfs "), "{line}");
    });
}

#[test]
fn a_bind_mount_may_leave_out_its_type_or_say_none() {
    sandbox(|sandbox| {
        let source = source(sandbox);
        for mount in [
            json!({ "destination": "/mnt", "source": source, "options": ["bind"] }),
            json!({ "destination": "/mnt", "type": "none", "source": source, "options": ["rbind"] }),
            json!({ "destination": "/mnt", "type": "bind", "source": source, "options": ["rbind", "rprivate"] }),
        ] {
            let bundle = sandbox.bundle().mount_json(mount).sh("cat /mnt/file");
            assert_eq!(sandbox.runtime().prints(&bundle), "content");
        }
    });
}

#[test]
fn a_relative_bind_source_is_of_the_bundle() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().mount("/mnt", "bind", "data", &["bind"]).sh("cat /mnt/file");
        fs::create_dir(bundle.dir().join("data")).expect("make a directory");
        fs::write(bundle.dir().join("data/file"), "mine").expect("write a file");
        assert_eq!(sandbox.runtime().prints(&bundle), "mine");
    });
}

#[test]
fn a_relative_destination_is_below_the_root() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().mount("mnt", "tmpfs", "tmpfs", &[]).sh(MOUNTINFO);
        let output = sandbox.runtime().run(&bundle);
        assert!(output.status != 0 || output.stdout.contains(" /mnt "), "{}", output.stdout);
    });
}

#[test]
fn a_missing_bind_source_is_named() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().mount("/mnt", "bind", "/no/such/source", &["bind"]);
        sandbox.runtime().run(&bundle).fails_with("/no/such/source");
        sandbox.assert_no_leaks();
    });
}

#[test]
fn mounting_over_a_symlink_of_the_rootfs_follows_it_inside() {
    sandbox(|sandbox| {
        let bundle = sandbox
            .bundle()
            .mount("/link", "tmpfs", "tmpfs", &[])
            .sh("grep tmpfs /proc/self/mountinfo | grep ' /tmp '");
        symlink("/tmp", bundle.rootfs().join("link")).expect("make a symlink");
        sandbox.runtime().run(&bundle).succeeds();
    });
}

#[test]
fn idmapped_bind_mounts() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "idmapped mounts by uidMappings") {
            return;
        }
        let source = source(sandbox);
        std::os::unix::fs::chown(source.join("file"), Some(1000), Some(1000)).expect("chown");
        // On-disk id 1000 is seen as 5000.
        let map = json!([{ "containerID": 1000, "hostID": 5000, "size": 10 }, { "containerID": 0, "hostID": 0, "size": 1 }]);
        let bundle = sandbox
            .bundle()
            .mount_json(json!({
                "destination": "/mnt", "type": "bind", "source": source, "options": ["bind"],
                "uidMappings": map, "gidMappings": map,
            }))
            .sh("stat -c %u:%g /mnt/file");
        assert_eq!(sandbox.runtime().prints(&bundle), "5000:5000");
    });
}

#[test]
fn idmap_option_uses_the_containers_user_namespace() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc], "the idmap option") {
            return;
        }
        let source = nested_source(sandbox);
        for file in ["file", "sub/inner"] {
            std::os::unix::fs::chown(source.join(file), Some(7), Some(8)).expect("chown");
        }
        let script = "stat -c %u:%g /mnt/file /mnt/sub/inner";
        for (option, inner) in [("idmap", "65534:65534"), ("ridmap", "7:8")] {
            if sandbox.peer_lacks(&[Family::Crun], "ridmap, and idmap of one mount only") {
                continue;
            }
            let bundle = sandbox
                .bundle()
                .user_namespace(100_000)
                .mount("/mnt", "bind", path(&source), &["rbind", option])
                .sh(script);
            assert_eq!(sandbox.runtime().prints(&bundle), format!("7:8\n{inner}"), "{option}");
        }
        unmount_nested(sandbox);
    });
}

#[test]
fn a_host_file_system_bound_keeps_modes_and_owners() {
    sandbox(|sandbox| {
        let source = source(sandbox);
        let file = source.join("file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o4711)).expect("chmod");
        let before = fs::metadata(&file).expect("metadata");
        let bundle =
            sandbox.bundle().mount("/mnt", "bind", path(&source), &["bind"]).sh("stat -c %a:%u:%g /mnt/file");
        assert_eq!(sandbox.runtime().prints(&bundle), "4711:0:0");
        let after = fs::metadata(&file).expect("metadata");
        assert_eq!((before.mode(), before.uid(), before.gid()), (after.mode(), after.uid(), after.gid()));
    });
}

#[test]
fn overlay_as_a_mount() {
    sandbox(|sandbox| {
        let dir = sandbox.dir();
        for name in ["lower", "upper", "work"] {
            fs::create_dir_all(dir.join(name)).expect("make a directory");
        }
        fs::write(dir.join("lower/file"), "below").expect("write a file");
        let options = ["lower", "upper", "work"].map(|name| format!("{name}dir={}", path(&dir.join(name))));
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let bundle = sandbox
            .bundle()
            .mount("/mnt", "overlay", "overlay", &options)
            .sh("cat /mnt/file; echo x > /mnt/new");
        let output = sandbox.runtime().run(&bundle);
        if output.stderr.contains("No such device") {
            return sandbox.skip("overlayfs");
        }
        assert_eq!(output.ok().text(), "below");
        assert!(dir.join("upper/new").exists());
        let _ = fs::remove_dir_all(dir.join("work"));
    });
}

#[test]
fn without_pivot_root() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().sh("ls / | head -3");
        let output = sandbox.runtime().run_with(&bundle, &["--no-pivot"]).ok();
        assert_eq!(output.text(), "bin\ndev\netc");
    });
}
