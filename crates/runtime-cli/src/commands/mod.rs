//! The commands: a table, and a file for each.

mod checkpoint;
mod create;
mod delete;
mod events;
mod exec;
mod features;
mod kill;
mod list;
mod pause;
mod ps;
mod spec;
mod start;
mod state;
mod supervise;
mod update;

use std::ffi::CString;

use clap::{ArgMatches, Args};
use taru_runtime::state::Store;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::regex::Regex;

use crate::settings::Settings;

/// A command's options, and what it does with them.
trait Verb: Args {
    /// Acts, and gives the exit status.
    fn run(self, settings: &Settings) -> Result<u8>;
}

/// A line of the table.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    /// Adds the command's options to its definition.
    pub(crate) define: fn(clap::Command) -> clap::Command,
    pub(crate) run: fn(&ArgMatches, &Settings) -> Result<u8>,
}

const fn entry<V: Verb>(name: &'static str) -> Entry {
    Entry {
        name,
        define: V::augment_args,
        run: |matches, settings| V::from_arg_matches(matches).context(|| "read the options")?.run(settings),
    }
}

/// All commands, in the order of the help.
pub(crate) const COMMANDS: &[Entry] = &[
    entry::<create::Create>("create"),
    entry::<start::Start>("start"),
    entry::<create::Run>("run"),
    entry::<exec::Exec>("exec"),
    entry::<kill::Kill>("kill"),
    entry::<delete::Delete>("delete"),
    entry::<state::State>("state"),
    entry::<list::List>("list"),
    entry::<ps::Ps>("ps"),
    entry::<pause::Pause>("pause"),
    entry::<pause::Resume>("resume"),
    entry::<update::Update>("update"),
    entry::<events::Events>("events"),
    entry::<spec::Spec>("spec"),
    entry::<features::Features>("features"),
    entry::<supervise::Supervise>("supervise"),
    entry::<checkpoint::Checkpoint>("checkpoint"),
    entry::<checkpoint::Restore>("restore"),
];

/// The ids of the store that the extended regular expression matches somewhere.
fn matching(store: &Store, expression: &str) -> Result<Vec<String>> {
    let regex = Regex::new(expression).context_as(Kind::Invalid, || "read the regular expression")?;
    let is_match = |id: &String| CString::new(id.as_str()).is_ok_and(|id| regex.is_match(&id));
    Ok(store.list()?.into_iter().map(|(id, _)| id).filter(is_match).collect())
}

/// Acts on each of `ids`, past failures; all failures are one.
fn each(ids: &[String], act: impl Fn(&str) -> Result<()>) -> Result<()> {
    let failures = ids.iter().filter_map(|id| act(id).err()).collect();
    Error::all(failures).map_or(Ok(()), Err)
}
