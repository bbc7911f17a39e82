//! `ps`: the processes of a container.

use std::collections::HashSet;
use std::ffi::OsString;
use std::process::{Command, Stdio};

use clap::Args;
use taru_runtime::ps::pids;
use taru_stdx::{Error, Kind, Result};

use crate::commands::Verb;
use crate::commands::list::Format;
use crate::output;
use crate::settings::Settings;

/// List the processes of a container, with their pids outside
///
/// The table is that of ps(1), of which the lines of the container are kept. What follows ID is handed to
/// ps(1) as it is.
#[derive(Debug, Args)]
#[command(override_usage = "taru-runtime ps [OPTIONS] <ID> [PS OPTIONS]...")]
#[command(after_help = "\
Examples:
  taru-runtime ps web
  taru-runtime ps web -o pid,rss,args
  taru-runtime ps --format json web")]
pub(crate) struct Ps {
    /// The container, and options of ps(1) [default: -ef]
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, allow_hyphen_values = true,
          value_names = ["ID", "PS OPTIONS"])]
    args: Vec<OsString>,
    /// How to print them: ps(1)'s table, or the pids as JSON
    #[arg(short, long, default_value = "table")]
    format: Format,
}

impl Verb for Ps {
    fn run(self, settings: &Settings) -> Result<u8> {
        let mut args = self.args.into_iter();
        let id = args.next().unwrap_or_default();
        let id = id.to_str().ok_or_else(|| Error::invalid("read the id: not UTF-8"))?;
        let record = settings.store()?.load(id)?;
        let pids = pids(&record)?;
        if self.format == Format::Json {
            output::json_line(&pids)?;
            return Ok(0);
        }
        let args: Vec<OsString> = args.collect();
        output::text(&only(&ps(&args)?, &pids)?)?;
        Ok(0)
    }
}

/// The output of ps(1).
fn ps(args: &[OsString]) -> Result<String> {
    let default = [OsString::from("-ef")];
    let args = if args.is_empty() { &default[..] } else { args };
    let done = Command::new("ps").args(args).stdin(Stdio::null()).output().map_err(|e| {
        Error::new(Kind::NotFound, "execute ps")
            .because(e)
            .hint("the table needs the ps(1) of procps; --format json does not")
    })?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it does not say why");
        return Err(Error::invalid(format!("execute ps: {}: {}", done.status, first.trim())));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// The heading and the lines of `pids` of a table that has a column PID.
fn only(table: &str, pids: &[i32]) -> Result<String> {
    let mut lines = table.lines();
    let heading = lines.next().unwrap_or_default();
    let column = heading.split_whitespace().position(|title| title == "PID").ok_or_else(|| {
        Error::invalid("read the output of ps: no column PID").hint("name it among the columns: -o pid,args")
    })?;
    let pids: HashSet<i32> = pids.iter().copied().collect();
    let ours = lines.filter(|line| {
        line.split_whitespace()
            .nth(column)
            .and_then(|pid| pid.parse().ok())
            .is_some_and(|pid| pids.contains(&pid))
    });
    Ok(std::iter::once(heading).chain(ours).flat_map(|line| [line, "\n"]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_by_the_column_called_pid() {
        let table = "UID        PID  PPID CMD\nroot        42     1 sleep 7\nroot         7    42 ps\n\n";
        assert_eq!(only(table, &[42]).unwrap(), "UID        PID  PPID CMD\nroot        42     1 sleep 7\n");
        assert_eq!(only(table, &[]).unwrap(), "UID        PID  PPID CMD\n");
        assert!(only("CMD\nx\n", &[1]).is_err());
        assert!(only("", &[1]).is_err());
    }
}
