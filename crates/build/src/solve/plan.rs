//! From the graph to stages that are definite: their images fetched, their triggers added, their steps known.

use std::collections::BTreeMap;

use taru_engine::Engine;
use taru_engine::image::platform::is_interpreted;
use taru_oci::{Image, Platform};
use taru_stdx::{Error, Kind, Result};

use super::pulled::Pulled;
use super::{Below, Stage, Stages, unfinished};
use crate::dockerfile::{Dockerfile, Placed, at};
use crate::graph::{Graph, Node, Source};
use crate::options::Options;
use crate::root::Root;
use crate::stage::{self, Action, Around, Step};

/// Fetches the images that are needed and makes the stages definite, each behind those it needs; triggers may add to both.
///
/// # Errors
/// An image that cannot be had; everything that is wrong with a stage.
pub(super) fn plan(
    engine: &Engine,
    file: &Dockerfile,
    graph: Graph,
    options: &Options,
    pulled: &mut Pulled<'_>,
) -> Result<Stages> {
    let mut planner = Planner { engine, file, graph, options, pulled, stages: BTreeMap::new() };
    while let Some(index) = planner.next() {
        planner.plan(index)?;
    }
    let (order, target) = (planner.graph.order(), planner.graph.target);
    Ok(Stages { all: planner.stages, order, target })
}

struct Planner<'a, 'p> {
    engine: &'a Engine,
    file: &'a Dockerfile,
    graph: Graph,
    options: &'a Options,
    pulled: &'a mut Pulled<'p>,
    /// Those that are definite.
    stages: BTreeMap<usize, Stage>,
}

impl Planner<'_, '_> {
    /// The first stage that is not definite.
    fn next(&self) -> Option<usize> {
        self.graph.order().into_iter().find(|index| !self.stages.contains_key(index))
    }

    /// Makes a stage definite, unless its base has a trigger that needs another one before.
    fn plan(&mut self, index: usize) -> Result<()> {
        let (node, stage) = (self.graph.nodes[index].clone(), &self.file.stages[index]);
        let (below, image) = self.below(&node, index)?;
        let mut instructions = self.triggers(index, &image)?;
        if self.next() != Some(index) {
            return Ok(());
        }
        instructions.extend(stage.instructions.iter().cloned());
        self.fetch_sources(&node.platform, &instructions, index)?;
        let around = Around {
            name: &self.file.name,
            escape: self.file.escape,
            index,
            graph: &self.graph,
            args: &self.options.args,
        };
        let mut definite = stage::resolve(around, image, &instructions)?;
        if self.graph.target == index {
            self.label(&mut definite.image);
        }
        check_platform(&node.platform, &definite.steps).map_err(|e| at(&self.file.name, stage.line, e))?;
        let name = stage.from.name.as_ref();
        let ignores_cache =
            self.options.no_cache || self.options.no_cache_filter.iter().any(|filter| Some(filter) == name);
        let stage = Stage {
            below,
            platform: node.platform,
            steps: definite.steps,
            image: definite.image,
            name: name.cloned().unwrap_or_else(|| format!("stage-{index}")),
            ignores_cache,
        };
        self.stages.insert(index, stage);
        Ok(())
    }

    /// What a stage stands on, and the configuration that it begins with.
    fn below(&mut self, node: &Node, index: usize) -> Result<(Below, Image)> {
        match &node.base {
            Source::Scratch => Ok((Below::Root(Root::default()), stage::scratch(&node.platform))),
            Source::Stage(other) => {
                let stage = self.stages.get(other).ok_or_else(|| unfinished(*other))?;
                Ok((Below::Stage(*other), stage.image.clone()))
            }
            Source::Image(name) => {
                let line = self.file.stages[index].line;
                self.image(name, &node.platform).map_err(|e| at(&self.file.name, line, e))
            }
            Source::Context(context) => match self.pulled.name(&node.base).map(str::to_owned) {
                Some(name) => self.image(&name, &node.platform),
                None => Err(Error::new(
                    Kind::Unsupported,
                    format!("begin a stage from the context `{context}`: it is a directory"),
                )
                .hint("COPY --from takes directories; FROM takes docker-image://NAME")),
            },
        }
    }

    fn image(&mut self, name: &str, platform: &Platform) -> Result<(Below, Image)> {
        let found = self.pulled.pull(self.engine, name, platform)?;
        Ok((Below::Root(Root::of(&found)), found.config.clone()))
    }

    /// The instructions that the base has for images on it; what they need is added to the graph.
    fn triggers(&mut self, index: usize, base: &Image) -> Result<Vec<Placed>> {
        let texts = base.config.as_ref().and_then(|config| config.on_build.as_ref());
        let mut triggers = Vec::new();
        for text in texts.into_iter().flatten() {
            let placed = Dockerfile::trigger(text, "the base image")?;
            self.graph.add(index, &placed)?;
            triggers.push(placed);
        }
        Ok(triggers)
    }

    /// Fetches the images that instructions read from.
    fn fetch_sources(&mut self, platform: &Platform, instructions: &[Placed], index: usize) -> Result<()> {
        for placed in instructions {
            for name in placed.instruction.sources() {
                // What is no source is told with all else that is wrong with the stage.
                let Ok(source) = self.graph.from(index, name) else { continue };
                let Some(image) = self.pulled.name(&source).map(str::to_owned) else { continue };
                self.fetch(&image, platform).map_err(|e| at(&self.file.name, placed.line, e))?;
            }
        }
        Ok(())
    }

    fn fetch(&mut self, image: &str, platform: &Platform) -> Result<()> {
        if image.contains('$') {
            return Err(Error::invalid(format!("read from `{image}`: --from takes no variables"))
                .hint(format!("name it by a stage: FROM {image} AS name")));
        }
        self.pulled.pull(self.engine, image, platform).map(drop)
    }

    fn label(&self, image: &mut Image) {
        if !self.options.labels.is_empty() {
            let labels = image.config.get_or_insert_default().labels.get_or_insert_default();
            labels.extend(self.options.labels.clone());
        }
    }
}

/// Programs of another processor run only where the kernel was told of an interpreter.
fn check_platform(own: &Platform, steps: &[Step]) -> Result<()> {
    let host = Platform::host();
    let runs = steps.iter().any(|step| matches!(step.action, Action::Run(_)));
    if !runs || own.suits(&host).is_some() || is_interpreted(own) {
        return Ok(());
    }
    Err(Error::new(Kind::Unsupported, format!("execute a RUN for `{own}`: this host is `{host}`"))
        .hint("an emulator that is registered with the kernel can: package `qemu-user-static` (binfmt_misc)"))
}
