//! Init cloned: directly, or through a *stage* where it must be born into what others made.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::ns::{self, Namespaces};
use taru_sys::process::{self, Child, Clone};
use taru_sys::{errno, fs, signal};

use crate::files::Room;
use crate::host::Host;
use crate::init::{self, Gate, Init, Joins};
use crate::plan::Plan;
use crate::spec::Spec;
use crate::wire::Link;
use crate::{clocks, group, sources, stage};

/// Clones init; gives it, the link to it, and the stage that made it if there was one. In init this does not return.
///
/// # Errors
/// What only the host can open, or cannot be joined or cloned.
pub(super) fn spawn(
    plan: &Plan,
    spec: &Spec,
    host: &Host,
    group: Option<&group::Made>,
    gate: Gate,
    preserve_fds: u32,
) -> Result<(Child, Link, Option<stage::Ending>)> {
    let (link, init_link) = Link::pair()?;
    let joins = open_joins(plan)?;
    let room = Room::make(plan)?;
    let sources = sources::prepare(plan, host)?;
    let root_sources = sources::prepare_root(plan, host)?;
    let nodes = sources::prepare_devices(plan, host)?;
    // Before the clone: what init sends or does in its first instant must find us waiting, not dying.
    let old_mask = signal::mask(&signal::Set::full());
    let init = |joins| Init {
        plan,
        spec,
        link: init_link,
        joins,
        sources,
        root_sources,
        nodes,
        room,
        gate,
        preserve_fds,
        joins_groups_as_caller: joins_groups_as_caller(plan, host),
    };
    let cloned = if plan.namespaces.needs_stage() {
        through_stage(plan, group, joins, &link, init).map(|(child, stage)| (child, Some(stage)))
    } else {
        directly(plan, group, joins, init).map(|child| (child, None))
    };
    signal::mask(&old_mask);
    let (child, stage) = cloned?;
    Ok((child, link, stage))
}

/// v1 takes a process only from root or from the user that it is (by the rights of who opened the file, since 5.16), and one
/// that became root of a user namespace is another.
fn joins_groups_as_caller(plan: &Plan, host: &Host) -> bool {
    !host.is_privileged && plan.namespaces.new.contains(Namespaces::USER) && !host.hierarchy.v1.is_empty()
}

fn open_joins(plan: &Plan) -> Result<Joins> {
    let open = |(kind, path): &(Namespaces, PathBuf)| {
        let what = || format!("join the {kind} namespace `{}`", path.display());
        let file = fs::openat(fs::CWD, path, fs::OpenFlags::RDONLY, 0).context(what)?;
        let is = ns::kind_of(file.as_fd())
            .map_err(|_| Error::invalid(format!("{}: it is no namespace", what())))?;
        if is != *kind {
            return Err(Error::invalid(format!("{}: it is a {is} namespace", what())));
        }
        Ok((*kind, file))
    };
    plan.namespaces.join.iter().map(open).collect()
}

/// New namespaces in one clone, as far as init does not make them itself; joined ones init enters itself, but for the pid
/// namespace, which only a child can be in: it is ours for the length of the clone. The same goes for clock offsets.
fn directly<'a>(
    plan: &'a Plan,
    group: Option<&group::Made>,
    joins: Joins,
    init: impl FnOnce(Joins) -> Init<'a>,
) -> Result<Child> {
    let (pid_joins, joins): (Joins, Joins) =
        joins.into_iter().partition(|(kind, _)| *kind == Namespaces::PID);
    let mut new = plan.namespaces.cloned();
    let mut back = ChildNamespaces::default();
    if let Some((_, file)) = pid_joins.first() {
        back.join_pid(file)?;
    }
    if !plan.namespaces.time_offsets.is_empty() {
        new = new.without(Namespaces::TIME);
        if !new.contains(Namespaces::USER) {
            back.new_time(&plan.namespaces.time_offsets)?;
        }
    }
    match clone_into(new, group)? {
        Some(child) => Ok(child),
        None => init::main(init(joins)),
    }
}

/// The stage joins what must be joined first, and clones init as our child.
fn through_stage<'a>(
    plan: &'a Plan,
    group: Option<&group::Made>,
    joins: Joins,
    link: &Link,
    init: impl FnOnce(Joins) -> Init<'a>,
) -> Result<(Child, stage::Ending)> {
    if let Some(stage) = clone_into(Namespaces::NONE, group)? {
        // It holds a copy of init's end: with that open, a stage that was killed would not be heard.
        drop(init);
        return stage::hear(stage, link);
    }
    let init = init(Vec::new());
    match clone_in_stage(plan, &joins).transpose() {
        None => init::main(init),
        Some(cloned) => stage::end(&init.link, cloned),
    }
}

/// What the stage does; `None` is in init.
fn clone_in_stage(plan: &Plan, joins: &[(Namespaces, OwnedFd)]) -> Result<Option<Child>> {
    // A new user namespace is new to all others; in a joined one there may be somebody.
    let hides = stage::may_hide() && !plan.namespaces.new.contains(Namespaces::USER);
    // The user namespace first: it gives the right over those it owns.
    for wanted in [true, false] {
        for (kind, file) in joins.iter().filter(|(kind, _)| (*kind == Namespaces::USER) == wanted) {
            ns::setns(file.as_fd(), *kind).context(|| format!("join the {kind} namespace"))?;
        }
    }
    if plan.namespaces.joins(Namespaces::USER) {
        init::become_root(plan.process.keep_groups)?;
    }
    let mut new = plan.namespaces.cloned();
    if !plan.namespaces.time_offsets.is_empty() && !new.contains(Namespaces::USER) {
        new = new.without(Namespaces::TIME);
        ns::unshare(Namespaces::TIME).context(|| "make a time namespace")?;
        clocks::write_offsets(&plan.namespaces.time_offsets)?;
    }
    if hides {
        process::set_dumpable(false).context(|| "hide from other processes")?;
    }
    let how = Clone { namespaces: new, sibling: true, ..Clone::default() };
    process::clone3(&how).context(|| "clone the container's init")
}

/// Clones into the group where the kernel can do that; a v2 group that takes no process, because the
/// container's own systemd split it up, is joined later.
fn clone_into(new: Namespaces, group: Option<&group::Made>) -> Result<Option<Child>> {
    let cgroup = group.and_then(group::Made::v2_dir_fd);
    process::clone3(&Clone { namespaces: new, cgroup, ..Clone::default() }).map_err(|e| {
        let errno = e.errno();
        let error = Error::new(Kind::System, "clone the container's init").because(e);
        match errno {
            errno::PERM if new.contains(Namespaces::USER) => {
                error.hint("may this user make user namespaces? see kernel.unprivileged_userns_clone; in a chroot nobody may")
            }
            errno::NOSPC => error.hint(init::NAMESPACES_LIMIT),
            _ => error,
        }
    })
}

/// The namespaces of this process's children, put back when dropped.
#[derive(Default)]
struct ChildNamespaces {
    own: Vec<(Namespaces, OwnedFd)>,
}

impl ChildNamespaces {
    fn keep(&mut self, kind: Namespaces, name: &str) -> Result<()> {
        let path = PathBuf::from(format!("/proc/self/ns/{name}"));
        let own = fs::openat(fs::CWD, &path, fs::OpenFlags::RDONLY, 0)
            .context(|| format!("keep the own {kind} namespace"))?;
        self.own.push((kind, own));
        Ok(())
    }

    /// Children are in the pid namespace whose file `file` is.
    fn join_pid(&mut self, file: &OwnedFd) -> Result<()> {
        self.keep(Namespaces::PID, "pid")?;
        ns::setns(file.as_fd(), Namespaces::PID).context(|| "join the pid namespace")
    }

    fn new_time(&mut self, offsets: &[String]) -> Result<()> {
        self.keep(Namespaces::TIME, "time")?;
        ns::unshare(Namespaces::TIME).context(|| "make a time namespace")?;
        clocks::write_offsets(offsets)
    }
}

impl Drop for ChildNamespaces {
    fn drop(&mut self) {
        for (kind, own) in &self.own {
            // Back into what this process was born into: always allowed.
            let _ = ns::setns(own.as_fd(), *kind);
        }
    }
}
