//! `delete`: everything a container had on the host goes, past errors, and its record last.

use std::time::Duration;

use taru_cgroup::Cgroup;
use taru_cgroup::systemd::{self, Instance};
use taru_stdx::{Error, Kind, Result};

use crate::plan::{Problems, ResctrlPlan};
use crate::spec::Spec;
use crate::state::{Lock, Record, Status, Store};
use crate::{group, hooks, kill, resctrl};

/// How long a killed init may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Deletes the container `id`; `force` kills it first if it runs, and takes one that does not exist as
/// deleted. Returns what is worth a warning.
///
/// # Errors
/// [`Kind::State`] for one that runs; [`Kind::NotFound`]; whatever could not be removed, after all the
/// rest was. The record then stays, so that `delete` can be tried again.
pub fn delete(store: &Store, id: &str, force: bool) -> Result<Vec<String>> {
    let loaded = match store.load(id) {
        // Its creator may have been killed: a clone that dies with it holds the lock for a moment longer.
        Err(e) if e.kind() == Kind::Busy && force => store.lock(id).and_then(|lock| {
            drop(lock);
            store.load(id)
        }),
        other => other,
    };
    let mut record = match loaded {
        Err(e) if e.kind() == Kind::NotFound && force => return Ok(Vec::new()),
        Err(e)
            if force
                && matches!(e.kind(), Kind::State | Kind::System | Kind::Unsupported | Kind::Invalid) =>
        {
            return clear(store, id);
        }
        other => other?,
    };
    let lock = match record.lock() {
        // Another command was faster.
        Err(e) if e.kind() == Kind::NotFound && force => return Ok(Vec::new()),
        other => other?,
    };
    let status = record.status()?;
    match status {
        Status::Stopped | Status::Created | Status::Creating => {}
        _ if force => {}
        _ => {
            let problem = format!("cannot delete container {id} that is not stopped: {status}");
            return Err(Error::new(Kind::State, problem).hint("stop it first, or give --force"));
        }
    }
    let spec = record.config().and_then(|text| Spec::parse(&text)).unwrap_or_default();
    remove(store, &record, &spec, lock)
}

/// Removes all of a container whose record is locked; `spec` is what it was created from.
pub(crate) fn remove(store: &Store, record: &Record, spec: &Spec, lock: Lock) -> Result<Vec<String>> {
    kill::end_init(record, PATIENCE)?;
    remove_group(record, spec)?;
    match &record.state.resctrl {
        Some(groups) => resctrl::remove(groups)?,
        None if !record.state.complete => remove_unrecorded_resctrl(&record.state.id, spec)?,
        None => {}
    }
    let warnings = hooks::poststop(spec, &record.state.id, &record.state.bundle);
    store.remove(&record.state.id, lock)?;
    Ok(warnings)
}

fn remove_group(record: &Record, spec: &Spec) -> Result<()> {
    if record.state.cgroup.paths.is_empty() {
        let path = spec.linux.as_ref().map_or("", |l| l.cgroups_path.as_str());
        let unfinished = !record.state.complete && record.state.cgroup.driver.is_empty();
        return if unfinished { group::remove_unrecorded(&record.state.id, path) } else { Ok(()) };
    }
    // The usual case, in as few calls as there are: with init all of its processes ended.
    if record.state.cgroup.unit.is_none() && Cgroup::remove_empty(&record.state.cgroup.paths) {
        return Ok(());
    }
    let group = record.cgroup()?;
    // With a pid namespace all ended with init. Without, or after a join, some may be left.
    if !group.pids_recursive()?.is_empty() {
        group.kill_all()?;
    }
    if let Some(unit) = &record.state.cgroup.unit {
        systemd::stop(Instance::for_caller(), unit)?;
    }
    group.remove()
}

/// Removes what a killed `create` left, or a record that cannot be read.
fn clear(store: &Store, id: &str) -> Result<Vec<String>> {
    let lock = match store.lock(id) {
        Err(e) if e.kind() == Kind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    if store.load(id).is_ok() {
        // Another `create` took it over meanwhile.
        drop(lock);
        return delete(store, id, true);
    }
    let text = taru_stdx::fs::read_bounded(
        &store.root().join(id).join(crate::spec::CONFIG),
        crate::spec::CONFIG_LIMIT,
    );
    let spec = text.and_then(|text| Spec::parse(&text)).unwrap_or_default();
    let path = spec.linux.as_ref().map_or("", |l| l.cgroups_path.as_str());
    group::remove_unrecorded(id, path)?;
    remove_unrecorded_resctrl(id, &spec)?;
    store.remove(id, lock).map(|()| Vec::new())
}

fn remove_unrecorded_resctrl(id: &str, spec: &Spec) -> Result<()> {
    let Some(rdt) = spec.linux.as_ref().and_then(|l| l.intel_rdt.as_ref()) else { return Ok(()) };
    let mut problems = Problems::default();
    let plan = ResctrlPlan::new(rdt, id, &mut problems);
    // One with problems was never made.
    if problems.finish().is_ok() { resctrl::remove_unrecorded(&plan, id) } else { Ok(()) }
}
