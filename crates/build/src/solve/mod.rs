//! A build from beginning to end.
//!
//! ```text
//! context, Dockerfile ── graph ── plan: images of the stages needed (pulled), stages made definite
//!                                  └── execute: each stage in a thread (finished, slots)
//!                                       └── worker: step: key ── record? ── yes: its layer
//!                                                                      └── no: done, stored, recorded
//! ```
//! Everything wrong with the Dockerfile is told before an image is fetched; everything wrong with a stage before its first
//! step is done. A stage waits for those it needs, and no more steps run at a time than there are processors.

mod execute;
mod finished;
mod imports;
mod plan;
mod pulled;
mod slots;
mod worker;

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use taru_content::Lease;
use taru_engine::Engine;
use taru_oci::{Image, Platform};
use taru_stdx::{Error, Kind, Result};

use crate::cache::Cache;
use crate::context;
use crate::dockerfile::Dockerfile;
use crate::files::Files;
use crate::graph::{EPOCH, Graph, Wishes};
use crate::options::{Named, Options};
use crate::output::{self, Built, time_of};
use crate::pattern::Ignore;
use crate::progress::{Event, Progress, Steps};
use crate::root::Root;
use crate::run;
use crate::scratch::sweep;
use crate::stage::Step;
use crate::tree::Tree;
use pulled::Pulled;

/// Opens the engine: each thread has its own.
pub type Open<'a> = dyn Fn() -> Result<Engine> + Sync + 'a;

/// Takes down what builds that were killed left: their steps' containers and their files.
///
/// # Errors
/// The records or the directories cannot be read, or a file not be removed.
pub fn clear(engine: &mut Engine) -> Result<()> {
    // What goes wrong with a container is told by whoever asks for that one.
    taru_engine::reconcile::all(engine, |_, _| {})?;
    let tmp = engine.dirs.state().join("build/tmp");
    if tmp.exists() { sweep(&tmp) } else { Ok(()) }
}

/// Forgets what steps came to, and empties the cache mounts that no step uses now; tells how many of these. What only builds
/// held is garbage then.
///
/// # Errors
/// Any error of the file system or of the store.
pub fn forget(engine: &Engine) -> Result<u64> {
    let cache = Cache::open(&engine.dirs.state().join("build"))?;
    cache.forget(Duration::ZERO, &engine.images()?.content)?;
    run::empty(&cache.mounts())
}

/// Builds an image. `input` is the standard input.
///
/// # Errors
/// Everything that is wrong with the Dockerfile; what an image cannot be fetched for; the first step that fails. Nothing
/// has got a name then.
pub fn build(
    open: &Open<'_>,
    options: &Options,
    input: &mut dyn Read,
    progress: &dyn Progress,
) -> Result<Built> {
    let mut engine = open()?;
    clear(&mut engine)?;
    let engine = engine;
    let mut cache = Cache::open(&engine.dirs.state().join("build"))?;
    output::check(options)?;
    let opened = context::open(options, input, &cache.tmp())?;
    let file = Dockerfile::parse(&opened.name, &opened.dockerfile)?;
    let graph = graph(&file, options)?;
    graph.warnings.iter().for_each(|w| progress.event(&Event::Warning(w)));
    let images = engine.images()?;
    cache.forget_unused(&images.content)?;
    let lease = images.content.lease("build")?;
    let epoch = epoch(options)?;
    let directories = directories(options)?;
    let steps = Steps::new(progress);
    imports::add(&mut cache, &engine, options, &steps);
    let mut pulled = Pulled::new(options, &lease, &steps);
    let stages = plan::plan(&engine, &file, graph, options, &mut pulled)?;
    let context = Files::of_context(opened.tree.clone(), opened.ignore.clone(), "the context".to_owned());
    let build = Build {
        open,
        options,
        steps: &steps,
        name: &file.name,
        context,
        directories,
        pulled,
        stages,
        cache,
        lease: &lease,
        epoch,
        created: epoch.map_or_else(SystemTime::now, time_of),
    };
    let (root, image) = execute::execute(&build)?;
    output::finish(&engine, &lease, options, &root, image, epoch, progress)
}

/// The stages that the options want, and what they need.
fn graph(file: &Dockerfile, options: &Options) -> Result<Graph> {
    let host = Platform::host();
    let wishes = Wishes {
        target: options.target.as_deref(),
        args: &options.args,
        platform: options.platform.as_ref().unwrap_or(&host),
        host: &host,
        contexts: &options.contexts.keys().cloned().collect(),
    };
    Graph::new(file, &wishes)
}

/// `SOURCE_DATE_EPOCH`, of a build argument.
fn epoch(options: &Options) -> Result<Option<i64>> {
    let Some(text) = options.args.get(EPOCH) else { return Ok(None) };
    Ok(Some(taru_stdx::time::epoch(text)?.cast_signed()))
}

/// Opens the named contexts that are directories.
fn directories(options: &Options) -> Result<BTreeMap<String, Files>> {
    let mut directories = BTreeMap::new();
    for (name, named) in &options.contexts {
        if let Named::Directory(path) = named {
            let tree = Tree::directory(path)?;
            let text = tree.read(".dockerignore", taru_oci::limits::DOCKERFILE)?;
            let ignore = Ignore::file(".dockerignore", &String::from_utf8_lossy(&text))?;
            let files = Files::of_context(Arc::new(tree), ignore, format!("the context `{name}`"));
            directories.insert(name.clone(), files);
        }
    }
    Ok(directories)
}

/// All that is known before the first step: what the threads of a build share.
struct Build<'a> {
    open: &'a Open<'a>,
    options: &'a Options,
    steps: &'a Steps<'a>,
    /// The Dockerfile's, for messages.
    name: &'a str,
    context: Files,
    /// Named contexts that are directories.
    directories: BTreeMap<String, Files>,
    pulled: Pulled<'a>,
    stages: Stages,
    cache: Cache,
    lease: &'a Lease,
    epoch: Option<i64>,
    created: SystemTime,
}

/// The stages that are built.
struct Stages {
    /// By their numbers in the graph.
    all: BTreeMap<usize, Stage>,
    /// Each behind those that it needs.
    order: Vec<usize>,
    /// The one that is the image.
    target: usize,
}

impl Stages {
    fn stage(&self, index: usize) -> Result<&Stage> {
        self.all.get(&index).ok_or_else(|| unfinished(index))
    }
}

/// A stage that was made definite.
#[derive(Debug)]
struct Stage {
    /// What it stands on.
    below: Below,
    /// What its images are for.
    platform: Platform,
    steps: Vec<Step>,
    /// The configuration that it comes to.
    image: Image,
    /// What `[stage 2/5]` says.
    name: String,
    ignores_cache: bool,
}

/// What a stage stands on.
#[derive(Debug)]
enum Below {
    /// Layers that are there.
    Root(Root),
    /// Those of another stage, when it is built.
    Stage(usize),
}

fn unfinished(stage: usize) -> Error {
    Error::new(Kind::State, format!("build the stage {stage}: it was not finished"))
}
