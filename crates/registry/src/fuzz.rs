//! Every reader of foreign text, fed with damaged samples: whatever comes, it ends, and without a panic.

use crate::challenge;
use crate::conf::Registries;
use crate::message::Head;
use crate::policy::Policy;
use crate::proxy::Proxies;
use crate::pubkey::PublicKey;
use crate::url::Url;

/// Damaged copies of each sample.
const COPIES: u64 = 400;

/// A sequence that is the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }

    /// `sample` with some bytes changed, put in, taken out, doubled or cut off.
    fn damage(&mut self, sample: &[u8]) -> Vec<u8> {
        const LIKELY: &[u8] = b"\0\r\n\t \"\\/:@,;=%?#{}[]<>-+.0919azA\x7f\x80\xff";
        let mut bytes = sample.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            let byte = LIKELY.get(self.below(LIKELY.len())).copied().unwrap_or_default();
            match self.below(5) {
                0 => bytes.insert(at.min(bytes.len()), byte),
                1 => bytes.truncate(at),
                2 if !bytes.is_empty() => drop(bytes.remove(at)),
                3 => bytes.extend_from_within(at.min(bytes.len())..),
                _ => {
                    if let Some(b) = bytes.get_mut(at) {
                        *b = byte;
                    }
                }
            }
        }
        bytes
    }
}

fn each(samples: &[&str], read: impl Fn(&[u8])) {
    let mut random = Random(0x5eed_1234_5678_9abc);
    for sample in samples {
        read(sample.as_bytes());
        for _ in 0..COPIES {
            read(&random.damage(sample.as_bytes()));
        }
    }
}

#[test]
fn damaged_text_of_strangers_does_no_harm() {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    each(
        &[
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
            "HTTP/1.0 103 x\r\n\r\n",
        ],
        |bytes| {
            if let Ok(head) = Head::read(&mut &*bytes) {
                let _ = (head.framing("GET"), head.keeps());
            }
        },
    );
    each(
        &[
            r#"Bearer realm="https://a.b/t?x=\"y",service=s,scope="a b", Basic realm="x", Negotiate"#,
            "a=b, c",
            "Basic",
        ],
        |bytes| drop(challenge::parse(&text(bytes))),
    );
    let here = Url::parse("https://a.example/v2/x/y?z=1").ok();
    each(
        &["https://user:pw@host.example:5000/a/b?c=%20#d", "//[::1]:5/x", "../x?y", "http://a.b"],
        |bytes| {
            drop(Url::parse_with_user(&text(bytes)));
            if let Some(Ok(next)) = here.as_ref().map(|here| here.join(&text(bytes))) {
                // What is followed can always be written into a request, and shown.
                let mut head = Vec::new();
                assert!(crate::message::write_head(&mut head, "GET", &next.target, &[]).is_ok(), "{next}");
                assert!(!next.to_string().contains('?'), "{next}");
            }
        },
    );
    each(
        &[
            "unqualified-search-registries = [\"a\"]\n[[registry]]\nprefix = \"*.a.b\"\nlocation = \"c/d\"\n[aliases]\n\"x\" = \"y.z/x\"\n",
        ],
        |bytes| {
            let mut all = Registries::default();
            if all.add(&text(bytes)).is_ok() {
                let _ = (all.names("x:1"), all.registry("c"));
                for name in all.names("q.a.b/c").into_iter().flatten() {
                    let _ = all.push(&name);
                }
            }
        },
    );
    each(
        &[
            r#"{"default":[{"type":"reject"}],"transports":{"docker":{"a.b/c":[{"type":"sigstoreSigned","keyData":"YQ==","signedIdentity":{"type":"remapIdentity","prefix":"a","signedPrefix":"b"}}]}}}"#,
        ],
        |bytes| drop(Policy::parse(bytes)),
    );
    each(
        &[
            "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n",
        ],
        |bytes| {
            if let Ok(key) = PublicKey::from_pem(bytes) {
                assert!(!key.verifies(b"message", &[0; 64]));
            }
        },
    );
    each(&["socks5h://us%3Aer:p@[::1]:1080", "http://proxy:3128/"], |bytes| {
        drop(Proxies::from_variables(|name| (name == "ALL_PROXY").then(|| text(bytes))));
    });
    each(&[r#"{"token":"a","expires_in":1e400}"#, r#"{"access_token":"x","expires_in":-5}"#], |bytes| {
        if let Ok(grant) = crate::token::read("h", bytes) {
            assert!(grant.header.bytes().all(|b| b == b' ' || b.is_ascii_graphic()));
        }
    });
    each(&["1a;x=y\r\n", "\r\n0\r\nA: b\r\n\r\n"], |bytes| {
        drop(crate::body::chunk(&mut &*bytes, bytes.first() == Some(&b'1')))
    });
}
