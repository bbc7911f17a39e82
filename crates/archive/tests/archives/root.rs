//! Root file systems: the same tree comes out as went in, from whatever it was packed in.

use std::fs::File;
use std::io::Cursor;
use std::path::Path;

use serde_json::{Value, json};
use taru_archive::{About, import, import_split, import_unified};
use taru_oci::media::Compression;
use taru_oci::{Descriptor, RunConfig};
use taru_stdx::Result;
use taru_testkit::image::{Pack, Tar, digest};

use crate::world::{World, has};

fn about() -> About {
    About { created: Some("2020-01-01T00:00:00Z".to_owned()), ..About::default() }
}

fn imported(world: &World, bytes: Vec<u8>, about: &About) -> Result<Descriptor> {
    let lease = world.content.lease("test")?;
    let descriptor = import(Cursor::new(bytes), &world.content, &lease, about)?;
    world.content.keep(std::slice::from_ref(&descriptor))?;
    Ok(descriptor)
}

fn small_root() -> Tar {
    Tar::new().dir("bin", 0o755).file("bin/sh", "#!\n".repeat(100_000), 0o755).symlink("sh", "bin/sh")
}

#[test]
fn a_tar_in_any_compression_is_the_same_root() {
    let (world, tar) = (World::new(), small_root().bytes());
    std::fs::write(world.dir().join("r.tar"), &tar).unwrap();
    world.run(&["xz", "-k", "r.tar"]);
    let xz = std::fs::read(world.dir().join("r.tar.xz")).unwrap();
    let (gzip, zstd) = (Pack::Gzip.pack(&tar), Pack::Zstd.pack(&tar));
    let layer = |bytes: &[u8], about: &About| {
        let descriptor = imported(&world, bytes.to_vec(), about).unwrap();
        let config = world.config(&descriptor);
        assert_eq!(config.rootfs.diff_ids.len(), 1);
        assert_eq!(config.rootfs.diff_ids[0].to_string(), digest(&tar));
        assert_eq!(config.created.as_deref(), Some("2020-01-01T00:00:00Z"));
        world.manifest(&descriptor).layers.remove(0)
    };
    // As it came, where a layer may come so.
    assert_eq!(layer(&gzip, &about()).digest.to_string(), digest(&gzip));
    assert_eq!(layer(&zstd, &about()).digest.to_string(), digest(&zstd));
    let packed = layer(&tar, &about());
    assert_eq!(packed.media_type, "application/vnd.oci.image.layer.v1.tar+gzip");
    assert_eq!(layer(&xz, &about()).digest, packed.digest);
    // As it is asked for.
    let plain = About { compression: Some(Compression::None), ..about() };
    assert_eq!(layer(&gzip, &plain).digest.to_string(), digest(&tar));
    let gzipped = About { compression: Some(Compression::Gzip), ..about() };
    assert_eq!(layer(&zstd, &gzipped).digest, packed.digest);
}

#[test]
fn the_configuration_is_the_callers_and_twice_is_the_same_image() {
    let world = World::new();
    let about = About {
        config: RunConfig {
            cmd: Some(vec!["/bin/sh".to_owned()]),
            env: Some(vec!["A=b".to_owned()]),
            ..RunConfig::default()
        },
        platform: Some("linux/arm64".parse().unwrap()),
        comment: Some("imported".to_owned()),
        ..about()
    };
    let one = imported(&world, small_root().bytes(), &about).unwrap();
    assert_eq!(one, imported(&world, small_root().bytes(), &about).unwrap());
    let config = world.config(&one);
    assert_eq!(config.config.unwrap().cmd.unwrap(), ["/bin/sh"]);
    assert_eq!(config.architecture, "arm64");
    assert_eq!(config.history.unwrap()[0].comment.as_deref(), Some("imported"));
}

#[test]
fn half_a_root_is_none() {
    let world = World::new();
    let tar = small_root().bytes();
    for whole in [tar.clone(), Pack::Gzip.pack(&tar), Pack::Zstd.pack(&tar)] {
        for step in 0..25 {
            let cut = whole[..whole.len() * step / 25].to_vec();
            imported(&world, cut, &about()).unwrap_err();
        }
        let mut more = whole.clone();
        more.extend_from_slice(b"more");
        imported(&world, more, &about()).unwrap_err();
    }
    let twice = Pack::Gzip.pack(&Pack::Gzip.pack(&tar));
    for bad in [Vec::new(), b"hsqs".to_vec(), vec![1; 10_000], twice] {
        imported(&world, bad, &about()).unwrap_err();
    }
    assert_eq!(world.left(), (0, 0, 0));
}

/// Says everything about a tree but the times of its directories' changes of status.
const DESCRIBE: &str = r#"
import os, sys, hashlib
os.chdir(sys.argv[1])
for base, dirs, files in os.walk(b'.'):
    dirs.sort()
    for name in [b'.'] + sorted(dirs + files) if base == b'.' else sorted(dirs + files):
        path = os.path.join(base, name)
        s = os.lstat(path)
        attrs = [(n, os.getxattr(path, n, follow_symlinks=False)) for n in sorted(os.listxattr(path, follow_symlinks=False))]
        kind = oct(s.st_mode)
        link = os.readlink(path) if os.path.islink(path) else b''
        size = 0 if os.path.isdir(path) else s.st_size
        content = hashlib.sha256(open(path, 'rb').read()).hexdigest() if os.path.isfile(path) and not link else ''
        links = 1 if os.path.isdir(path) else s.st_nlink
        print(path, kind, s.st_uid, s.st_gid, size, int(s.st_mtime), s.st_rdev, links, link, attrs, content)
"#;

/// A tree with all that there is in one.
const TREE: &str = r#"
set -e
mkdir -p t/empty t/many t/deep/er
cd t
printf '%0300000d' 7 > big; head -c 2500000 /dev/urandom > random; : > nothing; echo small > small
truncate -s 3000000 hole; echo end >> hole
ln big deep/er/link; ln -s ../big deep/up; ln -s /absolute/$(printf '%0200d' 1) long
mkfifo pipe; chmod 1777 empty; chmod 4755 small; chown 1000:3000000 random
mknod null c 1 3; mknod disk b 259 70000
i=0; while [ $i -lt 700 ]; do echo $i > many/file-$i; i=$((i+1)); done
python3 -c "
import os
os.setxattr('small', 'user.one', b'1'); os.setxattr('random', 'user.two', b'x'*3000)
os.setxattr('nothing', 'user.two', b'x'*3000); os.setxattr('big', 'security.capability', bytes.fromhex('0100000200040000000000000000000000000000'))
os.setxattr('deep', 'trusted.dir', b'd')
for p in ['small', 'deep/er', 'many', 'deep', 'empty']: os.utime(p, (1234567890, 1234567890))"
"#;

fn describe(world: &World, dir: &Path) -> Vec<String> {
    let text = world.run(&["python3", "-c", DESCRIBE, &dir.display().to_string()]);
    text.lines().map(str::to_owned).collect()
}

fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").unwrap().contains("Uid:\t0\t0\t0\t0")
}

#[test]
fn a_squashfs_comes_out_as_it_went_in() {
    let test = "root::a_squashfs_comes_out_as_it_went_in";
    if !has(test, "mksquashfs") || !has(test, "python3") {
        return;
    }
    if !is_root() {
        return taru_testkit::skip(test, "root: device nodes and capabilities of files");
    }
    let world = World::new();
    world.run(&["sh", "-c", TREE]);
    let wanted = describe(&world, &world.dir().join("t"));
    assert!(wanted.len() > 700);
    for (number, options) in [
        &["-comp", "gzip"][..],
        &["-comp", "xz", "-b", "1M"],
        &["-comp", "zstd", "-b", "4K"],
        &["-comp", "xz", "-Xbcj", "x86", "-always-use-fragments"],
        &["-noI", "-noD", "-noF", "-noX", "-no-fragments", "-b", "64K"],
    ]
    .into_iter()
    .enumerate()
    {
        let file = format!("{number}.squashfs");
        world.run(&[&["mksquashfs", "t", &file, "-quiet", "-no-progress"], options].concat());
        let bytes = std::fs::read(world.dir().join(&file)).unwrap();
        let about = About { compression: Some(Compression::None), ..about() };
        let descriptor = imported(&world, bytes, &about).unwrap();
        let layer = world.manifest(&descriptor).layers.remove(0);
        let path = world.content.dir().join("blobs/sha256").join(layer.digest.hex());
        let out = world.dir().join(format!("out{number}"));
        std::fs::create_dir(&out).unwrap();
        world.run(&[
            "tar",
            "--numeric-owner",
            "--xattrs",
            "--xattrs-include=*",
            "-xpf",
            &path.display().to_string(),
            "-C",
            &out.display().to_string(),
        ]);
        let got = describe(&world, &out);
        for (got, wanted) in got.iter().zip(&wanted) {
            assert_eq!(got, wanted, "{options:?}");
        }
        assert_eq!(got.len(), wanted.len(), "{options:?}");
    }
}

/// No byte of a squashfs, changed, makes more of it than an error: no panic, no endless tree.
#[test]
fn a_squashfs_that_lies_is_refused() {
    let test = "root::a_squashfs_that_lies_is_refused";
    if !has(test, "mksquashfs") {
        return;
    }
    let world = World::new();
    world.run(&["sh", "-c", "mkdir -p t/a/b; echo x > t/a/x; ln t/a/x t/a/y; ln -s x t/a/z; seq 9000 > t/n"]);
    world.run(&["mksquashfs", "t", "s", "-quiet", "-no-progress", "-noI", "-noF", "-noX"]);
    let whole = std::fs::read(world.dir().join("s")).unwrap();
    imported(&world, whole.clone(), &about()).unwrap();
    let used = u64::from_le_bytes(whole[40..48].try_into().unwrap()) as usize;
    let mut state = 7u64;
    let mut refused = 0;
    for round in 0..400usize {
        let mut bytes = whole.clone();
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        // The superblock byte by byte, then the tables, which lie behind the data; padding follows them.
        let at = if round < 96 { round } else { used - 1 - (state >> 33) as usize % 500 };
        bytes[at] = (state >> 56) as u8;
        let lease = world.content.lease("test").unwrap();
        refused += usize::from(import(Cursor::new(bytes), &world.content, &lease, &about()).is_err());
    }
    assert!(refused > 100, "{refused}");
    for step in 0..40 {
        let cut = whole[..used * step / 40].to_vec();
        imported(&world, cut, &about()).unwrap_err();
    }
}

const METADATA: &str = "architecture: x86_64\ncreation_date: 1577836800\nproperties:\n  os: Debian\n  release: bookworm\n  description: Debian bookworm\n  \
                        serial: \"20240101_05:24\"\ntemplates:\n  /etc/hostname:\n    when: [create]\n    template: hostname.tpl\n";

fn assert_system(world: &World, descriptor: &Descriptor) -> String {
    let config = world.config(descriptor);
    assert_eq!((config.architecture.as_str(), config.os.as_str()), ("amd64", "linux"));
    assert_eq!(config.created.as_deref(), Some("2020-01-01T00:00:00.000000000Z"));
    let run = config.config.unwrap();
    let labels = run.labels.unwrap();
    assert_eq!(labels["io.taru.kind"], "system");
    assert_eq!(labels["io.taru.property.os"], "Debian");
    assert_eq!(labels["io.taru.property.serial"], "20240101_05:24");
    assert_eq!(run.cmd.unwrap(), ["/sbin/init"]);
    let manifest = world.manifest(descriptor);
    assert_eq!(manifest.annotations["org.opencontainers.image.description"], "Debian bookworm");
    let system: Value = serde_json::from_str(&manifest.annotations["io.taru.system"]).unwrap();
    assert_eq!(system["metadata"]["templates"]["/etc/hostname"]["template"], "hostname.tpl");
    assert_eq!(system["templates"], json!({"hostname.tpl": "{{ container.name }}\n"}));
    config.rootfs.diff_ids[0].to_string()
}

#[test]
fn images_of_system_containers_unified_and_split() {
    let world = World::new();
    let metadata = |tar: Tar| {
        tar.file("metadata.yaml", METADATA, 0o644).dir("templates", 0o755).file(
            "templates/hostname.tpl",
            "{{ container.name }}\n",
            0o644,
        )
    };
    let root = |tar: Tar, prefix: &str| {
        tar.dir(prefix, 0o755)
            .dir(&format!("{prefix}/sbin"), 0o755)
            .file(&format!("{prefix}/sbin/init"), "init", 0o755)
            .xattr("user.k", "v")
            .hard_link(&format!("{prefix}/sbin/telinit"), &format!("{prefix}/sbin/init"))
            .symlink(&format!("{prefix}/init"), "/sbin/init")
            .file(&format!("{prefix}/{}", "l".repeat(150)), "long", 0o644)
    };
    let about = About::default();
    let lease = world.content.lease("test").unwrap();
    let unified = |bytes: Vec<u8>| {
        let descriptor = import_unified(Cursor::new(bytes), &world.content, &lease, &about).unwrap();
        assert_system(&world, &descriptor)
    };
    let first = unified(root(metadata(Tar::new()), "rootfs").bytes());
    let last = unified(Pack::Gzip.pack(&metadata(root(Tar::new(), "./rootfs")).bytes()));
    assert_eq!(first, last, "metadata first or last, packed or not");

    let meta = metadata(Tar::new()).bytes();
    std::fs::write(world.dir().join("meta.tar"), &meta).unwrap();
    std::fs::write(world.dir().join("rootfs.tar"), root(Tar::new(), ".").bytes()).unwrap();
    world.run(&["xz", "-k", "meta.tar", "rootfs.tar"]);
    let open = |name: &str| File::open(world.dir().join(name)).unwrap();
    let split = |meta: &str, root: &str| {
        let descriptor = import_split(open(meta), open(root), &world.content, &lease, &about).unwrap();
        assert_system(&world, &descriptor)
    };
    assert_eq!(split("meta.tar.xz", "rootfs.tar.xz"), split("meta.tar", "rootfs.tar"));
    if has("root::images_of_system_containers_unified_and_split", "mksquashfs") {
        world.run(&[
            "sh",
            "-c",
            "mkdir r && tar xf rootfs.tar -C r && mksquashfs r rootfs.squashfs -quiet -no-progress",
        ]);
        split("meta.tar.xz", "rootfs.squashfs");
    }
    // LXC's own.
    let lxc =
        Tar::new().file("config", "lxc.include = x\nlxc.arch = aarch64\n", 0o644).file("expiry", "1", 0o644);
    let descriptor =
        import_split(Cursor::new(lxc.bytes()), open("rootfs.tar.xz"), &world.content, &lease, &about)
            .unwrap();
    assert_eq!(world.config(&descriptor).architecture, "arm64");

    let refused = |tar: Tar, words: &str| {
        let e = import_unified(Cursor::new(tar.bytes()), &world.content, &lease, &about).unwrap_err();
        assert!(e.chain().to_string().contains(words), "{}", e.chain());
    };
    let files = || Tar::new().file("metadata.yaml", METADATA, 0o644);
    refused(files(), "no `rootfs/`");
    refused(root(Tar::new(), "rootfs"), "no `metadata.yaml`");
    refused(root(files().file("./metadata.yaml", METADATA, 0o644), "rootfs"), "there twice");
    refused(files().dir("rootfs", 0o755).file("x", "", 0).hard_link("rootfs/h", "x"), "outside `rootfs`");
    refused(files().file("rootfs.img", "", 0o644), "virtual machine");
    let bomb = Tar::new().file("metadata.yaml", "", 0o644).claiming(3 << 30);
    refused(bomb, "metadata of more than");
    let alias = Tar::new().file("metadata.yaml", "a: &a [1]\nb: *a\n", 0o644);
    refused(alias.dir("rootfs", 0o755), "an anchor");
}
