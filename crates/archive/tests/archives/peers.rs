//! skopeo, podman, buildah and Docker: what they write is loaded, what is saved they read.

use std::path::Path;
use std::process::{Command, Stdio};

use taru_archive::{Format, save};
use taru_oci::Digest;
use taru_testkit::image::{Built, Image, Tar, digest};
use taru_testkit::{eventually, in_namespaces};

use crate::world::{World, has, name, plain, small};

/// An image of two layers as registries have them.
fn gzip() -> Built {
    Image::new()
        .layer(Tar::new().dir("etc", 0o755).file("etc/motd", "hello\n".repeat(3000), 0o644))
        .layer(Tar::new().whiteout("etc/motd"))
        .config(|c| c["config"]["Cmd"] = serde_json::json!(["/bin/sh", "-c", "true"]))
        .build()
}

/// Writes both formats of `built`, named `localhost/a:1` and `localhost/b:2`.
fn save_both(world: &World, built: &Built) {
    let loaded = world.load(built.oci_archive(&["localhost/a:1", "localhost/b:2"])).unwrap();
    let images = [(loaded[0].names.clone(), loaded[0].descriptor.clone())];
    for (format, file) in [(Format::Oci, "saved-oci.tar"), (Format::Docker, "saved-docker.tar")] {
        let mut out = std::fs::File::create(world.dir().join(file)).unwrap();
        save(&mut out, &world.content, &images, format, &|_, _| None).unwrap();
    }
}

/// Loads a file that a peer wrote of `built` and compares the image: its diff ids, its names. Returns its id: peers that
/// convert an image write another configuration.
#[track_caller]
fn loads(world: &World, file: &str, built: &Built, names: &[&str]) -> String {
    let (here, bytes) = (World::new(), std::fs::read(world.dir().join(file)).unwrap());
    let loaded = here.load(bytes).unwrap_or_else(|e| panic!("{file}: {}", e.chain()));
    assert_eq!(loaded.len(), 1, "{file}");
    let wanted: Vec<_> = names.iter().map(|text| name(text)).collect();
    let mut found = loaded[0].names.clone();
    found.sort();
    assert_eq!(found, wanted, "{file}");
    let diff_ids: Vec<Digest> = built.layers.iter().map(|layer| layer.diff_id.parse().unwrap()).collect();
    assert_eq!(here.config(&loaded[0].descriptor).rootfs.diff_ids, diff_ids, "{file}");
    here.manifest(&loaded[0].descriptor).config.digest.to_string()
}

#[test]
fn skopeo_writes_and_reads() {
    if !has("peers::skopeo_writes_and_reads", "skopeo") {
        return;
    }
    let (world, built) = (World::new(), gzip());
    built.write_layout(&world.dir().join("layout"), Some("x"));
    let copy =
        |from: &str, to: &str| world.run(&["skopeo", "--insecure-policy", "copy", "--quiet", from, to]);
    copy("oci:layout:x", "oci-archive:oci.tar:localhost/a:1");
    copy("oci:layout:x", "docker-archive:docker.tar:localhost/a:1");
    assert_eq!(loads(&world, "oci.tar", &built, &["localhost/a:1"]), digest(&built.config));
    loads(&world, "docker.tar", &built, &["localhost/a:1"]);

    save_both(&world, &built);
    for source in [
        "oci-archive:saved-oci.tar:localhost/a:1",
        "docker-archive:saved-oci.tar:localhost/b:2",
        "docker-archive:saved-docker.tar:localhost/a:1",
        "oci-archive:saved-docker.tar:localhost/b:2",
    ] {
        let out = format!("dir:out-{}", source.split(':').nth(1).unwrap());
        copy(source, &out);
        let inspected = world.run(&["skopeo", "inspect", "--config", source]);
        let config: serde_json::Value = serde_json::from_str(&inspected).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][1], built.layers[1].diff_id.as_str(), "{source}");
        assert_eq!(config["config"]["Cmd"][2], "true", "{source}");
    }
    let loaded = world.load(built.oci_archive(&["localhost/a:1"])).unwrap();
    let images = [(loaded[0].names.clone(), loaded[0].descriptor.clone())];
    taru_archive::save_directory(&world.dir().join("saved"), &world.content, &images).unwrap();
    let digest = world.run(&["skopeo", "inspect", "--format", "{{.Digest}}", "oci:saved:localhost/a:1"]);
    assert_eq!(digest.trim(), built.digest());
}

/// Mounts and processes of an engine stay in here.
const ENGINE: &[&str] =
    &["--mount", "--propagation", "private", "--pid", "--fork", "--mount-proc", "--kill-child", "--net"];

fn own_run() {
    let done = Command::new("mount").args(["-t", "tmpfs", "tmpfs", "/run"]).status().unwrap();
    assert!(done.success());
}

#[test]
fn podman_and_buildah_write_and_read() {
    in_namespaces(ENGINE, || {
        if !has("peers::podman_and_buildah_write_and_read", "podman") {
            return;
        }
        own_run();
        let (world, built) = (World::new(), plain());
        // podman takes no longer path than 50 characters for the second.
        let (root, run) = (world.dir().join("podman").display().to_string(), "/run/podman".to_owned());
        let with = |program: &str, args: &[&str]| {
            let mut argv = vec![program, "--root", &root, "--runroot", &run, "--storage-driver", "vfs"];
            argv.extend_from_slice(args);
            world.run(&argv)
        };
        save_both(&world, &built);
        for file in ["saved-oci.tar", "saved-docker.tar"] {
            let said = with("podman", &["load", "--quiet", "--input", file]);
            assert!(said.contains("localhost/a:1"), "{file}: {said}");
            let id = with("podman", &["image", "inspect", "--format", "{{.Id}}", "localhost/a:1"]);
            assert_eq!(format!("sha256:{}", id.trim()), digest(&built.config), "{file}");
            for (format, out) in [("docker-archive", "p-docker.tar"), ("oci-archive", "p-oci.tar")] {
                let _ = std::fs::remove_file(world.dir().join(out));
                with("podman", &["save", "--quiet", "--format", format, "--output", out, "localhost/a:1"]);
            }
            loads(&world, "p-oci.tar", &built, &["localhost/a:1"]);
            loads(&world, "p-docker.tar", &built, &["localhost/a:1"]);
            with("podman", &["rmi", "--force", "--all"]);
        }
        // Several images in one archive.
        with("podman", &["load", "--quiet", "--input", "saved-docker.tar"]);
        with("podman", &["tag", "localhost/a:1", "localhost/c:3"]);
        let both = ["localhost/a:1", "localhost/c:3"];
        with(
            "podman",
            &[&["save", "--quiet", "--multi-image-archive", "--output", "many.tar"][..], &both].concat(),
        );
        let here = World::new();
        let loaded = here.load(std::fs::read(world.dir().join("many.tar")).unwrap()).unwrap();
        let mut names: Vec<_> = loaded.iter().flat_map(|image| image.names.clone()).collect();
        names.sort();
        assert!(
            names.contains(&name("localhost/a:1")) && names.contains(&name("localhost/c:3")),
            "{names:?}"
        );
        if has("peers::podman_and_buildah_write_and_read", "buildah") {
            with("buildah", &["pull", "--quiet", "oci-archive:saved-oci.tar:localhost/b:2"]);
            with(
                "buildah",
                &["push", "--quiet", "localhost/b:2", "docker-archive:b-docker.tar:localhost/b:2"],
            );
            loads(&world, "b-docker.tar", &built, &["localhost/b:2"]);
        }
    });
}

#[test]
fn docker_writes_and_reads() {
    in_namespaces(ENGINE, || {
        let test = "peers::docker_writes_and_reads";
        if !["docker", "dockerd", "containerd"].iter().all(|program| has(test, program)) {
            return;
        }
        own_run();
        let (world, built) = (World::new(), plain());
        let daemon = Daemon::start(world.dir());
        let docker = |args: &[&str]| world.run(&[&["docker", "--host", &daemon.host], args].concat());
        save_both(&world, &built);
        for file in ["saved-oci.tar", "saved-docker.tar"] {
            let said = docker(&["load", "--quiet", "--input", file]);
            assert!(said.contains("localhost/a:1") && said.contains("localhost/b:2"), "{file}: {said}");
            let id = docker(&["image", "inspect", "--format", "{{.Id}}", "localhost/a:1"]);
            assert_eq!(id.trim(), digest(&built.config), "{file}");
            docker(&["save", "--output", "d.tar", "localhost/a:1", "localhost/b:2"]);
            let id = loads(&world, "d.tar", &built, &["localhost/a:1", "localhost/b:2"]);
            assert_eq!(id, digest(&built.config), "{file}");
            docker(&["rmi", "localhost/a:1", "localhost/b:2"]);
        }
        // A gzip layer is read by Docker too, as it unpacks what it finds.
        let packed = small().build();
        let loaded = world.load(packed.oci_archive(&["localhost/z:1"])).unwrap();
        let images = [(loaded[0].names.clone(), loaded[0].descriptor.clone())];
        let mut out = std::fs::File::create(world.dir().join("z.tar")).unwrap();
        save(&mut out, &world.content, &images, Format::Docker, &|_, _| None).unwrap();
        docker(&["load", "--quiet", "--input", "z.tar"]);
        let id = docker(&["image", "inspect", "--format", "{{.Id}}", "localhost/z:1"]);
        assert_eq!(id.trim(), digest(&packed.config));
    });
}

/// Docker's daemon, with a directory of its own and no network. It ends with the test's process namespace.
struct Daemon {
    host: String,
    child: std::process::Child,
}

impl Daemon {
    fn start(dir: &Path) -> Daemon {
        let at = |name: &str| dir.join(name).display().to_string();
        let host = format!("unix://{}", at("docker.socket"));
        let log = std::fs::File::create(dir.join("docker.log")).unwrap();
        let child = Command::new("dockerd")
            .args([
                format!("--data-root={}", at("docker-data")),
                format!("--exec-root={}", at("docker-exec")),
                format!("--pidfile={}", at("docker-pid")),
                format!("--host={host}"),
            ])
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let daemon = Daemon { host, child };
        eventually("Docker's daemon answers", || {
            let asked = Command::new("docker").args(["--host", &daemon.host, "version"]).output();
            asked.is_ok_and(|done| done.status.success())
        });
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.child.wait();
    }
}
