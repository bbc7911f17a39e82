//! What a build is asked for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use taru_oci::{Platform, Reference};

/// A build.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where COPY and ADD take files from.
    pub context: Context,
    /// The Dockerfile.
    pub dockerfile: Dockerfile,
    /// `--target`.
    pub target: Option<String>,
    /// `--build-arg`, in full.
    pub args: BTreeMap<String, String>,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// `--platform`; this host's by default.
    pub platform: Option<Platform>,
    /// `-t`.
    pub tags: Vec<Reference>,
    /// `--no-cache`.
    pub no_cache: bool,
    /// `--no-cache-filter`: stages for which the cache is not looked at.
    pub no_cache_filter: Vec<String>,
    /// `--pull`: images are looked for in their registries even where they are in the store.
    pub pull: bool,
    /// `--build-context`.
    pub contexts: BTreeMap<String, Named>,
    /// `--secret`, by id.
    pub secrets: BTreeMap<String, Secret>,
    /// `--ssh`: the socket of an agent, by id.
    pub ssh: BTreeMap<String, PathBuf>,
    /// `--cache-from`: images whose layers may be used.
    pub cache_from: Vec<CacheFrom>,
    /// `--cache-to`.
    pub cache_to: Vec<CacheTo>,
    /// `--output`; without any, the image goes into the store.
    pub outputs: Vec<Output>,
    /// `--network` of RUNs that name none.
    pub network: Network,
    /// `--allow security.insecure`.
    pub allow_insecure: bool,
    /// `--cgroup-parent`: where the control groups of steps are made.
    pub cgroup_parent: String,
}

impl Options {
    /// A build of a directory, with everything else as it is by default.
    pub fn new(context: PathBuf) -> Options {
        Options {
            context: Context::Directory(context),
            dockerfile: Dockerfile::InContext,
            target: None,
            args: BTreeMap::new(),
            labels: BTreeMap::new(),
            platform: None,
            tags: Vec::new(),
            no_cache: false,
            no_cache_filter: Vec::new(),
            pull: false,
            contexts: BTreeMap::new(),
            secrets: BTreeMap::new(),
            ssh: BTreeMap::new(),
            cache_from: Vec::new(),
            cache_to: Vec::new(),
            outputs: Vec::new(),
            network: Network::Host,
            allow_insecure: false,
            cgroup_parent: "/taru".to_owned(),
        }
    }
}

/// Where the files of the build are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Context {
    /// In a directory.
    Directory(PathBuf),
    /// In a tar archive on the standard input, compressed or not; or that is the Dockerfile, and there are none.
    Stdin,
}

/// Where the Dockerfile is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dockerfile {
    /// `Dockerfile` in the context.
    InContext,
    /// A file of the host; of the context, if that is an archive.
    Path(PathBuf),
    /// On the standard input.
    Stdin,
}

/// A named context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// A directory.
    Directory(PathBuf),
    /// `docker-image://NAME`.
    Image(String),
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// In a file.
    File(PathBuf),
    /// In a variable of the environment.
    Variable(String),
}

/// Where else the results of steps may come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheFrom {
    /// A directory that `--cache-to type=local` wrote.
    Local(PathBuf),
    /// An image that was built with this cache inside.
    Image(String),
}

/// Where the results of steps go besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheTo {
    /// A directory, for `--cache-from type=local`.
    Local(PathBuf),
    /// The image itself, for `--cache-from IMAGE`.
    Inline,
}

/// The network of build steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// The host's.
    Host,
    /// None.
    None,
}

/// What becomes of the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// An archive as `docker save` writes it; `None` is the standard output.
    Docker(Option<PathBuf>),
    /// An OCI archive.
    Oci(Option<PathBuf>),
    /// The root file system as a tar archive.
    Tar(Option<PathBuf>),
    /// The root file system in a directory.
    Local(PathBuf),
    /// The store, which is where it is anyway.
    Image,
}
