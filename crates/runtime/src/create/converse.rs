//! The conversation with init until it is ready, and what the host does meanwhile in the runtime's namespaces.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use taru_stdx::{Context, Error, Kind, Result, Undo};
use taru_sys::fs;
use taru_sys::process::Child;

use crate::plan::Plan;
use crate::spec::Spec;
use crate::wire::{Link, Message};
use crate::{ended, hooks};

/// What init said by the time that it was ready.
#[derive(Default)]
pub(super) struct Answer {
    /// The main side of its terminal.
    pub terminal: Option<OwnedFd>,
    /// What is worth a warning.
    pub warnings: Vec<String>,
}

/// Serves init until it is ready. What the host gives to the container meanwhile comes back by `undo`.
///
/// # Errors
/// What init fails with, or how it ended without a word; what a step of the host fails with.
pub(super) fn converse(
    plan: &Plan,
    spec: &Spec,
    link: &Link,
    init: &Child,
    undo: &mut Undo<'_>,
) -> Result<Answer> {
    let mut answer = Answer::default();
    loop {
        let message = link
            .expect("the container's init", Ok)
            .map_err(|e| ended::explain(e, "create the container: its init", init))?;
        match message {
            Message::Prepared => {
                between(plan, spec, init, undo)?;
                link.send(&Message::Continue)?;
            }
            Message::Terminal(main) => answer.terminal = Some(main),
            Message::Ready(warnings) => {
                answer.warnings = warnings;
                return Ok(answer);
            }
            _ => return Err(Error::new(Kind::System, "the container's init spoke out of turn")),
        }
    }
}

/// What comes between the mounts and pivot_root.
fn between(plan: &Plan, spec: &Spec, init: &Child, undo: &mut Undo<'_>) -> Result<()> {
    let state = hooks::state_json(spec, &plan.id, "creating", Some(init.pid.0), &plan.bundle);
    let place = hooks::Place::Host(Some(&plan.bundle));
    move_net_devices(plan, init, undo)?;
    hooks::run("prestart", &plan.hooks.prestart, &state, place)?;
    hooks::run("createRuntime", &plan.hooks.create_runtime, &state, place)
}

/// With the container's network namespace what is only in memory ends, a veth or a bridge: so it comes back before that.
fn move_net_devices(plan: &Plan, init: &Child, undo: &mut Undo<'_>) -> Result<()> {
    if plan.net_devices.is_empty() {
        return Ok(());
    }
    let path = PathBuf::from(format!("/proc/{}/ns/net", init.pid));
    let target = fs::openat(fs::CWD, &path, fs::OpenFlags::RDONLY, 0)
        .context(|| "open the container's network namespace")?;
    let devices: Vec<_> = plan
        .net_devices
        .iter()
        .map(|(name, new_name)| taru_netlink::Device { name, new_name: new_name.as_deref() })
        .collect();
    let moved = taru_netlink::move_devices(&devices, target.as_fd())?;
    undo.push(move || taru_netlink::move_back(&moved, target.as_fd()));
    Ok(())
}
