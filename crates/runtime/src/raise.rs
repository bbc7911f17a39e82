//! Limits that a new process is given from outside, where this process's rights count: higher hard rlimits, and the oom score.
//!
//! What is refused for want of CAP_SYS_RESOURCE is said; the process clamps its limits to what it has when it takes them
//! on, as its last step ([`crate::init::identity::limit`]).

use taru_stdx::{Context, Result};
use taru_sys::errno;
use taru_sys::process::Pid;
use taru_sys::sched::{self, Limit, Resource};

use crate::plan::ProcessPlan;

/// Raises what `process` says of `pid`; gives what is worth a warning.
///
/// # Errors
/// What is refused for another reason.
pub(crate) fn raise(process: &ProcessPlan, pid: Pid) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for (resource, wanted) in &process.rlimits {
        warnings.extend(hard_limit(*resource, wanted.hard, pid)?);
    }
    if let Some(score) = process.oom_score_adj {
        warnings.extend(oom_score(score, pid)?);
    }
    Ok(warnings)
}

fn hard_limit(resource: Resource, wanted: u64, pid: Pid) -> Result<Option<String>> {
    let now = sched::prlimit(pid, resource, None).context(|| "read a resource limit")?;
    if wanted <= now.hard {
        return Ok(None);
    }
    match sched::prlimit(pid, resource, Some(Limit { hard: wanted, ..now })) {
        Err(e) if e.errno() == errno::PERM => Ok(Some(format!(
            "{} is {} instead of {wanted}: raising it takes CAP_SYS_RESOURCE",
            resource.name(),
            now.hard
        ))),
        other => other.map(|_| None).context(|| "set a resource limit"),
    }
}

fn oom_score(wanted: i32, pid: Pid) -> Result<Option<String>> {
    let path = format!("/proc/{pid}/oom_score_adj");
    match std::fs::write(&path, wanted.to_string()) {
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
            let now = std::fs::read_to_string(&path).unwrap_or_default();
            Ok(Some(format!(
                "oom_score_adj is {} instead of {wanted}: lowering it takes CAP_SYS_RESOURCE",
                now.trim()
            )))
        }
        other => other.map(|()| None).context(|| format!("set oom_score_adj to `{wanted}`")),
    }
}
