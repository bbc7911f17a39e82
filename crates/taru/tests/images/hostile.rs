//! The worst that an archive or a registry can send, against `taru` in a memory control group of 64 MiB: each case ends with a
//! reason, and nothing is killed for want of memory. The numbers are those of the catalogue of attacks.
//!
//! The store lies on the disk: what is written there is cache that the kernel can give up, which it could not on the tmpfs of
//! a sandbox.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use taru_testkit::image::{Built, Image, MANIFEST, Pack, Tar, descriptor, digest, index};
use taru_testkit::{MemoryGroup, Output, Sandbox, sandbox};

use crate::world::{Taru, app};

/// What a command may take, its children and all that the kernel keeps for them included.
const BOUND: u64 = 64 << 20;

const APP: &str = "docker.io/library/app:1";

/// A store on the disk, and the group.
struct Bounded<'s> {
    taru: Taru<'s>,
    group: MemoryGroup,
    dir: PathBuf,
}

impl<'s> Bounded<'s> {
    fn new(sandbox: &'s Sandbox) -> Option<Bounded<'s>> {
        let group = MemoryGroup::new(sandbox.marker(), BOUND).map_err(|lack| sandbox.skip(&lack)).ok()?;
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(sandbox.marker());
        fs::create_dir_all(&dir).unwrap();
        Some(Bounded { taru: Taru::in_dir(sandbox, &dir), group, dir })
    }

    /// `taru LINE` in the group, its standard input the file `input`, if there is one.
    fn taru(&self, line: &str, input: Option<&Path>) -> Output {
        let command = match input {
            Some(path) => {
                let redirect = format!("exec \"$@\" < '{}'", path.display());
                self.taru.invoke(line).under(["sh", "-c", &redirect, "sh"])
            }
            None => self.taru.invoke(line),
        };
        let output = self.group.around(command).output();
        assert_eq!((self.group.killed(), output.signal), (0, None), "{line}: {}", output.stderr);
        assert!(!output.stderr.contains("panicked"), "{line}: {}", output.stderr);
        output
    }

    /// A load that has to be refused with these words, and leaves nothing.
    #[track_caller]
    fn refused(&self, what: &str, archive: impl AsRef<[u8]>, words: &str) {
        let path = self.dir.join("archive");
        fs::write(&path, archive).unwrap();
        self.refused_file(what, &path, words);
    }

    #[track_caller]
    fn refused_file(&self, what: &str, archive: &Path, words: &str) {
        let output = self.taru("load -q", Some(archive));
        assert!([1, 2].contains(&output.status), "{what}: {}{}", output.stdout, output.stderr);
        assert!(output.stderr.contains(words), "{what}: {}", output.stderr);
        self.assert_empty(what);
    }

    #[track_caller]
    fn assert_empty(&self, what: &str) {
        assert_eq!(self.taru.names(), Vec::<String>::new(), "{what}");
        self.taru.taru("store gc").succeeds();
        assert_eq!(self.taru.stored(), Vec::<String>::new(), "{what}");
    }
}

impl Drop for Bounded<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// An OCI archive of one image with this manifest, whatever that is, and these blobs.
fn archive(manifest: &[u8], blobs: &[&[u8]]) -> Vec<u8> {
    let mut entry = descriptor(MANIFEST, manifest);
    entry["annotations"] = json!({"io.containerd.image.name": APP});
    let mut tar = Tar::new().file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#, 0o644).file(
        "index.json",
        index(vec![entry]).to_string(),
        0o644,
    );
    for bytes in blobs.iter().copied().chain([manifest]) {
        tar = tar.file(&format!("blobs/{}", digest(bytes).replace(':', "/")), bytes, 0o644);
    }
    tar.bytes()
}

/// The archive of an image with one layer of these compressed bytes, whose tar has this digest.
fn with_layer(bytes: &[u8], media_type: &str, diff_id: &str) -> Vec<u8> {
    let config = json!({"architecture": taru_testkit::image::architecture(), "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]}})
    .to_string();
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", config.as_bytes()),
        "layers": [descriptor(media_type, bytes)]})
    .to_string();
    archive(manifest.as_bytes(), &[config.as_bytes(), bytes])
}

const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// An archive of an image with this layer, compressed with gzip.
fn layered(tar: &[u8]) -> Vec<u8> {
    with_layer(&Pack::Gzip.pack(tar), GZIP, &digest(tar))
}

/// `count` times 64 MiB of `byte` behind `start`, each a gzip member.
fn bomb(start: &[u8], byte: u8, count: usize) -> Vec<u8> {
    [Pack::Gzip.pack(start), Pack::Gzip.pack(&vec![byte; 64 << 20]).repeat(count)].concat()
}

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

/// A registry that answers `GET PATH` as `answer` says: with whatever it writes.
fn registry(answer: impl Fn(&str, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let answer = std::sync::Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                loop {
                    let mut request = String::new();
                    let mut line = String::new();
                    if reader.read_line(&mut request).unwrap_or(0) == 0 {
                        return;
                    }
                    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                        line.clear();
                    }
                    // That it hangs up is its right.
                    if answer(request.trim_end(), &mut stream).is_err() {
                        return;
                    }
                }
            });
        }
    });
    host
}

fn endless(stream: &mut TcpStream, piece: &[u8]) -> std::io::Result<()> {
    loop {
        stream.write_all(piece)?;
    }
}

fn whole(stream: &mut TcpStream, media_type: &str, body: &[u8]) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nDocker-Content-Digest: {}\r\nContent-Length: {}\r\n\r\n",
        digest(body),
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

/// T82, T96: a registry that floods, and one that says one thing and sends another.
#[test]
fn floods_of_a_registry_are_refused() {
    sandbox(|sandbox| {
        let Some(bounded) = Bounded::new(sandbox) else { return };
        let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
        let built = app("flood").build();
        let mut far: Value = serde_json::from_slice(&built.manifest).unwrap();
        far["layers"][0]["size"] = json!(100u64 << 30);
        let entry = descriptor(MANIFEST, &built.manifest);
        let many = index(vec![entry; 50_000]).to_string();
        let (config, layer) = (built.config.clone(), built.layers[0].digest.clone());
        let host = registry(move |request, stream| {
            let of = |name: &str| request.contains(&format!("/{name}/manifests/"));
            let head = |more: &str| format!("HTTP/1.1 200 OK\r\nContent-Type: {MANIFEST}\r\n{more}\r\n");
            if request.starts_with("HEAD") {
                return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
            }
            if of("long") {
                stream.write_all(head("Content-Length: 107374182400\r\n").as_bytes())?;
                endless(stream, &[b' '; 0x10000])
            } else if of("chunked") {
                stream.write_all(head("Transfer-Encoding: chunked\r\n").as_bytes())?;
                endless(stream, &chunk)
            } else if of("unsaid") {
                stream.write_all(head("Connection: close\r\n").as_bytes())?;
                endless(stream, &[b' '; 0x10000])
            } else if of("headers") {
                stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
                endless(stream, &b"X-Filler: yes\r\n".repeat(4096))
            } else if of("line") {
                stream.write_all(b"HTTP/1.1 200 OK\r\nX-Filler: ")?;
                endless(stream, &[b'x'; 0x10000])
            } else if of("many") {
                whole(stream, taru_testkit::image::INDEX, many.as_bytes())
            } else if of("far") {
                whole(stream, MANIFEST, far.to_string().as_bytes())
            } else if of("other") || of("more") {
                whole(stream, MANIFEST, &built.manifest)
            } else if request.contains(&digest(&config)) {
                whole(stream, "application/octet-stream", &config)
            } else if request.contains(&layer) && request.contains("/more/") {
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                endless(stream, &chunk)
            } else if request.contains("/blobs/") {
                whole(stream, "application/octet-stream", b"something else")
            } else {
                whole(stream, "application/json", b"{}")
            }
        });
        for (name, words) in [
            ("long", "larger than"),
            ("chunked", "larger than"),
            ("unsaid", "larger than"),
            ("headers", ""),
            ("line", ""),
            ("many", "larger than"),
            ("far", ""),
            ("more", ""),
            ("other", ""),
        ] {
            let output = bounded.taru(&format!("pull -q {host}/{name}:1"), None);
            assert!([1, 2].contains(&output.status), "{name}: {}", output.stderr);
            assert!(output.stderr.contains(words), "{name}: {}", output.stderr);
            bounded.assert_empty(name);
        }
    });
}

/// T80: 20 000 entries, as many attributes, a tenth as many further names of files; in full (`TARU_TEST_FULL=1`) a million.
#[test]
fn a_crowd_of_entries_takes_no_more() {
    sandbox(|sandbox| {
        let Some(bounded) = Bounded::new(sandbox) else { return };
        let count = sandbox.tries(20_000, 1_000_000);
        let path = bounded.dir.join("archive");
        fs::write(&path, layered(&crowd(count))).unwrap();
        let command = bounded.taru.invoke("load -q").bound(std::time::Duration::from_secs(600));
        let redirect = format!("exec \"$@\" < '{}'", path.display());
        let output = bounded.group.around(command.under(["sh", "-c", &redirect, "sh"])).output();
        assert_eq!((bounded.group.killed(), output.status), (0, 0), "{}", output.stderr);
        assert_eq!(bounded.taru("store check", None).status, 0);
        bounded.taru.clear();
    });
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
