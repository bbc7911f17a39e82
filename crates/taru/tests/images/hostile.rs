//! The worst that an archive can hold, against `taru` in a memory control group of 64 MiB: each case ends with a reason, and
//! nothing is killed for want of memory. The numbers are those of the catalogue of attacks.

use std::fs::{self, File};
use std::path::Path;

use serde_json::{Value, json};
use taru_testkit::image::{Built, Image, MANIFEST, Pack, Tar, digest};
use taru_testkit::sandbox;

use crate::bounded::{APP, Bounded, GZIP, ZSTD, archive, bomb, layered, with_layer};
use crate::world::app;

/// The test of the test: what takes more than the bound is killed.
#[test]
fn the_bound_holds() {
    sandbox(|sandbox| {
        let Some(bounded) = Bounded::new(sandbox) else { return };
        let hoard =
            bounded.taru.invoke("version").under(["sh", "-c", "head -c 80m /dev/zero | tail -n 1 | wc -c"]);
        assert_ne!(bounded.group.around(hoard).output().stdout.trim(), (80 << 20).to_string());
        assert!(bounded.group.killed() > 0);
    });
}

#[test]
fn bombs_are_refused() {
    sandbox(|sandbox| {
        let Some(bounded) = Bounded::new(sandbox) else { return };
        // T76: 3 GB of blanks where a document is expected, in 3 MB.
        for name in ["c.json", "manifest.json", "index.json"] {
            let start = Tar::new().file(name, "", 0o644).claiming(3 << 30).unfinished();
            bounded.refused(name, bomb(&start, b' ', 48), "bytes");
        }
        // T78: windows of 2 GiB (zstd) and 1.5 GiB (xz), as an archive and as a layer.
        let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0, 0, 0];
        bounded.refused("a zstd window", zstd, "too much memory");
        bounded.refused("a layer's zstd window", with_layer(&zstd, ZSTD, &digest(b"x")), "unpack the layer");
        let xz = bounded.dir.join("large.xz");
        let packed = std::process::Command::new("xz")
            .args(["-c", "--lzma2=dict=1536MiB,mode=fast,mf=hc3,nice=4"])
            .stdin(File::open("/bin/busybox").unwrap())
            .stdout(File::create(&xz).unwrap())
            .status();
        match packed.is_ok_and(|status| status.success()) {
            true => bounded.refused_file("an xz dictionary", &xz, ""),
            false => sandbox.skip("xz, and the memory that it takes to pack with such a dictionary"),
        }
        // T78: gzip in gzip, ten times; a million members.
        let nested =
            (0..10).fold(Tar::new().file("x", "x", 0o644).bytes(), |bytes, _| Pack::Gzip.pack(&bytes));
        bounded.refused("gzip in gzip", nested, "");
        bounded.refused("a million members", Pack::Gzip.pack(&[0; 512]).repeat(1_000_000), "");
        // T79: two million levels, wherever a document is.
        let deep = "[".repeat(2_000_000);
        for name in ["manifest.json", "index.json", "oci-layout"] {
            bounded.refused("deep", Tar::new().file(name, &deep, 0o644).bytes(), "");
        }
        bounded.refused("a deep manifest", archive(deep.as_bytes(), &[]), "");
    });
}

#[test]
fn layers_that_are_too_much_are_refused() {
    sandbox(|sandbox| {
        let Some(bounded) = Bounded::new(sandbox) else { return };
        // T80: names, headers, files that are too large.
        let name = vec![b'n'; (1 << 20) - 20];
        bounded.refused(
            "a long name",
            layered(&Tar::new().file("x", "", 0o644).pax("path", name).bytes()),
            "",
        );
        let header = Tar::new().of_kind(b'x', "x", "").claiming(1 << 32);
        bounded.refused("a long header", layered(&header.bytes()), "");
        let sparse = Tar::new().file("x", "1", 0o644).pax("GNU.sparse.map", "0,1");
        let sparse = sparse.pax("GNU.sparse.size", (8u64 << 60).to_string());
        bounded.refused("8 EB of holes", layered(&sparse.bytes()), "");
        bounded.refused("8 EB", layered(&Tar::new().file("x", "", 0o644).claiming(8 << 60).bytes()), "");
        // T92: two sizes, two names.
        let sizes = Tar::new().file("x", "12345678", 0o644).pax("size", "5");
        bounded.refused("two sizes", layered(&sizes.bytes()), "");
        let names = Tar::new().of_kind(b'L', "long", "a\0").file("c", "", 0o644).pax("path", "b");
        bounded.refused("two names", layered(&names.bytes()), "");
        // T93: another diff id.
        let tar = Tar::new().file("x", "", 0o644).bytes();
        let lie = with_layer(&Pack::Gzip.pack(&tar), GZIP, &digest(b"another"));
        bounded.refused("another diff id", lie, "diff id");
    });
}

#[test]
fn documents_that_lie_and_archives_that_are_cut_are_refused() {
    sandbox(|sandbox| {
        let Some(bounded) = Bounded::new(sandbox) else { return };
        let built = app("whole").build();
        let blobs: Vec<&[u8]> = built.blobs().into_iter().map(|(_, bytes)| bytes).collect();
        // T91: a manifest that is an index as well, a key twice.
        let mut both: Value = serde_json::from_slice(&built.manifest).unwrap();
        both["manifests"] = json!([]);
        bounded.refused(
            "both",
            archive(both.to_string().as_bytes(), &blobs),
            "neither a manifest nor an index",
        );
        let text = String::from_utf8(built.manifest.clone()).unwrap();
        let twice = text.replacen("\"layers\":", "\"layers\":[],\"layers\":", 1);
        bounded.refused("twice", archive(twice.as_bytes(), &blobs), "stands twice");
        let lie = text.replacen(MANIFEST, taru_testkit::image::INDEX, 1);
        bounded.refused("another type", archive(lie.as_bytes(), &blobs), "");
        // T81: cut anywhere; nothing; noise.
        let whole = built.oci_archive(&[APP]);
        let step = whole.len() / sandbox.tries(6, 200);
        for at in (0..whole.len() - 1024).step_by(step) {
            bounded.refused(&format!("cut at {at}"), &whole[..at], "");
        }
        let noise: Vec<u8> = (0..1u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        bounded.refused("noise", noise, "");
        // T95: only the name that was asked for.
        let path = bounded.dir.join("archive");
        let other = "docker.io/library/debian:latest";
        fs::write(&path, built.oci_archive(&[APP, other])).unwrap();
        let loaded = bounded.taru("load -q --only app:1", Some(&path));
        assert_eq!((loaded.status, bounded.taru.names()), (0, vec![APP.to_owned()]), "{}", loaded.stderr);
        bounded.taru.clear();
    });
}

/// T94, and what is large though nobody meant harm: an image of a file of 80 MB is loaded, verified, found broken, healed,
/// saved, all within the bound.
#[test]
fn a_large_image_takes_no_more() {
    sandbox(|sandbox| {
        let Some(bounded) = Bounded::new(sandbox) else { return };
        let (archive, built) = large();
        let path = bounded.dir.join("archive");
        fs::write(&path, &archive).unwrap();
        drop(archive);
        let done = |line: &str, input: Option<&Path>, status: i32| {
            let output = bounded.taru(line, input);
            assert_eq!(output.status, status, "{line}: {}{}", output.stdout, output.stderr);
        };
        done("load -q", Some(&path), 0);
        done("store check", None, 0);
        let layer =
            bounded.taru.state().join("snapshot/layers").join(built.layers[0].diff_id.replace(':', "-"));
        let file = layer.join("tree/large");
        let time = fs::metadata(&file).unwrap().modified().unwrap();
        let open = File::options().write(true).open(&file).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&open, b"x", 50 << 20).unwrap();
        open.set_modified(time).unwrap();
        done("store check", None, 1);
        done("load -q", Some(&path), 0);
        done("image verify app:1", None, 0);
        done("save --format docker -o saved.tar app:1", None, 0);
        bounded.taru.clear();
    });
}

fn large() -> (Vec<u8>, Built) {
    let content: Vec<u8> = (0..20_000_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
    let built = Image::new().layer_as(Pack::Zstd, Tar::new().file("large", content, 0o644)).build();
    (built.oci_archive(&[APP]), built)
}

/// T77: a layer of a gigabyte in a megabyte on a disk of a quarter of that; in full 6 GB on 3 GB.
#[test]
fn a_layer_that_fills_the_disk_is_taken_back() {
    sandbox(|sandbox| {
        let Some((bounded, layer)) = Bounded::with_too_large_a_layer(sandbox) else { return };
        let path = bounded.dir.join("archive");
        fs::write(&path, with_layer(&layer, GZIP, &digest(b"never known"))).unwrap();
        bounded.is_too_large("load", &|| bounded.taru("load -q", Some(&path)));
    });
}

/// T80: 20 000 entries, as many attributes, a tenth as many further names of files; in full (`TARU_TEST_FULL=1`) a million.
#[test]
fn a_crowd_of_entries_takes_no_more() {
    sandbox(|sandbox| {
        let Some(bounded) = Bounded::new(sandbox) else { return };
        is_bounded(&bounded, sandbox.tries(20_000, 1_000_000));
    });
}

/// The same in an image of erofs, whose names are all in memory; in full as many as it has room for.
#[test]
fn a_crowd_of_entries_takes_no_more_as_an_image() {
    sandbox(|sandbox| {
        let Some(mut bounded) = Bounded::new(sandbox) else { return };
        bounded.taru.driver = Some("erofs");
        if bounded.taru("images", None).stderr.contains("erofs cannot be mounted from a file") {
            return sandbox.skip("erofs from a file (Linux 6.12)");
        }
        is_bounded(&bounded, sandbox.tries(20_000, 200_000));
    });
}

/// Loads, checks and removes a crowd of so many entries.
fn is_bounded(bounded: &Bounded<'_>, count: usize) {
    let path = bounded.dir.join("archive");
    fs::write(&path, layered(&crowd(count))).unwrap();
    for (line, input) in [("load -q", Some(&*path)), ("store check", None), ("rmi -f app:1", None)] {
        let output = bounded.taru(line, input);
        assert_eq!(output.status, 0, "{line}: {}{}", output.stdout, output.stderr);
        if line.starts_with("load") {
            let layers = fs::read_dir(bounded.taru.state().join("snapshot/layers")).unwrap();
            let form = if bounded.taru.driver == Some("erofs") { "image" } else { "tree" };
            layers.for_each(|layer| assert!(layer.unwrap().path().join(form).exists()));
        }
    }
    bounded.assert_empty("removed");
}

/// `count` entries: a tenth further names of two files, the others files, ten of eleven with an attribute of their own and
/// a tenth with a second one: as many attributes as entries.
fn crowd(count: usize) -> Vec<u8> {
    let mut out = Tar::new().file("one", "1", 0o644).file("two", "2", 0o644).unfinished();
    for number in 0..count - 2 {
        let name = format!("d{}/{number}", number % 1000);
        let tar = match number % 10 {
            0 => Tar::new().hard_link(&name, if number % 20 == 0 { "one" } else { "two" }),
            1 => Tar::new().file(&name, "", 0o644).xattr("user.a", "1").xattr("user.b", "2"),
            _ => Tar::new().file(&name, "", 0o644).xattr("user.a", "1"),
        };
        out.extend(tar.unfinished());
    }
    out.resize(out.len() + 1024, 0);
    out
}
