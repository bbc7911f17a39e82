//! The images that a build stands on and reads from: fetched when they are first needed, each once a platform.

use std::collections::BTreeMap;
use std::sync::Arc;

use taru_content::Lease;
use taru_engine::Engine;
use taru_engine::image::find::Found;
use taru_engine::image::progress::{Progress as Fetching, Step as FetchStep};
use taru_engine::image::start::{self, Pull, Wanted};
use taru_engine::image::wishes;
use taru_oci::{Digest, Platform};
use taru_stdx::Result;

use crate::graph::Source;
use crate::options::{Named, Options};
use crate::progress::{Begun, Steps};

/// The images of a build; its lease keeps them.
pub(super) struct Pulled<'a> {
    options: &'a Options,
    lease: &'a Lease,
    steps: &'a Steps<'a>,
    /// By name and platform.
    images: BTreeMap<(String, String), Arc<Found>>,
}

impl<'a> Pulled<'a> {
    pub(super) fn new(options: &'a Options, lease: &'a Lease, steps: &'a Steps<'a>) -> Pulled<'a> {
        Pulled { options, lease, steps, images: BTreeMap::new() }
    }

    /// The name of the image that `source` is, by its own or as a named context; `None` for anything else.
    pub(super) fn name<'s>(&'s self, source: &'s Source) -> Option<&'s str> {
        match source {
            Source::Image(name) => Some(name),
            Source::Context(name) => match self.options.contexts.get(name) {
                Some(Named::Image(image)) => Some(image),
                _ => None,
            },
            Source::Scratch | Source::Stage(_) => None,
        }
    }

    /// The image of that name, if it was fetched.
    pub(super) fn image(&self, name: &str, platform: &Platform) -> Option<&Arc<Found>> {
        self.images.get(&(name.to_owned(), platform.to_string()))
    }

    /// The same, fetched if it was not.
    ///
    /// # Errors
    /// As [`start::obtain`].
    pub(super) fn pull(&mut self, engine: &Engine, name: &str, platform: &Platform) -> Result<Arc<Found>> {
        if let Some(found) = self.image(name, platform) {
            return Ok(found.clone());
        }
        let begun = self.steps.begin(&format!("FROM {name}"));
        let wanted = Wanted {
            name,
            platform: Some(platform),
            pull: if self.options.pull { Pull::Always } else { Pull::Missing },
            wishes: &wishes::Wishes::default(),
        };
        let found = start::obtain(engine, &wanted, &Fetch(&begun)).inspect_err(|e| begun.failed(e))?;
        for layer in found.chain() {
            self.lease.protect_layer(&layer)?;
        }
        self.lease.protect_blob(&found.target.digest)?;
        begun.done(true);
        let found = Arc::new(found);
        self.images.insert((name.to_owned(), platform.to_string()), found.clone());
        Ok(found)
    }
}

/// Passes on how an image is fetched.
pub(super) struct Fetch<'a>(pub &'a Begun<'a>);

impl Fetching for Fetch<'_> {
    fn begin(&self, step: FetchStep, digest: &Digest, size: u64) {
        let what = match step {
            FetchStep::Fetch => "fetch",
            FetchStep::Unpack => "unpack",
            FetchStep::Push => "push",
        };
        self.0.line(&format!("{what} {} ({size} bytes)", digest.short()));
    }
    fn advance(&self, _: FetchStep, _: &Digest, _: u64) {}
    fn end(&self, _: FetchStep, _: &Digest, _: bool) {}
    fn say(&self, line: &str) {
        self.0.line(line);
    }
}
