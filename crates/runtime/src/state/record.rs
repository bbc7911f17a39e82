//! One container's record.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use taru_cgroup::Cgroup;
use taru_stdx::fs::{Sync, read_bounded, replace};
use taru_stdx::{Context, Error, Kind, Result};

use super::lock::{Lock, gone};
use super::process::Process;

/// The version of [`State`] that this program writes.
const VERSION: u32 = 1;
/// A record is a few kilobytes; annotations make it long.
const STATE_LIMIT: u64 = 4 << 20;
/// As for the bundle's own document.
const CONFIG_LIMIT: u64 = 16 << 20;

pub(super) const STATE: &str = "state.json";
pub(super) const CONFIG: &str = "config.json";
pub(super) const START: &str = "start.sock";

/// What `state.json` holds. Its fields are facts as of `create`; nothing here can become untrue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The format's version.
    pub version: u32,
    /// The container's id, the directory's name.
    pub id: String,
    /// The `ociVersion` of the bundle's document.
    pub oci_version: String,
    /// The bundle, absolute.
    pub bundle: PathBuf,
    /// The root file system's directory, absolute.
    pub rootfs: PathBuf,
    /// When `create` ran: RFC 3339, UTC, nanoseconds.
    pub created: String,
    /// The user id of whoever ran `create`.
    pub owner: u32,
    /// `/proc/sys/kernel/random/boot_id` at `create`: after a reboot no process of the record can be alive.
    #[serde(default)]
    pub boot: String,
    /// Whether `create` came to its end.
    #[serde(default)]
    pub complete: bool,
    /// The container's first process, once there is one.
    #[serde(default)]
    pub init: Option<Process>,
    /// Where its processes are accounted and limited.
    #[serde(default)]
    pub cgroup: CgroupRecord,
    /// Its groups in the resctrl file system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resctrl: Option<ResctrlRecord>,
    /// The types of the namespaces that the container has for itself or joined by path, as the
    /// specification spells them; `exec` enters these.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// The document's annotations.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// The control groups of a container, enough to find and remove them without the document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CgroupRecord {
    /// `cgroupfs`, `systemd` or `disabled`.
    pub driver: String,
    /// The unit that systemd made, for its driver.
    #[serde(default)]
    pub unit: Option<String>,
    /// The directories by controller, as [`Cgroup::paths`] gives them: `memory`, `name=systemd`, and the empty name
    /// for v2.
    pub paths: BTreeMap<String, PathBuf>,
}

/// The resctrl groups of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResctrlRecord {
    /// The directory of its class of service.
    pub class: PathBuf,
    /// The directory of its monitor.
    #[serde(default)]
    pub monitor: Option<PathBuf>,
    /// Whether the class is the container's own and goes with it.
    pub is_ours: bool,
}

impl State {
    /// A record at the begin of `create`: no process, no control group yet.
    pub fn new(id: &str, oci_version: &str, bundle: &Path, rootfs: &Path, owner: u32) -> State {
        State {
            version: VERSION,
            id: id.to_owned(),
            oci_version: oci_version.to_owned(),
            bundle: bundle.to_owned(),
            rootfs: rootfs.to_owned(),
            created: taru_stdx::time::rfc3339(std::time::SystemTime::now()),
            owner,
            boot: boot_id().to_owned(),
            complete: false,
            init: None,
            cgroup: CgroupRecord::default(),
            resctrl: None,
            namespaces: Vec::new(),
            annotations: BTreeMap::new(),
        }
    }
}

/// The life of a container, as the specification names it, and `paused`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// `create` is at work.
    Creating,
    /// Init waits for `start`.
    Created,
    /// The container's program runs.
    Running,
    /// It is frozen.
    Paused,
    /// Init is gone.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        })
    }
}

/// A container's record and the directory that it lies in.
#[derive(Debug)]
pub struct Record {
    dir: PathBuf,
    /// The directory itself, where this process made it.
    made: Option<File>,
    /// What it says. A change is kept by [`Record::save`].
    pub state: State,
}

impl Record {
    /// The record that this process made in the directory `dir`, which is open as `made`.
    pub(super) fn new(dir: PathBuf, made: Option<File>, state: State) -> Record {
        Record { dir, made, state }
    }

    /// Reads the record of the directory `dir`; `None` if there is no `state.json` in it.
    pub(super) fn read(dir: PathBuf, id: &str) -> Result<Option<Record>> {
        let text = match read_bounded(&dir.join(STATE), STATE_LIMIT) {
            Err(e) if e.kind() == Kind::NotFound => return Ok(None),
            other => other?,
        };
        let state = parse(&text, id).map_err(|e| {
            e.hint(format!("`taru-runtime delete --force {id}` removes a record that cannot be read"))
        })?;
        Ok(Some(Record { dir, made: None, state }))
    }

    /// The container's directory in the store.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What `start` connects to, and `create` makes: there until the container was started.
    pub fn start_socket(&self) -> PathBuf {
        self.dir.join(START)
    }

    /// The bundle's document as it was at `create`.
    ///
    /// # Errors
    /// An unreadable file, or one larger than 16 MiB.
    pub fn config(&self) -> Result<Vec<u8>> {
        read_bounded(&self.dir.join(CONFIG), CONFIG_LIMIT)
    }

    /// Writes the record, as a whole or not at all.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn save(&self) -> Result<()> {
        save(&self.dir, &self.state)
    }

    /// The first process, running or not, if it was one of this boot.
    pub(crate) fn init_of_this_boot(&self) -> Option<Process> {
        self.state.init.filter(|_| self.state.boot == boot_id())
    }

    /// The first process, if it runs.
    ///
    /// # Errors
    /// An unreadable /proc.
    pub fn live_init(&self) -> Result<Option<Process>> {
        match self.init_of_this_boot() {
            Some(init) if init.is_alive()? => Ok(Some(init)),
            _ => Ok(None),
        }
    }

    /// Where the container is in its life, as the kernel has it now.
    ///
    /// # Errors
    /// An unreadable /proc, directory or control group.
    pub fn status(&self) -> Result<Status> {
        let init = self.live_init()?;
        if !self.state.complete && !self.has_started(init)? {
            // Without its creator, a container that never came to be.
            let creating = init.is_some() || self.is_locked()?;
            return Ok(if creating { Status::Creating } else { Status::Stopped });
        }
        if init.is_none() {
            return Ok(Status::Stopped);
        }
        if self.is_frozen()? {
            return Ok(Status::Paused);
        }
        let waits = self.start_socket().symlink_metadata().is_ok();
        Ok(if waits { Status::Created } else { Status::Running })
    }

    /// Whether `init` executes the program: that of `run` does so a moment before its record is complete.
    fn has_started(&self, init: Option<Process>) -> Result<bool> {
        // Of one that ended meanwhile there is no telling.
        init.map_or(Ok(false), |init| Ok(!init.is_still_a_clone()? && init.is_alive()?))
    }

    /// The container's control groups. Those that are gone are left out.
    ///
    /// # Errors
    /// Any other failure to open one.
    pub fn cgroup(&self) -> Result<Cgroup> {
        Cgroup::open(&self.state.cgroup.paths)
    }

    /// Asks only the one hierarchy that freezes: opening all would cost a dozen system calls.
    fn is_frozen(&self) -> Result<bool> {
        let paths = &self.state.cgroup.paths;
        let Some((name, path)) = paths.get_key_value("freezer").or_else(|| paths.get_key_value("")) else {
            return Ok(false);
        };
        Cgroup::open(&BTreeMap::from([(name.clone(), path.clone())]))?.is_frozen()
    }

    /// Takes the container's lock, waiting up to ten seconds for another command that holds it, and has the record say
    /// what is true by then.
    ///
    /// # Errors
    /// [`Kind::Busy`] after that time; [`Kind::NotFound`] if the container was removed meanwhile, also where another has
    /// its id by now.
    pub fn lock(&mut self) -> Result<Lock> {
        let id = &self.state.id;
        if let Some(made) = &self.made {
            let dir = made.try_clone().context(|| format!("lock container `{id}`"))?;
            return Lock::wait(dir, &self.dir, id);
        }
        let lock = Lock::wait(Lock::open(&self.dir, id)?, &self.dir, id)?;
        match Record::read(self.dir.clone(), id)? {
            Some(now) if now.state.created == self.state.created => {
                self.state = now.state;
                Ok(lock)
            }
            _ => Err(gone(id)),
        }
    }

    fn is_locked(&self) -> Result<bool> {
        Ok(Lock::attempt(&self.dir)?.is_none())
    }
}

/// Writes `state` into `dir`.
pub(super) fn save(dir: &Path, state: &State) -> Result<()> {
    let text = serde_json::to_vec(state).context(|| format!("write the state of `{}`", state.id))?;
    replace(&dir.join(STATE), &text, 0o600, Sync::Atomic)
}

fn parse(text: &[u8], id: &str) -> Result<State> {
    /// Read first: the rest of another version's document means something else.
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let what = || format!("read the state of container `{id}`");
    let Version { version } = serde_json::from_slice(text).context_as(Kind::System, what)?;
    if version != VERSION {
        let problem = format!("{}: it has version {version}, this program knows {VERSION}", what());
        return Err(Error::new(Kind::Unsupported, problem));
    }
    let state: State = serde_json::from_slice(text).context_as(Kind::System, what)?;
    if state.id != id {
        let problem = format!("{}: it is that of `{}`", what(), state.id.escape_default());
        return Err(Error::new(Kind::System, problem));
    }
    Ok(state)
}

/// This boot's id, or nothing where /proc/sys is hidden. It cannot change under us, so it is read once.
fn boot_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| {
        let read = read_bounded("/proc/sys/kernel/random/boot_id".as_ref(), 256).unwrap_or_default();
        String::from_utf8_lossy(&read).trim_end().to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State::new("web", "1.2.0", Path::new("/b"), Path::new("/b/rootfs"), 0)
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_unknown_fields_are_passed_over() {
        let mut state = state();
        state.init = Some(Process { pid: 7, start_time: 9 });
        state.annotations.insert("a".into(), "b".into());
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(parse(text.as_bytes(), "web").unwrap(), state);
        let more = text.replacen('{', r#"{"later": [1, {"x": null}], "#, 1);
        assert_eq!(parse(more.as_bytes(), "web").unwrap(), state);
    }

    #[test]
    fn what_cannot_be_this_record_is_refused_with_the_reason() {
        let text = serde_json::to_string(&state()).unwrap();
        let newer = text.replacen("\"version\":1", "\"version\":2", 1);
        let e = parse(newer.as_bytes(), "web").unwrap_err();
        assert_eq!(e.kind(), Kind::Unsupported);
        assert_eq!(
            e.to_string(),
            "read the state of container `web`: it has version 2, this program knows 1"
        );
        let e = parse(text.as_bytes(), "db").unwrap_err();
        assert_eq!(e.to_string(), "read the state of container `db`: it is that of `web`");
        for bad in ["", "{}", "null", "[1]", &text[..text.len() / 2]] {
            assert_eq!(parse(bad.as_bytes(), "web").unwrap_err().kind(), Kind::System, "{bad}");
        }
    }
}
