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
    let mut unpacked = None;
    let mut from_input = None;
    let tree = match (&options.context, &options.dockerfile) {
        (Context::Directory(dir), _) => {
            if !dir.is_dir() {
                let what = format!("open the context `{}`", dir.display());
                return match std::fs::metadata(dir) {
                    Err(e) => Err(e).context(|| what),
                    Ok(_) => Err(Error::invalid(format!("{what}: it is no directory")).hint(
                        "taru build -f DOCKERFILE DIRECTORY; `-` reads an archive, or the Dockerfile alone",
                    )),
                };
            }
            Tree::directory(dir)?
        }
        (Context::Stdin, Dockerfile::Stdin) => {
            return Err(Error::invalid("read the context and the Dockerfile: both from the standard input"));
        }
        (Context::Stdin, wanted) => {
            let mut input = BufReader::new(&mut *input);
            let start = input.fill_buf().context(|| "read the standard input")?;
            if archive::is_archive(start) {
                let dir = Scratch::new(tmp)?;
                archive::unpack(&mut input, dir.path(), tmp)?;
                let tree = Tree::directory(dir.path())?;
                unpacked = Some(dir);
                tree
            } else if *wanted == Dockerfile::InContext {
                from_input = Some(read_input(&mut input)?);
                Tree::empty()
            } else {
                return Err(Error::invalid("read the context: the standard input is no tar archive"));
            }
        }
    };
    let (name, dockerfile) = match (&options.dockerfile, from_input) {
        (_, Some(bytes)) => ("-".to_owned(), bytes),
        (Dockerfile::Stdin, None) => ("-".to_owned(), read_input(input)?),
        (Dockerfile::InContext, None) => (DOCKERFILE.to_owned(), in_context(&tree, DOCKERFILE)?),
        (Dockerfile::Path(path), None) if options.context == Context::Stdin => {
            let name = path.display().to_string();
            let bytes = in_context(&tree, &name)?;
            (name, bytes)
        }
        (Dockerfile::Path(path), None) => {
            let bytes = read_bounded(path, limits::DOCKERFILE)?;
            (path.display().to_string(), bytes)
        }
    };
    let ignore = ignore(options, &tree, &name)?;
    Ok(Opened { tree: Arc::new(tree), ignore, name, dockerfile, _unpacked: unpacked })
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
