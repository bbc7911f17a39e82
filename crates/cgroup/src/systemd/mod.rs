//! The systemd driver: the group is a transient scope that systemd makes, knows and removes.
//!
//! ```text
//! this process                                    systemd
//! Subscribe, StartTransientUnit(PIDs, Slice,  ──▶ makes /slice/prefix-name.scope, moves the PIDs in,
//!   Delegate, limits)                         ◀── JobRemoved(done)
//! limits into the files of the group
//! ...
//! SetUnitProperties(limits) at an update;  StopUnit, ResetFailedUnit at the end
//! ```

mod annotation;
mod bus;
mod properties;
mod unit;
mod wire;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::process::Pid;
use taru_sys::user::geteuid;

pub use annotation::property;
pub use unit::Unit;
pub use wire::Value;

use crate::hierarchy::Hierarchy;
use crate::limits::Limits;
use crate::skipped::Skipped;
use crate::{Cgroup, subtree};
use bus::Bus;
use wire::{Call, Reader, Writer};

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// How long systemd may take for a job.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which systemd: that of the system, or a user's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instance {
    /// Process 1.
    System,
    /// `systemd --user`.
    User,
}

impl Instance {
    /// The one that this user may tell to make units: the system's for root, else the user's own.
    pub fn for_caller() -> Instance {
        if geteuid() == 0 && !in_user_namespace() { Instance::System } else { Instance::User }
    }

    fn addresses(self) -> Result<String> {
        let variable = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        match self {
            Instance::System => Ok(variable("DBUS_SYSTEM_BUS_ADDRESS")
                .unwrap_or_else(|| "unix:path=/run/dbus/system_bus_socket;unix:path=/var/run/dbus/system_bus_socket".to_owned())),
            Instance::User => variable("DBUS_SESSION_BUS_ADDRESS")
                .or_else(|| variable("XDG_RUNTIME_DIR").map(|dir| format!("unix:path={dir}/bus")))
                .ok_or_else(|| {
                    Error::new(Kind::NotFound, "find the bus of the user's systemd").hint(
                        "neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set; `loginctl enable-linger` starts one",
                    )
                }),
        }
    }
}

/// Whether the ids of this process are mapped.
fn in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !map.trim().is_empty() && map.split_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"]
}

/// Whether systemd is process 1 of this host, as sd_booted(3) asks.
pub fn is_running() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Makes `unit` with the process `pid` in it, delegated, with the limits and with further `properties`.
///
/// Returns its group, in all hierarchies, and what could not be set.
///
/// # Errors
/// [`Kind::NotFound`] without a bus, [`Kind::Exists`] if there is such a unit, [`Kind::Permission`]; the job's result if it fails.
/// The unit is then stopped again.
pub fn start(
    hierarchy: &Hierarchy,
    instance: Instance,
    unit: &Unit,
    pid: Pid,
    limits: &Limits,
    properties: &[(String, Value)],
) -> Result<(Cgroup, Vec<Skipped>)> {
    let mut bus = Bus::connect(&instance.addresses()?).context(|| format!("start `{}`", unit.name))?;
    let v1 = !hierarchy.v1.is_empty();
    let mut all = basic(unit, pid, v1);
    all.extend(properties::of_limits(limits, v1));
    all.extend_from_slice(properties);
    let started = match start_unit(&mut bus, unit, &all) {
        // Without those that an older systemd does not know; the files of the group are written in any case.
        Err(e) if e.kind() == Kind::Invalid && all.iter().any(|(name, _)| properties::is_recent(name)) => {
            all.retain(|(name, _)| !properties::is_recent(name));
            start_unit(&mut bus, unit, &all)
        }
        other => other,
    };
    started.context(|| format!("start `{}`", unit.name))?;
    let group = group_of(hierarchy, unit, pid).and_then(|group| {
        let skipped = group.apply(limits)?;
        Ok((group, skipped))
    });
    group.inspect_err(|_| drop(stop(instance, &unit.name)))
}

/// What every unit of ours has.
fn basic(unit: &Unit, pid: Pid, v1: bool) -> Vec<(String, Value)> {
    let on = || Value::Bool(true);
    let mut all = vec![("Description", Value::Str(format!("taru container {}", unit.name)))];
    match unit.is_slice() {
        // The place of a slice follows from its name.
        true => all.push(("Wants", Value::Strs(vec![unit.slice.clone()]))),
        false => {
            all.push(("Slice", Value::Str(unit.slice.clone())));
            all.push(("Delegate", on()));
            all.push(("PIDs", Value::U32s(vec![pid.0 as u32])));
        }
    }
    let io = if v1 { "BlockIOAccounting" } else { "IOAccounting" };
    all.extend(["MemoryAccounting", "CPUAccounting", "TasksAccounting", io].map(|name| (name, on())));
    all.push(("DefaultDependencies", Value::Bool(false)));
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Calls StartTransientUnit; a failed unit of that name that nobody collected is forgotten first.
fn start_unit(bus: &mut Bus, unit: &Unit, properties: &[(String, Value)]) -> Result<()> {
    bus.add_match(
        "type='signal',sender='org.freedesktop.systemd1',path='/org/freedesktop/systemd1',\
         interface='org.freedesktop.systemd1.Manager',member='JobRemoved'",
    )?;
    // Without a subscriber systemd sends no signals.
    manager(bus, "Subscribe", "", Writer::default())?;
    let begin = |bus: &mut Bus| {
        let mut body = Writer::default();
        body.string(&unit.name);
        body.string("fail");
        body.properties(properties);
        // a(sa(sv)), further units: none.
        body.array(8, &[] as &[()], |_, ()| {});
        manager(bus, "StartTransientUnit", "ssa(sv)a(sa(sv))", body)
    };
    let job = match begin(bus) {
        Err(e) if e.kind() == Kind::Exists => {
            if reset_failed(bus, &unit.name).is_err() {
                return Err(e);
            }
            begin(bus)?
        }
        other => other?,
    };
    wait_job(bus, &job)
}

/// Calls a method of systemd's manager.
fn manager(bus: &mut Bus, member: &str, signature: &str, body: Writer) -> Result<Vec<u8>> {
    let call = Call { destination: SYSTEMD, path: MANAGER_PATH, interface: MANAGER, member, signature, body };
    Ok(bus.call(call)?.body)
}

fn reset_failed(bus: &mut Bus, name: &str) -> Result<()> {
    let mut body = Writer::default();
    body.string(name);
    manager(bus, "ResetFailedUnit", "s", body).map(drop)
}

/// Waits until the job whose path is in `answer` has been removed, and judges its result.
fn wait_job(bus: &mut Bus, answer: &[u8]) -> Result<()> {
    let job = Reader::new(answer).string()?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let signal = bus.signal(deadline).context(|| format!("wait for the job `{job}`"))?;
        if signal.member != "JobRemoved" || signal.signature != "uoss" {
            continue;
        }
        let mut body = Reader::new(&signal.body);
        let (_id, path, unit, result) = (body.u32()?, body.string()?, body.string()?, body.string()?);
        if path != job {
            continue;
        }
        return match result.as_str() {
            "done" => Ok(()),
            other => Err(Error::new(
                Kind::System,
                format!("wait for the job of `{unit}`: its result is `{other}`"),
            )
            .hint(format!("`systemctl status {unit}` and the journal may say more"))),
        };
    }
}

/// The group that systemd made, completed in the v1 hierarchies that it does not use.
fn group_of(hierarchy: &Hierarchy, unit: &Unit, pid: Pid) -> Result<Cgroup> {
    let groups = subtree::groups_of(pid)?;
    let named =
        |wanted: &str| groups.iter().find(|(names, _)| names.first().map_or("", String::as_str) == wanted);
    // systemd keeps track of units in its named v1 hierarchy, or in v2.
    let (_, path) = named("name=systemd")
        .filter(|_| !hierarchy.v1.is_empty())
        .or_else(|| named(""))
        .ok_or_else(|| Error::new(Kind::State, "find systemd's cgroup hierarchy"))?;
    if !unit.is_slice() && path.file_name().is_none_or(|n| n != unit.name.as_str()) {
        return Err(Error::new(
            Kind::State,
            format!("find the group of `{}`: process {pid} is in `{}`", unit.name, path.display()),
        ));
    }
    let root = hierarchy.v2.as_ref().map_or_else(|| Path::new("/"), |m| &m.root);
    let relative =
        PathBuf::from("/").join(path.strip_prefix(root).unwrap_or(path).strip_prefix("/").unwrap_or(path));
    let group = Cgroup::create(hierarchy, &relative.to_string_lossy())?;
    if !hierarchy.v1.is_empty() {
        group.add(pid)?;
    }
    Ok(group)
}

/// Tells systemd of changed limits. The files of the group are written by [`Cgroup::apply`] as ever.
///
/// # Errors
/// [`Kind::NotFound`] if there is no such unit.
pub fn update(hierarchy: &Hierarchy, instance: Instance, name: &str, limits: &Limits) -> Result<()> {
    let properties = properties::of_limits(limits, !hierarchy.v1.is_empty());
    if properties.is_empty() {
        return Ok(());
    }
    let what = || format!("change `{name}`");
    let mut bus = Bus::connect(&instance.addresses()?).context(what)?;
    let mut body = Writer::default();
    body.string(name);
    // Until the unit ends only: a transient unit has no file that outlives a reboot.
    body.u32(1);
    body.properties(&properties);
    manager(&mut bus, "SetUnitProperties", "sba(sv)", body).context(what)?;
    Ok(())
}

/// Stops the unit, which removes its group, and forgets it. One that is gone already is no error.
///
/// # Errors
/// Any other refusal, or the job's result.
pub fn stop(instance: Instance, name: &str) -> Result<()> {
    let what = || format!("stop `{name}`");
    let mut bus = Bus::connect(&instance.addresses()?).context(what)?;
    bus.add_match("type='signal',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'")
        .context(what)?;
    manager(&mut bus, "Subscribe", "", Writer::default()).context(what)?;
    let mut body = Writer::default();
    body.string(name);
    body.string("replace");
    match manager(&mut bus, "StopUnit", "ss", body) {
        Ok(job) => wait_job(&mut bus, &job).context(what)?,
        Err(e) if e.kind() == Kind::NotFound => {}
        Err(e) => return Err(e).context(what),
    }
    // A scope whose processes were killed may remain as failed; one that is gone has nothing to forget.
    match reset_failed(&mut bus, name) {
        Err(e) if e.kind() != Kind::NotFound => Err(e).context(what),
        _ => Ok(()),
    }
}
