//! Credential helpers: programs `docker-credential-NAME` that keep passwords elsewhere.
//!
//! ```text
//! docker-credential-NAME get    <- the server on stdin   -> {"ServerURL": .., "Username": .., "Secret": ..} on stdout
//! docker-credential-NAME store  <- that document on stdin
//! docker-credential-NAME erase  <- the server on stdin
//! ```
//! What a helper says stays out of errors: some print the secret.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use taru_stdx::{Context, Error, Kind, Result};

use crate::cancel::{Cancel, SLICE};

/// Bytes of an answer.
const OUTPUT: u64 = 64 << 10;
/// Some ask the person to unlock a key ring.
const LIMIT: Duration = Duration::from_secs(60);
/// The user name that stands for "the secret is an identity token".
const IDENTITY: &str = "<token>";

/// What a helper keeps.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Kept {
    #[serde(rename = "ServerURL", default)]
    pub(crate) server: String,
    #[serde(default)]
    pub(crate) username: String,
    #[serde(default)]
    pub(crate) secret: String,
}

impl Kept {
    /// Whether the secret is an identity token, not a password.
    pub(crate) fn is_identity(&self) -> bool {
        self.username == IDENTITY
    }
}

/// What helper `name` keeps for `server`.
pub(crate) fn get(name: &str, server: &str, cancel: &Cancel) -> Result<Option<Kept>> {
    let (succeeded, output) = run(name, "get", server.as_bytes(), cancel)?;
    if !succeeded {
        // All helpers say this one sentence, on stdout, with status 1 (docker-credential-helpers, "credentials/error.go").
        let text = String::from_utf8_lossy(&output).to_ascii_lowercase();
        if text.contains("credentials not found") {
            return Ok(None);
        }
        return Err(Error::new(
            Kind::System,
            format!("ask `docker-credential-{name}` for `{server}`: it failed"),
        ));
    }
    let kept: Kept = serde_json::from_slice(&output)
        // Without its source, which quotes the document.
        .map_err(|_| {
            Error::invalid(format!("read the answer of `docker-credential-{name}`: it is not its document"))
        })?;
    Ok((!kept.secret.is_empty()).then_some(kept))
}

/// Has helper `name` keep this.
pub(crate) fn store(name: &str, kept: &Kept, cancel: &Cancel) -> Result<()> {
    let document = serde_json::to_vec(kept).context(|| "write the document for a credential helper")?;
    match run(name, "store", &document, cancel)? {
        (true, _) => Ok(()),
        (false, _) => Err(Error::new(
            Kind::System,
            format!("store credentials with `docker-credential-{name}`: it failed"),
        )),
    }
}

/// Has helper `name` forget `server`; nothing kept is no error.
pub(crate) fn erase(name: &str, server: &str, cancel: &Cancel) -> Result<()> {
    run(name, "erase", server.as_bytes(), cancel).map(drop)
}

/// Runs it within its limits; returns whether it succeeded, and its output.
fn run(name: &str, verb: &str, input: &[u8], cancel: &Cancel) -> Result<(bool, Vec<u8>)> {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if name.is_empty() || !name.bytes().all(is_word) {
        return Err(Error::invalid(format!(
            "run the credential helper `{}`: no name of a program",
            name.escape_debug()
        )));
    }
    let program = format!("docker-credential-{name}");
    let what = || format!("run `{program} {verb}`");
    let child = Command::new(&program)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context(what)
        .map_err(|e| {
            e.hint("it is named by `credsStore` or `credHelpers` of the file with your credentials")
        })?;
    let mut child = Ended(child);
    // In threads: the helper may not read, or leave a process behind that keeps its output open.
    let (stdin, stdout) = (child.0.stdin.take(), child.0.stdout.take());
    let input = input.to_vec();
    let (done, waiting) = mpsc::channel();
    let read = move || {
        if let Some(mut stdin) = stdin {
            // One that needs no input may have ended already.
            let _ = stdin.write_all(&input);
        }
        let mut output = Vec::new();
        let outcome = stdout.map_or(Ok(0), |out| out.take(OUTPUT + 1).read_to_end(&mut output));
        drop(done.send(outcome.map(|_| output)));
    };
    std::thread::Builder::new().name("helper".into()).spawn(read).context(what)?;
    let until = Instant::now() + LIMIT;
    let too_long = || Error::new(Kind::Limit, format!("{}: no answer in {} s", what(), LIMIT.as_secs()));
    let output = loop {
        cancel.check()?;
        match waiting.recv_timeout(SLICE) {
            Ok(output) => break output.context(what)?,
            Err(_) if Instant::now() >= until => return Err(too_long()),
            Err(_) => {}
        }
    };
    if output.len() as u64 > OUTPUT {
        return Err(Error::new(Kind::Limit, format!("{}: it says more than {OUTPUT} bytes", what())));
    }
    loop {
        cancel.check()?;
        match child.0.try_wait().context(what)? {
            Some(status) => return Ok((status.success(), output)),
            None if Instant::now() >= until => return Err(too_long()),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// A child that does not outlive the wait for it.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}
