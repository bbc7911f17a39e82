//! The container's control group: begun before its first process, completed and limited while that mounts, remembered in the
//! container's record.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use taru_cgroup::systemd::{self, Instance, Unit};
use taru_cgroup::{Cgroup, Hierarchy, Joiner, Limits, Refused};
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::process::Pid;

use crate::host::Host;
use crate::plan::Plan;
use crate::state::{CgroupRecord, Record};
use crate::wire::Groups;

/// Who makes the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Driver {
    /// This process, in the cgroup file systems.
    #[default]
    Cgroupfs,
    /// systemd, as a scope.
    Systemd,
    /// Nobody: the container stays in the runtime's group.
    Disabled,
}

impl Driver {
    /// Its name in records and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Driver::Cgroupfs => "cgroupfs",
            Driver::Systemd => "systemd",
            Driver::Disabled => "disabled",
        }
    }
}

/// A group made for a new container.
pub(crate) struct Made {
    group: Cgroup,
    /// Its name below the mount points.
    path: String,
    /// Whether hierarchies that refuse are passed over, and those that did.
    permits: Permits,
    /// The systemd unit it belongs to.
    unit: Option<String>,
    /// What of the limits this host has no counterpart for, and where no group could be made.
    pub(crate) warnings: Vec<String>,
}

/// What a hierarchy's refusal means.
#[derive(Debug)]
enum Permits {
    /// An error.
    All,
    /// That the container goes without; these did refuse.
    But(Refused),
}

/// Begins the group of `plan`: what init is to be cloned into. `rootless` says whether hierarchies that refuse are passed
/// over; by default they are for a user without rights on the host.
pub(crate) fn begin(
    plan: &Plan,
    host: &Host,
    driver: Driver,
    rootless: Option<bool>,
) -> Result<Option<Made>> {
    match driver {
        Driver::Cgroupfs => begin_directly(plan, host, rootless.unwrap_or(!host.is_privileged)).map(Some),
        // A scope is made around a process: see `make_scope`.
        Driver::Systemd | Driver::Disabled => Ok(None),
    }
}

fn begin_directly(plan: &Plan, host: &Host, rootless: bool) -> Result<Made> {
    let path = if plan.cgroup_path.is_empty() { plan.id.as_str() } else { plan.cgroup_path.as_str() };
    if path.contains(':') && !path.contains('/') {
        return Err(Error::invalid(format!(
            "check linux.cgroupsPath `{path}`: it is for the systemd driver"
        ))
        .hint("give --systemd-cgroup, or a path like /group/name"));
    }
    let (group, refused) = Cgroup::begin(&host.hierarchy, path).context(|| describe(path))?;
    let permits = if rootless { Permits::But(Vec::new()) } else { Permits::All };
    let mut made = Made { group, path: path.to_owned(), permits, unit: None, warnings: Vec::new() };
    made.note(refused)?;
    Ok(made)
}

fn describe(path: &str) -> String {
    format!("make the control group `{path}`")
}

/// Has systemd make a scope around `pid`, the init that waits for its first word, and set its limits.
pub(crate) fn make_scope(plan: &Plan, host: &Host, annotations: &Annotations, pid: Pid) -> Result<Made> {
    let instance = Instance::for_caller();
    let unit = Unit::parse(&plan.cgroup_path, &plan.id, instance == Instance::User)?;
    let properties = annotations
        .iter()
        .filter_map(|(key, text)| Some(systemd::property(key.strip_prefix(PROPERTY)?, text)))
        .collect::<Result<Vec<_>>>()?;
    let (group, skipped) = systemd::start(&host.hierarchy, instance, &unit, pid, &plan.limits, &properties)
        .context(|| "make the control group with systemd")
        .map_err(|e| {
            if systemd::is_running() {
                e
            } else {
                e.hint("systemd does not run here; leave --systemd-cgroup out")
            }
        })?;
    let warnings = skipped.iter().map(ToString::to_string).collect();
    Ok(Made { group, path: plan.cgroup_path.clone(), permits: Permits::All, unit: Some(unit.name), warnings })
}

/// What annotations that set properties of the unit begin with, as in runc and crun.
const PROPERTY: &str = "org.systemd.property.";

/// The annotations of a document.
pub(crate) type Annotations = BTreeMap<String, String>;

impl Made {
    /// Makes the rest of the group, and sets its limits. An error leaves what was made.
    pub(crate) fn complete(&mut self, plan: &Plan, host: &Host) -> Result<()> {
        let refused = self.group.complete(&host.hierarchy, &self.path).context(|| describe(&self.path))?;
        self.note(refused)?;
        self.limit(&plan.limits)
    }

    fn note(&mut self, mut refused: Refused) -> Result<()> {
        match &mut self.permits {
            Permits::But(all) => {
                all.append(&mut refused);
                Ok(())
            }
            Permits::All => match refused.pop() {
                Some((_, e)) => Err(e).context(|| describe(&self.path)),
                None => Ok(()),
            },
        }
    }

    fn limit(&mut self, limits: &Limits) -> Result<()> {
        if self.group.is_nowhere() {
            if *limits == Limits::default() {
                return Ok(());
            }
            let error = Error::new(Kind::Permission, "limit the container: no control group could be made");
            return Err(match &self.permits {
                Permits::But(refused) if !refused.is_empty() => {
                    let (_, e) = &refused[0];
                    error.because(Error::new(e.kind(), e.chain().to_string()))
                }
                _ => error,
            }
            .hint("an ordinary user needs a delegated cgroup v2, or no limits"));
        }
        let skipped = self.group.apply(limits)?;
        self.warnings.extend(skipped.iter().map(ToString::to_string));
        Ok(())
    }

    /// Removes again what was made here, and ends who is in it: what a program of `run` has begun by now does not all end with
    /// init where the pid namespace is not the container's own.
    pub(crate) fn take_back(&self) -> Result<()> {
        if let Some(unit) = &self.unit {
            return systemd::stop(Instance::for_caller(), unit);
        }
        let is_empty = self.group.pids_recursive().is_ok_and(|pids| pids.is_empty());
        let ended = if self.group.is_new() && !is_empty { self.group.kill_all() } else { Ok(()) };
        self.group.take_back().and(ended)
    }

    /// The v2 directory to clone into.
    pub(crate) fn v2_dir_fd(&self) -> Option<BorrowedFd<'_>> {
        self.group.v2_dir_fd()
    }

    /// What is left to be joined by a process that was cloned into the v2 directory, or moved by systemd.
    pub(crate) fn to_join(&self) -> Result<Groups> {
        let joiner = match self.unit {
            Some(_) => Joiner::default(),
            None => self.group.joiner_v1()?,
        };
        Ok(Groups { files: joiner.into_files(), paths: self.group.paths(), mounts: Vec::new() })
    }

    /// What the record keeps.
    pub(crate) fn record(&self) -> CgroupRecord {
        let driver = if self.unit.is_some() { Driver::Systemd } else { Driver::Cgroupfs };
        CgroupRecord { driver: driver.name().to_owned(), unit: self.unit.clone(), paths: self.group.paths() }
    }
}

/// For a container that nobody makes a group for: it stays in this process's, and sees that.
pub(crate) fn stay(host: &Host) -> Result<Groups> {
    let own = Cgroup::of_process(&host.hierarchy, Pid(std::process::id().cast_signed()))?;
    Ok(Groups { paths: own.paths(), ..Groups::default() })
}

/// Opens the group of a record.
pub fn open(record: &CgroupRecord) -> Result<Cgroup> {
    Cgroup::open(&record.paths)
}

/// How long an init whose creator was killed may take to end.
const ENDING: Duration = Duration::from_secs(1);

/// Removes what a killed `create` may have made before it could record it: the group that the document
/// names, if nothing runs in it. The half made init does for a moment: the kernel kills it with its creator.
pub(crate) fn remove_unrecorded(id: &str, cgroup_path: &str) -> Result<()> {
    let path = if cgroup_path.is_empty() { id } else { cgroup_path };
    match Cgroup::find(&Hierarchy::probe()?, path) {
        Err(e) if e.kind() == Kind::NotFound => Ok(()),
        Err(e) => Err(e),
        Ok(group) => {
            let until = Instant::now() + ENDING;
            while !group.pids_recursive()?.is_empty() {
                if Instant::now() > until {
                    return Ok(());
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            group.remove()
        }
    }
}

/// The container's group, in some hierarchies an existing one below it: `subs` names it by controller, with the
/// empty name for all.
///
/// # Errors
/// [`Kind::Invalid`] for a path that leads out of the container's group or a controller that it does not have;
/// [`Kind::NotFound`] for a group that is not there.
pub(crate) fn below(record: &Record, subs: &[(String, PathBuf)]) -> Result<Cgroup> {
    let mut paths = record.state.cgroup.paths.clone();
    for (controller, sub) in subs {
        let what = || format!("put the process into the sub-group `{}`", sub.display());
        let named: Vec<&mut PathBuf> = match controller.as_str() {
            "" => paths.values_mut().collect(),
            name => paths.get_mut(name).into_iter().collect(),
        };
        if named.is_empty() {
            let problem = format!("{}: the container has no group of controller `{controller}`", what());
            return Err(Error::invalid(problem));
        }
        let plain = inside(sub)
            .ok_or_else(|| Error::invalid(format!("{}: it leads out of the container's", what())))?;
        for path in named {
            path.push(&plain);
            if !path.is_dir() {
                let problem = format!("{}: there is no `{}`", what(), path.display());
                return Err(Error::new(Kind::NotFound, problem));
            }
        }
    }
    Cgroup::open(&paths)
}

/// `sub` relative, if it leads nowhere but down.
fn inside(sub: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in sub.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sub_group_is_below() {
        assert_eq!(inside("/a/./b".as_ref()), Some("a/b".into()));
        assert_eq!(inside("/".as_ref()), Some(PathBuf::new()));
        assert_eq!(inside("a/../..".as_ref()), None);
    }
}
