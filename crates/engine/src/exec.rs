//! A further program in a container that runs.

use std::path::Path;

use taru_rootdir::RootDir;
use taru_runtime::spec::{CONFIG, CONFIG_LIMIT, Process, User};
use taru_stdx::fs::{Sync, read_bounded, replace};
use taru_stdx::{Context, Error, Kind, Result};

use crate::reconcile::{self, Status};
use crate::record::Record;
use crate::run::{self, Outcome};
use crate::told::{self, Detail};
use crate::{Engine, bundle, runtime, user};

/// What is to be executed.
#[derive(Debug, Clone)]
pub struct Exec {
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether nobody waits for it.
    pub detach: bool,
    /// As typed; `None` is the container's own user.
    pub user: Option<String>,
    /// `None` is the container's own.
    pub workdir: Option<String>,
    /// Further variables.
    pub env: Vec<String>,
    /// The program and its arguments.
    pub args: Vec<String>,
}

/// Executes a further program in the container `key`, to its end unless nobody waits for it.
///
/// # Errors
/// [`Kind::State`] if it does not run.
pub fn exec(engine: &mut Engine, key: &str, wanted: &Exec) -> Result<Outcome> {
    let (record, status) = reconcile::one(engine, key)?;
    let Status::Running { .. } = status else {
        return Err(Error::new(Kind::State, format!("execute a program in `{key}`: it is not running"))
            .hint(format!("`taru start {}` starts what has ended", record.name)));
    };
    let bundle = engine.dirs.bundle(&record.id);
    let pid = taru_sys::process::getpid();
    let log = bundle.join(format!("exec.{pid}.log"));
    let file = bundle.join(format!("exec.{pid}.json"));
    let mut words = engine.runtime.words(&[&"--log", &log, &"--log-format", &"json", &"exec"]);
    if let Some(name) = &wanted.user {
        let user = find_user(engine, &record.id, name)?;
        let process = process_as(&record, &bundle, user, wanted)?;
        let text = serde_json::to_vec(&process)
            .context_as(Kind::System, || format!("describe the program for `{key}`"))?;
        replace(&file, &text, 0o600, Sync::Atomic)?;
        words.push("--process".into());
        words.push(file.clone().into());
    } else {
        if let Some(dir) = &wanted.workdir {
            words.extend(["--cwd".into(), dir.into()]);
        }
        for variable in &wanted.env {
            words.extend(["--env".into(), variable.into()]);
        }
    }
    if wanted.tty {
        words.push("--tty".into());
    }
    if wanted.detach {
        words.push("--detach".into());
    }
    words.push(record.id.clone().into());
    if wanted.user.is_none() {
        words.extend(wanted.args.iter().map(Into::into));
    }
    (engine.say)(Detail::Every, &format!("execute {}", told::line(&words)));
    let done = run::follow(words, engine.report, || Ok(()));
    let failure = runtime::failure(&log);
    // They go with the bundle at the latest.
    for path in [&log, &file] {
        let _ = std::fs::remove_file(path);
    }
    let status = done?;
    Ok(failure.map_or(Outcome::Exited(status), |e| Outcome::Refused(e.kind())))
}

/// The container's own process, but that `user` executes what is wanted: not with the groups, capabilities and home of
/// whom the container runs as. Root of a container that an ordinary user runs in may do what root may.
fn process_as(record: &Record, bundle: &Path, user: user::User, wanted: &Exec) -> Result<Process> {
    #[derive(serde::Deserialize)]
    struct Document {
        process: Process,
    }
    let path = bundle.join(CONFIG);
    let Document { mut process } = serde_json::from_slice(&read_bounded(&path, CONFIG_LIMIT)?)
        .context_as(Kind::State, || format!("parse `{}`", path.display()))?;
    if let Ok(config) = &record.config {
        process.capabilities = Some(bundle::capabilities(config, user.uid == 0));
        if !config.env.iter().any(|variable| variable.starts_with("HOME=")) {
            process.env.retain(|variable| !variable.starts_with("HOME="));
            process.env.push(format!("HOME={}", user.home));
        }
    }
    for variable in &wanted.env {
        let name = variable.split_once('=').map_or(variable.as_str(), |(name, _)| name);
        process.env.retain(|known| known.split_once('=').is_none_or(|(known, _)| known != name));
        process.env.push(variable.clone());
    }
    if let Some(dir) = &wanted.workdir {
        process.cwd = dir.into();
    }
    process.terminal = wanted.tty;
    process.args.clone_from(&wanted.args);
    process.user = User { uid: user.uid, gid: user.gid, additional_gids: user.groups, ..process.user };
    Ok(process)
}

/// Looks a user up in the files that the container has now.
fn find_user(engine: &Engine, id: &str, name: &str) -> Result<user::User> {
    #[derive(serde::Deserialize)]
    struct State {
        pid: i32,
    }
    let text = engine.runtime.call(&["state", id])?;
    let state: State = serde_json::from_slice(&text)
        .map_err(|e| Error::new(Kind::System, format!("read the state of `{id}`")).because(e))?;
    let root = RootDir::open(format!("/proc/{}/root", state.pid).as_ref())?;
    let read = |path: &str| match root.read_bounded(path.as_ref(), 1 << 20) {
        Err(e) if e.kind() == Kind::NotFound => Ok(Vec::new()),
        other => other,
    };
    user::find(name, &read("etc/passwd")?, &read("etc/group")?)
}
