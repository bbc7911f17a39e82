//! The listener of a seccomp filter, handed to the agent that answers for it.
//!
//! The agent listens on `linux.seccomp.listenerPath`, gets one message, the container process state of
//! the specification ("containerProcessState"), and beside it the descriptor.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use taru_stdx::{Context, Error, Result};
use taru_sys::socket;

use crate::hooks;
use crate::spec::Spec;
use crate::state::Record;

/// Sends `listener` of the container's own process.
pub(crate) fn send(spec: &Spec, record: &Record, listener: OwnedFd) -> Result<()> {
    let pid = record.state.init.map_or(0, |p| p.pid);
    send_for(spec, &record.state.id, &record.state.bundle, "running", (pid, pid), listener)
}

/// Sends `listener` of process `pids.1` in the container whose init is `pids.0`.
pub(crate) fn send_for(
    spec: &Spec,
    id: &str,
    bundle: &Path,
    status: &str,
    pids: (i32, i32),
    listener: OwnedFd,
) -> Result<()> {
    let text = spec.linux.as_ref().and_then(|l| l.seccomp.as_ref()).map_or("null", |s| s.get());
    let profile = taru_seccomp::Profile::parse(text)?;
    let path = profile.as_ref().and_then(|p| p.listener_path.as_deref());
    let path = path.ok_or_else(|| Error::invalid("hand over the seccomp listener: no listenerPath"))?;
    let what = || format!("hand the seccomp listener to `{}`", path.display());
    let state: serde_json::Value =
        serde_json::from_str(&hooks::state_json(spec, id, status, Some(pids.0), bundle)).context(what)?;
    let mut message = serde_json::json!({
        "ociVersion": crate::spec::VERSION,
        "fds": ["seccompFd"],
        "pid": pids.1,
        "state": state,
    });
    let metadata = profile.as_ref().and_then(|p| p.listener_metadata.clone());
    if let (Some(metadata), Some(object)) = (metadata, message.as_object_mut()) {
        object.insert("metadata".into(), metadata.into());
    }
    let agent = socket::connect(path, true).context(what)?;
    socket::send_with_fds(agent.as_fd(), message.to_string().as_bytes(), &[listener.as_fd()])
        .context(what)?;
    Ok(())
}
