//! The commands: a table, and a file for each.

mod checkpoint;
mod create;
mod events;
mod features;
mod lifecycle;
mod list;
mod pause;
mod ps;
mod spec;
mod state;
mod supervise;

use clap::{ArgMatches, Args};
use taru_stdx::{Context, Result};

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
    entry::<lifecycle::Start>("start"),
    entry::<create::Run>("run"),
    entry::<lifecycle::Kill>("kill"),
    entry::<lifecycle::Delete>("delete"),
    entry::<state::State>("state"),
    entry::<list::List>("list"),
    entry::<ps::Ps>("ps"),
    entry::<pause::Pause>("pause"),
    entry::<pause::Resume>("resume"),
    entry::<events::Events>("events"),
    entry::<spec::Spec>("spec"),
    entry::<features::Features>("features"),
    entry::<supervise::Supervise>("supervise"),
    entry::<checkpoint::Checkpoint>("checkpoint"),
    entry::<checkpoint::Restore>("restore"),
];
