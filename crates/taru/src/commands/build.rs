//! `taru build`: an image from a Dockerfile.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use taru_build::options::{CacheFrom, CacheTo, Context, Dockerfile, Named, Network, Options, Output, Secret};
use taru_engine::whole_file;
use taru_oci::{Platform, Reference};
use taru_stdx::parse::comma_separated;
use taru_stdx::time::SOURCE_DATE_EPOCH;
use taru_stdx::{Context as _, Error, Kind, Result};

use crate::commands::open;
use crate::options::Global;
use crate::output;
use crate::steps::{Steps, Style};

/// Build an image from a Dockerfile
///
/// CONTEXT is the directory that COPY and ADD take files from; `-` reads it as a tar archive, or the Dockerfile alone, from
/// standard input. Steps whose inputs are what they were are not executed again. Each RUN is an ordinary container:
/// with users of its own, and with the host's network, unless --network says otherwise. Prints the id of the image.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru build -t app .
  taru build -t app -f docker/Dockerfile --target test .
  taru build --build-arg VERSION=1.2 --secret id=token,src=token.txt -t localhost:5000/app:1.2 .
  taru build --output type=local,dest=out .    the files of the last stage, and no image
  git archive HEAD | taru build -t app -")]
pub struct Args {
    /// Name the image; as often as wanted
    #[arg(long, short, value_name = "NAME[:TAG]")]
    tag: Vec<Reference>,
    /// Read this Dockerfile in place of CONTEXT/Dockerfile; `-` reads standard input
    #[arg(long, short, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Build this stage, and those that it needs
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// Set a variable that an ARG names; without a value it is that of the environment
    #[arg(long, value_name = "NAME[=VALUE]")]
    build_arg: Vec<String>,
    /// Add a label to the image
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<String>,
    /// Build for this platform in place of this host's
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    /// Execute every step, whatever was built before
    #[arg(long)]
    no_cache: bool,
    /// Execute every step of these stages
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    no_cache_filter: Vec<String>,
    /// Look for newer images in their registries
    #[arg(long)]
    pull: bool,
    /// Take results of steps from elsewhere: an image that was built with `--cache-to type=inline`, or `type=local,src=DIR`
    #[arg(long, value_name = "CACHE")]
    cache_from: Vec<String>,
    /// Put results of steps elsewhere: `type=inline` (into the image) or `type=local,dest=DIR`
    #[arg(long, value_name = "CACHE")]
    cache_to: Vec<String>,
    /// Give a further context: `NAME=DIRECTORY` or `NAME=docker-image://IMAGE`
    #[arg(long, value_name = "NAME=PLACE")]
    build_context: Vec<String>,
    /// Give a secret to steps that mount it: `id=ID,src=FILE` or `id=ID,env=VARIABLE`
    #[arg(long, value_name = "SECRET")]
    secret: Vec<String>,
    /// Give an agent to steps that mount it: `default` (that of $SSH_AUTH_SOCK) or `ID=SOCKET`
    #[arg(long, value_name = "ID[=SOCKET]")]
    ssh: Vec<String>,
    /// Make something else of the result: `type=docker|oci|tar,dest=FILE`, `type=local,dest=DIRECTORY`, or DIRECTORY
    #[arg(long, short, value_name = "OUTPUT")]
    output: Vec<String>,
    /// Write the id of the image to this file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// Give this network to steps that name none
    #[arg(long, value_enum, default_value_t, value_name = "NETWORK")]
    network: Net,
    /// Allow what is not allowed by default: `security.insecure`
    #[arg(long, value_name = "WHAT")]
    allow: Vec<String>,
    /// Make the control groups of steps below this one
    #[arg(long, value_name = "PATH", default_value = "/taru")]
    cgroup_parent: String,
    /// Make one layer of all; not supported, say why
    #[arg(long, hide = true)]
    squash: bool,
    /// Look for faults of the Dockerfile and build nothing
    #[arg(long)]
    check: bool,
    /// Choose how progress is shown
    #[arg(long, value_enum, default_value_t, value_name = "STYLE")]
    progress: Style,
    /// Show no progress
    #[arg(long, short, conflicts_with = "progress")]
    quiet: bool,
    /// The directory with the files, or `-`
    #[arg(value_name = "CONTEXT")]
    context: PathBuf,
}

/// The network of steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Net {
    /// The host's
    #[default]
    Default,
    /// The host's
    Host,
    /// None
    None,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let options = options(args)?;
    if args.check {
        return check(&options);
    }
    let progress = Steps::new(if args.quiet { Style::Quiet } else { args.progress });
    let open = || open(global);
    let built = taru_build::build(&open, &options, &mut std::io::stdin().lock(), &progress);
    progress.end();
    let built = built?;
    if let Some(path) = &args.iidfile {
        whole_file::write(path, |file| {
            file.write_all(built.id.to_string().as_bytes()).context(|| format!("write `{}`", path.display()))
        })?;
    }
    // An archive that went to the standard output is all that stands there.
    let is_taken = options
        .outputs
        .iter()
        .any(|o| matches!(o, Output::Docker(None) | Output::Oci(None) | Output::Tar(None)));
    if !is_taken {
        output::line(&built.id.to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn check(options: &Options) -> Result<ExitCode> {
    let (name, bytes) = match (&options.dockerfile, &options.context) {
        (Dockerfile::Path(path), _) => {
            (path.display().to_string(), taru_stdx::fs::read_bounded(path, taru_oci::limits::DOCKERFILE)?)
        }
        (Dockerfile::InContext, Context::Directory(dir)) => {
            let path = dir.join("Dockerfile");
            ("Dockerfile".to_owned(), taru_stdx::fs::read_bounded(&path, taru_oci::limits::DOCKERFILE)?)
        }
        _ => {
            let mut bytes = Vec::new();
            let input = std::io::stdin().lock();
            std::io::Read::read_to_end(
                &mut std::io::Read::take(input, taru_oci::limits::DOCKERFILE + 1),
                &mut bytes,
            )
            .context(|| "read the Dockerfile from the standard input")?;
            ("-".to_owned(), bytes)
        }
    };
    taru_build::check(&name, &bytes)?;
    Ok(ExitCode::SUCCESS)
}

/// What was typed, made definite; all that is wrong with it is told at once.
fn options(args: &Args) -> Result<Options> {
    let mut errors = Vec::new();
    let mut options = Options::new(args.context.clone());
    if args.context == Path::new("-") {
        options.context = Context::Stdin;
    } else if is_remote(&args.context) {
        errors.push(
            Error::new(Kind::Unsupported, format!("fetch the context `{}`", args.context.display()))
                .hint("clone the repository, or `curl URL | taru build -`"),
        );
    }
    options.dockerfile = match &args.file {
        None => Dockerfile::InContext,
        Some(path) if path == Path::new("-") => Dockerfile::Stdin,
        Some(path) => Dockerfile::Path(path.clone()),
    };
    options.target.clone_from(&args.target);
    options.platform.clone_from(&args.platform);
    options.tags.clone_from(&args.tag);
    options.no_cache = args.no_cache;
    options.no_cache_filter.clone_from(&args.no_cache_filter);
    options.pull = args.pull;
    options.network = if args.network == Net::None { Network::None } else { Network::Host };
    options.args = build_args(&args.build_arg);
    options.cgroup_parent.clone_from(&args.cgroup_parent);
    for label in &args.label {
        let (name, value) = label.split_once('=').unwrap_or((label, ""));
        if name.is_empty() {
            errors.push(Error::invalid(format!("set the label `{label}`: it has no name")));
        }
        options.labels.insert(name.to_owned(), value.to_owned());
    }
    for what in &args.allow {
        match what.as_str() {
            "security.insecure" => options.allow_insecure = true,
            "network.host" => {}
            other => errors.push(
                Error::invalid(format!("allow `{other}`: no such entitlement"))
                    .hint("it is security.insecure that can be allowed"),
            ),
        }
    }
    if args.squash {
        errors.push(
            Error::new(
                Kind::Unsupported,
                "squash the layers of the image into one: this is not done at the end",
            )
            .hint("begin a last stage with `FROM scratch` and `COPY --from=STAGE / /`"),
        );
    }
    if args.tag.iter().any(|tag| tag.digest().is_some()) {
        errors.push(Error::invalid("name the image: a name with a digest cannot be given"));
    }
    collect(&args.build_context, &mut errors, context, &mut |(name, named)| {
        options.contexts.insert(name, named);
    });
    collect(&args.secret, &mut errors, secret, &mut |(id, secret)| {
        options.secrets.insert(id, secret);
    });
    collect(&args.ssh, &mut errors, agent, &mut |(id, socket)| {
        options.ssh.insert(id, socket);
    });
    collect(&args.cache_from, &mut errors, cache_from, &mut |from| options.cache_from.push(from));
    collect(&args.cache_to, &mut errors, cache_to, &mut |to| options.cache_to.push(to));
    collect(&args.output, &mut errors, output_of, &mut |output| options.outputs.push(output));
    Error::all(errors).map_or(Ok(options), Err)
}

fn collect<T>(
    texts: &[String],
    errors: &mut Vec<Error>,
    parse: impl Fn(&str) -> Result<T>,
    add: &mut dyn FnMut(T),
) {
    for text in texts {
        match parse(text) {
            Ok(parsed) => add(parsed),
            Err(e) => errors.push(e),
        }
    }
}

fn is_remote(context: &Path) -> bool {
    let text = context.to_string_lossy();
    ["http://", "https://", "git://", "git@", "ssh://"].iter().any(|p| text.starts_with(p))
}

/// `NAME=VALUE`; a name alone takes the environment's value, if there is one. What the environment says of the time of
/// everything counts too.
fn build_args(typed: &[String]) -> BTreeMap<String, String> {
    let mut args = BTreeMap::new();
    let epoch = std::env::var(SOURCE_DATE_EPOCH).ok().filter(|value| !value.is_empty());
    args.extend(epoch.map(|value| (SOURCE_DATE_EPOCH.to_owned(), value)));
    for arg in typed {
        match arg.split_once('=') {
            Some((name, value)) => drop(args.insert(name.to_owned(), value.to_owned())),
            None => args.extend(std::env::var(arg).ok().map(|value| (arg.clone(), value))),
        }
    }
    args
}

/// `key=value,...`, as a value with commas is written: `"src=a,b"`.
fn fields(text: &str) -> Result<BTreeMap<String, String>> {
    let pair = |field: String| match field.split_once('=') {
        Some((key, value)) => (key.trim().to_ascii_lowercase(), value.to_owned()),
        None => (field, String::new()),
    };
    match comma_separated(text) {
        Some(fields) => Ok(fields.into_iter().map(pair).collect()),
        None => Err(Error::invalid(format!("read `{text}`: a quote is not closed"))),
    }
}

fn context(text: &str) -> Result<(String, Named)> {
    let bad = || {
        Error::invalid(format!("use the context `{text}`: it has no name or no place"))
            .hint("NAME=DIRECTORY or NAME=docker-image://IMAGE")
    };
    let (name, place) =
        text.split_once('=').filter(|(n, p)| !n.is_empty() && !p.is_empty()).ok_or_else(bad)?;
    let named = match place.strip_prefix("docker-image://") {
        Some(image) => Named::Image(image.to_owned()),
        None if place.contains("://") => {
            return Err(Error::new(
                Kind::Unsupported,
                format!("use the context `{text}`: no place of such a kind"),
            )
            .hint("a directory or docker-image://IMAGE"));
        }
        None => Named::Directory(PathBuf::from(place)),
    };
    Ok((name.to_lowercase(), named))
}

fn secret(text: &str) -> Result<(String, Secret)> {
    let bad = |why: &str| {
        Error::invalid(format!("use the secret `{text}`: {why}")).hint("id=ID,src=FILE or id=ID,env=VARIABLE")
    };
    let fields = fields(text)?;
    let known = ["id", "src", "source", "env", "type"];
    if let Some(key) = fields.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(bad(&format!("no key `{key}`")));
    }
    let id = fields.get("id").filter(|id| !id.is_empty()).ok_or_else(|| bad("its id is missing"))?;
    let file = fields.get("src").or_else(|| fields.get("source"));
    let secret = match (fields.get("type").map(String::as_str), file, fields.get("env")) {
        (None | Some("file"), Some(file), None) => Secret::File(PathBuf::from(file)),
        // `type=env,src=NAME` is another way to write it.
        (Some("env"), Some(name), None) | (None | Some("env"), None, Some(name)) => {
            Secret::Variable(name.clone())
        }
        (None, None, None) => match std::env::var_os(id) {
            Some(_) => Secret::Variable(id.clone()),
            None => Secret::File(PathBuf::from(id)),
        },
        _ => return Err(bad("it is in a file or in a variable")),
    };
    Ok((id.clone(), secret))
}

fn agent(text: &str) -> Result<(String, PathBuf)> {
    match text.split_once('=') {
        Some((id, socket)) if !id.is_empty() && !socket.is_empty() => {
            Ok((id.to_owned(), PathBuf::from(socket)))
        }
        None if !text.is_empty() => match std::env::var_os("SSH_AUTH_SOCK") {
            Some(socket) => Ok((text.to_owned(), PathBuf::from(socket))),
            None => {
                Err(Error::new(Kind::NotFound, format!("give the agent `{text}`: $SSH_AUTH_SOCK is not set"))
                    .hint("start an agent with `eval $(ssh-agent)`, or name its socket: --ssh ID=SOCKET"))
            }
        },
        _ => Err(Error::invalid(format!("give the agent `{text}`: it has no id or no socket"))
            .hint("default, or ID=SOCKET")),
    }
}

fn cache_from(text: &str) -> Result<CacheFrom> {
    if !text.contains('=') {
        return Ok(CacheFrom::Image(text.to_owned()));
    }
    let fields = fields(text)?;
    match (fields.get("type").map(String::as_str), fields.get("src"), fields.get("ref")) {
        (Some("local"), Some(dir), _) => Ok(CacheFrom::Local(PathBuf::from(dir))),
        (Some("registry"), _, Some(image)) => Ok(CacheFrom::Image(image.clone())),
        _ => Err(Error::new(Kind::Unsupported, format!("take the cache `{text}`: no cache of such a kind"))
            .hint("an image, type=registry,ref=IMAGE or type=local,src=DIR")),
    }
}

fn cache_to(text: &str) -> Result<CacheTo> {
    let fields = fields(text)?;
    match (fields.get("type").map(String::as_str), fields.get("dest")) {
        (Some("local"), Some(dir)) => Ok(CacheTo::Local(PathBuf::from(dir))),
        (Some("inline"), _) => Ok(CacheTo::Inline),
        _ => Err(Error::new(Kind::Unsupported, format!("write the cache `{text}`: no cache of such a kind"))
            .hint("type=inline, which goes into the image and is pushed with it, or type=local,dest=DIR")),
    }
}

fn output_of(text: &str) -> Result<Output> {
    if !text.contains('=') {
        return Ok(match text {
            "-" => Output::Tar(None),
            dir => Output::Local(PathBuf::from(dir)),
        });
    }
    let fields = fields(text)?;
    let dest = fields.get("dest").filter(|dest| *dest != "-").map(PathBuf::from);
    match (fields.get("type").map(String::as_str), dest) {
        (Some("docker"), dest) => Ok(Output::Docker(dest)),
        (Some("oci"), dest) => Ok(Output::Oci(dest)),
        (Some("tar"), dest) => Ok(Output::Tar(dest)),
        (Some("local"), Some(dir)) => Ok(Output::Local(dir)),
        (Some("image"), None) => Ok(Output::Image),
        (Some("local"), None) => Err(Error::invalid(format!("make the output `{text}`: no key `dest`"))
            .hint("type=local,dest=DIRECTORY")),
        (Some("registry"), _) => {
            Err(Error::new(Kind::Unsupported, format!("make the output `{text}`: a build sends nothing"))
                .hint("taru build -t NAME ... && taru push NAME"))
        }
        _ => {
            Err(Error::new(Kind::Unsupported, format!("make the output `{text}`: no output of such a kind"))
                .hint("type=docker, oci or tar with dest=FILE; type=local,dest=DIRECTORY; type=image"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_made_definite() {
        assert_eq!(secret("id=a,src=b,c").unwrap_err().kind(), Kind::Invalid);
        assert_eq!(secret("id=a,\"src=b,c\"").unwrap(), ("a".into(), Secret::File("b,c".into())));
        assert_eq!(secret("id=a,env=B").unwrap(), ("a".into(), Secret::Variable("B".into())));
        assert_eq!(secret("id=a,type=env,src=B").unwrap(), ("a".into(), Secret::Variable("B".into())));
        assert!(secret("src=b").is_err() && secret("id=a,foo=b").is_err());
        assert_eq!(output_of("out").unwrap(), Output::Local("out".into()));
        assert_eq!(output_of("type=oci,dest=x.tar").unwrap(), Output::Oci(Some("x.tar".into())));
        assert_eq!(output_of("type=tar,dest=-").unwrap(), Output::Tar(None));
        assert!(output_of("type=local").is_err() && output_of("type=registry").is_err());
        assert_eq!(cache_from("img").unwrap(), CacheFrom::Image("img".into()));
        assert_eq!(cache_to("type=local,dest=d").unwrap(), CacheTo::Local("d".into()));
        assert!(cache_to("type=gha").is_err());
        assert_eq!(context("A=docker-image://x").unwrap(), ("a".into(), Named::Image("x".into())));
        assert!(context("a=oci-layout://x").is_err() && context("=x").is_err());
        assert_eq!(agent("id=/s").unwrap(), ("id".into(), "/s".into()));
    }
}
