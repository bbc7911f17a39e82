//! The files of a build: a directory or an archive, what of it does not exist, and the Dockerfile.
//!
//! Everything inside a context is reached through its handle: a `Dockerfile` or `.dockerignore` that is a link leads to a
//! file of the context or nowhere.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use taru_oci::limits;
use taru_stdx::fs::read_bounded;
use taru_stdx::{Context as _, Error, Kind, Result};

use crate::archive;
use crate::options::{Context, Dockerfile, Options};
use crate::pattern::Ignore;
use crate::scratch::Scratch;
use crate::tree::Tree;

/// The name of the Dockerfile that need not be told.
const DOCKERFILE: &str = "Dockerfile";
/// The name of the list of what is ignored.
const IGNORE: &str = ".dockerignore";

/// The context of a build, open.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Its files.
    pub tree: Arc<Tree>,
    /// What of them does not exist.
    pub ignore: Ignore,
    /// The Dockerfile's name, for messages.
    pub name: String,
    /// Its content.
    pub dockerfile: Vec<u8>,
    /// Where an archive was unpacked.
    _unpacked: Option<Scratch>,
}

/// Opens the context and reads the Dockerfile. `input` is the standard input; `tmp` is where an archive goes.
///
/// # Errors
/// [`Kind::NotFound`] without a Dockerfile; [`Kind::Invalid`] for an archive that is none; any error of the file system.
pub(crate) fn open(options: &Options, input: &mut dyn Read, tmp: &Path) -> Result<Opened> {
    let mut given = match &options.context {
        Context::Directory(dir) => Given { tree: directory(dir)?, unpacked: None, dockerfile: None },
        Context::Stdin => from_input(&options.dockerfile, input, tmp)?,
    };
    let (name, dockerfile) = match (&options.dockerfile, given.dockerfile.take()) {
        (_, Some(bytes)) => ("-".to_owned(), bytes),
        (Dockerfile::Stdin, None) => ("-".to_owned(), read_input(input)?),
        (Dockerfile::InContext, None) => (DOCKERFILE.to_owned(), in_context(&given.tree, DOCKERFILE)?),
        (Dockerfile::Path(path), None) if options.context == Context::Stdin => {
            let name = path.display().to_string();
            let bytes = in_context(&given.tree, &name)?;
            (name, bytes)
        }
        (Dockerfile::Path(path), None) => {
            let bytes = read_bounded(path, limits::DOCKERFILE)?;
            (path.display().to_string(), bytes)
        }
    };
    let ignore = ignore(options, &given.tree, &name)?;
    Ok(Opened { tree: Arc::new(given.tree), ignore, name, dockerfile, _unpacked: given.unpacked })
}

/// What a context came as.
struct Given {
    tree: Tree,
    /// Where an archive was unpacked.
    unpacked: Option<Scratch>,
    /// The Dockerfile, where nothing else was given.
    dockerfile: Option<Vec<u8>>,
}

fn directory(dir: &Path) -> Result<Tree> {
    if dir.is_dir() {
        return Tree::directory(dir);
    }
    let what = format!("open the context `{}`", dir.display());
    match std::fs::metadata(dir) {
        Err(e) => Err(e).context(|| what),
        Ok(_) => Err(Error::invalid(format!("{what}: it is no directory"))
            .hint("taru build -f DOCKERFILE DIRECTORY; `-` reads an archive, or the Dockerfile alone")),
    }
}

/// The standard input: an archive, or the Dockerfile alone.
fn from_input(dockerfile: &Dockerfile, input: &mut dyn Read, tmp: &Path) -> Result<Given> {
    if *dockerfile == Dockerfile::Stdin {
        return Err(Error::invalid("read the context and the Dockerfile: both from the standard input"));
    }
    let mut input = BufReader::new(input);
    let start = input.fill_buf().context(|| "read the standard input")?;
    if archive::is_archive(start) {
        let dir = Scratch::new(tmp)?;
        archive::unpack(&mut input, dir.path(), tmp)?;
        return Ok(Given { tree: Tree::directory(dir.path())?, unpacked: Some(dir), dockerfile: None });
    }
    if *dockerfile != Dockerfile::InContext {
        return Err(Error::invalid("read the context: the standard input is no tar archive"));
    }
    Ok(Given { tree: Tree::empty(), unpacked: None, dockerfile: Some(read_input(&mut input)?) })
}

fn read_input(input: &mut dyn Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let what = || "read the Dockerfile from the standard input";
    input.take(limits::DOCKERFILE + 1).read_to_end(&mut bytes).context(what)?;
    if bytes.is_empty() {
        return Err(Error::invalid(format!("{}: it is empty", what())));
    }
    Ok(bytes)
}

fn in_context(tree: &Tree, name: &str) -> Result<Vec<u8>> {
    let what = || format!("read `{name}` of the context");
    if tree.find(Path::new(name)).context(what)?.is_some() {
        return tree.read(name, limits::DOCKERFILE);
    }
    let e = Error::new(Kind::NotFound, format!("{}: it is not there", what()));
    let lower = name.to_lowercase();
    let names = tree.root()?.map(|root| tree.names(&root)).transpose()?.unwrap_or_default();
    let near =
        names.iter().filter_map(|n| n.to_str()).find(|n| n.to_lowercase() == lower || *n == "Containerfile");
    Err(match near {
        Some(near) => e.hint(format!("name it: -f {near}")),
        None => e.hint("-f names the Dockerfile"),
    })
}

/// The list beside the Dockerfile, `NAME.dockerignore`, or else that of the context.
fn ignore(options: &Options, tree: &Tree, name: &str) -> Result<Ignore> {
    let own = format!("{name}.dockerignore");
    let bytes = match &options.dockerfile {
        Dockerfile::Path(path) if options.context != Context::Stdin => {
            let mut beside = path.as_os_str().to_owned();
            beside.push(".dockerignore");
            match read_bounded(Path::new(&beside), limits::DOCKERFILE) {
                Err(e) if e.kind() == Kind::NotFound => None,
                bytes => Some(bytes?),
            }
        }
        Dockerfile::Stdin => None,
        _ if tree.find(Path::new(&own))?.is_some() => Some(tree.read(&own, limits::DOCKERFILE)?),
        _ => None,
    };
    let (name, bytes) = match bytes {
        Some(bytes) => (own, bytes),
        None => (IGNORE.to_owned(), tree.read(IGNORE, limits::DOCKERFILE)?),
    };
    Ignore::file(&name, &String::from_utf8_lossy(&bytes))
}
