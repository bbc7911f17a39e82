//! The container that executes a RUN.

use std::collections::BTreeMap;
use std::path::PathBuf;

use taru_engine::config::{self, ContainerConfig};
use taru_oci::Digest;

use super::Around;
use crate::dockerfile::Network;
use crate::options::Network as OfBuild;
use crate::stage::RunStep;

/// Whether a step has a network, where `default` is what `--network` says of the build.
pub(super) fn has_network(step: &RunStep, default: OfBuild) -> bool {
    !matches!((step.network, default), (Network::None, _) | (Network::Default, OfBuild::None))
}

/// The container of a step, above the layer `top`.
pub(super) fn config(step: &RunStep, around: &Around<'_>, top: Option<&Digest>) -> ContainerConfig {
    let net = match has_network(step, around.options.network) {
        true => config::Net::Host,
        false => config::Net::None,
    };
    ContainerConfig {
        version: config::VERSION,
        root: config::Root::Image {
            name: around.name.to_owned(),
            // There is no image yet that the layers belong to.
            id: around.parent.cloned().unwrap_or_else(|| Digest::of(b"")),
            manifest: around.parent.cloned().unwrap_or_else(|| Digest::of(b"")),
            chain: top.cloned(),
        },
        read_only: false,
        keep: true,
        remove: true,
        args: step.args.clone(),
        env: step.env.clone(),
        workdir: PathBuf::from(&step.cwd),
        user: (!step.user.is_empty()).then(|| step.user.clone()),
        hostname: Some("taru-build".to_owned()),
        tty: false,
        interactive: false,
        binds: Vec::new(),
        net,
        userns: if step.insecure { config::Userns::Host } else { config::Userns::Private },
        cap_add: if step.insecure { vec!["ALL".to_owned()] } else { Vec::new() },
        cap_drop: Vec::new(),
        rlimits: Vec::new(),
        limits: config::Limits::default(),
        cgroup_parent: around.options.cgroup_parent.clone(),
        log: config::LogLimits::default(),
        health: None,
        stop_signal: None,
        volumes: Vec::new(),
        labels: BTreeMap::new(),
    }
}
