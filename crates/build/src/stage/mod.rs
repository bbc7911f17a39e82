//! One stage made definite: base image + instructions + arguments -> the steps to do, and the configuration that results.
//!
//! ```text
//! variables          names and their values
//! state              what the instructions so far came to
//! declare            ARG, ENV                                   -> its variables
//! configure          LABEL, CMD, EXPOSE, USER ...               -> its configuration
//! copy, run, mount   COPY, ADD, RUN and its --mount             -> its steps
//! step               a step: all that is to be known to do it
//! ```
//! Pure: every variable is expanded and every problem told before the first step is done.

mod configure;
mod copy;
mod declare;
mod mount;
mod run;
mod state;
mod step;
mod variables;

use std::collections::BTreeMap;

use taru_oci::{Image, Platform, RunConfig};
use taru_stdx::{Error, Result};

use crate::dockerfile::{Instruction, Placed, at};
use crate::graph::Graph;
use state::State;

pub(crate) use step::{Action, CopyStep, Mount, RunStep, Sharing, Step};

/// What programs find without any ENV.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a stage comes to.
#[derive(Debug, Clone)]
pub(crate) struct Definite {
    /// The steps, each a layer.
    pub steps: Vec<Step>,
    /// The configuration; its layers are still the base's, and its history has no times: both are known when it is built.
    pub image: Image,
}

/// What surrounds a stage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around<'a> {
    /// The file's name, for messages.
    pub name: &'a str,
    /// The file's escape character.
    pub escape: char,
    /// Its number.
    pub index: usize,
    /// The graph, for `--from`.
    pub graph: &'a Graph,
    /// `--build-arg`.
    pub args: &'a BTreeMap<String, String>,
}

/// Makes a stage definite.
///
/// # Errors
/// Everything that is wrong with its instructions, as one error.
pub(crate) fn resolve(around: Around<'_>, base: Image, instructions: &[Placed]) -> Result<Definite> {
    let mut state = State::new(around, base);
    let mut errors = Vec::new();
    for placed in instructions {
        if let Err(e) = apply(&mut state, placed) {
            errors.push(if placed.line == 0 { e } else { at(around.name, placed.line, e) });
        }
    }
    match Error::all(errors) {
        Some(e) => Err(e),
        None => {
            let (steps, image) = state.finish();
            Ok(Definite { steps, image })
        }
    }
}

/// An image of nothing: what `FROM scratch` starts from.
pub(crate) fn scratch(platform: &Platform) -> Image {
    Image {
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        variant: platform.variant.clone(),
        config: Some(RunConfig {
            env: Some(vec![format!("PATH={PATH}")]),
            working_dir: "/".to_owned(),
            ..RunConfig::default()
        }),
        ..Image::default()
    }
}

/// Adds what one instruction says.
fn apply(state: &mut State<'_>, placed: &Placed) -> Result<()> {
    use Instruction as I;
    match &placed.instruction {
        I::Copy(copy) => copy::add(state, placed, copy)?,
        I::Run(run) => run::add(state, placed, run)?,
        I::Workdir(path) => workdir(state, placed, path)?,
        I::Arg(args) => declare::arg(state, args)?,
        I::Env(pairs) => declare::env(state, pairs)?,
        I::Label(pairs) => configure::label(state, pairs)?,
        I::Expose(ports) => configure::expose(state, ports)?,
        I::Volume(paths) => configure::volume(state, paths)?,
        I::User(user) => configure::user(state, user)?,
        I::Stopsignal(signal) => configure::stop_signal(state, signal)?,
        I::Cmd(command) => configure::cmd(state, command),
        I::Entrypoint(command) => configure::entrypoint(state, command),
        I::Shell(words) => configure::shell(state, words),
        I::Healthcheck(check) => configure::health_check(state, check),
        I::Onbuild(text) => configure::on_build(state, text),
        I::Maintainer(who) => configure::maintainer(state, who),
    }
    Ok(())
}

/// The directory that programs start in; it is made unless it is the root.
fn workdir(state: &mut State<'_>, placed: &Placed, path: &str) -> Result<()> {
    let path = state.absolute(&state.expand(path)?);
    let path = if path == "/" { path } else { path.trim_end_matches('/').to_owned() };
    state.config.working_dir.clone_from(&path);
    let is_layer = path != "/";
    state.remember(format!("WORKDIR {path}"), is_layer);
    if is_layer {
        let user = state.config.user.clone();
        state.do_step(placed, Action::Workdir { path, user });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
