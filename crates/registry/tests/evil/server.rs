//! A registry of ours that does as it is told: a function answers each request on its bare connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use taru_oci::Reference;
use taru_registry::{Client, Settings};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The offset that is asked for.
    pub(crate) fn from(&self) -> usize {
        let range = self.header("range").and_then(|r| r.strip_prefix("bytes="));
        range.and_then(|r| r.strip_suffix('-')).map_or(0, |r| r.parse().unwrap())
    }
}

/// Where an answer is written; counts its bytes.
pub(crate) struct Wire {
    stream: TcpStream,
    sent: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.stream.write(bytes)?;
        self.sent.fetch_add(n as u64, Ordering::SeqCst);
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Wire {
    /// A whole answer.
    pub(crate) fn answer(&mut self, status: u16, headers: &[(&str, &str)], body: &[u8]) {
        let mut head =
            format!("HTTP/1.1 {status} Status\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        let _ = self.write_all(format!("{head}\r\n").as_bytes());
        let _ = self.write_all(body);
    }

    pub(crate) fn text(&mut self, text: &str) {
        let _ = self.write_all(text.as_bytes());
    }

    /// The same bytes without end, until nobody takes them.
    pub(crate) fn forever(&mut self, bytes: &[u8]) {
        while !self.over.load(Ordering::SeqCst) && self.write_all(bytes).is_ok() {}
    }

    /// One byte, then a pause, without end.
    pub(crate) fn drip(&mut self) {
        while !self.over.load(Ordering::SeqCst) && self.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Says nothing until the client hangs up.
    pub(crate) fn stall(&mut self) {
        let _ = self.stream.set_read_timeout(Some(Duration::from_millis(50)));
        let mut one = [0];
        while !self.over.load(Ordering::SeqCst) {
            match self.stream.read(&mut one) {
                Ok(0) => return,
                Err(e) if e.kind() != std::io::ErrorKind::WouldBlock => return,
                _ => {}
            }
        }
    }
}

/// A server on loopback; ends with the test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    sent: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Server {
    /// `answer` gets each request and the number of requests before it.
    pub(crate) fn start(answer: impl Fn(&Request, usize, &mut Wire) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, sent, over): (Arc<Mutex<Vec<Request>>>, Arc<AtomicU64>, Arc<AtomicBool>) =
            Default::default();
        let server = Server { address, seen: seen.clone(), sent: sent.clone(), over: over.clone() };
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (seen, answer) = (seen.clone(), answer.clone());
                let wire = Wire { stream, sent: sent.clone(), over: over.clone() };
                std::thread::spawn(move || serve(wire, &seen, &*answer));
            }
        });
        server
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn name(&self, image: &str) -> Reference {
        format!("{}/{image}", self.address).parse().unwrap()
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// The bytes of answers so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    mut wire: Wire,
    seen: &Mutex<Vec<Request>>,
    answer: &(dyn Fn(&Request, usize, &mut Wire) + Send + Sync),
) {
    let mut first = [0];
    // The hello of TLS: this server speaks plain HTTP.
    if !matches!(wire.stream.peek(&mut first), Ok(1)) || first[0] == 0x16 {
        let _ = wire.stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
        return;
    }
    let Some(request) = read(&wire.stream) else { return };
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    answer(&request, number, &mut wire);
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ")?;
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(n, _)| n == "content-length").map_or(0, |(_, v)| v.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, target, headers, body })
}

/// A client that is quick to try again. It calls nobody stalled who is only slow, as all are on a busy machine.
pub(crate) fn client() -> Client {
    client_with(|_| {})
}

/// One that is quick to call a peer stalled, too.
pub(crate) fn hasty_client() -> Client {
    client_with(|s| s.stall = Duration::from_millis(400))
}

pub(crate) fn client_with(change: impl FnOnce(&mut Settings)) -> Client {
    let mut settings = Settings {
        first_delay: Duration::from_millis(1),
        longest_delay: Duration::from_millis(20),
        retries: 2,
        ..Settings::default()
    };
    change(&mut settings);
    Client::new(settings)
}

/// Bytes that differ everywhere.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    (0..length as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}
