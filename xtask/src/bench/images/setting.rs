//! What every measurement has: the registry, the engines, the clock, and the rows of the table.

use std::path::PathBuf;

use taru_stdx::Result;

use super::engines::Engines;
use super::registry::Registry;
use crate::bench::measure::{Case, Measure, Sample};
use crate::bench::table::{self, Row};

/// The registry, the engines, and the clock.
pub(super) struct Bench {
    pub(super) dir: PathBuf,
    pub(super) runtime: PathBuf,
    pub(super) engines: Engines,
    pub(super) registry: Registry,
    pub(super) measure: Measure,
}

/// A row of the table: a sample of each engine, ours first, and of each peer with what it wrote synced.
pub(super) struct Peers<'s> {
    pub(super) ours: &'s Sample,
    pub(super) podman: Option<[&'s Sample; 2]>,
    pub(super) containerd: Option<[&'s Sample; 2]>,
    pub(super) buildah: Option<[&'s Sample; 2]>,
}

impl Bench {
    /// What a peer does, and that followed by a sync: two samples.
    pub(super) fn durably(&self, before: Case, work: Case) -> Case {
        before.untimed().then(work).lap().then(self.engines.sync())
    }

    /// The image into the lasting stores.
    pub(super) fn fill(&self, name: &str) -> Result<()> {
        self.pulls("", name).iter().try_for_each(|pull| self.measure.once(pull))
    }

    /// The image into the stores of taru, podman and buildah whose names end so.
    pub(super) fn pulls(&self, end: &str, name: &str) -> [Case; 3] {
        let (e, store) = (&self.engines, |engine| format!("{engine}{end}"));
        let theirs = ["pull", "--quiet", "--tls-verify=false", name];
        [
            e.taru(&store("taru"), &["pull", "--quiet", name]),
            e.podman(&store("podman"), &theirs),
            e.buildah(&store("buildah"), &theirs),
        ]
    }

    /// Removes the lasting stores.
    pub(super) fn empty(&self) -> Result<()> {
        self.measure.once(&self.engines.empty())
    }
}

impl<'s> Peers<'s> {
    /// Of taru, podman and buildah, which were measured in this order.
    pub(super) fn of_files(samples: &'s [Sample]) -> Peers<'s> {
        let [ours, podman, podman_synced, buildah, buildah_synced, ..] = samples else {
            unreachable!("three cases, two of them with a lap");
        };
        Peers {
            ours,
            podman: Some([podman, podman_synced]),
            containerd: None,
            buildah: Some([buildah, buildah_synced]),
        }
    }

    /// Two rows: the peers as they are, and followed by a sync.
    pub(super) fn print(&self, what: &str) {
        let ours = Row::seconds(self.ours);
        for (synced, note) in [(0, ""), (1, ", peers followed by `sync -f`")] {
            let of = |peer: &Option<[&Sample; 2]>| peer.map(|both| Row::seconds(both[synced]));
            let peers = [of(&self.podman), of(&self.containerd), of(&self.buildah)];
            let mut cells = vec![Some(&ours)];
            cells.extend(peers.iter().map(Option::as_ref));
            table::print_some(&format!("{what}{note}"), &cells);
        }
    }
}
