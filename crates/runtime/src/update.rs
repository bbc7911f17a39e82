//! `update`: other limits for a container that exists.

use taru_cgroup::Hierarchy;
use taru_cgroup::systemd::{self, Instance};
use taru_stdx::{Context, Error, Kind, Result};

use crate::host::Host;
use crate::plan::ResctrlPlan;
use crate::plan::{Problems, translate_limits};
use crate::resctrl;
use crate::spec::{IntelRdt, Resources};
use crate::state::{Record, Status};

/// Sets what `resources` names and leaves the rest as it is. Returns what is worth a warning: limits that
/// this host has no counterpart for.
///
/// # Errors
/// [`Kind::State`] if the container does not run; all mistakes in `resources` at once; [`Kind::Unsupported`] if it
/// has no control group; what the kernel refuses.
pub fn update(record: &Record, resources: &Resources) -> Result<Vec<String>> {
    let what = || format!("update container `{}`", record.state.id);
    let mut problems = Problems::default();
    let limits = translate_limits(resources, &mut problems);
    let mut warnings = problems.finish().context(what)?;
    if record.status()? == Status::Stopped {
        return Err(Error::new(Kind::State, format!("{}: container not running", what())));
    }
    if record.state.cgroup.paths.is_empty() {
        return Err(Error::new(Kind::Unsupported, format!("{}: it has no control group", what())));
    }
    if let Some(unit) = &record.state.cgroup.unit {
        // systemd writes its own idea of the limits again at a daemon-reload: it must know the new ones.
        systemd::update(&Hierarchy::probe()?, Instance::for_caller(), unit, &limits).context(what)?;
    }
    let skipped = record.cgroup()?.apply(&limits).context(what)?;
    warnings.extend(skipped.iter().map(ToString::to_string));
    Ok(warnings)
}

/// Writes the schemata of `rdt` to the container's class of service.
///
/// # Errors
/// [`Kind::Unsupported`] on a host without resctrl; [`Kind::State`] for a container without a class; a schema that
/// the kernel refuses.
pub fn update_resctrl(record: &Record, rdt: &IntelRdt) -> Result<()> {
    let what = || format!("update container `{}`", record.state.id);
    if !Host::has_resctrl() {
        let problem = "this host has no resctrl file system mounted on /sys/fs/resctrl";
        return Err(Error::new(Kind::Unsupported, format!("{}: {problem}", what())));
    }
    let mut problems = Problems::default();
    let plan = ResctrlPlan::new(rdt, &record.state.id, &mut problems);
    problems.finish().context(what)?;
    match &record.state.resctrl {
        Some(groups) => resctrl::update(groups, &plan.schemata).context(what),
        None => Err(Error::new(Kind::State, format!("{}: it has no class of service", what()))
            .hint("a container gets one from linux.intelRdt of its document")),
    }
}
