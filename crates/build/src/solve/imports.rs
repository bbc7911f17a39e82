//! `--cache-from`: where else results of steps may be. What cannot be had is no reason not to build.

use taru_engine::Engine;
use taru_engine::image::find::Found;
use taru_engine::image::start::{self, Pull, Wanted};
use taru_engine::image::wishes;
use taru_stdx::Result;

use super::pulled::Fetch;
use crate::cache::{Cache, Layer};
use crate::options::{CacheFrom, Options};
use crate::output;
use crate::progress::Steps;
use crate::root::Root;

/// Adds what the options name to the cache.
pub(super) fn add(cache: &mut Cache, engine: &Engine, options: &Options, steps: &Steps<'_>) {
    for from in &options.cache_from {
        match from {
            CacheFrom::Local(dir) => cache.add_other(dir.clone()),
            CacheFrom::Image(name) => match obtain(engine, name, options, steps) {
                Ok(found) => add_image(cache, &found),
                Err(e) => steps.warn(&format!("the cache of `{name}` is not used: {}", e.chain())),
            },
        }
    }
}

fn obtain(engine: &Engine, name: &str, options: &Options, steps: &Steps<'_>) -> Result<Found> {
    let wishes = wishes::Wishes::default();
    let wanted = Wanted { name, platform: options.platform.as_ref(), pull: Pull::Missing, wishes: &wishes };
    start::obtain(engine, &wanted, &Fetch(&steps.aside()))
}

/// The layers of an image that says which keys they are of.
fn add_image(cache: &mut Cache, found: &Found) {
    // A build of these layers alone is that image again, and as old.
    let created = &found.config.created;
    for (key, layer) in output::keys(&found.document).into_iter().zip(Root::of(found).layers) {
        if let Some(key) = key {
            let layer = Layer { key: Some(key.clone()), created: created.clone(), ..layer };
            cache.add_inline(key, layer);
        }
    }
}
