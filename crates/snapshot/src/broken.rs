//! Layers that a check found broken: a mark in their directory, the empty file `broken`.
//!
//! The check reads every byte; whoever wants the layer later looks for the mark alone, one call a layer, and may have it
//! unpacked anew ([`Snapshots::unpack`] takes the place of a marked layer). The mark goes with the directory.

use std::fs::{self, File};

use taru_oci::Digest;
use taru_stdx::Result;

use crate::layout::{self, LOCKS};
use crate::lock::Lock;
use crate::staging::Staging;
use crate::store::Snapshots;

const MARK: &str = "broken";

impl Snapshots {
    /// Whether the last check of the layer found it broken.
    pub fn is_broken(&self, chain: &Digest) -> bool {
        layout::layer(&self.dir, chain).join(MARK).exists()
    }

    /// Takes a broken layer away, to be removed when it is dropped.
    pub(crate) fn take_broken(&self, chain: &Digest) -> Result<Option<Staging>> {
        if !self.is_broken(chain) {
            return Ok(None);
        }
        // Of two that renew it, the second must not take away what the first has put in its place.
        let _lock = Lock::take(&self.dir.join(LOCKS), "broken")?;
        match self.is_broken(chain) {
            true => self.take_away(&layout::layer(&self.dir, chain)),
            false => Ok(None),
        }
    }

    /// Notes what a check found. A mark that cannot be written, or that a power cut takes, is the next check's to make: no
    /// layer is worse for the lack of it.
    pub(crate) fn mark(&self, chain: &Digest, is_broken: bool) {
        let mark = layout::layer(&self.dir, chain).join(MARK);
        let _ = match is_broken {
            true => File::create(&mark).map(drop),
            false if mark.exists() => fs::remove_file(&mark),
            false => Ok(()),
        };
    }
}
