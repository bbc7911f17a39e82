//! The worst that a registry can send, against `taru` in a memory control group of 64 MiB (T82, T96 of the catalogue).

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use serde_json::{Value, json};
use taru_testkit::image::{MANIFEST, Pack, descriptor, digest, index};
use taru_testkit::sandbox;

use crate::bounded::{Bounded, GZIP, image_of};
use crate::world::app;

/// A registry that answers `GET PATH` as `answer` says, which is told the registry's name as well: with whatever it writes.
fn registry(
    answer: impl Fn(&str, &str, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let (answer, name) = (Arc::new(answer), host.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (answer, name) = (answer.clone(), name.clone());
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
                    if answer(&name, request.trim_end(), &mut stream).is_err() {
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

/// A byte now and then, until nobody takes them.
fn drip(stream: &mut TcpStream) -> std::io::Result<()> {
    loop {
        stream.write_all(b" ")?;
        std::thread::sleep(Duration::from_millis(200));
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
        let host = registry(move |_, request, stream| {
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

/// T82: a registry that leads in circles, elsewhere, or to itself.
#[test]
fn a_registry_that_leads_astray_is_left() {
    sandbox(|sandbox| {
        let Some(bounded) = Bounded::new(sandbox) else { return };
        let built = app("astray").build();
        // Nothing can hold its own digest, but a registry can answer so.
        let of_size = |size: usize| {
            let entry =
                json!({"mediaType": taru_testkit::image::INDEX, "digest": digest(b"x"), "size": size});
            index(vec![entry]).to_string()
        };
        let own = of_size(of_size(100).len());
        // A chain of indexes, each by its right digest.
        let mut chain: Vec<String> = vec![index(vec![descriptor(MANIFEST, &built.manifest)]).to_string()];
        for _ in 0..100 {
            let below = chain.last().unwrap();
            chain.push(index(vec![descriptor(taru_testkit::image::INDEX, below.as_bytes())]).to_string());
        }
        let bomb = Pack::Gzip.pack(&vec![b' '; 64 << 20]).repeat(16);
        let huge = vec![b' '; 100 << 20];
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let host = registry(move |host, request, stream| {
            count.fetch_add(1, Ordering::SeqCst);
            let of = |name: &str| request.contains(&format!("/{name}/"));
            let mut lead = |status: &str, header: &str| {
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n{header}\r\n\r\n");
                stream.write_all(head.as_bytes())
            };
            if request.contains(" /v2/ ") {
                lead("200 OK", "X-Is: here")
            } else if request.contains(" /token") {
                whole(stream, "application/json", br#"{"token":"again"}"#)
            } else if of("circle") {
                let path = request.split(' ').nth(1).unwrap_or_default();
                lead("307 Again", &format!("Location: {path}?again"))
            } else if of("file") {
                lead("302 There", "Location: file:///etc/passwd")
            } else if of("cloud") {
                lead("302 There", "Location: http://169.254.169.254/latest/meta-data/")
            } else if of("login") {
                let realm = format!("Bearer realm=\"http://{host}/token\",service=\"x\"");
                lead("401 Who", &format!("WWW-Authenticate: {realm}"))
            } else if of("packed") {
                let length = bomb.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: {MANIFEST}\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n"
                );
                stream.write_all(head.as_bytes())?;
                stream.write_all(&bomb)
            } else if of("huge") {
                whole(stream, MANIFEST, &huge)
            } else if of("itself") {
                whole(stream, taru_testkit::image::INDEX, own.as_bytes())
            } else if of("chain") {
                let named = chain.iter().find(|text| request.contains(&digest(text.as_bytes())));
                let text = named.unwrap_or(&chain[chain.len() - 1]);
                whole(stream, taru_testkit::image::INDEX, text.as_bytes())
            } else if request.contains("/manifests/") {
                whole(stream, MANIFEST, &built.manifest)
            } else {
                // The content of an image whose manifest is as it should be.
                lead("307 There", "Location: http://169.254.169.254/latest/meta-data/")
            }
        });
        for (name, words) in [
            ("circle", "more than 5 redirects"),
            ("file", "file:///etc/passwd"),
            ("cloud", "a server's answer may not lead there"),
            ("content", "a server's answer may not lead there"),
            ("login", "401"),
            ("packed", "which nobody asked for"),
            ("huge", "larger than"),
            ("itself", "instead of `sha256:"),
            ("chain", "index"),
        ] {
            asked.store(0, Ordering::SeqCst);
            let output = bounded.taru(&format!("pull -q {host}/{name}:1"), None);
            assert!([1, 2].contains(&output.status), "{name}: {}", output.stderr);
            assert!(output.stderr.contains(words), "{name}: {}", output.stderr);
            assert!(!output.stderr.contains("root:"), "{name}: {}", output.stderr);
            let times = asked.load(Ordering::SeqCst);
            assert!(times <= 20, "{name}: asked {times} times");
            bounded.assert_empty(name);
        }
    });
}

/// T82: a registry that sends a byte a second. Somebody who does not want to wait until that is called a stall need not.
#[test]
fn a_wait_for_a_slow_registry_ends_when_interrupted() {
    sandbox(|sandbox| {
        let Some(bounded) = Bounded::new(sandbox) else { return };
        let built = app("slow").build();
        let (config, layers) = (built.config.clone(), built.layers.clone());
        let (tell, told) = mpsc::channel();
        let host = registry(move |_, request, stream| {
            let is_of = |digest: &str| request.contains(&format!("/blobs/{digest}"));
            if request.contains(" /v2/ ") {
                whole(stream, "application/json", b"{}")
            } else if request.contains("/content/manifests/") {
                whole(stream, MANIFEST, &built.manifest)
            } else if is_of(&digest(&config)) {
                whole(stream, "application/octet-stream", &config)
            } else {
                let length =
                    layers.iter().find(|layer| is_of(&layer.digest)).map_or(1000, |layer| layer.bytes.len());
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: {MANIFEST}\r\nContent-Length: {length}\r\n\r\n"
                );
                stream.write_all(head.as_bytes())?;
                tell.send(()).unwrap();
                drip(stream)
            }
        });
        for name in ["manifest", "content"] {
            let pull = bounded.group.around(bounded.taru.invoke(&format!("pull -q {host}/{name}:1"))).spawn();
            told.recv().unwrap();
            let pid = pull.pid().to_string();
            let sent = Command::new("kill").args(["-INT", &pid]).status().unwrap();
            assert!(sent.success());
            let output = pull.wait();
            assert_eq!(output.signal, Some(2), "{name}: {}", output.stderr);
            bounded.assert_empty(name);
        }
    });
}

/// T77: a layer that is larger than the disk, behind a registry.
#[test]
fn a_layer_that_fills_the_disk_is_taken_back() {
    sandbox(|sandbox| {
        let Some((bounded, layer)) = Bounded::with_too_large_a_layer(sandbox) else { return };
        let (manifest, config) = image_of(&layer, GZIP, &digest(b"never known"));
        let host = registry(move |_, request, stream| {
            let of = |bytes: &[u8]| request.contains(&digest(bytes));
            if of(&layer) {
                whole(stream, "application/octet-stream", &layer)
            } else if of(&config) {
                whole(stream, "application/octet-stream", &config)
            } else if request.contains("/manifests/") {
                whole(stream, MANIFEST, &manifest)
            } else {
                whole(stream, "application/json", b"{}")
            }
        });
        bounded.is_too_large("pull", &|| bounded.taru(&format!("pull -q {host}/large:1"), None));
        bounded.is_too_large("run", &|| bounded.taru(&format!("run {host}/large:1 true"), None));
    });
}
