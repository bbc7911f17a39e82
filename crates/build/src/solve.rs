//! A build from beginning to end.
//!
//! ```text
//! context, Dockerfile ── graph ── images of the stages needed ── stages made definite ── each stage in a thread:
//!     step: key ── record? ── yes: its layer
//!                        └── no: done, stored, recorded
//! ```
//! Everything wrong with the Dockerfile is told before an image is fetched; everything wrong with a stage before its first
//! step is done. A stage waits for those it needs, and no more steps run at a time than there are processors.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use taru_content::Lease;
use taru_engine::Engine;
use taru_engine::image::find::Found;
use taru_engine::image::progress::{Progress as Fetching, Step as FetchStep};
use taru_engine::image::start::{self, Pull, Wanted};
use taru_engine::image::wishes;
use taru_oci::{Digest, Image, Platform};
use taru_stdx::{Error, Kind, Result};

use crate::cache::{Cache, Layer};
use crate::context::{self, Opened};
use crate::dockerfile::{Dockerfile, Instruction, Placed, at};
use crate::graph::{EPOCH, Graph, Node, Source, Wishes};
use crate::options::{CacheFrom, Named, Options};
use crate::output::{self, Built, time_of};
use crate::pattern::Ignore;
use crate::progress::{Event, Progress};
use crate::root::{self, Root};
use crate::run;
use crate::scratch::sweep;
use crate::stage::{self, Action, Around, Definite, Step};
use crate::steps::{self, Place};
use crate::tree::Tree;

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
    let cache = Cache::open(&engine.dirs.state().join("build"))?;
    output::check(options)?;
    let opened = context::open(options, input, &cache.tmp())?;
    let file = Dockerfile::parse(&opened.name, &opened.dockerfile)?;
    let host = Platform::host();
    let platform = options.platform.clone().unwrap_or_else(|| host.clone());
    let names = options.contexts.keys().cloned().collect();
    let wishes = Wishes {
        target: options.target.as_deref(),
        args: &options.args,
        platform: &platform,
        host: &host,
        contexts: &names,
    };
    let graph = Graph::new(&file, &wishes)?;
    graph.warnings.iter().for_each(|w| progress.event(&Event::Warning(w)));
    let images = engine.images()?;
    cache.forget_unused(&images.content)?;
    let lease = images.content.lease("build")?;
    let epoch = epoch(options)?;
    let mut build = Build {
        open,
        options,
        progress,
        file,
        graph,
        opened,
        cache,
        lease,
        epoch,
        created: epoch.map_or_else(std::time::SystemTime::now, time_of),
        images: BTreeMap::new(),
        stages: BTreeMap::new(),
        directories: BTreeMap::new(),
        numbers: AtomicUsize::new(0),
    };
    build.open_contexts()?;
    build.open_caches(&engine)?;
    build.plan(&engine)?;
    let (root, image) = build.execute()?;
    output::finish(&engine, &build.lease, options, &root, image, epoch, progress)
}

/// `SOURCE_DATE_EPOCH`, of a build argument.
fn epoch(options: &Options) -> Result<Option<i64>> {
    let Some(text) = options.args.get(EPOCH) else { return Ok(None) };
    Ok(Some(taru_stdx::time::epoch(text)?.cast_signed()))
}

/// A stage that is made definite.
#[derive(Debug)]
struct Ready {
    base: Root,
    definite: Definite,
    /// What `[stage 2/5]` says.
    name: String,
    ignores_cache: bool,
}

struct Build<'a> {
    open: &'a Open<'a>,
    options: &'a Options,
    progress: &'a dyn Progress,
    file: Dockerfile,
    graph: Graph,
    opened: Opened,
    cache: Cache,
    lease: Lease,
    epoch: Option<i64>,
    created: std::time::SystemTime,
    /// By name and platform.
    images: BTreeMap<(String, String), Arc<Found>>,
    stages: BTreeMap<usize, Ready>,
    /// Named contexts that are directories.
    directories: BTreeMap<String, (Arc<Tree>, Ignore)>,
    numbers: AtomicUsize,
}

/// Passes on how an image is fetched.
struct Fetch<'a>(&'a dyn Progress, usize);

impl Fetching for Fetch<'_> {
    fn begin(&self, step: FetchStep, digest: &Digest, size: u64) {
        let what = match step {
            FetchStep::Fetch => "fetch",
            FetchStep::Unpack => "unpack",
            FetchStep::Push => "push",
        };
        self.0.event(&Event::Line(self.1, &format!("{what} {} ({size} bytes)", digest.short())));
    }
    fn advance(&self, _: FetchStep, _: &Digest, _: u64) {}
    fn end(&self, _: FetchStep, _: &Digest, _: bool) {}
    fn say(&self, line: &str) {
        self.0.event(&Event::Line(self.1, line));
    }
}

impl Build<'_> {
    fn open_contexts(&mut self) -> Result<()> {
        for (name, named) in &self.options.contexts {
            if let Named::Directory(path) = named {
                let tree = Tree::directory(path)?;
                let text = tree.read(".dockerignore", taru_oci::limits::DOCKERFILE)?;
                let ignore = Ignore::file(".dockerignore", &String::from_utf8_lossy(&text))?;
                self.directories.insert(name.clone(), (Arc::new(tree), ignore));
            }
        }
        Ok(())
    }

    /// Looks where else results may be. What cannot be had is no reason not to build.
    fn open_caches(&mut self, engine: &Engine) -> Result<()> {
        for from in &self.options.cache_from {
            let name = match from {
                CacheFrom::Local(dir) => {
                    self.cache.add_other(dir.clone());
                    continue;
                }
                CacheFrom::Image(name) => name,
            };
            let nothing = wishes::Wishes::default();
            let platform = self.options.platform.clone();
            let wanted = Wanted { name, platform: platform.as_ref(), pull: Pull::Missing, wishes: &nothing };
            match start::obtain(engine, &wanted, &Fetch(self.progress, 0)) {
                Ok(found) => {
                    let keys = output::keys(&found.document);
                    // A build of these layers alone is that image again, and as old.
                    let created = &found.config.created;
                    for (key, layer) in keys.into_iter().zip(root_of(&found).layers) {
                        if let Some(key) = key {
                            let layer = Layer { key: Some(key.clone()), created: created.clone(), ..layer };
                            self.cache.add_inline(key, layer);
                        }
                    }
                }
                Err(e) => {
                    let text = format!("the cache of `{name}` is not used: {}", e.chain());
                    self.progress.event(&Event::Warning(&text));
                }
            }
        }
        Ok(())
    }

    /// Fetches the images that are needed and makes the stages definite; triggers may add to both.
    fn plan(&mut self, engine: &Engine) -> Result<()> {
        loop {
            let order = self.graph.order();
            let Some(index) = order.into_iter().find(|index| !self.stages.contains_key(index)) else { break };
            let node = self.graph.nodes[index].clone();
            let (base, image) = self.base(engine, &node, index)?;
            let mut instructions = Vec::new();
            let triggers = image.config.as_ref().and_then(|c| c.on_build.clone()).unwrap_or_default();
            for text in &triggers {
                let placed = Dockerfile::trigger(text, "the base image")?;
                self.graph.add(index, &placed)?;
                instructions.push(placed);
            }
            // What a trigger needs comes before.
            if self.graph.order().iter().take_while(|i| **i != index).any(|i| !self.stages.contains_key(i)) {
                continue;
            }
            let stage = self.file.stages[index].clone();
            instructions.extend(stage.instructions.iter().cloned());
            self.fetch_sources(engine, &node, &instructions, index)?;
            let around = Around {
                name: &self.file.name,
                escape: self.file.escape,
                index,
                graph: &self.graph,
                args: &self.options.args,
                // Told when the layers are known.
                created: None,
            };
            let mut definite = stage::resolve(around, image, &instructions)?;
            if self.graph.target == index {
                self.label(&mut definite.image);
            }
            self.check_platform(&node, &definite, stage.line)?;
            let ignores_cache = self.options.no_cache
                || self.options.no_cache_filter.iter().any(|f| Some(f) == stage.from.name.as_ref());
            let name = stage.from.name.clone().unwrap_or_else(|| format!("stage-{index}"));
            self.stages.insert(index, Ready { base, definite, name, ignores_cache });
        }
        Ok(())
    }

    fn label(&self, image: &mut Image) {
        if !self.options.labels.is_empty() {
            let labels = image.config.get_or_insert_default().labels.get_or_insert_default();
            labels.extend(self.options.labels.clone());
        }
    }

    /// Programs of another processor run only where the kernel was told of an interpreter.
    fn check_platform(&self, node: &Node, definite: &Definite, line: usize) -> Result<()> {
        let host = Platform::host();
        let own = &node.platform;
        let runs = definite.steps.iter().any(|s| matches!(s.action, Action::Run(_)));
        if !runs || own.suits(&host).is_some() || taru_engine::image::platform::is_interpreted(own) {
            return Ok(());
        }
        let e = Error::new(Kind::Unsupported, format!("execute a RUN for `{own}`: this host is `{host}`"));
        let e = e.hint(
            "an emulator that is registered with the kernel can: package `qemu-user-static` (binfmt_misc)",
        );
        Err(at(&self.file.name, line, e))
    }

    fn base(&mut self, engine: &Engine, node: &Node, index: usize) -> Result<(Root, Image)> {
        match &node.base {
            Source::Scratch => Ok((Root::default(), stage::scratch(&node.platform))),
            Source::Stage(other) => {
                let ready = self.stages.get(other).ok_or_else(|| unfinished(*other))?;
                // Its layers are known when it is built.
                Ok((Root::default(), ready.definite.image.clone()))
            }
            Source::Image(name) => {
                let line = self.file.stages[index].line;
                let found =
                    self.image(engine, name, &node.platform).map_err(|e| at(&self.file.name, line, e))?;
                Ok((root_of(&found), found.config.clone()))
            }
            Source::Context(name) => match self.options.contexts.get(name) {
                Some(Named::Image(image)) => {
                    let found = self.image(engine, image, &node.platform)?;
                    Ok((root_of(&found), found.config.clone()))
                }
                _ => Err(Error::new(
                    Kind::Unsupported,
                    format!("begin a stage from the context `{name}`: it is a directory"),
                )
                .hint("COPY --from takes directories; FROM takes docker-image://NAME")),
            },
        }
    }

    fn image(&mut self, engine: &Engine, name: &str, platform: &Platform) -> Result<Arc<Found>> {
        let key = (name.to_owned(), platform.to_string());
        if let Some(found) = self.images.get(&key) {
            return Ok(found.clone());
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let begun = Instant::now();
        self.progress.event(&Event::Begin(number, &format!("FROM {name}")));
        let nothing = wishes::Wishes::default();
        let wanted = Wanted {
            name,
            platform: Some(platform),
            pull: if self.options.pull { Pull::Always } else { Pull::Missing },
            wishes: &nothing,
        };
        let found = match start::obtain(engine, &wanted, &Fetch(self.progress, number)) {
            Ok(found) => Arc::new(found),
            Err(e) => {
                self.progress.event(&Event::Failed(number, &e.chain().to_string()));
                return Err(e);
            }
        };
        for layer in found.chain() {
            self.lease.protect_layer(&layer)?;
        }
        self.lease.protect_blob(&found.target.digest)?;
        self.progress.event(&Event::Done(number, true, begun.elapsed()));
        self.images.insert(key, found.clone());
        Ok(found)
    }

    /// Fetches the images that instructions read from.
    fn fetch_sources(
        &mut self,
        engine: &Engine,
        node: &Node,
        instructions: &[Placed],
        index: usize,
    ) -> Result<()> {
        for placed in instructions {
            let names: Vec<&str> = match &placed.instruction {
                Instruction::Copy(copy) => copy.from.as_deref().into_iter().collect(),
                Instruction::Run(run) => run.mounts.iter().filter_map(|m| m.field("from")).collect(),
                _ => Vec::new(),
            };
            for name in names {
                let image = match self.graph.from(index, name) {
                    Ok(Source::Image(image)) => image,
                    Ok(Source::Context(context)) => match self.options.contexts.get(&context) {
                        Some(Named::Image(image)) => image.clone(),
                        _ => continue,
                    },
                    _ => continue,
                };
                if image.contains('$') {
                    return Err(at(
                        &self.file.name,
                        placed.line,
                        Error::invalid(format!("read from `{image}`: --from takes no variables"))
                            .hint(format!("name it by a stage: FROM {image} AS name")),
                    ));
                }
                self.image(engine, &image, &node.platform)
                    .map_err(|e| at(&self.file.name, placed.line, e))?;
            }
        }
        Ok(())
    }

    /// Builds the stages, each in a thread; gives the target's.
    fn execute(&self) -> Result<(Root, Image)> {
        let order = self.graph.order();
        let shared = Shared::default();
        let processors = std::thread::available_parallelism().map_or(1, |n| n.get());
        let slots = Slots::new(processors);
        std::thread::scope(|scope| {
            for index in &order {
                let (shared, slots) = (&shared, &slots);
                scope.spawn(move || {
                    // Where panics unwind (they do not in a release, which ends at once) the other stages must not wait
                    // for one that will never be done.
                    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        self.stage(*index, shared, slots)
                    }));
                    let done =
                        done.unwrap_or_else(|_| Err(Error::new(Kind::System, "build a stage: a panic")));
                    shared.finish(*index, done);
                });
            }
        });
        let mut state = shared.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(e) = state.error.take() {
            return Err(e);
        }
        let root = state.done.remove(&self.graph.target).ok_or_else(|| unfinished(self.graph.target))?;
        let image = self.stages.get(&self.graph.target).map(|s| s.definite.image.clone()).unwrap_or_default();
        Ok((root, image))
    }

    fn stage(&self, index: usize, shared: &Shared, slots: &Slots) -> Result<Root> {
        let ready = self.stages.get(&index).ok_or_else(|| unfinished(index))?;
        let mut root = match &self.graph.nodes[index].base {
            Source::Stage(other) => shared.wait(*other)?,
            _ => ready.base.clone(),
        };
        let total = ready.definite.steps.len();
        if total == 0 {
            return Ok(root);
        }
        let mut engine = (self.open)()?;
        for (at, step) in ready.definite.steps.iter().enumerate() {
            // What it reads comes first, without a slot: whoever makes it needs one.
            for source in sources(step) {
                if let Source::Stage(other) = source {
                    shared.wait(other)?;
                }
            }
            let _slot = slots.take();
            shared.check()?;
            let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
            let name = format!("[{} {}/{total}] {}", ready.name, at + 1, step.text);
            let begun = Instant::now();
            self.progress.event(&Event::Begin(number, &name));
            match self.step(&mut engine, index, ready, step, &root, shared, number) {
                Ok((layer, was_there)) => {
                    root.layers.push(layer);
                    self.progress.event(&Event::Done(number, was_there, begun.elapsed()));
                }
                Err(e) => {
                    self.progress.event(&Event::Failed(number, &e.chain().to_string()));
                    let e = Error::new(e.kind(), format!("build step `{}`", shorten(&step.text))).because(e);
                    return Err(if step.line == 0 {
                        e
                    } else {
                        crate::dockerfile::at(&self.file.name, step.line, e)
                    });
                }
            }
        }
        Ok(root)
    }

    #[allow(clippy::too_many_arguments, reason = "each is another thing of the build that it needs")]
    fn step(
        &self,
        engine: &mut Engine,
        index: usize,
        ready: &Ready,
        step: &Step,
        root: &Root,
        shared: &Shared,
        number: usize,
    ) -> Result<(Layer, bool)> {
        let images = engine.images()?;
        root.ensure(images, &self.lease)?;
        let below = root.files(&images.snapshots)?;
        let parent = root.top().cloned();
        let find = |key: &Digest| match ready.ignores_cache {
            true => Ok(None),
            false => self.cache.find(key, parent.as_ref(), &images.content, &self.lease),
        };
        let nothing = Ignore::default();
        let layer = match &step.action {
            Action::Run(wanted) => {
                let around = run::Around {
                    options: self.options,
                    cache: &self.cache,
                    ignore: &self.opened.ignore,
                    lease: &self.lease,
                    epoch: self.epoch,
                    parent: parent.as_ref(),
                    below,
                    name: &ready.name,
                };
                let prepared = run::prepare(wanted, &around, &|mount| {
                    self.source(engine, index, mount.from.as_ref(), shared).map(|s| s.0)
                })?;
                if let Some(layer) = find(&prepared.key)? {
                    return Ok((layer, true));
                }
                let key = prepared.key.clone();
                let mut output = |line: &str| self.progress.event(&Event::Line(number, line));
                let layer = run::run(engine, wanted, prepared, &around, &mut output)?;
                (key, layer)
            }
            action => {
                let from = match action {
                    Action::Copy(copy) => copy.from.as_ref(),
                    _ => None,
                };
                let (source, own) = self.source(engine, index, from, shared)?;
                let ignore = match (&own, source.is_context) {
                    (Some(ignore), _) => ignore,
                    (None, true) => &self.opened.ignore,
                    (None, false) => &nothing,
                };
                let tmp = self.cache.tmp();
                let place = Place {
                    below,
                    parent: parent.as_ref(),
                    source: source.tree,
                    ignore,
                    keeps_owners: !source.is_context,
                    name: source.name,
                    epoch: self.epoch,
                    client: engine.registry()?,
                    tmp: &tmp,
                };
                let put = match action {
                    Action::Copy(copy) => steps::copy(copy, &place)?,
                    Action::Workdir { path, user } => steps::workdir(path, user, &place)?,
                    Action::Run(_) => return Err(Error::new(Kind::State, "copy: it is a RUN")),
                };
                if let Some(layer) = find(&put.key)? {
                    return Ok((layer, true));
                }
                let layer = root::store(put.assembly, parent.as_ref(), put.clamp, images, &self.lease)?;
                (put.key, layer)
            }
        };
        let (key, mut layer) = layer;
        layer.key = Some(key.clone());
        layer.created = Some(output::rfc3339(self.created));
        let images = engine.images()?;
        self.lease.protect_layer(&layer.chain)?;
        let mut whole = root.clone();
        whole.layers.push(layer.clone());
        whole.ensure(images, &self.lease)?;
        self.cache.record_layer(&key, &layer, &images.content)?;
        Ok((layer, false))
    }

    /// The files that an instruction reads, and what of them does not exist where that is not the context's own list.
    fn source(
        &self,
        engine: &Engine,
        index: usize,
        from: Option<&Source>,
        shared: &Shared,
    ) -> Result<(run::From, Option<Ignore>)> {
        let images = engine.images()?;
        let of = |root: Root, name: String| -> Result<(run::From, Option<Ignore>)> {
            root.ensure(images, &self.lease)?;
            let tree = root.files(&images.snapshots)?;
            Ok((run::From { tree, is_context: false, name }, None))
        };
        match from {
            None => {
                let from = run::From {
                    tree: self.opened.tree.clone(),
                    is_context: true,
                    name: "the context".to_owned(),
                };
                Ok((from, None))
            }
            Some(Source::Scratch) => of(Root::default(), "scratch".to_owned()),
            Some(Source::Stage(other)) => {
                let name = self.stages.get(other).map(|s| s.name.clone()).unwrap_or_default();
                of(shared.wait(*other)?, format!("the stage `{name}`"))
            }
            Some(Source::Image(name)) => {
                let platform = self.graph.nodes[index].platform.to_string();
                let found = self.images.get(&(name.clone(), platform));
                let found = found
                    .ok_or_else(|| Error::new(Kind::NotFound, format!("read from the image `{name}`")))?;
                of(root_of(found), format!("the image `{name}`"))
            }
            Some(Source::Context(name)) => match self.options.contexts.get(name) {
                Some(Named::Image(image)) => {
                    self.source(engine, index, Some(&Source::Image(image.clone())), shared)
                }
                _ => match self.directories.get(name) {
                    Some((tree, ignore)) => {
                        let name = format!("the context `{name}`");
                        Ok((run::From { tree: tree.clone(), is_context: true, name }, Some(ignore.clone())))
                    }
                    None => Err(Error::new(Kind::NotFound, format!("read from the context `{name}`"))),
                },
            },
        }
    }
}

fn unfinished(stage: usize) -> Error {
    Error::new(Kind::State, format!("build the stage {stage}: it was not finished"))
}

fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(100) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

/// What a step reads besides its own root.
fn sources(step: &Step) -> Vec<Source> {
    match &step.action {
        Action::Run(run) => run.mounts.iter().filter_map(|m| m.from.clone()).collect(),
        Action::Copy(copy) => copy.from.iter().cloned().collect(),
        Action::Workdir { .. } => Vec::new(),
    }
}

fn root_of(found: &Found) -> Root {
    let chain = found.chain();
    let layers = found.document.layers.iter().zip(&found.config.rootfs.diff_ids).zip(chain);
    let layers = layers.map(|((descriptor, diff_id), chain)| Layer {
        descriptor: descriptor.clone(),
        diff_id: diff_id.clone(),
        chain,
        key: None,
        created: None,
    });
    Root { layers: layers.collect() }
}

/// What the threads of stages tell each other.
#[derive(Default)]
struct Shared {
    state: Mutex<Done>,
    changed: Condvar,
    fails: AtomicBool,
}

#[derive(Default)]
struct Done {
    done: BTreeMap<usize, Root>,
    error: Option<Error>,
}

impl Shared {
    fn finish(&self, stage: usize, done: Result<Root>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match done {
            Ok(root) => drop(state.done.insert(stage, root)),
            Err(e) => {
                self.fails.store(true, Ordering::Release);
                // The others fail because of the first.
                state.error.get_or_insert(e);
            }
        }
        self.changed.notify_all();
    }

    fn check(&self) -> Result<()> {
        match self.fails.load(Ordering::Acquire) {
            true => Err(Error::new(Kind::State, "another stage failed")),
            false => Ok(()),
        }
    }

    fn wait(&self, stage: usize) -> Result<Root> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(root) = state.done.get(&stage) {
                return Ok(root.clone());
            }
            self.check()?;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// So many steps at a time.
struct Slots {
    free: Mutex<usize>,
    changed: Condvar,
}

struct Slot<'a>(&'a Slots);

impl Slots {
    fn new(count: usize) -> Slots {
        Slots { free: Mutex::new(count), changed: Condvar::new() }
    }

    fn take(&self) -> Slot<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.changed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Slot(self)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.changed.notify_one();
    }
}
