//! RUN: which program, with which variables, for whom; its mounts are [`super::mount`]'s.

use taru_stdx::Result;

use super::mount;
use super::state::{State, absolute};
use super::step::{Action, RunStep};
use crate::dockerfile::{Command, Heredoc, Placed, Run, heredoc_of_word};
use crate::graph::PROXIES;

/// Adds a RUN.
pub(super) fn add(state: &mut State<'_>, placed: &Placed, run: &Run) -> Result<()> {
    let (command, script) = command(run, state.around.escape);
    let args = state.words(&command);
    let mounts = run.mounts.iter().map(|flag| mount::resolve(state, flag)).collect::<Result<_>>()?;
    state.remember(told(state, &args), true);
    let step = RunStep {
        args,
        env: state.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        proxies: proxies(state),
        cwd: match state.config.working_dir.as_str() {
            "" => "/".to_owned(),
            cwd => absolute("/", cwd),
        },
        user: state.config.user.clone(),
        network: run.network,
        insecure: run.insecure,
        mounts,
        script,
    };
    state.do_step(placed, Action::Run(step));
    Ok(())
}

/// The command, and the script in /dev/pipes that it is, if it is one.
fn command(run: &Run, escape: char) -> (Command, Option<(String, String)>) {
    let (Some(first), true) = (run.files.first(), run.command.shell) else {
        return (run.command.clone(), None);
    };
    let line = run.command.words.concat();
    if heredoc_of_word(line.trim(), escape).is_none() {
        return (shell(with_documents(line, &run.files)), None);
    }
    // The document is the script, and nothing in it is expanded here.
    let content = first.content();
    if !content.starts_with("#!") {
        return (shell(content), None);
    }
    let program = Command { words: vec![format!("/dev/pipes/{}", first.name)], shell: false };
    (program, Some((first.name.clone(), content)))
}

fn shell(line: String) -> Command {
    Command { words: vec![line], shell: true }
}

/// A line and its here-documents: the shell reads them itself.
fn with_documents(mut line: String, documents: &[Heredoc]) -> String {
    documents.iter().for_each(|document| line.push_str(&format!("\n{}{}", document.text, document.name)));
    line
}

/// What the history says of it: the arguments of the build that it sees, and its words.
fn told(state: &State<'_>, args: &[String]) -> String {
    let mut text = "RUN ".to_owned();
    let declared = state.declared.iter();
    if declared.len() > 0 {
        text.push_str(&format!("|{} ", declared.len()));
    }
    for (name, value) in declared {
        let value = state.env.value(name).unwrap_or(value);
        text.push_str(&format!("{name}={value} "));
    }
    text + &args.join(" ")
}

/// The ways to the network that were given to the build, unless the stage says itself which there are.
fn proxies(state: &State<'_>) -> Vec<String> {
    let of_build = PROXIES.iter().filter(|name| state.env.value(name).is_none());
    of_build.filter_map(|name| Some(format!("{name}={}", state.around.args.get(*name)?))).collect()
}
