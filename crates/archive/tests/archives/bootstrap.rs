//! Images from packages and from busybox: the same twice, and nothing left of one that was killed.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use taru_archive::{Bootstrap, bootstrap};
use taru_content::{Content, NoLayers};
use taru_oci::Descriptor;
use taru_stdx::Kind;
use taru_testkit::{eventually, in_namespaces};

use crate::world::{World, has};

/// Bootstraps in a store of its own, unpacks, and says what the image is.
fn unpacked(what: &str, options: &Bootstrap) -> taru_stdx::Result<(World, Descriptor, PathBuf)> {
    let world = World::new();
    let lease = world.content.lease("test")?;
    let lines = Mutex::new(0);
    let descriptor = bootstrap(what, options, &world.content, &lease, &|line| {
        assert!(!line.is_empty());
        *lines.lock().unwrap() += 1;
    })?;
    world.content.keep(std::slice::from_ref(&descriptor))?;
    assert!(what == "busybox" || *lines.lock().unwrap() > 3, "progress is told");
    let layer = world.manifest(&descriptor).layers.remove(0);
    let blob = world.content.dir().join("blobs/sha256").join(layer.digest.hex()).display().to_string();
    let root = world.dir().join("root");
    std::fs::create_dir(&root).unwrap();
    world.run(&["tar", "--no-same-owner", "-xzf", &blob, "-C", &root.display().to_string()]);
    Ok((world, descriptor, root))
}

#[test]
fn busybox_twice_is_the_same_image_and_runs() {
    let options = Bootstrap { epoch: 1_600_000_000, ..Bootstrap::default() };
    let (world, one, root) = match unpacked("busybox", &options) {
        Err(e) if e.kind() == Kind::NotFound => {
            return taru_testkit::skip(
                "bootstrap::busybox_twice_is_the_same_image_and_runs",
                "a static busybox",
            );
        }
        other => other.unwrap(),
    };
    let (_other, two, _) = unpacked("busybox", &options).unwrap();
    assert_eq!(one, two);
    let config = world.config(&one);
    assert_eq!(config.created.as_deref(), Some("2020-09-13T12:26:40.000000000Z"));
    assert_eq!(config.config.unwrap().cmd.unwrap(), ["sh"]);
    let said = Command::new(root.join("bin/busybox")).args(["echo", "hello"]).output().unwrap();
    assert_eq!(said.stdout, b"hello\n");
    let inode =
        |path: &str| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(root.join(path)).unwrap());
    assert_eq!(inode("bin/sh"), inode("bin/busybox"));
    assert_eq!(inode("usr/bin/awk"), inode("bin/busybox"));
    let refused = Bootstrap { include: vec!["curl".to_owned()], ..options };
    assert_eq!(unpacked("busybox", &refused).err().unwrap().kind(), Kind::Invalid);
}

/// Whether an error says that no mirror can be reached from here.
fn is_offline(text: &str) -> bool {
    ["Failed to fetch", "Could not resolve", "Unable to connect", "connection timed out", "Cannot initiate"]
        .iter()
        .any(|words| text.contains(words))
}

#[test]
fn debian_twice_is_the_same_image() {
    let test = "bootstrap::debian_twice_is_the_same_image";
    if !has(test, "mmdebstrap") {
        return;
    }
    // The smallest that there is: what is essential, configured by dpkg's own order.
    let is_full = std::env::var("TARU_TEST_FULL").is_ok_and(|full| full == "1");
    let variant = if is_full { "minbase" } else { "essential" };
    let options =
        Bootstrap { variant: Some(variant.to_owned()), epoch: 1_700_000_000, ..Bootstrap::default() };
    let (world, one, root) = match unpacked("debian:bookworm", &options) {
        Err(e) if is_offline(&e.chain().to_string()) => {
            return taru_testkit::skip(test, "a mirror of Debian");
        }
        other => other.unwrap(),
    };
    let release = std::fs::read_to_string(root.join("usr/lib/os-release")).unwrap();
    assert!(release.contains("VERSION_CODENAME=bookworm"), "{release}");
    let config = world.config(&one);
    assert_eq!(config.config.unwrap().cmd.unwrap(), ["bash"]);
    for gone in ["etc/hostname", "etc/resolv.conf", "var/log/dpkg.log", "dev/null"] {
        assert!(!root.join(gone).exists(), "{gone}");
    }
    let (_other, two, _) = unpacked("debian:bookworm", &options).unwrap();
    assert_eq!(one, two, "the same packages are the same image");
}

/// An ordinary user is root in a user namespace, and what comes out is the same. Only with `TARU_TEST_FULL=1`: it takes minutes.
#[test]
fn an_ordinary_users_image_is_roots() {
    let test = "bootstrap::an_ordinary_users_image_is_roots";
    if std::env::var("TARU_TEST_FULL").is_ok_and(|full| full == "1") {
        in_namespaces(&["--mount", "--propagation", "private"], || {
            let world = World::new();
            // Subordinate ids for the user nobody, seen in here alone.
            std::fs::write(world.dir().join("ids"), "nobody:100000:65536\n").unwrap();
            for file in ["/etc/subuid", "/etc/subgid"] {
                world.run(&["mount", "--bind", "ids", file]);
            }
            let program = std::env::current_exe().unwrap();
            let program = program.parent().unwrap().parent().unwrap().join("examples/archive");
            std::fs::copy(program, world.dir().join("archive")).unwrap();
            world.run(&["chown", "-R", "65534:65534", "."]);
            let dir = world.dir().display().to_string();
            let by = |user: &str, store: &str| {
                let line = format!(
                    "cd / && HOME={dir} setpriv --reuid {user} --regid {user} --clear-groups {dir}/archive bootstrap {dir}/{store} debian:bookworm essential"
                );
                let done = Command::new("sh").args(["-c", &line]).output().unwrap();
                let said = String::from_utf8_lossy(&done.stderr).into_owned();
                (done.status.success() || is_offline(&said)).then_some(()).expect(&said);
                String::from_utf8(done.stdout).unwrap()
            };
            let root = by("0", "root");
            match root.is_empty() {
                true => taru_testkit::skip(test, "a mirror of Debian"),
                false => assert_eq!(by("65534", "user"), root),
            }
        });
    } else {
        taru_testkit::skip(test, "TARU_TEST_FULL=1");
    }
}

/// The victim of the next test: this very test executable, with a store and a mirror that never answers.
const VICTIM: &str = "TARU_TEST_BOOTSTRAP_VICTIM";

#[test]
fn a_bootstrap_that_is_killed_leaves_nothing() {
    let test = "bootstrap::a_bootstrap_that_is_killed_leaves_nothing";
    if let Ok(victim) = std::env::var(VICTIM) {
        let (dir, mirror) = victim.split_once('|').unwrap();
        let content = Content::open(Path::new(dir)).unwrap();
        let lease = content.lease("victim").unwrap();
        let options = Bootstrap { mirror: Some(mirror.to_owned()), ..Bootstrap::default() };
        let _ = bootstrap("debian:bookworm", &options, &content, &lease, &|_| ());
        return;
    }
    if !has(test, "mmdebstrap") {
        return;
    }
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let store = world.dir().join("victim");
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--test-threads=1"])
        .env(VICTIM, format!("{}|http://{address}/debian", store.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // mmdebstrap's apt asks, and waits for an answer.
    let _asking = accept(&listener);
    assert!(count_of(&address) > 2);
    victim.kill().unwrap();
    victim.wait().unwrap();
    eventually("every process of it is gone", || count_of(&address) == 0);
    let content = Content::open(&store).unwrap();
    content.gc(&NoLayers).unwrap();
    let usage = content.usage().unwrap();
    assert_eq!((usage.blobs, usage.bytes, usage.unfinished_bytes), (0, 0, 0));
    let left: Vec<_> = std::fs::read_dir("/var/tmp")
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("mmdebstrap."))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

fn accept(listener: &TcpListener) -> Option<std::net::TcpStream> {
    listener.set_nonblocking(true).unwrap();
    let mut found = None;
    eventually("apt asks the mirror", || {
        found = listener.accept().ok();
        found.is_some()
    });
    found.map(|(stream, _)| stream)
}

/// How many processes have `text` in their arguments.
fn count_of(text: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(text)
        })
        .count()
}
