//! Giving up: whatever is waited for, setting the flag ends it. Limits are set so far that nothing else would.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::time::Duration;

use taru_oci::{Descriptor, media};
use taru_registry::{Client, error_of};
use taru_stdx::{Error, Kind, Result};
use taru_testkit::eventually;

use crate::server::{Server, client_with};

const HOUR: Duration = Duration::from_secs(3600);

/// What `work` ends with when it is cancelled a little after it began.
fn cancelled<T: Send>(work: impl FnOnce(&Client) -> Result<T> + Send) -> Error {
    cancelled_after(HOUR, || true, work)
}

/// The same a little after `begun`, with so much time between the tries if the server does not ask for more.
fn cancelled_after<T: Send>(
    delay: Duration,
    begun: impl FnMut() -> bool,
    work: impl FnOnce(&Client) -> Result<T> + Send,
) -> Error {
    let client = client_with(|s| {
        (s.stall, s.connect, s.first_delay, s.longest_delay, s.retries) = (HOUR, HOUR, delay, HOUR, 100);
    });
    let flag = client.settings().cancel.clone();
    std::thread::scope(|scope| {
        let working = scope.spawn(move || work(&client));
        eventually("it has begun", begun);
        std::thread::sleep(Duration::from_millis(300));
        flag.store(true, Ordering::SeqCst);
        match working.join().unwrap() {
            Ok(_) => panic!("it was not cancelled"),
            Err(e) => e,
        }
    })
}

#[test]
fn every_wait_ends_when_cancelled() {
    let blob = Descriptor::new(media::LAYER, taru_oci::Digest::of(b""), 1 << 30);
    // No answer; half a head; a drip; endless content; a pause before the next try.
    type Answer = fn(&mut crate::server::Wire);
    let answers: [(&str, Answer); 5] = [
        ("silence", |wire| wire.stall()),
        ("half a head", |wire| {
            wire.text("HTTP/1.1 20");
            wire.stall();
        }),
        ("a drip", |wire| {
            wire.text("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
            wire.drip();
        }),
        ("a flood", |wire| {
            wire.text("HTTP/1.1 200 OK\r\n\r\n");
            wire.forever(&[0; 4096]);
        }),
        ("a pause", |wire| wire.answer(503, &[("Retry-After", "3600")], b"")),
    ];
    for (what, answer) in answers {
        let server = Server::start(move |_, _, wire| answer(wire));
        let e = cancelled(|client| {
            let mut slow = client.blob(&server.name("a:1"), &blob, 0)?;
            let mut buffer = [0; 4096];
            while slow.read(&mut buffer).map_err(error_of)? > 0 {
                std::thread::sleep(Duration::from_micros(100));
            }
            Ok(())
        });
        assert!(e.chain().to_string().ends_with("cancelled"), "{what}: {e:?}");
        assert_eq!(e.kind(), Kind::State, "{what}");
        let url = format!("http://{}/x", server.host());
        let e = cancelled(|client| {
            let mut slow = client.download(&url, 1 << 40)?;
            while slow.read(&mut [0; 4096]).map_err(error_of)? > 0 {
                std::thread::sleep(Duration::from_micros(100));
            }
            Ok(())
        });
        assert!(e.chain().to_string().ends_with("cancelled"), "download, {what}: {e:?}");
        assert_eq!(e.kind(), Kind::State, "download, {what}");
    }
}

#[test]
fn a_server_that_asks_for_time_gets_it() {
    for headers in [
        &[("Retry-After", "3600")][..],
        &[("Date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("Retry-After", "Sun, 06 Nov 1994 09:49:37 GMT")],
    ] {
        let server = Server::start(move |_, _, wire| wire.answer(503, headers, b""));
        let is_asked = || !server.seen().is_empty();
        let e =
            cancelled_after(Duration::from_millis(1), is_asked, |client| client.resolve(&server.name("a:1")));
        assert!(e.chain().to_string().ends_with("cancelled"), "{headers:?}: {e:?}");
        assert_eq!(server.seen().len(), 1, "{headers:?}");
    }
}

#[test]
fn a_connection_that_is_not_made_ends_when_cancelled() {
    // A full queue of connections: the kernel drops further ones, and their peers wait.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        queued.push(stream);
        assert!(queued.len() < 10_000, "the queue has no end");
    }
    let e = cancelled(|client| client.resolve(&format!("{address}/a:1").parse().unwrap()));
    assert_eq!(e.chain().to_string(), format!("resolve `{address}/a:1`: cancelled"));
}
