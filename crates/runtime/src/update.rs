//! `update`: other limits for a container that exists.

use taru_cgroup::Hierarchy;
use taru_cgroup::systemd::{self, Instance};
use taru_stdx::{Context, Error, Kind, Result};

use crate::plan::{Problems, translate_limits};
use crate::spec::Resources;
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
