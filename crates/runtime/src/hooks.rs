//! Hooks: programs run at points of a container's life, with its state on their standard input.
//!
//! A hook gets its own environment and no descriptor of the runtime's or its caller's. Without one it gets the
//! runtime's, as runc and crun have it, but only on the host: a program of the container learns nothing from it.
//! No signal is blocked in it, though `run` has all of them blocked.
//! What a hook prints is kept for the error message. One that outlives its timeout is killed and counts as failed.

use std::io::{Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fd::{cloexec_from, memfd_create};
use taru_sys::poll::{events, poll};
use taru_sys::process::{Pid, pidfd_open};
use taru_sys::signal::block_none_in;

use crate::spec::{Hook, Spec};

/// How much of what a hook printed an error repeats.
const OUTPUT_LIMIT: u64 = 2048;

/// The state of a container as hooks get it, in the specification's words: `pid` is init's, as the namespace counts that the
/// hook runs in.
pub(crate) fn state_json(spec: &Spec, id: &str, status: &str, pid: Option<i32>, bundle: &Path) -> String {
    let mut state = serde_json::json!({
        "ociVersion": if spec.oci_version.is_empty() { crate::spec::VERSION } else { &spec.oci_version },
        "id": id,
        "status": status,
        "bundle": bundle,
        "annotations": spec.annotations,
    });
    if let (Some(pid), Some(state)) = (pid, state.as_object_mut()) {
        state.insert("pid".into(), pid.into());
    }
    state.to_string()
}

/// Where a hook runs.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// In the runtime's namespaces, in this directory if it is still there.
    Host(Option<&'a Path>),
    /// In the container's, in this directory if it can be entered from there.
    Container(Option<&'a Path>),
}

/// Runs the hooks called `name` in order; the first that fails ends it.
///
/// # Errors
/// The hook's place and path, with how it ended and what it printed.
pub(crate) fn run(name: &str, hooks: &[Hook], state: &str, place: Place<'_>) -> Result<()> {
    for (n, hook) in hooks.iter().enumerate() {
        run_one(hook, state, place).context(|| format!("run {name} hook #{n} `{}`", hook.path.display()))?;
    }
    Ok(())
}

/// Runs the poststop hooks of a container that is gone. The specification has a failing one warned of, and the
/// others run.
pub(crate) fn poststop(spec: &Spec, id: &str, bundle: &Path) -> Vec<String> {
    let Some(all) = &spec.hooks else { return Vec::new() };
    let state = state_json(spec, id, "stopped", None, bundle);
    let place = Place::Host(bundle.is_dir().then_some(bundle));
    all.poststop
        .iter()
        .filter_map(|hook| run("poststop", std::slice::from_ref(hook), &state, place).err())
        .map(|e| e.chain().to_string())
        .collect()
}

/// The state as a file in memory: a pipe holds only so much, and a hook need not read its input.
fn input(state: &str) -> Result<Stdio> {
    let what = || "hand over the state";
    let mut file = std::fs::File::from(memfd_create(c"hook-state", false).context(what)?);
    file.write_all(state.as_bytes()).and_then(|()| file.rewind()).context(what)?;
    Ok(file.into())
}

fn run_one(hook: &Hook, state: &str, place: Place<'_>) -> Result<()> {
    let output = std::fs::File::from(memfd_create(c"hook-output", false).context(|| "keep the output")?);
    let share = || output.try_clone().context(|| "keep the output");
    let mut command = Command::new(&hook.path);
    if let Some((zeroth, rest)) = hook.args.split_first() {
        command.arg0(zeroth).args(rest);
    }
    command.stdin(input(state)?).stdout(share()?).stderr(share()?);
    if hook.env.is_some() || matches!(place, Place::Container(_)) {
        command.env_clear();
    }
    for entry in hook.env.iter().flatten() {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        if !name.is_empty() {
            command.env(name, value);
        }
    }
    if let Place::Host(Some(dir)) | Place::Container(Some(dir)) = place {
        command.current_dir(dir);
    }
    // A group of its own, so that a timeout reaches what the hook started too.
    command.process_group(0);
    block_none_in(&mut command);
    cloexec_from(3).context(|| "close descriptors on execve")?;
    let mut child = command.spawn().context(|| "execute it")?;
    let status = wait(&mut child, hook.timeout)?;
    if status.success() {
        return Ok(());
    }
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (_, Some(signal)) => format!("killed by {}", taru_sys::signal::name(signal)),
        _ => "unknown status".to_owned(),
    };
    let printed = printed(output);
    let tail = if printed.is_empty() { String::new() } else { format!(", it printed: {printed}") };
    Err(Error::new(Kind::System, format!("{how}{tail}")))
}

fn wait(child: &mut Child, timeout: Option<i64>) -> Result<std::process::ExitStatus> {
    if let Some(seconds) = timeout.filter(|s| *s > 0) {
        let pid = Pid(child.id() as i32);
        let pidfd = pidfd_open(pid).context(|| "watch it")?;
        let limit = Duration::from_secs(seconds as u64);
        let [seen] = poll([(pidfd.as_fd(), events::IN)], Some(limit)).context(|| "wait for it")?;
        if seen == 0 {
            let _ = taru_sys::process::kill_group(pid, taru_sys::signal::SIGKILL);
            let _ = child.wait();
            return Err(Error::new(Kind::Limit, format!("killed after its timeout of {seconds} s")));
        }
    }
    child.wait().context(|| "wait for it")
}

fn printed(mut output: std::fs::File) -> String {
    let mut text = Vec::new();
    let start = output.metadata().map_or(0, |m| m.len().saturating_sub(OUTPUT_LIMIT));
    if output.seek(std::io::SeekFrom::Start(start)).is_ok() {
        let _ = output.take(OUTPUT_LIMIT).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).trim().replace('\n', " | ")
}
