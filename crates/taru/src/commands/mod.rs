//! The verbs, one file each: `Args` (as typed, with its help and examples) and `run`.
//!
//! To add a verb: its file, its `mod` line, its variant and its lines in [`Command::run`] and `VERBS`, each in
//! alphabetical order.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args as _, Subcommand};
use taru_engine::Engine;
use taru_stdx::Result;

use crate::options::Global;
use crate::output::{self, Edge};

mod attach;
mod build;
mod cgroup;
mod check;
mod chroot;
mod commit;
mod completion;
mod cp;
mod diff;
mod enter;
mod exec;
mod export;
mod history;
mod idmap;
mod image;
mod images;
mod import;
mod inspect;
mod kill;
mod link;
mod load;
mod login;
mod logout;
mod logs;
mod netns;
mod place;
mod ps;
mod pull;
mod push;
mod rm;
mod rmi;
mod run;
mod save;
mod search;
mod start;
mod stop;
mod store;
mod tag;
mod unshare;
mod version;
mod wait;

/// The verbs.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the help of a verb stands on its `Args`")]
pub enum Command {
    Attach(attach::Args),
    Build(Box<build::Args>),
    Cgroup(cgroup::Args),
    Check(check::Args),
    Chroot(chroot::Args),
    Commit(commit::Args),
    Completion(completion::Args),
    Cp(cp::Args),
    Diff(diff::Args),
    Enter(enter::Args),
    Exec(exec::Args),
    Export(export::Args),
    History(history::Args),
    Idmap(idmap::Args),
    Image(image::Args),
    Images(images::Args),
    Import(import::Args),
    Inspect(inspect::Args),
    Kill(kill::Args),
    Link(link::Args),
    Load(load::Args),
    Login(login::Args),
    Logout(logout::Args),
    Logs(logs::Args),
    Netns(netns::Args),
    Ps(ps::Args),
    Pull(pull::Args),
    Push(push::Args),
    Rm(rm::Args),
    Rmi(rmi::Args),
    Run(Box<run::Args>),
    Save(save::Args),
    Search(search::Args),
    Start(start::Args),
    Stop(stop::Args),
    Store(store::Args),
    Tag(tag::Args),
    Unshare(Box<unshare::Args>),
    Version(version::Args),
    Wait(wait::Args),
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// What the verb fails with; printed by the caller.
    pub fn run(self, global: &Global) -> Result<ExitCode> {
        match self {
            Command::Attach(args) => attach::run(&args, global),
            Command::Build(args) => build::run(&args, global),
            Command::Cgroup(args) => cgroup::run(&args, global),
            Command::Check(args) => check::run(&args, global),
            Command::Chroot(args) => chroot::run(&args, global),
            Command::Commit(args) => commit::run(&args, global),
            Command::Completion(args) => completion::run(&args, global, definition),
            Command::Cp(args) => cp::run(&args, global),
            Command::Diff(args) => diff::run(&args, global),
            Command::Enter(args) => enter::run(&args, global),
            Command::Exec(args) => exec::run(&args, global),
            Command::History(args) => history::run(&args, global),
            Command::Export(args) => export::run(&args, global),
            Command::Idmap(args) => idmap::run(&args, global),
            Command::Image(args) => image::run(&args, global),
            Command::Images(args) => images::run(&args, global),
            Command::Import(args) => import::run(&args, global),
            Command::Inspect(args) => inspect::run(&args, global),
            Command::Kill(args) => kill::run(&args, global),
            Command::Link(args) => link::run(&args, global),
            Command::Load(args) => load::run(&args, global),
            Command::Login(args) => login::run(&args, global),
            Command::Logout(args) => logout::run(&args, global),
            Command::Logs(args) => logs::run(&args, global),
            Command::Netns(args) => netns::run(&args, global),
            Command::Ps(args) => ps::run(&args, global),
            Command::Pull(args) => pull::run(&args, global),
            Command::Push(args) => push::run(&args, global),
            Command::Rm(args) => rm::run(&args, global),
            Command::Rmi(args) => rmi::run(&args, global),
            Command::Run(args) => run::run(&args, global),
            Command::Save(args) => save::run(&args, global),
            Command::Search(args) => search::run(&args, global),
            Command::Start(args) => start::run(&args, global),
            Command::Stop(args) => stop::run(&args, global),
            Command::Store(args) => store::run(&args, global),
            Command::Tag(args) => tag::run(&args, global),
            Command::Unshare(args) => unshare::run(&args, global),
            Command::Version(args) => version::run(&args, global),
            Command::Wait(args) => wait::run(&args, global),
        }
    }

    /// Which convention of exit statuses the verb follows.
    pub fn edge(&self) -> Edge {
        match self {
            Command::Cgroup(args) => args.edge(),
            Command::Netns(args) => args.edge(),
            Command::Attach(_) | Command::Chroot(_) | Command::Enter(_) => Edge::Program,
            Command::Exec(_) | Command::Run(_) | Command::Unshare(_) => Edge::Program,
            _ => Edge::Plain,
        }
    }
}

/// Adds a verb's options to its definition.
type Define = fn(clap::Command) -> clap::Command;

/// The verbs again, for [`only_typed`].
const VERBS: [(&str, Define); 40] = [
    ("attach", attach::Args::augment_args),
    ("build", build::Args::augment_args),
    ("cgroup", cgroup::Args::augment_args),
    ("check", check::Args::augment_args),
    ("chroot", chroot::Args::augment_args),
    ("commit", commit::Args::augment_args),
    ("completion", completion::Args::augment_args),
    ("cp", cp::Args::augment_args),
    ("diff", diff::Args::augment_args),
    ("enter", enter::Args::augment_args),
    ("exec", exec::Args::augment_args),
    ("export", export::Args::augment_args),
    ("history", history::Args::augment_args),
    ("idmap", idmap::Args::augment_args),
    ("image", image::Args::augment_args),
    ("images", images::Args::augment_args),
    ("import", import::Args::augment_args),
    ("inspect", inspect::Args::augment_args),
    ("kill", kill::Args::augment_args),
    ("link", link::Args::augment_args),
    ("load", load::Args::augment_args),
    ("login", login::Args::augment_args),
    ("logout", logout::Args::augment_args),
    ("logs", logs::Args::augment_args),
    ("netns", netns::Args::augment_args),
    ("ps", ps::Args::augment_args),
    ("pull", pull::Args::augment_args),
    ("push", push::Args::augment_args),
    ("rm", rm::Args::augment_args),
    ("rmi", rmi::Args::augment_args),
    ("run", run::Args::augment_args),
    ("save", save::Args::augment_args),
    ("search", search::Args::augment_args),
    ("start", start::Args::augment_args),
    ("stop", stop::Args::augment_args),
    ("store", store::Args::augment_args),
    ("tag", tag::Args::augment_args),
    ("unshare", unshare::Args::augment_args),
    ("version", version::Args::augment_args),
    ("wait", wait::Args::augment_args),
];

/// The options of all verbs, and of the verbs the one that seems to have been typed, if any: to make the options of all of
/// them takes longer than all else that a short command does. It understands this command line or none: no word but a verb
/// can stand where a verb stands.
pub(crate) fn only_typed(taru: clap::Command, args: &[OsString]) -> Option<clap::Command> {
    let verb = |arg: &OsString| VERBS.iter().find(|(name, _)| arg == name);
    let (name, define) = args.iter().skip(1).find_map(verb)?;
    let verb = define(clap::Command::new(*name));
    Some(Global::augment_args(taru.subcommand_required(true).subcommand(verb)))
}

/// The state directory that the command line names.
pub(crate) fn open(global: &Global) -> Result<Engine> {
    output::choose_level(global.log_level);
    Engine::open(global.root.as_deref(), output::report, output::step)
}

/// The verbs and the options they share, as completion scripts need them.
fn definition() -> clap::Command {
    let taru = clap::Command::new("taru").version(env!("CARGO_PKG_VERSION")).disable_help_subcommand(true);
    Global::augment_args(Command::augment_subcommands(taru))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verb_is_found_by_its_name_alone() {
        let whole = definition();
        let names: Vec<&str> = whole.get_subcommands().map(clap::Command::get_name).collect();
        assert_eq!(VERBS.map(|(name, _)| name).to_vec(), names);
        // An alias would have to be looked for, too.
        assert!(whole.get_subcommands().all(|verb| verb.get_all_aliases().next().is_none()));
    }
}
