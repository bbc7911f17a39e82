//! How much memory the worst documents take: the peak of a process that reads nothing else (T79, T91).

use std::process::Command;

use taru_oci::{Document, Image, limits};

const WHAT: &str = "TARU_OCI_DOCUMENT";

/// 64 MiB.
const PEAK: u64 = 64 << 10;

const D: &str = r#"{"mediaType":"x","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}"#;

/// `size` bytes: `start`, as many `part(n)` with commas between them as fit, and blanks.
fn fill(size: u64, start: &str, end: &str, part: impl Fn(usize) -> String) -> Vec<u8> {
    let size = usize::try_from(size).unwrap();
    let mut text = String::with_capacity(size);
    text.push_str(start);
    for number in 0.. {
        let part = part(number);
        if text.len() + part.len() + end.len() + 1 > size {
            break;
        }
        if number > 0 {
            text.push(',');
        }
        text.push_str(&part);
    }
    text.push_str(end);
    text.into_bytes()
}

/// The documents: each fills its limit with what takes most memory for its bytes.
fn read(what: &str) {
    let (manifest, config) = (limits::MANIFEST, limits::CONFIG);
    let head = format!(r#"{{"schemaVersion":2,"config":{D},"layers":[],"#);
    let root = r#"{"architecture":"","os":"","rootfs":{"type":"layers","diff_ids":[]},"#;
    let number = |n: usize| format!(r#""{n:x}":"""#);
    // Many at a time: building the text is what takes long here.
    let many = |entry: &str| vec![entry; 1000].join(",");
    let (strings, objects) = (many("\"\""), many("{}"));
    let bytes = match what {
        "blanks" => fill(config, "{", "", |_| " ".repeat(1000)),
        "annotations" => fill(manifest, &format!("{head}\"annotations\":{{"), "}}", number),
        "layers" => {
            fill(manifest, &format!(r#"{{"schemaVersion":2,"config":{D},"layers":["#), "]}", |_| D.into())
        }
        "manifests" => fill(manifest, r#"{"schemaVersion":2,"manifests":["#, "]}", |_| D.into()),
        "urls" => fill(
            manifest,
            &format!(r#"{{"schemaVersion":2,"layers":[],"config":{},"urls":["#, &D[..D.len() - 1]),
            "]}}",
            |_| strings.clone(),
        ),
        "keys" => fill(manifest, &head, "}", number),
        "env" => fill(config, &format!("{root}\"config\":{{\"Env\":["), "]}}", |_| strings.clone()),
        "history" => fill(config, &format!("{root}\"history\":["), "]}", |_| objects.clone()),
        "labels" => fill(config, &format!("{root}\"config\":{{\"Labels\":{{"), "}}}", number),
        "diffs" => fill(config, r#"{"rootfs":{"type":"layers","diff_ids":["#, "]}}", |_| {
            format!("\"sha256:{}\"", "0".repeat(64))
        }),
        // As many keys as fit, in objects that are all open at the end.
        "nested" => fill(config, root, "", |n| match n % 20_000 {
            0 => format!(r#""{n:x}":{{"":0"#),
            _ => format!(r#""{n:x}":0"#),
        }),
        "deep" => fill(config, root, "", |_| r#""a":[[[[[[[[[[[[[[[["#.into()),
        "string" => fill(config, &format!("{root}\"author\":\""), "\"}", |_| "a".repeat(1000)),
        "escapes" => fill(config, &format!("{root}\"author\":\""), "\"}", |_| "\\u0041".repeat(100)),
        _ => panic!("{what}"),
    };
    let _ = Document::parse(&bytes, "");
    let _ = Image::parse(&bytes);
}

/// Not a test: what the test below runs.
#[test]
fn read_in_this_process() {
    let Ok(what) = std::env::var(WHAT) else { return };
    read(&what);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    eprintln!("peak {}", peak.trim().strip_suffix(" kB").unwrap());
}

#[test]
fn no_document_takes_more_than_64_mib() {
    for what in [
        "blanks",
        "annotations",
        "layers",
        "manifests",
        "urls",
        "keys",
        "env",
        "history",
        "labels",
        "diffs",
        "nested",
        "deep",
        "string",
        "escapes",
    ] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["memory::read_in_this_process", "--exact", "--nocapture", "--test-threads=1"])
            .env(WHAT, what)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{what}: {text}");
        let peak: u64 = text.lines().find_map(|line| line.strip_prefix("peak ")).unwrap().parse().unwrap();
        eprintln!("{what}: {peak} kB");
        assert!(peak < PEAK, "{what}: {peak} kB");
    }
}
