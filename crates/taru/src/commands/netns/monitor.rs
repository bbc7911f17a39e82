//! `taru netns monitor`: tells of names as they come and go.

use std::os::fd::AsFd;
use std::path::Path;

use serde::Serialize;
use taru_netlink::named;
use taru_stdx::{Context, Result};
use taru_sys::inotify::{Event, Inotify, mask};
use taru_sys::poll::{events, poll};

use crate::options::Format;
use crate::output;

/// Tell of names as they are given and taken away, until interrupted
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru netns monitor
  taru netns monitor --format json    one document a line")]
pub(super) struct Args {
    /// Print as lines of text or as one JSON document a line
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Serialize)]
struct Change {
    change: &'static str,
    name: String,
}

pub(super) fn run(args: &Args) -> Result<()> {
    named::ensure_dir()?;
    let what = || format!("watch `{}`", named::DIR);
    let inotify = Inotify::new().context(what)?;
    inotify.add(Path::new(named::DIR), mask::CREATE | mask::DELETE).context(what)?;
    loop {
        poll([(inotify.as_fd(), events::IN)], None).context(what)?;
        for event in inotify.take().context(what)? {
            if let Some(change) = change(&event) {
                tell(&change, args.format)?;
            }
        }
    }
}

/// What an event tells; nothing if it is about the directory itself.
fn change(event: &Event) -> Option<Change> {
    let name = event.name.to_string_lossy().into_owned();
    match event.mask {
        _ if name.is_empty() => None,
        bits if bits & mask::CREATE != 0 => Some(Change { change: "add", name }),
        bits if bits & mask::DELETE != 0 => Some(Change { change: "delete", name }),
        _ => None,
    }
}

fn tell(change: &Change, format: Format) -> Result<()> {
    match format {
        Format::Json => output::line(&serde_json::to_string(change).context(|| "write JSON")?),
        Format::Table => output::line(&format!("{} {}", change.change, change.name)),
    }
}
