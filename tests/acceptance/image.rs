//! An image made here: busybox and the links to it, as a tar of the tree and as an OCI image layout.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// The commands of the image that the tests use.
const APPLETS: [&str; 10] = ["sh", "true", "false", "sleep", "cat", "echo", "ps", "id", "hostname", "env"];

/// Makes `DIR/rootfs.tar` and returns its path: what `docker import` takes.
pub(crate) fn tree(dir: &Path) -> PathBuf {
    let root = dir.join("image");
    for sub in ["bin", "etc", "tmp", "proc", "sys", "dev"] {
        fs::create_dir_all(root.join(sub)).expect("make the image's tree");
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("copy busybox");
    for applet in APPLETS {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).expect("link an applet");
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n")
        .expect("write passwd");
    let tar = dir.join("rootfs.tar");
    run(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&tar).arg("."));
    tar
}

/// Makes an OCI image layout around the tree and packs it: what `ctr images import` takes.
pub(crate) fn layout(dir: &Path, name: &str) -> PathBuf {
    let rootfs = tree(dir);
    let layout = dir.join("layout");
    fs::create_dir_all(layout.join("blobs/sha256")).expect("make the layout");
    let layer =
        blob(&layout, &fs::read(&rootfs).expect("read the layer"), "application/vnd.oci.image.layer.v1.tar");
    let config = json!({
        "architecture": architecture(), "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    });
    let config = blob(&layout, config.to_string().as_bytes(), "application/vnd.oci.image.config.v1+json");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": [layer],
    });
    let mut manifest =
        blob(&layout, manifest.to_string().as_bytes(), "application/vnd.oci.image.manifest.v1+json");
    manifest["annotations"] =
        json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": "latest"});
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    fs::write(layout.join("index.json"), index.to_string()).expect("write the index");
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("write the marker");
    let tar = dir.join("layout.tar");
    run(Command::new("tar").arg("-C").arg(&layout).arg("-cf").arg(&tar).arg("."));
    tar
}

/// Stores `content` in the layout and returns its descriptor.
fn blob(layout: &Path, content: &[u8], media_type: &str) -> Value {
    let path = layout.join("blob");
    fs::write(&path, content).expect("write a blob");
    let sum = Command::new("sha256sum").arg(&path).output().expect("run sha256sum");
    let sum = String::from_utf8_lossy(&sum.stdout).split(' ').next().unwrap_or_default().to_owned();
    fs::rename(&path, layout.join("blobs/sha256").join(&sum)).expect("name a blob");
    json!({"mediaType": media_type, "digest": format!("sha256:{sum}"), "size": content.len()})
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[track_caller]
fn run(command: &mut Command) {
    assert!(command.status().is_ok_and(|status| status.success()), "{command:?}");
}
