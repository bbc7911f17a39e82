//! `taru cgroup`: control groups by hand, on v1, hybrid and v2 alike.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;
use taru_cgroup::{Cgroup, Hierarchy, Skipped};
use taru_stdx::{Error, Kind, Result, parse};
use taru_sys::process::Pid;
use taru_sys::signal;
use taru_sys::user::geteuid;

use crate::options::{Format, Global, LogLevel};
use crate::output::{self, Edge, Table};

mod limits;
mod run;
mod show;

/// Make control groups, limit them, run programs in them
///
/// GROUP is a path from the top of the hierarchies, such as `demo` or `/demo/inner`; for an ordinary user it is
/// counted from the group that was delegated to him. On v1 the group is made in every hierarchy that is
/// mounted, so that one name stands for all controllers.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru cgroup run --cpus 0.2 -- sh -c 'while :; do :; done'     in a group for the time being
  taru cgroup create a --cpu-shares 1024; taru cgroup create b --cpu-shares 512
  taru cgroup run --group a -- ./job & taru cgroup run --group b -- ./job     twice as much for a
  taru cgroup run --device-write-bps /dev/sda:1M -- dd if=/dev/zero of=file bs=1M oflag=direct
  taru cgroup attach a 4711; taru cgroup freeze a; taru cgroup stat a; taru cgroup thaw a
  taru cgroup kill a; taru cgroup wait-empty a; taru cgroup remove a")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a group, and set its limits
    #[command(after_help = "\
Examples:
  taru cgroup create demo --memory 64M --pids 20
  taru cgroup create demo/inner --cpu-shares 512")]
    Create {
        /// The group
        group: String,
        #[command(flatten)]
        limits: Box<limits::LimitArgs>,
    },
    /// Change the limits of a group
    #[command(after_help = "\
Examples:
  taru cgroup set demo --memory 128M
  taru cgroup set demo --cpus 1.5")]
    Set {
        /// The group
        group: String,
        /// Files to write, by name
        #[arg(value_name = "FILE=VALUE")]
        files: Vec<String>,
        #[command(flatten)]
        limits: Box<limits::LimitArgs>,
    },
    Get(show::GetArgs),
    Run(run::Args),
    /// Move processes into a group
    #[command(after_help = "\
Examples:
  taru cgroup attach demo 4711")]
    Attach {
        /// Move single threads: anywhere on v1, within a threaded subtree on v2
        #[arg(long)]
        thread: bool,
        /// The group
        group: String,
        /// The processes, or with --thread the threads
        #[arg(value_name = "PID", required = true)]
        pids: Vec<u32>,
    },
    Stat(show::StatArgs),
    /// Stop all processes of a group, until thawed
    #[command(after_help = "\
Examples:
  taru cgroup freeze demo; taru cgroup thaw demo")]
    Freeze {
        /// The group
        group: String,
    },
    /// Let the processes of a frozen group go on
    #[command(after_help = "\
Examples:
  taru cgroup thaw demo")]
    Thaw {
        /// The group
        group: String,
    },
    /// Kill all processes of a group and of the groups below it
    #[command(after_help = "\
Examples:
  taru cgroup kill demo
  taru cgroup kill --signal TERM demo")]
    Kill {
        /// Send this signal, by name or number, instead of SIGKILL
        #[arg(long, short, value_name = "SIGNAL")]
        signal: Option<String>,
        /// The group
        group: String,
    },
    /// Wait until no process is in a group or below it
    #[command(after_help = "\
Examples:
  taru cgroup wait-empty --timeout 10s demo || taru cgroup kill demo")]
    #[command(name = "wait-empty")]
    WaitEmpty {
        /// Give up after this time, with exit status 1
        #[arg(long, value_name = "DURATION")]
        timeout: Option<String>,
        /// The group
        group: String,
    },
    /// Remove groups, with the groups below them
    #[command(after_help = "\
Examples:
  taru cgroup remove demo
  taru cgroup remove --kill demo")]
    #[command(visible_alias = "rm")]
    Remove {
        /// Kill their processes first
        #[arg(long)]
        kill: bool,
        /// The groups
        #[arg(value_name = "GROUP", required = true)]
        groups: Vec<String>,
    },
    List(show::ListArgs),
}

impl Args {
    /// `run` has the program's exit status.
    pub(super) fn edge(&self) -> Edge {
        if matches!(self.verb, Verb::Run(_)) { Edge::Program } else { Edge::Plain }
    }
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    match &args.verb {
        Verb::Create { group, limits } => create(group, limits, global)?,
        Verb::Set { group, files, limits } => set(group, files, limits, global)?,
        Verb::Get(args) => show::get(args)?,
        Verb::Run(args) => return run::run(args, global),
        Verb::Attach { thread, group, pids } => attach(group, pids, *thread)?,
        Verb::Stat(args) => show::stat(args)?,
        Verb::Freeze { group } => find(group)?.freeze()?,
        Verb::Thaw { group } => find(group)?.thaw()?,
        Verb::Kill { signal, group } => kill(group, signal.as_deref())?,
        Verb::WaitEmpty { timeout, group } => wait_empty(group, timeout.as_deref())?,
        Verb::Remove { kill, groups } => remove(groups, *kill)?,
        Verb::List(args) => show::list(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The path of a group as the library wants it: root's count from the top.
fn path(group: &str) -> String {
    if geteuid() == 0 { format!("/{}", group.trim_start_matches('/')) } else { group.to_owned() }
}

fn find(group: &str) -> Result<Cgroup> {
    Cgroup::find(&Hierarchy::probe()?, &path(group)).map_err(|e| match e.kind() {
        Kind::NotFound => e.hint("`taru cgroup list` shows which there are"),
        _ => e,
    })
}

/// Sets the limits, and says what this layout has no counterpart for.
fn apply(group: &Cgroup, limits: &limits::LimitArgs, global: &Global) -> Result<()> {
    let skipped: Vec<Skipped> = group.apply(&limits.limits()?)?;
    for skipped in skipped {
        output::note(global, LogLevel::Warn, &format!("not set: {skipped}"));
    }
    Ok(())
}

fn create(path_of_group: &str, limits: &limits::LimitArgs, global: &Global) -> Result<()> {
    // All of the options are checked before anything is made.
    limits.limits()?;
    let group = Cgroup::create(&Hierarchy::probe()?, &path(path_of_group))?;
    if !group.is_new() {
        return Err(Error::new(Kind::Exists, format!("create the group `{path_of_group}`: it exists"))
            .hint("`taru cgroup set` changes one that exists"));
    }
    apply(&group, limits, global).inspect_err(|_| drop(group.remove()))
}

fn set(group: &str, files: &[String], limits: &limits::LimitArgs, global: &Global) -> Result<()> {
    let split = |file: &String| match file.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(Error::invalid(format!("set `{file}`: not FILE=VALUE"))),
    };
    let files: Vec<(String, String)> = files.iter().map(split).collect::<Result<_>>()?;
    let group = find(group)?;
    apply(&group, limits, global)?;
    files.iter().try_for_each(|(name, value)| group.write_file(name, value))
}

fn attach(group: &str, pids: &[u32], thread: bool) -> Result<()> {
    let group = find(group)?;
    for pid in pids {
        let pid = i32::try_from(*pid)
            .map(Pid)
            .map_err(|_| Error::invalid(format!("attach `{pid}`: no process id")))?;
        if thread { group.add_thread(pid)? } else { group.add(pid)? }
    }
    Ok(())
}

fn kill(group: &str, name: Option<&str>) -> Result<()> {
    let Some(name) = name else { return find(group)?.kill_all() };
    let number = signal::parse(name).ok_or_else(|| {
        Error::invalid(format!("send signal `{name}`: no such signal"))
            .hint("signals are named as kill(1) has them: TERM, HUP, 9")
    })?;
    find(group)?.signal_all(number)
}

fn wait_empty(path: &str, timeout: Option<&str>) -> Result<()> {
    let limit = timeout.map(parse::duration).transpose()?;
    let group = find(path)?;
    if group.watch_empty()?.wait(limit)? {
        return Ok(());
    }
    let left = inside(group.pids_recursive()?.len());
    Err(Error::new(Kind::Limit, format!("wait for the group `{path}`: {left} in it")))
}

fn remove(groups: &[String], kill: bool) -> Result<()> {
    let hierarchy = Hierarchy::probe()?;
    let one = |name: &String| -> Result<()> {
        let group = Cgroup::find(&hierarchy, &path(name))?;
        if kill {
            group.kill_all()?;
        } else if let Some(count) = Some(group.pids_recursive()?.len()).filter(|n| *n > 0) {
            return Err(Error::new(
                Kind::Busy,
                format!("remove the group `{name}`: {} in it", inside(count)),
            )
            .hint("`taru cgroup remove --kill` kills them first"));
        }
        group.remove()
    };
    let errors: Vec<Error> = groups.iter().filter_map(|name| one(name).err()).collect();
    Error::all(errors).map_or(Ok(()), Err)
}

/// `1 process is`, `2 processes are`.
fn inside(count: usize) -> String {
    format!("{} {}", output::count(count as u64, "process"), if count == 1 { "is" } else { "are" })
}

/// `value` as one row, or as several when it has several lines.
fn rows(table: &mut Table, name: &str, value: &str) {
    for (i, line) in value.trim_end().lines().enumerate() {
        table.row(vec![if i == 0 { name.to_owned() } else { String::new() }, line.to_owned()]);
    }
}

/// Prints names and values.
fn print(values: &BTreeMap<String, String>, format: Format) -> Result<()> {
    #[derive(Serialize)]
    #[serde(transparent)]
    struct Values<'a>(&'a BTreeMap<String, String>);
    match format {
        Format::Json => output::json(&Values(values)),
        Format::Table => {
            let mut table = Table::new(&["FILE", "VALUE"]);
            values.iter().for_each(|(name, value)| rows(&mut table, name, value));
            table.print()
        }
    }
}
