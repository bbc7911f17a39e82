//! How long a profile takes to become a program: `measure DIRECTORY [PROFILE.json]`, without a file the default
//! profile. The first run with a directory compiles and keeps the program there, the next ones read it. Build
//! with `--release`.

use std::time::{Duration, Instant};

use taru_seccomp::{Cache, Profile, compile, default_profile};
use taru_stdx::{Error, Result};
use taru_sys::caps::Capabilities;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let directory = args.next().ok_or_else(|| Error::invalid("measure: no directory given"))?;
    let text = match args.next() {
        Some(path) => String::from_utf8(taru_stdx::fs::read_bounded(path.as_ref(), 4 << 20)?)
            .map_err(|e| Error::invalid("read the profile").because(e))?,
        None => default_profile(Capabilities::NONE).to_json(),
    };
    let cache = Cache::new(directory);
    let start = Instant::now();
    let program = cache.program(&text)?;
    let first = start.elapsed();
    let instructions = program.map_or(0, |p| p.filters().len());
    println!("{} bytes of JSON, {instructions} instructions", text.len());
    println!("this process's first: {} µs", first.as_micros());
    println!("median of 1000: read {} µs", median(|| drop(cache.program(&text))));
    println!("median of 1000: parse {} µs", median(|| drop(Profile::parse(&text))));
    if let Some(profile) = Profile::parse(&text)? {
        println!("median of 1000: compile {} µs", median(|| drop(compile(&profile))));
    }
    Ok(())
}

fn median(act: impl Fn()) -> u128 {
    let time = |_| {
        let start = Instant::now();
        act();
        start.elapsed()
    };
    let mut times: Vec<Duration> = (0..1000).map(time).collect();
    times.sort_unstable();
    times[500].as_micros()
}
