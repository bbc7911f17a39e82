//! What a stage does: the steps that each make a layer, with every word in them expanded.

use taru_oci::Digest;

use crate::chmod::Mode;
use crate::dockerfile::{MountKind, Network};
use crate::graph::Source;

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

impl Step {
    /// What it reads besides its own root and the context.
    pub(crate) fn sources(&self) -> Vec<&Source> {
        match &self.action {
            Action::Run(run) => run.mounts.iter().filter_map(|mount| mount.from.as_ref()).collect(),
            Action::Copy(copy) => copy.from.iter().collect(),
            Action::Workdir { .. } => Vec::new(),
        }
    }
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
