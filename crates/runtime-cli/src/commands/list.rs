//! `list`: all containers of a state directory.

use clap::{Args, ValueEnum};
use taru_stdx::{Error, Result};

use crate::commands::Verb;
use crate::commands::state::{Users, View};
use crate::settings::Settings;
use crate::{output, table};

/// `--format` of what is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
}

/// List the containers of a state directory
///
/// A container whose record cannot be read is reported on standard error and does not hide the others.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  taru-runtime list
  taru-runtime --root /run/containerd/runc/k8s.io list --format json | jq -r '.[].id'")]
pub(crate) struct List {
    /// How to print them
    #[arg(short, long, default_value = "table")]
    format: Format,
    /// Print only the ids
    #[arg(short, long)]
    quiet: bool,
}

impl Verb for List {
    fn run(self, settings: &Settings) -> Result<u8> {
        let mut loaded = Vec::new();
        for (id, found) in settings.store()?.list()? {
            match found {
                Ok(record) => loaded.push(record),
                Err(e) => left_out(settings, &id, &e),
            }
        }
        if self.quiet {
            output::text(&loaded.iter().map(|r| format!("{}\n", r.state.id)).collect::<String>())?;
            return Ok(0);
        }
        let (mut views, mut users) = (Vec::new(), Users::default());
        for record in &loaded {
            match record.status() {
                Ok(status) => views.push(View::of(record, status, &mut users)),
                Err(e) => left_out(settings, &record.state.id, &e),
            }
        }
        match self.format {
            Format::Json => output::json_line(&views)?,
            Format::Table => output::text(&to_table(&views))?,
        }
        Ok(0)
    }
}

fn left_out(settings: &Settings, id: &str, error: &Error) {
    settings.log.warning(&format!("leave out container `{id}`: {}", error.chain()));
}

fn to_table(views: &[View]) -> String {
    let heading = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let rows = views.iter().map(|v| {
        [
            v.id.clone(),
            v.pid.to_string(),
            v.status.to_string(),
            v.bundle.display().to_string(),
            v.created.clone(),
            v.owner.clone(),
        ]
    });
    table::to_text(&std::iter::once(heading).chain(rows).collect::<Vec<_>>())
}
