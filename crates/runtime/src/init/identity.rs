//! Who the process is when its program starts: ids, groups, capabilities, labels.
//!
//! Runs in *init* (or in the process of an `exec`), inside all its namespaces, in this order:
//! whatever needs a right comes before that right is given up.

use taru_rootdir::Proc;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::caps::{self, Capabilities, Sets};
use taru_sys::process::Pid;
use taru_sys::{errno, fs, process, sched, user};

use super::streams;
use crate::plan::ProcessPlan;

/// The right that seccomp(2) asks for without no_new_privs.
const SYS_ADMIN: Capabilities = Capabilities(1 << 21);

/// What still has to be given up after the seccomp filter is loaded.
pub(crate) struct LastStep {
    sets: Option<Sets>,
}

/// Takes on the labels, priorities, ids and capabilities of `plan`, and its working directory.
///
/// `filter_follows` keeps the right to load a seccomp filter until [`LastStep::finish`], where
/// no_new_privs does not make it unnecessary.
pub(crate) fn take_on(plan: &ProcessPlan, filter_follows: bool) -> Result<LastStep> {
    priorities(plan)?;
    labels(plan)?;
    caps::limit_bounding(plan.capabilities.bounding).context(|| "limit the bounding set of capabilities")?;
    if plan.no_new_privileges {
        process::set_no_new_privs().context(|| "set no_new_privs")?;
    }
    // Before the ids change, root can enter what the user cannot; after, the user what root cannot
    // (a root-squashing network file system).
    let entered = enter(plan);
    let lookup = process::umask(plan.umask);
    let _ = lookup; // the runtime's own mask is of no further use
    streams::give_to_user(plan);
    ids(plan)?;
    if entered.is_err() {
        enter(plan)?;
    }
    let last = capabilities(plan, filter_follows && !plan.no_new_privileges)?;
    check_ids(plan)?;
    Ok(last)
}

fn priorities(plan: &ProcessPlan) -> Result<()> {
    if let Some(attributes) = &plan.scheduler {
        sched::sched_setattr(attributes).context(|| "set the scheduling policy")?;
    }
    if let Some((class, level)) = plan.io_priority {
        sched::ioprio_set(class, level).context(|| "set the I/O priority")?;
    }
    Ok(())
}

/// Labels take effect at execve(2); they go through a procfs that the container cannot have replaced.
fn labels(plan: &ProcessPlan) -> Result<()> {
    if plan.apparmor_profile.is_none() && plan.selinux_label.is_none() {
        return Ok(());
    }
    let proc = Proc::open()?;
    if let Some(profile) = &plan.apparmor_profile {
        // `attr/apparmor/exec` since 5.8; before, all modules shared `attr/exec`.
        let text = format!("exec {profile}");
        proc.write("self/attr/apparmor/exec", text.as_bytes())
            .or_else(|e| match e.kind() {
                Kind::NotFound => proc.write("self/attr/exec", text.as_bytes()),
                _ => Err(e),
            })
            .context(|| format!("change to the AppArmor profile `{profile}`"))?;
    }
    if let Some(label) = &plan.selinux_label {
        proc.write("self/attr/exec", label.as_bytes())
            .context(|| format!("change to the SELinux label `{label}`"))?;
    }
    Ok(())
}

/// Enters the working directory and makes sure that it lies below the root: a descriptor of the host
/// or a `/proc/self/fd/N` may lead elsewhere, and then getcwd(2) has no absolute path to give.
fn enter(plan: &ProcessPlan) -> Result<()> {
    let what = || format!("enter the working directory `{}`", plan.cwd.display());
    fs::chdir(&plan.cwd).context(what)?;
    let outside =
        || Error::new(Kind::Permission, format!("{}: it lies outside the container's root", what()));
    match fs::getcwd() {
        Ok(path) if path.is_absolute() => Ok(()),
        Ok(_) => Err(outside()),
        Err(e) if e.errno() == errno::NOENT => Err(outside()),
        Err(e) => Err(e).context(what),
    }
}

fn ids(plan: &ProcessPlan) -> Result<()> {
    process::set_keep_capabilities(true).context(|| "keep capabilities over the change of ids")?;
    match if plan.keep_groups { Ok(()) } else { user::setgroups(&plan.groups) } {
        // `/proc/self/setgroups` says deny: the groups are those of whoever started this, and the
        // kernel will not let them go. Asking for none is then met as far as it can be.
        Err(e) if e.errno() == errno::PERM && plan.groups.is_empty() => {}
        Err(e) if e.errno() == errno::PERM => {
            return Err(Error::new(Kind::Permission, "set additional groups")
                .because(e)
                .hint("a user namespace with a single group id allows none; map more with /etc/subgid"));
        }
        other => other.context(|| "set additional groups")?,
    }
    let unmapped = |what: &str, id: u32, e: taru_sys::Error| {
        let inval = e.errno() == errno::INVAL;
        let error = Error::new(Kind::Invalid, format!("become {what} {id}")).because(e);
        if inval { error.hint(format!("the user namespace has no mapping for {what} {id}")) } else { error }
    };
    user::setresgid(plan.gid).map_err(|e| unmapped("group", plan.gid, e))?;
    user::setresuid(plan.uid).map_err(|e| unmapped("user", plan.uid, e))
}

fn capabilities(plan: &ProcessPlan, keep_admin: bool) -> Result<LastStep> {
    let wanted = Sets {
        effective: plan.capabilities.effective,
        permitted: plan.capabilities.permitted,
        inheritable: plan.capabilities.inheritable,
    };
    // What this process does not have it cannot give; the specification lets a runtime of lesser
    // rights start a container of lesser rights.
    let own = caps::capget().context(|| "read the capabilities")?;
    let possible = Sets {
        effective: wanted.effective & own.permitted,
        permitted: wanted.permitted & own.permitted,
        inheritable: wanted.inheritable & (own.permitted | own.inheritable),
    };
    let now = if keep_admin {
        let admin = SYS_ADMIN & own.permitted;
        Sets { effective: possible.effective | admin, permitted: possible.permitted | admin, ..possible }
    } else {
        possible
    };
    caps::capset(&now).context(|| "set the capabilities")?;
    caps::replace_ambient(plan.capabilities.ambient & possible.permitted & possible.inheritable)
        .context(|| "set the ambient capabilities")?;
    Ok(LastStep { sets: (now != possible).then_some(possible) })
}

/// Takes on the rlimits: after all that setting up needs, for a program may be allowed three open files or a
/// megabyte of memory. The host process has raised the hard limits as far as it may; lowering takes no right.
pub(crate) fn limit(plan: &ProcessPlan) -> Result<()> {
    let own = Pid(0);
    for (resource, wanted) in &plan.rlimits {
        match sched::prlimit(own, *resource, Some(*wanted)) {
            Err(e) if e.errno() == errno::PERM => {
                let now = sched::prlimit(own, *resource, None).context(|| "read a resource limit")?;
                let hard = wanted.hard.min(now.hard);
                let clamped = sched::Limit { soft: wanted.soft.min(hard), hard };
                sched::prlimit(own, *resource, Some(clamped)).context(|| "set a resource limit")?;
            }
            other => drop(other.context(|| "set a resource limit")?),
        }
    }
    Ok(())
}

/// Reads back what was set: a process that is not who it was meant to be must not start.
fn check_ids(plan: &ProcessPlan) -> Result<()> {
    if user::geteuid() == plan.uid && user::getuid() == plan.uid && user::getegid() == plan.gid {
        return Ok(());
    }
    Err(Error::new(
        Kind::System,
        format!("become user {} group {}: the kernel says otherwise", plan.uid, plan.gid),
    ))
}

impl LastStep {
    /// Gives up the right that loading the filter took. The filter must allow capset(2) and execve(2).
    pub(crate) fn finish(self) -> Result<()> {
        match self.sets {
            Some(sets) => caps::capset(&sets).context(|| "set the capabilities behind the seccomp filter"),
            None => Ok(()),
        }
    }
}
