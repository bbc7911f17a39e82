//! `taru logs`: what a detached container wrote.

use std::io::Write;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use taru_stdx::{Context, Error, Kind, Result, parse, time};
use taru_supervise::log::{Entry, Reader, Stream};
use taru_sys::inotify::Inotify;

use crate::commands::open;
use crate::options::Global;
use taru_engine::reconcile::{self, Status};

/// Show what a container wrote: its standard output on standard output, its standard error on standard error
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru logs web
  taru logs -f --tail 10 web
  taru logs --since 5m --timestamps web 2>/dev/null")]
pub struct Args {
    /// Go on until the container ends
    #[arg(long, short)]
    follow: bool,
    /// Begin with the last NUMBER lines, or `all`
    #[arg(long, short = 'n', value_name = "NUMBER", default_value = "all", value_parser = tail)]
    tail: Tail,
    /// Leave out what is older: a duration such as 10m, or a time such as 2026-11-22T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<String>,
    /// Begin each line with when it was read
    #[arg(long, short)]
    timestamps: bool,
    /// A name, an id or the beginning of one
    container: String,
}

#[derive(Debug, Clone, Copy)]
enum Tail {
    All,
    Last(usize),
}

fn tail(text: &str) -> std::result::Result<Tail, String> {
    match text {
        "all" | "-1" => Ok(Tail::All),
        text => text.parse().map(Tail::Last).map_err(|_| "not a number, nor `all`".to_owned()),
    }
}

/// A time as the log has it, so that text can be compared.
fn since(text: &str) -> Result<String> {
    let bytes = text.as_bytes();
    if bytes.len() >= 10 && bytes[4] == b'-' && bytes[7] == b'-' && text.is_ascii() {
        if bytes.len() > 10 && !text.ends_with('Z') {
            return Err(Error::invalid("a time is given in UTC and ends with Z"));
        }
        return Ok(text.trim_end_matches('Z').to_owned());
    }
    let ago = parse::duration(text)?;
    let then = SystemTime::now().checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH);
    Ok(time::rfc3339(then))
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let mut engine = open(global)?;
    let (record, _) = reconcile::one(&mut engine, &args.container)?;
    let dir = engine.dirs.container(&record.id);
    if !dir.join(taru_supervise::log::LOG).exists() {
        return Err(Error::new(Kind::NotFound, format!("read the log of `{}`: it has none", record.name))
            .hint("what runs in the foreground writes to its caller; run it with --detach"));
    }
    // Before the first read, so that nothing written between is missed.
    let watch = Inotify::new().context(|| "watch the log")?;
    watch
        .add(&dir, taru_sys::inotify::mask::MODIFY | taru_sys::inotify::mask::CREATE)
        .context(|| "watch the log")?;
    let mut reader = Reader::open(&dir)?;
    let mut printer = Printer { timestamps: args.timestamps, since: args.since.clone(), fresh: [true; 2] };

    let skip = match args.tail {
        Tail::All => 0,
        Tail::Last(wanted) => count(&mut Reader::open(&dir)?, &printer)?.saturating_sub(wanted),
    };
    let mut lines = 0;
    loop {
        // Asked before reading: what was written until the end is then read below.
        let running = args.follow
            && matches!(
                reconcile::one(&mut engine, &record.id),
                Ok((_, Status::Running { .. } | Status::Starting))
            );
        while let Some(line) = reader.next_line()? {
            let Some(entry) = taru_supervise::log::parse(line) else { continue };
            if !printer.wants(&entry) {
                continue;
            }
            let skipped = lines < skip;
            lines += usize::from(entry.ends_line);
            if !skipped && !printer.print(&entry)? {
                return Ok(ExitCode::SUCCESS);
            }
        }
        if !running {
            return Ok(ExitCode::SUCCESS);
        }
        // The end of the container makes no event in the directory that is certain to come last.
        let seen = taru_sys::poll::poll(
            [(watch.as_fd(), taru_sys::poll::events::IN)],
            Some(Duration::from_millis(500)),
        );
        if seen.context(|| "watch the log")?[0] != 0 {
            watch.take().context(|| "watch the log")?;
        }
    }
}

/// How many lines there are that are wanted. Parts of a line count when it ends; a last one that never did, too.
fn count(reader: &mut Reader, printer: &Printer) -> Result<usize> {
    let (mut lines, mut open) = (0, false);
    while let Some(line) = reader.next_line()? {
        let Some(entry) = taru_supervise::log::parse(line).filter(|e| printer.wants(e)) else { continue };
        lines += usize::from(entry.ends_line);
        open = !entry.ends_line;
    }
    Ok(lines + usize::from(open))
}

struct Printer {
    timestamps: bool,
    since: Option<String>,
    /// Whether the next entry of each stream begins a line.
    fresh: [bool; 2],
}

impl Printer {
    fn wants(&self, entry: &Entry<'_>) -> bool {
        self.since.as_deref().is_none_or(|since| entry.time >= since)
    }

    /// Writes an entry to its stream; whether anybody reads it.
    fn print(&mut self, entry: &Entry<'_>) -> Result<bool> {
        let mut bytes = Vec::with_capacity(entry.content.len() + 40);
        let fresh = &mut self.fresh[usize::from(entry.stream == Stream::Stderr)];
        if self.timestamps && *fresh {
            bytes.extend_from_slice(entry.time.as_bytes());
            bytes.push(b' ');
        }
        *fresh = entry.ends_line;
        bytes.extend_from_slice(entry.content);
        if entry.ends_line {
            bytes.push(b'\n');
        }
        let written = match entry.stream {
            Stream::Stdout => write(std::io::stdout().lock(), &bytes),
            Stream::Stderr => write(std::io::stderr().lock(), &bytes),
        };
        match written {
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
            other => other.map(|()| true).context(|| "write what the container wrote"),
        }
    }
}

fn write(mut to: impl Write, bytes: &[u8]) -> std::io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}
