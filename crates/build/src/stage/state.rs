//! What the instructions so far came to: variables, configuration, history and steps.

use taru_oci::config::History;
use taru_oci::{Image, RunConfig};
use taru_stdx::Result;

use super::step::{Action, Step};
use super::variables::Variables;
use super::{Around, PATH};
use crate::dockerfile::{Command, Placed};
use crate::expand::Expander;

/// A stage under construction.
pub(super) struct State<'a> {
    pub around: Around<'a>,
    pub image: Image,
    pub config: RunConfig,
    /// Variables as instructions and programs see them: of ENV and ARG.
    pub env: Variables,
    /// The ARGs so far, for the history of RUN.
    pub declared: Variables,
    /// Whether the stage has a CMD of its own.
    pub has_cmd: bool,
    history: Vec<History>,
    steps: Vec<Step>,
}

impl<'a> State<'a> {
    /// Before the first instruction: what the base says.
    pub(super) fn new(around: Around<'a>, mut image: Image) -> State<'a> {
        let mut config = image.config.take().unwrap_or_default();
        config.on_build = None;
        let history = image.history.take().unwrap_or_default();
        let mut env = Variables::of(config.env.iter().flatten());
        if env.value("PATH").is_none() {
            env.set("PATH", PATH);
            config.env.get_or_insert_default().push(format!("PATH={PATH}"));
        }
        State {
            around,
            image,
            config,
            env,
            declared: Variables::default(),
            has_cmd: false,
            history,
            steps: Vec::new(),
        }
    }

    /// After the last one.
    pub(super) fn finish(self) -> (Vec<Step>, Image) {
        let (config, history) = (Some(self.config), Some(self.history));
        (self.steps, Image { config, history, ..self.image })
    }

    pub(super) fn expand(&self, text: &str) -> Result<String> {
        self.expander().word(text, &|name| self.lookup(name))
    }

    pub(super) fn expand_all(&self, texts: &[String]) -> Result<Vec<String>> {
        texts.iter().map(|text| self.expand(text)).collect()
    }

    /// Where `text` may come to several words.
    pub(super) fn expand_words(&self, text: &str) -> Result<Vec<String>> {
        self.expander().words(text, &|name| self.lookup(name))
    }

    /// The text of a here-document.
    pub(super) fn expand_document(&self, text: &str) -> Result<String> {
        let document = Expander { document: true, ..self.expander() };
        document.word(text, &|name| self.lookup(name))
    }

    fn expander(&self) -> Expander {
        Expander::new(self.around.escape)
    }

    fn lookup(&self, name: &str) -> Option<String> {
        self.env.value(name).map(str::to_owned)
    }

    /// The words that execute `command`: those of the stage's shell before a line that is for it.
    pub(super) fn words(&self, command: &Command) -> Vec<String> {
        if !command.shell {
            return command.words.clone();
        }
        let mut words = match &self.config.shell {
            Some(shell) if !shell.is_empty() => shell.clone(),
            _ => vec!["/bin/sh".to_owned(), "-c".to_owned()],
        };
        words.push(command.words.join(" "));
        words
    }

    /// As [`absolute`], from the working directory.
    pub(super) fn absolute(&self, path: &str) -> String {
        absolute(&self.config.working_dir, path)
    }

    /// Adds to the history.
    pub(super) fn remember(&mut self, by: String, is_layer: bool) {
        self.history.push(History {
            created_by: Some(by),
            comment: Some("taru build".to_owned()),
            empty_layer: (!is_layer).then_some(true),
            ..History::default()
        });
    }

    /// Adds a step that the instruction `placed` comes to.
    pub(super) fn do_step(&mut self, placed: &Placed, action: Action) {
        self.steps.push(Step { line: placed.line, text: placed.text.clone(), action });
    }
}

/// `path` from `dir`, without `.` and `..`; a `/` at its end stays.
pub(super) fn absolute(dir: &str, path: &str) -> String {
    let full = if path.starts_with('/') { path.to_owned() } else { format!("{dir}/{path}") };
    let clean = crate::pattern::clean(&full);
    let is_dir = full.ends_with('/') || full.ends_with("/.") || full.ends_with("/..");
    match clean.is_empty() {
        true => "/".to_owned(),
        false => format!("/{clean}{}", if is_dir { "/" } else { "" }),
    }
}
