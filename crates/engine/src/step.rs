//! One step of a build: a program in an ordinary container above the layers so far.
//!
//! It has the sandbox that `taru run` has. What it is given besides, above all secrets, goes with it and is in no record and
//! no layer. Files lie in memory; variables stand in its bundle, which does where `RUN` does ([`memory::is_volatile`]).

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::SystemTime;

use serde_json::{Value, json};
use taru_runtime::spec::CONFIG;
use taru_runtime::state::Process;
use taru_snapshot::{IdMaps as LayerMaps, Key};
use taru_stdx::fs::{Sync, read_bounded, replace};
use taru_stdx::{Context, Error, Result};
use taru_supervise::facts::Facts;

use crate::bundle::ROOTFS;
use crate::config::{ContainerConfig, STEP};
use crate::idmap::{self, IdMaps};
use crate::image::tree;
use crate::record::Record;
use crate::run::{RUNTIME_LOG, begin, forget};
use crate::told::{self, Detail};
use crate::{Engine, dirs, memory, prepare, runtime};

/// Lines of a step's output that wait to be shown.
const LINES: usize = 256;

/// Bytes of a line of output; what is longer comes in pieces.
const LINE: u64 = 16 << 10;
/// Bytes of a bundle's configuration.
const SPEC: u64 = 16 << 20;

/// What a step is given besides its root.
#[derive(Debug, Default)]
pub struct Extras {
    /// Variables that are in no record.
    pub env: Vec<String>,
    /// Mounts, in their order.
    pub mounts: Vec<Extra>,
}

/// A mount of a step.
#[derive(Debug)]
pub struct Extra {
    /// Where, absolute in the container.
    pub target: PathBuf,
    /// What.
    pub source: ExtraSource,
}

/// What is mounted.
#[derive(Debug)]
pub enum ExtraSource {
    /// A directory or file whose owners are those of images.
    Layer {
        /// Where it is on the host.
        path: PathBuf,
        /// Whether it can be written to.
        writable: bool,
    },
    /// A file with this content, for the step alone, on no disk.
    File {
        /// Its content.
        content: Vec<u8>,
        /// Its permissions.
        mode: u32,
        /// Its owner and group in the container.
        owner: (u32, u32),
    },
    /// A directory of the host that is made the container's root's, such as one with a socket.
    Own {
        /// Where it is on the host.
        path: PathBuf,
        /// Its owner and group in the container.
        owner: (u32, u32),
    },
    /// An empty file system in memory of at most so many bytes.
    Tmpfs(Option<u64>),
}

/// Runs the program of `config` to its end, in the foreground, each line of its output to `output`. If it succeeds,
/// `after` is done with its root and its id maps, before that is removed.
///
/// Returns its exit status, and what `after` did.
///
/// # Errors
/// [`taru_stdx::Kind::Exec`] if the program cannot be executed; anything that fails before it runs, or in `after`.
pub fn run<T>(
    engine: &mut Engine,
    mut config: ContainerConfig,
    extras: Extras,
    output: &mut dyn FnMut(&str),
    after: impl FnOnce(&Engine, &Key, Option<&LayerMaps>) -> Result<T>,
) -> Result<(u8, Option<T>)> {
    config.keep = true;
    // A build that is killed takes the container with it, and leaves the record to the next command, which removes it.
    config.remove = true;
    config.labels.insert(STEP.to_owned(), String::new());
    let record = begin(engine, &config, None, false)?;
    let done = execute(engine, &record, &extras, output).and_then(|status| {
        let (key, maps) = (Key::container(&record.id)?, tree::maps(engine, &record)?);
        let made = (status == 0).then(|| after(engine, &key, maps.as_ref())).transpose()?;
        Ok((status, made))
    });
    let forgotten = forget(engine, &record);
    let done = done?;
    forgotten.map(|()| done)
}

fn execute(engine: &Engine, record: &Record, extras: &Extras, output: &mut dyn FnMut(&str)) -> Result<u8> {
    dirs::ensure(&engine.dirs.container(&record.id))?;
    let bundle = prepare::bundle(engine, record)?;
    add(engine, record, &bundle, extras)?;
    let log = bundle.join(RUNTIME_LOG);
    let words = engine.runtime.run_until_our_end(&bundle, &log, &record.id);
    (engine.say)(Detail::Every, &format!("execute {}", told::line(&words)));
    let status = follow(&words, &bundle, output)?;
    match runtime::failure(&log) {
        Some(e) => Err(e),
        None => Ok(status),
    }
}

/// Executes the runtime and passes on what the program writes.
fn follow(words: &[OsString], bundle: &Path, output: &mut dyn FnMut(&str)) -> Result<u8> {
    let what = || "start the runtime";
    let Some((program, arguments)) = words.split_first() else { return Err(Error::invalid(what())) };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context(what)?;
    let noted = Process::of_pid(child.id().cast_signed())
        .and_then(|supervisor| Facts { supervisor, init: None, started: SystemTime::now() }.write(bundle));
    // Bounded: a program that writes faster than its lines are shown waits.
    let (sender, lines) = sync_channel(LINES);
    std::thread::scope(|scope| {
        let errors = sender.clone();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        scope.spawn(move || stdout.map(|pipe| pass_on(pipe, &sender)));
        scope.spawn(move || stderr.map(|pipe| pass_on(pipe, &errors)));
        for line in lines {
            output(&line);
        }
    });
    let status = child.wait().context(|| "wait for the runtime")?;
    noted?;
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(255);
    Ok(u8::try_from(code).unwrap_or(255))
}

/// Reads lines, without what a terminal would take for more than text.
fn pass_on(pipe: impl Read, to: &SyncSender<String>) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut pipe).take(LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        // Of a line that is drawn over and over, what it came to is what counts.
        let text = text.rsplit('\r').next().unwrap_or(text);
        if to.send(text.to_owned()).is_err() {
            return;
        }
    }
}

/// Adds to the bundle what is not in the record.
fn add(engine: &Engine, record: &Record, bundle: &Path, extras: &Extras) -> Result<()> {
    let what = || "write the bundle of a build step";
    let path = bundle.join(CONFIG);
    let mut spec: Value = serde_json::from_slice(&read_bounded(&path, SPEC)?).context(what)?;
    let config = record.config()?;
    let maps = idmap::choose(&engine.caller, config.userns, record.uid_base)?;
    if let Some(Value::Array(env)) = spec.pointer_mut("/process/env") {
        env.extend(extras.env.iter().map(|e| Value::from(e.as_str())));
    }
    if let Some(Value::String(text)) = spec.get_mut("annotations").and_then(|a| a.get_mut(ROOTFS)) {
        let mut rootfs: Value = serde_json::from_str(text).context(what)?;
        // What it writes is read again at once, and only the layer made of it must last.
        if rootfs.get("type") == Some(&Value::from("overlay")) {
            rootfs["volatile"] = Value::from(true);
        }
        *text = rootfs.to_string();
    }
    let is_mapped = maps.is_private() && engine.caller.uid == 0;
    let has_files = extras.mounts.iter().any(|extra| matches!(extra.source, ExtraSource::File { .. }));
    let dir = if has_files { memory::dir(engine, &record.id)? } else { PathBuf::new() };
    let mut mounts = Vec::new();
    for (number, extra) in extras.mounts.iter().enumerate() {
        let target = extra.target.to_string_lossy();
        let bind = |source: &Path, options: &[&str]| {
            let options = [&["bind", "rprivate", "nosuid", "nodev"], options].concat();
            json!({ "destination": target, "type": "bind", "source": source.to_string_lossy(), "options": options })
        };
        mounts.push(match &extra.source {
            ExtraSource::Layer { path, writable } => {
                let mut options = vec![if *writable { "rw" } else { "ro" }];
                if is_mapped {
                    options.push("idmap");
                }
                bind(path, &options)
            }
            ExtraSource::File { content, mode, owner } => {
                let path = dir.join(number.to_string());
                write(&path, content, *mode)?;
                give(engine, &path, &maps, *owner)?;
                bind(&path, &["ro"])
            }
            ExtraSource::Own { path, owner } => {
                give(engine, path, &maps, *owner)?;
                bind(path, &["rw"])
            }
            ExtraSource::Tmpfs(size) => {
                let mut options = vec!["nosuid".to_owned(), "nodev".to_owned(), "mode=1777".to_owned()];
                options.extend(size.map(|bytes| format!("size={bytes}")));
                json!({ "destination": target, "type": "tmpfs", "source": "tmpfs", "options": options })
            }
        });
    }
    if let Some(Value::Array(all)) = spec.get_mut("mounts") {
        all.extend(mounts);
    }
    let text = serde_json::to_vec(&spec).context(what)?;
    replace(&path, &text, 0o600, Sync::Atomic)
}

fn write(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    let what = || format!("write `{}`", path.display());
    let mut file =
        std::fs::File::options().write(true).create_new(true).mode(0o600).open(path).context(what)?;
    file.write_all(content).context(what)?;
    file.set_permissions(std::fs::Permissions::from_mode(mode & 0o7777)).context(what)
}

/// Makes a file that of the container's user; what an ordinary user has is the container's root's as it is.
fn give(engine: &Engine, path: &Path, maps: &IdMaps, owner: (u32, u32)) -> Result<()> {
    if engine.caller.uid != 0 {
        return Ok(());
    }
    let (uid, gid) = maps.root();
    let outside = |base: u32, id: u32| if maps.is_private() { base.saturating_add(id) } else { id };
    chown(path, Some(outside(uid, owner.0)), Some(outside(gid, owner.1)))
        .context(|| format!("give `{}` to the container", path.display()))
}
