//! `list`: all containers of a state directory.

use clap::{Args, ValueEnum};
use taru_stdx::Result;

use crate::commands::Verb;
use crate::commands::state::View;
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
        let mut views = Vec::new();
        for (id, found) in settings.store().list()? {
            match found.and_then(|record| Ok(View::of(&record, record.status()?))) {
                Ok(view) => views.push(view),
                Err(e) => {
                    settings.log.warning(&format!("leave out container `{id}`: {}", e.chain()));
                }
            }
        }
        if self.quiet {
            output::text(&views.iter().map(|v| format!("{}\n", v.id)).collect::<String>())?;
        } else if self.format == Format::Json {
            output::json_line(&views)?;
        } else {
            output::text(&to_table(&views))?;
        }
        Ok(0)
    }
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
