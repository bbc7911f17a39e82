//! `RUN --mount=type=ssh`: a way to an agent outside, and the variable by which ssh finds it.

use std::path::PathBuf;

use taru_engine::step::{Extra, ExtraSource, Extras};
use taru_stdx::{Error, Kind, Result};

use super::Around;
use super::agent::Relay;
use super::kept::Kept;
use crate::scratch::Scratch;
use crate::stage::Mount;

/// Adds a way to an agent to what the container gets; one that nobody gave is none, unless it is required.
pub(super) fn add(mount: &Mount, around: &Around<'_>, kept: &mut Kept, extras: &mut Extras) -> Result<()> {
    let Some(socket) = around.options.ssh.get(&mount.id) else {
        if mount.required {
            let text = format!("give the agent `{}` to the step: nobody gave it", mount.id);
            return Err(Error::new(Kind::NotFound, text).hint(format!("--ssh {}", mount.id)));
        }
        return Ok(());
    };
    let number = kept.agents.len();
    let target = match mount.target.as_str() {
        "" => format!("/run/buildkit/ssh_agent.{number}"),
        target => target.to_owned(),
    };
    let dir = Scratch::new(&around.cache.tmp())?;
    let relay = Relay::start(dir, socket, mount.mode.unwrap_or(0o600))?;
    extras.mounts.push(Extra {
        target: PathBuf::from(&target),
        source: ExtraSource::Own { path: relay.path().to_owned(), owner: (mount.uid, mount.gid) },
    });
    extras.env.push(format!("SSH_AUTH_SOCK={target}"));
    kept.agents.push(relay);
    Ok(())
}
