//! The instructions, parsed but not expanded, and how one line becomes one.

use taru_oci::config::Healthcheck;
use taru_stdx::{Error, Kind, Result};

use super::heredoc::{self, Heredoc};
use super::keyword::{Keyword, near_instruction};
use super::line::Line;
use super::mount::{self, MountFlag};
use super::words::{self, Flags};

/// An instruction but FROM, as it stands: nothing is expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the Dockerfile's")]
pub(crate) enum Instruction {
    /// COPY and ADD.
    Copy(Copy),
    Run(Run),
    Cmd(Command),
    Entrypoint(Command),
    Shell(Vec<String>),
    Env(Vec<(String, String)>),
    Label(Vec<(String, String)>),
    Arg(Vec<(String, Option<String>)>),
    Expose(Vec<String>),
    Volume(Vec<String>),
    User(String),
    Workdir(String),
    Stopsignal(String),
    Healthcheck(Healthcheck),
    Onbuild(String),
    Maintainer(String),
}

impl Instruction {
    /// The names by which it reads from stages, images and contexts.
    pub(crate) fn sources(&self) -> Vec<&str> {
        match self {
            Instruction::Copy(copy) => copy.from.as_deref().into_iter().collect(),
            Instruction::Run(run) => run.mounts.iter().filter_map(|mount| mount.field("from")).collect(),
            _ => Vec::new(),
        }
    }
}

/// A command: a list of words, or a line for the shell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Command {
    /// The words; one, for the shell.
    pub words: Vec<String>,
    /// Whether the shell executes it.
    pub shell: bool,
}

/// COPY or ADD.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Copy {
    /// ADD.
    pub add: bool,
    /// `--from`: a stage, an image or a named context.
    pub from: Option<String>,
    /// `--chown`.
    pub chown: Option<String>,
    /// `--chmod`.
    pub chmod: Option<String>,
    /// `--link`.
    pub link: bool,
    /// `--parents`.
    pub parents: bool,
    /// `--exclude`.
    pub exclude: Vec<String>,
    /// `--checksum`.
    pub checksum: Option<String>,
    /// `--unpack`.
    pub unpack: Option<bool>,
    /// `--keep-git-dir`.
    pub keep_git_dir: bool,
    /// Paths and URLs.
    pub sources: Vec<String>,
    /// Here-documents among the sources.
    pub contents: Vec<Heredoc>,
    /// Where to.
    pub dest: String,
}

/// RUN.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Run {
    /// What to execute.
    pub command: Command,
    /// Its here-documents.
    pub files: Vec<Heredoc>,
    /// `--mount`, in their order.
    pub mounts: Vec<MountFlag>,
    /// `--network`.
    pub network: Network,
    /// `--security=insecure`.
    pub insecure: bool,
}

/// Whose network a RUN has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the Dockerfile's")]
pub(crate) enum Network {
    #[default]
    Default,
    None,
    Host,
}

/// FROM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct From {
    /// `--platform`.
    pub platform: Option<String>,
    /// A stage, an image, a named context, or `scratch`.
    pub image: String,
    /// `AS`.
    pub name: Option<String>,
}

/// What a line is.
pub(super) enum Parsed {
    From(From),
    Other(Instruction),
}

/// Reads a line.
///
/// # Errors
/// [`Kind::Invalid`] for what is none, with advice; [`Kind::Unsupported`] for what taru lacks.
pub(super) fn parse(line: &Line, escape: char) -> Result<Parsed> {
    let Some(keyword) = Keyword::parse(&line.word) else {
        let e = Error::invalid(format!("no instruction `{}`", line.word.escape_debug()));
        return Err(match near_instruction(&line.word) {
            Some(near) => e.hint(format!("did you mean {near}?")),
            None => e,
        });
    };
    let (flags, rest) = words::flags(keyword, &line.rest)?;
    if rest.is_empty() {
        return Err(Error::invalid(format!("{}: nothing follows", keyword.name())));
    }
    if keyword == Keyword::From {
        return from(&flags, &rest).map(Parsed::From);
    }
    other(keyword, &flags, &rest, line, escape).map(Parsed::Other)
}

fn other(keyword: Keyword, flags: &Flags, rest: &str, line: &Line, escape: char) -> Result<Instruction> {
    use Instruction as I;
    Ok(match keyword {
        Keyword::Add | Keyword::Copy => I::Copy(copy(keyword, flags, rest, line, escape)?),
        Keyword::Run => I::Run(run(flags, rest, line)?),
        Keyword::Cmd => I::Cmd(command(rest)?),
        Keyword::Entrypoint => I::Entrypoint(command(rest)?),
        Keyword::Shell => match words::json(rest)? {
            Some(words) if !words.is_empty() => I::Shell(words),
            _ => return Err(Error::invalid("SHELL: no JSON list").hint("SHELL [\"/bin/bash\", \"-c\"]")),
        },
        Keyword::Env => I::Env(words::pairs(keyword, rest, escape)?),
        Keyword::Label => I::Label(words::pairs(keyword, rest, escape)?),
        Keyword::Arg => {
            let arg = |word: String| match word.split_once('=') {
                Some(("", _)) => Err(Error::invalid("ARG: a name is empty")),
                Some((name, value)) => Ok((name.to_owned(), Some(value.to_owned()))),
                None => Ok((word, None)),
            };
            I::Arg(words::quoted(rest, escape).into_iter().map(arg).collect::<Result<_>>()?)
        }
        Keyword::Expose => I::Expose(words::blanks(rest)),
        Keyword::Volume => {
            let list = words::json(rest)?.unwrap_or_else(|| words::blanks(rest));
            if list.is_empty() {
                return Err(Error::invalid("VOLUME: an empty list"));
            }
            I::Volume(list)
        }
        Keyword::User => I::User(rest.to_owned()),
        Keyword::Workdir => I::Workdir(rest.to_owned()),
        Keyword::Stopsignal => I::Stopsignal(rest.to_owned()),
        Keyword::Healthcheck => I::Healthcheck(healthcheck(flags, rest)?),
        Keyword::Onbuild => I::Onbuild(onbuild(rest, line, escape)?),
        Keyword::Maintainer => I::Maintainer(rest.to_owned()),
        Keyword::From => return Err(Error::invalid("FROM: not here")),
    })
}

fn from(flags: &Flags, rest: &str) -> Result<From> {
    let words = words::blanks(rest);
    let (image, name) = match &words[..] {
        [image] => (image, None),
        [image, word, name] if word.eq_ignore_ascii_case("as") => (image, Some(name.to_lowercase())),
        _ => return Err(Error::invalid("FROM: neither IMAGE nor IMAGE AS NAME")),
    };
    if let Some(name) = &name {
        let is_good = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b));
        if !is_good || name == "context" || name == "scratch" {
            return Err(Error::invalid(format!("name a stage `{name}`: not a name for one")).hint(
                "a letter, then letters, digits, `-`, `_` and `.`; `scratch` and `context` are taken",
            ));
        }
    }
    Ok(From { platform: flags.one("platform"), image: image.clone(), name })
}

fn command(rest: &str) -> Result<Command> {
    Ok(match words::json(rest)? {
        Some(words) => Command { words, shell: false },
        None => Command { words: vec![rest.to_owned()], shell: true },
    })
}

fn copy(keyword: Keyword, flags: &Flags, rest: &str, line: &Line, escape: char) -> Result<Copy> {
    let name = keyword.name();
    let mut all = words::json(rest)?.unwrap_or_else(|| words::blanks(rest));
    let dest = all.pop().unwrap_or_default();
    if all.is_empty() {
        return Err(Error::invalid(format!("{name}: `{dest}` has no destination"))
            .hint(format!("{name} SOURCE... DESTINATION")));
    }
    if heredoc::of_word(&dest, escape).is_some() && !line.heredocs.is_empty() {
        return Err(Error::invalid(format!("{name}: a here-document as the destination")));
    }
    let (mut sources, mut contents) = (Vec::new(), Vec::new());
    let mut documents = line.heredocs.iter();
    for word in all {
        match heredoc::of_word(&word, escape).and_then(|_| documents.next()) {
            Some(document) => contents.push(document.clone()),
            None => sources.push(word),
        }
    }
    if sources.len() + contents.len() > 1 && !dest.ends_with('/') && dest != "." && dest != ".." {
        return Err(Error::invalid(format!("{name}: several sources, and `{dest}` is no directory"))
            .hint(format!("write `{dest}/`")));
    }
    let add = keyword == Keyword::Add;
    if !add && let Some(url) = sources.iter().find(|s| is_url(s)) {
        return Err(Error::invalid(format!("COPY: `{url}` is a URL")).hint("ADD takes URLs"));
    }
    let checksum = flags.one("checksum");
    if checksum.is_some() && (sources.len() != 1 || !sources.iter().all(|s| is_url(s) || s.contains('$'))) {
        return Err(Error::invalid("ADD: --checksum holds for one source, which is a URL"));
    }
    if flags.switch("keep-git-dir") == Some(true) || sources.iter().any(|s| is_git(s)) {
        return Err(Error::new(Kind::Unsupported, format!("{name}: fetch from a git repository"))
            .hint("clone it into the context, or in a RUN"));
    }
    Ok(Copy {
        add,
        from: flags.one("from"),
        chown: flags.one("chown"),
        chmod: flags.one("chmod"),
        link: flags.switch("link") == Some(true),
        parents: flags.switch("parents") == Some(true),
        exclude: flags.many("exclude"),
        checksum,
        unpack: flags.switch("unpack"),
        keep_git_dir: false,
        sources,
        contents,
        dest,
    })
}

/// Whether a source of ADD is fetched.
pub(crate) fn is_url(source: &str) -> bool {
    (source.starts_with("http://") || source.starts_with("https://")) && !is_git(source)
}

/// Whether a source or context is a git repository.
pub(crate) fn is_git(source: &str) -> bool {
    let bare = source.split(['#', '?']).next().unwrap_or_default();
    ["git://", "git@", "ssh://"].iter().any(|p| source.starts_with(p))
        || source.starts_with("github.com/")
        || (source.starts_with("http") && source.contains("://") && bare.ends_with(".git"))
}

fn run(flags: &Flags, rest: &str, line: &Line) -> Result<Run> {
    let command = command(rest)?;
    if command.words.is_empty() {
        return Err(Error::invalid("RUN: an empty list"));
    }
    let network = match flags.one("network").as_deref() {
        None | Some("default") => Network::Default,
        Some("none") => Network::None,
        Some("host") => Network::Host,
        Some(other) => {
            return Err(
                Error::invalid(format!("RUN: use the network `{other}`")).hint("default, none or host")
            );
        }
    };
    let insecure = match flags.one("security").as_deref() {
        None | Some("sandbox") => false,
        Some("insecure") => true,
        Some(other) => {
            return Err(
                Error::invalid(format!("RUN: use the security `{other}`")).hint("sandbox or insecure")
            );
        }
    };
    if !flags.many("device").is_empty() {
        return Err(Error::new(Kind::Unsupported, "RUN: give a device to a build step"));
    }
    let mounts = flags.many("mount").iter().map(|m| mount::parse(m)).collect::<Result<_>>()?;
    Ok(Run { command, files: line.heredocs.clone(), mounts, network, insecure })
}

fn healthcheck(flags: &Flags, rest: &str) -> Result<Healthcheck> {
    let (kind, rest) = match rest.split_once(char::is_whitespace) {
        Some((kind, rest)) => (kind, rest.trim()),
        None => (rest, ""),
    };
    let duration = |name: &str| -> Result<Option<u64>> {
        let Some(text) = flags.one(name) else { return Ok(None) };
        let bad = || Error::invalid(format!("HEALTHCHECK: use `--{name}={text}`"));
        // A number without a unit is nothing here, but 0.
        if text != "0" && text.ends_with(|c: char| c.is_ascii_digit()) {
            return Err(bad().hint("a number and its unit: 30s, 1m30s, 500ms"));
        }
        let time = taru_stdx::parse::duration(&text).map_err(|e| bad().because(e))?;
        let nanoseconds = u64::try_from(time.as_nanos()).map_err(|e| bad().because(e))?;
        if nanoseconds != 0 && nanoseconds < 1_000_000 {
            return Err(bad().because(Error::invalid("less than a millisecond")));
        }
        Ok((nanoseconds != 0).then_some(nanoseconds))
    };
    let retries = match flags.one("retries") {
        None => None,
        Some(text) => {
            let bad = || Error::invalid(format!("HEALTHCHECK: use `--retries={text}`: not a number"));
            Some(text.parse::<u32>().map_err(|_| bad())?).filter(|n| *n != 0).map(u64::from)
        }
    };
    let mut check = Healthcheck {
        test: Vec::new(),
        interval: duration("interval")?,
        timeout: duration("timeout")?,
        start_period: duration("start-period")?,
        start_interval: duration("start-interval")?,
        retries,
    };
    check.test = match kind.to_ascii_uppercase().as_str() {
        "NONE" if rest.is_empty() => vec!["NONE".to_owned()],
        "NONE" => return Err(Error::invalid("HEALTHCHECK: something follows NONE")),
        "CMD" if rest.is_empty() => return Err(Error::invalid("HEALTHCHECK: nothing follows CMD")),
        "CMD" => match words::json(rest)? {
            Some(words) if words.is_empty() => return Err(Error::invalid("HEALTHCHECK: an empty list")),
            Some(words) => [vec!["CMD".to_owned()], words].concat(),
            None => vec!["CMD-SHELL".to_owned(), rest.to_owned()],
        },
        _ => {
            return Err(Error::invalid(format!("HEALTHCHECK: `{kind}` is neither CMD nor NONE"))
                .hint("HEALTHCHECK [OPTIONS] CMD COMMAND"));
        }
    };
    Ok(check)
}

/// A trigger is kept as text, with its here-documents, and must be an instruction that can be one.
fn onbuild(rest: &str, line: &Line, escape: char) -> Result<String> {
    let (word, behind) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    match Keyword::parse(word) {
        Some(k @ (Keyword::Onbuild | Keyword::From | Keyword::Maintainer)) => {
            return Err(Error::invalid(format!("ONBUILD: {} cannot be a trigger", k.name())));
        }
        _ => {
            let inner = Line {
                first: line.first,
                word: word.to_owned(),
                rest: behind.trim_start().to_owned(),
                heredocs: line.heredocs.clone(),
            };
            parse(&inner, escape)?;
        }
    }
    let mut text = rest.to_owned();
    for document in &line.heredocs {
        text.push('\n');
        text.push_str(&document.text);
        text.push_str(&document.name);
    }
    Ok(text)
}
