//! How long a profile takes from its text to a program, and what comes out: `measure [PROFILE.json]`, without
//! a file the default profile. Build with `--release`.

use std::time::{Duration, Instant};

use taru_seccomp::{Profile, compile, default_profile};
use taru_stdx::{Error, Result};
use taru_sys::caps::Capabilities;

fn main() -> Result<()> {
    let text = match std::env::args().nth(1) {
        Some(path) => String::from_utf8(taru_stdx::fs::read_bounded(path.as_ref(), 4 << 20)?)
            .map_err(|e| Error::invalid("read the profile").because(e))?,
        None => default_profile(Capabilities::NONE).to_json(),
    };
    let profile = Profile::parse(&text)?.ok_or_else(|| Error::invalid("read the profile: it is empty"))?;
    let program = compile(&profile)?;
    println!("{} bytes of JSON, {} instructions", text.len(), program.filters().len());
    println!("first run in a cold cache and the median of 1000:");
    report("parse", || drop(Profile::parse(&text)));
    report("compile", || drop(compile(&profile)));
    Ok(())
}

fn report(what: &str, act: impl Fn()) {
    let time = || {
        let start = Instant::now();
        act();
        start.elapsed()
    };
    let first = time();
    let mut times: Vec<Duration> = (0..1000).map(|_| time()).collect();
    times.sort_unstable();
    println!("{what:8} {:6} µs {:6} µs", first.as_micros(), times[500].as_micros());
}
