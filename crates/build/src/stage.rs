//! One stage made definite: base image + instructions + arguments -> the steps to do, and the configuration that results.
//!
//! Pure: every variable is expanded and every problem told before the first step is done.

use std::collections::BTreeMap;

use taru_oci::config::{Empty, History};
use taru_oci::{Digest, Image, RunConfig};
use taru_stdx::{Error, Result};

use crate::chmod::Mode;
use crate::dockerfile::{
    Command, Copy, Instruction, MountFlag, MountKind, Network, Placed, Run, at, heredoc_of_word,
};
use crate::expand::Expander;
use crate::graph::{EPOCH, Graph, PROXIES, Source};
use crate::pattern::Ignore;

/// What programs find without any ENV.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Something that makes a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// The line of the Dockerfile; 0 for a trigger.
    pub line: usize,
    /// The instruction, for people.
    pub text: String,
    /// What is to be done.
    pub action: Action,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Execute a program.
    Run(RunStep),
    /// Copy files.
    Copy(CopyStep),
    /// Make a directory.
    Workdir {
        /// Absolute.
        path: String,
        /// Whose it is where it is made.
        user: String,
    },
}

/// A program to be executed in the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunStep {
    /// Its words.
    pub args: Vec<String>,
    /// `NAME=VALUE`.
    pub env: Vec<String>,
    /// Ways to the network from build arguments: in the environment, not in the key.
    pub proxies: Vec<String>,
    /// Working directory.
    pub cwd: String,
    /// `USER[:GROUP]`, or empty.
    pub user: String,
    /// Whose network.
    pub network: Network,
    /// Without the sandbox.
    pub insecure: bool,
    /// What is mounted.
    pub mounts: Vec<Mount>,
    /// A here-document with its own interpreter, to stand in /dev/pipes.
    pub script: Option<(String, String)>,
}

/// A mount of a RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Its type.
    pub kind: MountKind,
    /// Where, absolute; empty for a secret that is only in the environment.
    pub target: String,
    /// Where its content comes from; `None` is the context.
    pub from: Option<Source>,
    /// The path in there.
    pub source: String,
    /// `id` of a cache, a secret, an agent.
    pub id: String,
    /// Whether it can be written to.
    pub writable: bool,
    /// Whether its absence is an error.
    pub required: bool,
    /// The variable that a secret is in.
    pub env: Option<String>,
    /// `sharing` of a cache.
    pub sharing: Sharing,
    /// Permissions of what is made.
    pub mode: Option<u32>,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Bytes of a tmpfs.
    pub size: Option<u64>,
}

/// How several steps use a cache at once; the strictest is the last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sharing {
    /// At once.
    #[default]
    Shared,
    /// Each its own.
    Private,
    /// One after another.
    Locked,
}

/// Files to be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CopyStep {
    /// ADD: archives are unpacked, URLs fetched.
    pub add: bool,
    /// `None` is the context.
    pub from: Option<Source>,
    /// Paths, patterns and URLs.
    pub sources: Vec<String>,
    /// Name and content of here-documents.
    pub contents: Vec<(String, String)>,
    /// Absolute; a `/` at its end means a directory.
    pub dest: String,
    /// `USER[:GROUP]`.
    pub chown: Option<String>,
    /// New permissions.
    pub chmod: Option<Mode>,
    /// A layer of its own.
    pub link: bool,
    /// The directories above are kept.
    pub parents: bool,
    /// What is left out.
    pub exclude: Vec<String>,
    /// What a URL's content must be.
    pub checksum: Option<Digest>,
    /// Whether archives are unpacked; by default ADD does it with local ones.
    pub unpack: Option<bool>,
}

/// What a stage comes to.
#[derive(Debug, Clone)]
pub(crate) struct Definite {
    /// The steps, each a layer.
    pub steps: Vec<Step>,
    /// The configuration; its layers are still the base's.
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
    /// The time of every history entry, RFC 3339.
    pub created: Option<&'a str>,
}

/// Makes a stage definite.
///
/// # Errors
/// Everything that is wrong with its instructions, as one error.
pub(crate) fn resolve(around: Around<'_>, base: Image, instructions: &[Placed]) -> Result<Definite> {
    let mut state = State::new(around, base);
    let mut errors = Vec::new();
    for placed in instructions {
        if let Err(e) = state.instruction(placed) {
            errors.push(if placed.line == 0 { e } else { at(around.name, placed.line, e) });
        }
    }
    match Error::all(errors) {
        Some(e) => Err(e),
        None => Ok(state.finish()),
    }
}

/// An image of nothing: what `FROM scratch` starts from.
pub(crate) fn scratch(platform: &taru_oci::Platform) -> Image {
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

struct State<'a> {
    around: Around<'a>,
    image: Image,
    config: RunConfig,
    history: Vec<History>,
    /// Variables as instructions and programs see them: of ENV and ARG.
    env: Vec<(String, String)>,
    /// The ARGs so far, for the history of RUN.
    declared: Vec<(String, String)>,
    has_cmd: bool,
    steps: Vec<Step>,
}

impl<'a> State<'a> {
    fn new(around: Around<'a>, mut image: Image) -> State<'a> {
        let mut config = image.config.take().unwrap_or_default();
        config.on_build = None;
        let history = image.history.take().unwrap_or_default();
        let pairs = config.env.iter().flatten().map(|e| match e.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (e.clone(), String::new()),
        });
        let mut env: Vec<(String, String)> = pairs.collect();
        if !env.iter().any(|(name, _)| name == "PATH") {
            env.push(("PATH".to_owned(), PATH.to_owned()));
            config.env.get_or_insert_default().push(format!("PATH={PATH}"));
        }
        State { around, image, config, history, env, declared: Vec::new(), has_cmd: false, steps: Vec::new() }
    }

    fn finish(self) -> Definite {
        let mut image = self.image;
        image.config = Some(self.config);
        image.history = Some(self.history);
        Definite { steps: self.steps, image }
    }

    fn lookup(&self, name: &str) -> Option<String> {
        self.env.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
    }

    fn expand(&self, text: &str) -> Result<String> {
        Expander::new(self.around.escape).word(text, &|name| self.lookup(name))
    }

    fn expand_all<'t>(&self, texts: impl IntoIterator<Item = &'t String>) -> Result<Vec<String>> {
        texts.into_iter().map(|text| self.expand(text)).collect()
    }

    fn set(&mut self, name: &str, value: &str) {
        set(&mut self.env, name, value);
    }

    fn remember(&mut self, by: String, is_layer: bool) {
        self.history.push(History {
            created: self.around.created.map(str::to_owned),
            created_by: Some(by),
            comment: Some("taru build".to_owned()),
            empty_layer: (!is_layer).then_some(true),
            ..History::default()
        });
    }

    fn shell(&self, command: &Command) -> Vec<String> {
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

    fn instruction(&mut self, placed: &Placed) -> Result<()> {
        use Instruction as I;
        match &placed.instruction {
            I::Copy(copy) => self.copy(placed, copy),
            I::Run(run) => self.run(placed, run),
            I::Workdir(path) => self.workdir(placed, path),
            I::Arg(args) => self.arg(args),
            I::Env(pairs) => self.env(pairs),
            I::Label(pairs) => {
                let mut text = "LABEL".to_owned();
                for (key, value) in pairs {
                    let (key, value) = (self.expand(key)?, self.expand(value)?);
                    text.push_str(&format!(" {key}={value}"));
                    self.config.labels.get_or_insert_default().insert(key, value);
                }
                self.remember(text, false);
                Ok(())
            }
            I::Cmd(command) => {
                let words = self.shell(command);
                self.remember(format!("CMD {}", quoted(&words)), false);
                self.config.cmd = Some(words);
                self.config.args_escaped = Some(true);
                self.has_cmd = true;
                Ok(())
            }
            I::Entrypoint(command) => {
                let words = self.shell(command);
                self.remember(format!("ENTRYPOINT {}", quoted(&words)), false);
                self.config.entrypoint = Some(words);
                // The CMD of the base was for the base's own entrypoint.
                if !self.has_cmd {
                    self.config.cmd = None;
                }
                Ok(())
            }
            I::Shell(words) => {
                self.remember(format!("SHELL [{}]", words.join(" ")), false);
                self.config.shell = Some(words.clone());
                Ok(())
            }
            I::Expose(ports) => self.expose(ports),
            I::Volume(paths) => {
                let paths = self.expand_all(paths)?;
                if paths.iter().any(String::is_empty) {
                    return Err(Error::invalid("VOLUME: an empty path"));
                }
                self.remember(format!("VOLUME [{}]", paths.join(" ")), false);
                self.config.volumes.get_or_insert_default().extend(paths.into_iter().map(|p| (p, Empty {})));
                Ok(())
            }
            I::User(user) => {
                let user = self.expand(user)?;
                if user.is_empty() {
                    return Err(Error::invalid("USER: it is empty"));
                }
                self.remember(format!("USER {user}"), false);
                self.config.user = user;
                Ok(())
            }
            I::Stopsignal(signal) => {
                let signal = self.expand(signal)?;
                if !is_signal(&signal) {
                    return Err(Error::invalid(format!("STOPSIGNAL: no signal `{signal}`"))
                        .hint("SIGTERM, or a number from 1 to 64"));
                }
                self.remember(format!("STOPSIGNAL {signal}"), false);
                self.config.stop_signal = Some(signal);
                Ok(())
            }
            I::Healthcheck(check) => {
                self.remember(format!("HEALTHCHECK {}", quoted(&check.test)), false);
                self.config.healthcheck = Some(check.clone());
                Ok(())
            }
            I::Onbuild(text) => {
                self.config.on_build.get_or_insert_default().push(text.clone());
                Ok(())
            }
            I::Maintainer(who) => {
                self.remember(format!("MAINTAINER {who}"), false);
                self.image.author = Some(who.clone());
                Ok(())
            }
        }
    }

    fn arg(&mut self, args: &[(String, Option<String>)]) -> Result<()> {
        let mut text = "ARG".to_owned();
        for (name, default) in args {
            let name = self.expand(name)?;
            let value = match (self.around.args.get(&name), default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => Some(self.expand(default)?),
                (None, None) => self.around.graph.globals.get(&name).cloned(),
            };
            text.push_str(&format!(" {name}"));
            if let Some(value) = &value {
                text.push_str(&format!("={value}"));
                if name != EPOCH {
                    self.set(&name, value);
                }
            }
            set(&mut self.declared, &name, value.as_deref().unwrap_or_default());
        }
        self.remember(text, false);
        Ok(())
    }

    fn env(&mut self, pairs: &[(String, String)]) -> Result<()> {
        // All values see the variables as they were before this instruction.
        let expand = |(name, value): &(String, String)| Ok((self.expand(name)?, self.expand(value)?));
        let pairs = pairs.iter().map(expand).collect::<Result<Vec<_>>>()?;
        let mut text = "ENV".to_owned();
        for (name, value) in pairs {
            text.push_str(&format!(" {name}={value}"));
            self.set(&name, &value);
            let entry = format!("{name}={value}");
            let env = self.config.env.get_or_insert_default();
            match env.iter_mut().find(|e| e.split('=').next() == Some(&name)) {
                Some(old) => *old = entry,
                None => env.push(entry),
            }
        }
        self.remember(text, false);
        Ok(())
    }

    fn expose(&mut self, ports: &[String]) -> Result<()> {
        let mut all = Vec::new();
        for port in ports {
            let words = Expander::new(self.around.escape).words(port, &|name| self.lookup(name))?;
            for word in words {
                all.extend(ports_of(&word)?);
            }
        }
        self.remember(format!("EXPOSE [{}]", all.join(" ")), false);
        self.config.exposed_ports.get_or_insert_default().extend(all.into_iter().map(|p| (p, Empty {})));
        Ok(())
    }

    fn workdir(&mut self, placed: &Placed, path: &str) -> Result<()> {
        let path = self.absolute(&self.expand(path)?);
        let path = if path == "/" { path } else { path.trim_end_matches('/').to_owned() };
        self.config.working_dir.clone_from(&path);
        let is_layer = path != "/";
        self.remember(format!("WORKDIR {path}"), is_layer);
        if is_layer {
            let action = Action::Workdir { path, user: self.config.user.clone() };
            self.steps.push(Step { line: placed.line, text: placed.text.clone(), action });
        }
        Ok(())
    }

    /// A path from the working directory, without `.` and `..`; a `/` at its end stays.
    fn absolute(&self, path: &str) -> String {
        absolute(&self.config.working_dir, path)
    }

    fn copy(&mut self, placed: &Placed, copy: &Copy) -> Result<()> {
        let name = if copy.add { "ADD" } else { "COPY" };
        let from = match &copy.from {
            None => None,
            Some(from) => Some(self.around.graph.from(self.around.index, &self.expand(from)?)?),
        };
        let optional = |text: &Option<String>| text.as_ref().map(|t| self.expand(t)).transpose();
        let (chown, chmod) = (optional(&copy.chown)?, optional(&copy.chmod)?);
        let checksum = optional(&copy.checksum)?.map(|text| text.parse::<Digest>()).transpose()?;
        let document = Expander { document: true, ..Expander::new(self.around.escape) };
        let contents = copy.contents.iter().map(|heredoc| {
            let content = heredoc.content();
            let content = match heredoc.expands {
                true => document.word(&content, &|name| self.lookup(name))?,
                false => content,
            };
            Ok((heredoc.name.clone(), content))
        });
        let contents = contents.collect::<Result<Vec<_>>>()?;
        let (sources, dest) = (self.expand_all(&copy.sources)?, self.expand(&copy.dest)?);
        let exclude = self.expand_all(&copy.exclude)?;
        Ignore::list(&exclude)?;
        let mut text = name.to_owned();
        if copy.parents {
            text.push_str(" --parents");
        }
        for (flag, value) in [("chown", &chown), ("chmod", &chmod)] {
            if let Some(value) = value {
                text.push_str(&format!(" --{flag}={value}"));
            }
        }
        sources.iter().for_each(|s| text.push_str(&format!(" {s}")));
        contents.iter().for_each(|(name, _)| text.push_str(&format!(" <<{name}")));
        text.push_str(&format!(" {dest}"));
        self.remember(text, true);
        let action = Action::Copy(CopyStep {
            add: copy.add,
            from,
            sources,
            contents,
            dest: self.absolute(if dest == "." || dest.is_empty() { "./" } else { &dest }),
            chown,
            chmod: chmod.map(|text| Mode::parse(&text)).transpose()?,
            link: copy.link,
            parents: copy.parents,
            exclude,
            checksum,
            unpack: copy.unpack,
        });
        self.steps.push(Step { line: placed.line, text: placed.text.clone(), action });
        Ok(())
    }

    fn run(&mut self, placed: &Placed, run: &Run) -> Result<()> {
        let (mut command, mut script) = (run.command.clone(), None);
        if let (Some(first), true) = (run.files.first(), command.shell) {
            let line = command.words.concat();
            if heredoc_of_word(line.trim(), self.around.escape).is_some() {
                // The document is the script, and nothing in it is expanded here.
                let content = first.content();
                if content.starts_with("#!") {
                    command = Command { words: vec![format!("/dev/pipes/{}", first.name)], shell: false };
                    script = Some((first.name.clone(), content));
                } else {
                    command.words = vec![content];
                }
            } else {
                // The shell reads them itself.
                let mut full = line;
                for file in &run.files {
                    full.push_str(&format!("\n{}{}", file.text, file.name));
                }
                command.words = vec![full];
            }
        }
        let args = self.shell(&command);
        let mounts = run.mounts.iter().map(|flag| self.mount(flag)).collect::<Result<Vec<_>>>()?;
        let mut text = "RUN ".to_owned();
        if !self.declared.is_empty() {
            text.push_str(&format!("|{} ", self.declared.len()));
            for (name, value) in &self.declared {
                let value = self.lookup(name).unwrap_or_else(|| value.clone());
                text.push_str(&format!("{name}={value} "));
            }
        }
        text.push_str(&args.join(" "));
        self.remember(text, true);
        let is_declared = |name: &&&str| !self.env.iter().any(|(n, _)| n == **name);
        let proxies = PROXIES.iter().filter(is_declared);
        let proxies = proxies.filter_map(|name| Some(format!("{name}={}", self.around.args.get(*name)?)));
        let action = Action::Run(RunStep {
            args,
            env: self.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
            proxies: proxies.collect(),
            cwd: match self.config.working_dir.as_str() {
                "" => "/".to_owned(),
                cwd => absolute("/", cwd),
            },
            user: self.config.user.clone(),
            network: run.network,
            insecure: run.insecure,
            mounts,
            script,
        });
        self.steps.push(Step { line: placed.line, text: placed.text.clone(), action });
        Ok(())
    }

    fn mount(&self, flag: &MountFlag) -> Result<Mount> {
        let bad = |key: &str, text: &str| Error::invalid(format!("RUN --mount: use `{key}={text}`"));
        let field = |key: &str| flag.field(key).map(|text| self.expand(text)).transpose();
        let switch = |key: &str| match field(key)?.as_deref() {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(other) => Err(bad(key, other).hint("true or false")),
        };
        let number = |key: &str, radix: u32| match field(key)? {
            None => Ok(None),
            Some(text) => u32::from_str_radix(&text, radix).map(Some).map_err(|e| bad(key, &text).because(e)),
        };
        let mode = number("mode", 8)?;
        if let Some(mode) = mode.filter(|mode| *mode > 0o7777) {
            return Err(bad("mode", &format!("{mode:o}")));
        }
        let from = match flag.field("from") {
            None => None,
            Some(from) => Some(self.around.graph.from(self.around.index, from)?),
        };
        let source = field("source")?;
        let mut target = field("target")?.unwrap_or_default();
        let env = field("env")?;
        let mut id = field("id")?;
        match flag.kind {
            // Of a secret, each of id, source and target stands for the others.
            MountKind::Secret => {
                id = id.or_else(|| source.clone());
                if id.is_none() {
                    id = target.rsplit('/').next().filter(|n| !n.is_empty()).map(str::to_owned);
                }
                let Some(id) = &id else {
                    return Err(Error::invalid("RUN --mount: a secret without an id"));
                };
                if target.is_empty() && env.is_none() {
                    target = format!("/run/secrets/{}", id.rsplit('/').next().unwrap_or(id));
                }
            }
            MountKind::Ssh => id = id.or_else(|| Some("default".to_owned())),
            MountKind::Cache => id = id.filter(|id| !id.is_empty()).or_else(|| Some(self.absolute(&target))),
            MountKind::Bind | MountKind::Tmpfs => {}
        }
        if !target.is_empty() {
            target = self.absolute(&target);
            target.truncate(target.trim_end_matches('/').len());
            if target.is_empty() {
                return Err(Error::invalid("RUN --mount: the target is `/`"));
            }
        }
        let sharing = match field("sharing")?.as_deref() {
            None | Some("shared") => Sharing::Shared,
            Some("private") => Sharing::Private,
            Some("locked") => Sharing::Locked,
            Some(other) => return Err(bad("sharing", other).hint("shared, private or locked")),
        };
        let writable = match (switch("readwrite")?, switch("readonly")?) {
            (Some(rw), _) => rw,
            (None, Some(ro)) => !ro,
            (None, None) => flag.kind != MountKind::Bind,
        };
        let size = match field("size")? {
            None => None,
            Some(text) => Some(taru_stdx::parse::size(&text)?),
        };
        Ok(Mount {
            kind: flag.kind,
            target,
            from,
            source: match flag.kind {
                MountKind::Bind | MountKind::Cache => absolute("/", &source.unwrap_or_default()),
                _ => String::new(),
            },
            id: id.unwrap_or_default(),
            writable,
            required: switch("required")?.unwrap_or(false),
            env,
            sharing,
            mode,
            uid: number("uid", 10)?.unwrap_or(0),
            gid: number("gid", 10)?.unwrap_or(0),
            size,
        })
    }
}

fn set(list: &mut Vec<(String, String)>, name: &str, value: &str) {
    match list.iter_mut().find(|(n, _)| n == name) {
        Some((_, old)) => value.clone_into(old),
        None => list.push((name.to_owned(), value.to_owned())),
    }
}

/// `path` from `dir`, without `.` and `..`; a `/` at its end stays.
pub(crate) fn absolute(dir: &str, path: &str) -> String {
    let full = if path.starts_with('/') { path.to_owned() } else { format!("{dir}/{path}") };
    let clean = crate::pattern::clean(&full);
    let is_dir = full.ends_with('/') || full.ends_with("/.") || full.ends_with("/..");
    match clean.is_empty() {
        true => "/".to_owned(),
        false => format!("/{clean}{}", if is_dir { "/" } else { "" }),
    }
}

/// Words as Go's `%q` prints a list: `["a" "b"]`.
fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|w| serde_json::Value::String(w.clone()).to_string()).collect();
    format!("[{}]", words.join(" "))
}

/// The ports that `80`, `80/udp`, `8000-8002/tcp` or `HOST:CONTAINER` expose.
fn ports_of(text: &str) -> Result<Vec<String>> {
    let bad = || {
        Error::invalid(format!("EXPOSE: no port `{text}`"))
            .hint("80, 80/udp, 8000-8010, each from 1 to 65535")
    };
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = if protocol.is_empty() { "tcp".to_owned() } else { protocol.to_ascii_lowercase() };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(bad());
    }
    // What stands before the last colon is the host's, which no image decides.
    let range = range.rsplit(':').next().unwrap_or(range);
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number = |text: &str| text.parse::<u16>().ok().filter(|n| *n != 0).ok_or_else(bad);
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(bad());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<u32>() {
        return (1..=64).contains(&number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    const NAMES: &[&str] = &[
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "IOT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
        "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
        "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "POLL", "PWR", "SYS", "RTMIN", "RTMAX",
    ];
    let offset = name.strip_prefix("RTMIN+").or_else(|| name.strip_prefix("RTMAX-"));
    NAMES.contains(&name) || offset.is_some_and(|n| n.parse::<u32>().is_ok_and(|n| n <= 30))
}

#[cfg(test)]
mod tests;
