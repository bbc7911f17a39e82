//! A stage at work: each step's key, its layer from the records, or else the step done, its layer stored and recorded.

use taru_engine::Engine;
use taru_oci::Digest;
use taru_stdx::{Error, Kind, Result};

use super::finished::Finished;
use super::{Build, Stage};
use crate::cache::Layer;
use crate::files::Files;
use crate::graph::Source;
use crate::output::rfc3339;
use crate::progress::Begun;
use crate::put::{self, Place, Put};
use crate::root::{self, Root};
use crate::run;
use crate::stage::{Action, RunStep, Step};

/// A stage, as far as it has come.
pub(super) struct Worker<'a> {
    build: &'a Build<'a>,
    stage: &'a Stage,
    finished: &'a Finished,
    engine: Engine,
    root: Root,
}

/// The layer of a step.
enum Outcome {
    /// It was there.
    Found(Layer),
    /// It was made, and is to be recorded by this key.
    Made(Digest, Layer),
}

impl<'a> Worker<'a> {
    /// A worker on `base`, with an engine of its own.
    pub(super) fn new(
        build: &'a Build<'a>,
        stage: &'a Stage,
        finished: &'a Finished,
        base: Root,
    ) -> Result<Worker<'a>> {
        Ok(Worker { build, stage, finished, engine: (build.open)()?, root: base })
    }

    /// What the steps so far came to.
    pub(super) fn into_root(self) -> Root {
        self.root
    }

    /// Waits for the stages that a step reads.
    ///
    /// # Errors
    /// As [`Finished::wait`].
    pub(super) fn wait_for_sources(&self, step: &Step) -> Result<()> {
        for source in step.sources() {
            if let Source::Stage(other) = source {
                self.finished.wait(*other)?;
            }
        }
        Ok(())
    }

    /// Adds the layer of a step to the root; whether it was there already.
    ///
    /// # Errors
    /// Whatever the step fails with.
    pub(super) fn step(&mut self, step: &Step, begun: &Begun<'_>) -> Result<bool> {
        self.root.ensure(self.engine.images()?, self.build.lease)?;
        let outcome = match &step.action {
            Action::Run(run) => self.run(run, begun)?,
            Action::Copy(copy) => self.put(copy.from.as_ref(), &|place| put::copy(copy, place))?,
            Action::Workdir { path, user } => self.put(None, &|place| put::workdir(path, user, place))?,
        };
        match outcome {
            Outcome::Found(layer) => {
                self.root.layers.push(layer);
                Ok(true)
            }
            Outcome::Made(key, layer) => {
                self.record(key, layer)?;
                Ok(false)
            }
        }
    }

    /// A step that executes a program.
    fn run(&mut self, step: &RunStep, begun: &Begun<'_>) -> Result<Outcome> {
        let parent = self.root.top().cloned();
        let around = run::Around {
            options: self.build.options,
            cache: &self.build.cache,
            lease: self.build.lease,
            epoch: self.build.epoch,
            parent: parent.as_ref(),
            below: self.root.files(&self.engine.images()?.snapshots)?,
            name: &self.stage.name,
        };
        let prepared = run::prepare(step, &around, &|mount| self.files(mount.from.as_ref()))?;
        if let Some(layer) = self.find(&prepared.key)? {
            return Ok(Outcome::Found(layer));
        }
        let key = prepared.key.clone();
        let mut output = |line: &str| begun.line(line);
        let layer = run::run(&mut self.engine, step, prepared, &around, &mut output)?;
        Ok(Outcome::Made(key, layer))
    }

    /// A step that executes nothing: `put` collects what it puts over the layers below, of the files of `from`.
    fn put(&self, from: Option<&Source>, put: &dyn Fn(&Place<'_>) -> Result<Put>) -> Result<Outcome> {
        let images = self.engine.images()?;
        let tmp = self.build.cache.tmp();
        let place = Place {
            below: self.root.files(&images.snapshots)?,
            parent: self.root.top(),
            files: self.files(from)?,
            epoch: self.build.epoch,
            client: self.engine.registry()?,
            tmp: &tmp,
        };
        let put = put(&place)?;
        if let Some(layer) = self.find(&put.key)? {
            return Ok(Outcome::Found(layer));
        }
        let layer = root::store(put.assembly, self.root.top(), put.clamp, images, self.build.lease)?;
        Ok(Outcome::Made(put.key, layer))
    }

    /// The layer that is recorded for `key`, unless the stage is to be built anew.
    fn find(&self, key: &Digest) -> Result<Option<Layer>> {
        if self.stage.ignores_cache {
            return Ok(None);
        }
        let content = &self.engine.images()?.content;
        self.build.cache.find(key, self.root.top(), content, self.build.lease)
    }

    /// Adds a new layer to the root, and to the records.
    fn record(&mut self, key: Digest, layer: Layer) -> Result<()> {
        let created = Some(rfc3339(self.build.created));
        let layer = Layer { key: Some(key.clone()), created, ..layer };
        let images = self.engine.images()?;
        self.build.lease.protect_layer(&layer.chain)?;
        self.root.layers.push(layer.clone());
        self.root.ensure(images, self.build.lease)?;
        self.build.cache.record_layer(&key, &layer, &images.content)
    }

    /// The files that an instruction reads; those of the context where it names no others.
    fn files(&self, from: Option<&Source>) -> Result<Files> {
        let build = self.build;
        match from {
            None => Ok(build.context.clone()),
            Some(Source::Scratch) => self.of_root(&Root::default(), "scratch".to_owned()),
            Some(Source::Stage(other)) => {
                let name = &build.stages.stage(*other)?.name;
                self.of_root(&self.finished.wait(*other)?, format!("the stage `{name}`"))
            }
            Some(Source::Image(name)) => self.of_image(name),
            Some(source @ Source::Context(name)) => {
                match (build.directories.get(name), build.pulled.name(source)) {
                    (Some(files), _) => Ok(files.clone()),
                    (None, Some(image)) => self.of_image(image),
                    (None, None) => {
                        Err(Error::new(Kind::NotFound, format!("read from the context `{name}`")))
                    }
                }
            }
        }
    }

    fn of_image(&self, name: &str) -> Result<Files> {
        let Some(found) = self.build.pulled.image(name, &self.stage.platform) else {
            return Err(Error::new(Kind::NotFound, format!("read from the image `{name}`")));
        };
        self.of_root(&Root::of(found), format!("the image `{name}`"))
    }

    fn of_root(&self, root: &Root, name: String) -> Result<Files> {
        let images = self.engine.images()?;
        root.ensure(images, self.build.lease)?;
        Ok(Files::of_root(root.files(&images.snapshots)?, name))
    }
}
