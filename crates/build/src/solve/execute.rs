//! The stages built, each in a thread of its own, its steps one after another.

use std::panic::{AssertUnwindSafe, catch_unwind};

use taru_oci::Image;
use taru_stdx::{Error, Kind, Result};

use super::finished::Finished;
use super::slots::Slots;
use super::worker::Worker;
use super::{Below, Build, unfinished};
use crate::dockerfile::at;
use crate::root::Root;
use crate::stage::Step;

/// Builds all stages; gives the target's root, and its configuration.
///
/// # Errors
/// Of the step that failed first.
pub(super) fn execute(build: &Build<'_>) -> Result<(Root, Image)> {
    let (finished, slots) = (Finished::default(), Slots::of_host());
    std::thread::scope(|scope| {
        for index in &build.stages.order {
            let (finished, slots) = (&finished, &slots);
            scope.spawn(move || {
                // Where panics unwind (they do not in a release, which ends at once) the other stages must not wait
                // for one that will never be done.
                let done = catch_unwind(AssertUnwindSafe(|| stage(build, *index, finished, slots)));
                let panicked = |_| Err(Error::new(Kind::System, "build a stage: a panic"));
                finished.tell(*index, done.unwrap_or_else(panicked));
            });
        }
    });
    let target = build.stages.target;
    let root = finished.into_roots()?.remove(&target).ok_or_else(|| unfinished(target))?;
    Ok((root, build.stages.stage(target)?.image.clone()))
}

/// Does the steps of a stage.
fn stage(build: &Build<'_>, index: usize, finished: &Finished, slots: &Slots) -> Result<Root> {
    let stage = build.stages.stage(index)?;
    let root = match &stage.below {
        Below::Stage(other) => finished.wait(*other)?,
        Below::Root(root) => root.clone(),
    };
    if stage.steps.is_empty() {
        return Ok(root);
    }
    let mut worker = Worker::new(build, stage, finished, root)?;
    let total = stage.steps.len();
    for (step, number) in stage.steps.iter().zip(1..) {
        // What it reads comes first, without a slot: whoever makes it needs one.
        worker.wait_for_sources(step)?;
        let _slot = slots.take();
        finished.check()?;
        let begun = build.steps.begin(&format!("[{} {number}/{total}] {}", stage.name, step.text));
        match worker.step(step, &begun) {
            Ok(was_there) => begun.done(was_there),
            Err(e) => {
                begun.failed(&e);
                return Err(failed(build, step, e));
            }
        }
    }
    Ok(worker.into_root())
}

/// Why a step failed, and where it stands; a trigger stands nowhere.
fn failed(build: &Build<'_>, step: &Step, e: Error) -> Error {
    let e = Error::new(e.kind(), format!("build step `{}`", shorten(&step.text))).because(e);
    if step.line == 0 { e } else { at(build.name, step.line, e) }
}

fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(100) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}
