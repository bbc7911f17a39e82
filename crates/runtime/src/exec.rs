//! `exec`: a further process in a running container.
//!
//! It enters the namespaces of the container's init by that init's pidfd, in one call, so that all of
//! them are of one process and a recycled pid cannot lead elsewhere.
//!
//! A *stage* enters all of them and clones the process as our child. So the process is born into the container's
//! pid namespace, where others may look at it (by CAP_SYS_PTRACE, which root of a user namespace has), with the
//! container's root and without the host's descriptors. The stage itself they do not see: entering a pid
//! namespace is for children only (pid_namespaces(7)).

use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use taru_cgroup::{Cgroup, Joiner};
use taru_seccomp::Program as Filter;
use taru_stdx::{Context, Error, Kind, Result, Undo};
use taru_sys::ns::{self, Namespaces};
use taru_sys::process::{self, Child, Clone, Exit, Pid};
use taru_sys::{errno, fd, keyring, sched, signal, socket};

use crate::attend::{Blocked, attend, own_size};
use crate::handover::{self, Console};
use crate::host::Host;
use crate::init::{self, identity, program, streams, terminal};
use crate::plan::{self, Problems, ProcessPlan};
use crate::spec::{self, Spec};
use crate::state::{Record, Status, Store};
use crate::wire::{Link, Message};
use crate::{ended, group, kill, listener, raise, resctrl, stage, start};
use terminal::Terminal;

/// What `exec` is asked for.
#[derive(Debug)]
pub struct Request<'a> {
    /// Where containers are recorded.
    pub store: &'a Store,
    /// The container.
    pub target: &'a Target,
    /// The process.
    pub process: &'a spec::Process,
    /// Existing groups below the container's to put it into, by controller; the empty name means in all hierarchies.
    pub sub_groups: &'a [(String, PathBuf)],
    /// Return once its program runs.
    pub detach: bool,
    /// Enter a paused container: the process then waits, frozen, until it is resumed.
    pub ignore_paused: bool,
    /// The socket that gets the main side of the terminal.
    pub console_socket: Option<&'a Path>,
    /// Where its pid is written.
    pub pid_file: Option<&'a Path>,
    /// The socket that gets its pidfd.
    pub pidfd_socket: Option<&'a Path>,
    /// How many descriptors from 3 on it gets.
    pub preserve_fds: u32,
    /// How many of these are sockets that the program is told of, as sd_listen_fds(3) has it.
    pub listen_fds: u32,
}

/// What became of the process.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended; `None` if it was detached.
    pub exit: Option<Exit>,
    /// What is worth a warning.
    pub warnings: Vec<String>,
}

/// A container that a further process is executed in: its record, and the document that it was created from.
#[derive(Debug)]
pub struct Target {
    record: Record,
    spec: Spec,
}

impl Target {
    /// Loads both of the container `id`.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; an unreadable record.
    pub fn load(store: &Store, id: &str) -> Result<Target> {
        let record = store.load(id)?;
        let spec = Spec::parse(&record.config()?)?;
        Ok(Target { record, spec })
    }

    /// The container's own process, from which a further one takes its defaults.
    pub fn process(&self) -> Option<&spec::Process> {
        self.spec.process.as_ref()
    }
}

/// Executes a further process in a container.
///
/// # Errors
/// [`Kind::State`] for a container that does not run; all problems of the process at once; [`Kind::Exec`].
pub fn exec(request: &Request<'_>) -> Result<Outcome> {
    let Target { record, spec } = request.target;
    let id = &record.state.id;
    let is_created = check_status(record, request.ignore_paused)? == Status::Created;
    let (mut plan, warnings) = decide(request.process, spec)?;
    plan.listen_fds = request.listen_fds;
    if request.console_socket.is_none() {
        plan.size = own_size().or(plan.size);
    }
    let filter = filter(spec, request.store)?;
    check_terminal(&plan, request)?;
    let console = request.console_socket.map(Console::connect).transpose()?;
    let pidfd = kill::open_init(record)?.ok_or_else(|| stopped(id))?;
    let group = group::below(record, request.sub_groups)?;
    let _blocked = Blocked::all();
    if let Some(first) = &plan.first_affinity {
        sched::sched_setaffinity(Pid(0), first).context(|| "set the first CPU affinity")?;
    }
    let (link, child_link) = Link::pair()?;
    let entry = Entry {
        plan: &plan,
        spec,
        id,
        init: &pidfd,
        namespaces: namespaces(record),
        filter: filter.as_ref(),
        joiner: Some(group.joiner_v1()?),
        null: None,
        link: child_link,
        preserve_fds: request.preserve_fds,
    };
    let shown = if is_created && !stage::may_hide() { start::show(record)? } else { None };
    let (child, stage) = spawn(entry, &group, record, &link)?;
    drop(shown);
    let mut undo = Undo::new();
    undo.push(|| ended::end(&child));
    let mut warnings = warnings;
    warnings.extend(raise::raise(&plan, child.pid)?);
    if let Some(groups) = &record.state.resctrl {
        resctrl::join(groups, child.pid)?;
    }
    link.offer(&Message::Go)?;
    // While the child works, and not later: until it is reaped it counts as one of the container's processes, of which
    // there may be a limit.
    drop(stage);
    let terminal = converse(&link, spec, record, &child)?;
    handover::pid(&child, request.pid_file, request.pidfd_socket)?;
    let terminal = handover::terminal(terminal, console)?;
    undo.commit();
    let exit = if request.detach { None } else { Some(attend(&child, terminal, None, None)?) };
    Ok(Outcome { exit, warnings })
}

fn check_status(record: &Record, ignore_paused: bool) -> Result<Status> {
    let id = &record.state.id;
    match record.status()? {
        status @ (Status::Running | Status::Created) => Ok(status),
        Status::Paused if ignore_paused => Ok(Status::Paused),
        Status::Paused => {
            Err(refuse("cannot exec in a paused container (use --ignore-paused to override)", id))
        }
        Status::Stopped => Err(stopped(id)),
        Status::Creating => Err(refuse("cannot exec in a container that is being created", id)),
    }
}

fn stopped(id: &str) -> Error {
    refuse("cannot exec in a stopped container", id)
}

fn refuse(why: &str, id: &str) -> Error {
    Error::new(Kind::State, format!("{why}: `{id}`"))
}

fn decide(process: &spec::Process, spec: &Spec) -> Result<(ProcessPlan, Vec<String>)> {
    let mut problems = Problems::default();
    let plan = ProcessPlan::new(process, Host::known_capabilities(), &mut problems);
    let plan = plan.annotated(&spec.annotations);
    let warnings = problems.finish()?;
    Ok((plan, warnings))
}

/// The container's filter holds for every process in it.
fn filter(spec: &Spec, store: &Store) -> Result<Option<Filter>> {
    let text = spec.linux.as_ref().and_then(|l| l.seccomp.as_ref());
    let mut problems = Problems::default();
    let cache = store.seccomp_cache();
    let filter = text.and_then(|text| plan::seccomp(text.get(), Some(&cache), &mut problems));
    problems.finish()?;
    Ok(filter)
}

fn check_terminal(plan: &ProcessPlan, request: &Request<'_>) -> Result<()> {
    match (plan.terminal, request.console_socket.is_some()) {
        (true, false) if request.detach => {
            Err(Error::invalid("check --tty: nobody would hold the terminal of a detached process")
                .hint("give --console-socket, or leave --detach out"))
        }
        (false, true) => Err(Error::invalid("check --console-socket: there is no terminal to send to it")
            .hint("give --tty, or leave --console-socket out")),
        _ => Ok(()),
    }
}

fn namespaces(record: &Record) -> Namespaces {
    let names = &record.state.namespaces;
    Namespaces::ALL
        .names()
        .filter(|(_, name)| names.iter().any(|n| n == name))
        .fold(Namespaces::NONE, |all, (kind, _)| all | kind)
}

/// All that the new process needs; it has a copy of it, as it has of all memory.
struct Entry<'a> {
    plan: &'a ProcessPlan,
    spec: &'a Spec,
    id: &'a str,
    init: &'a OwnedFd,
    namespaces: Namespaces,
    filter: Option<&'a Filter>,
    joiner: Option<Joiner>,
    /// The host's /dev/null, if a stage opened it.
    null: Option<OwnedFd>,
    link: Link,
    preserve_fds: u32,
}

/// Clones the process; gives it, and the stage that made it if there was one. In the process this does not return.
fn spawn(
    entry: Entry<'_>,
    group: &Cgroup,
    record: &Record,
    link: &Link,
) -> Result<(Child, Option<stage::Ending>)> {
    if entry.namespaces.contains(Namespaces::USER) || entry.namespaces.contains(Namespaces::PID) {
        let (child, stage) = spawn_through_stage(entry, group, record, link)?;
        return Ok((child, Some(stage)));
    }
    match clone_into(group, record)? {
        Some(child) => Ok((child, None)),
        None => main(entry),
    }
}

fn spawn_through_stage(
    mut entry: Entry<'_>,
    group: &Cgroup,
    record: &Record,
    link: &Link,
) -> Result<(Child, stage::Ending)> {
    if let Some(stage) = clone_into(group, record)? {
        // Ours is one more copy of the child's end: with it open, a stage that was killed would not be heard.
        drop(entry);
        return stage::hear(stage, link);
    }
    match clone_in_stage(&mut entry).transpose() {
        None => main(Entry { namespaces: Namespaces::NONE, ..entry }),
        Some(cloned) => stage::end(&entry.link, cloned),
    }
}

/// What the stage does; `None` is in the new process.
fn clone_in_stage(entry: &mut Entry<'_>) -> Result<Option<Child>> {
    if let Some(joiner) = entry.joiner.take() {
        joiner.join()?;
    }
    let hides = stage::may_hide();
    let null = init::open_null()?;
    ns::setns(entry.init.as_fd(), entry.namespaces).context(|| "enter the container's namespaces")?;
    if entry.namespaces.contains(Namespaces::USER) {
        init::become_root(entry.plan.keep_groups)?;
    }
    if hides {
        process::set_dumpable(false).context(|| "hide from the container's processes")?;
    }
    match fd::close_all_but(3 + entry.preserve_fds, &[entry.link.as_fd(), null.as_fd()]) {
        Err(e) if e.errno() != errno::NOSYS => return Err(e).context(|| "close what the host has open"),
        _ => entry.null = Some(null),
    }
    process::clone3(&Clone { sibling: true, ..Clone::default() }).context(|| "clone the process")
}

/// Clones into the container's group. One that its own systemd split up takes the process beside init.
fn clone_into(group: &Cgroup, record: &Record) -> Result<Option<Child>> {
    let clone = |cgroup| process::clone3(&Clone { cgroup, ..Clone::default() });
    let what = || "clone the process";
    match clone(group.v2_dir_fd()) {
        Err(e) if e.errno() == errno::BUSY || e.errno() == errno::NOTSUP => {
            let init = record.state.init.map_or(Pid(0), |p| Pid(p.pid));
            let beside = group.v2_dir_beside(init)?;
            clone(Some(beside.as_fd())).context(what)
        }
        other => other.context(what),
    }
}

/// Serves the process until it executes its program; gives the main side of its terminal.
fn converse(link: &Link, spec: &Spec, record: &Record, child: &Child) -> Result<Option<OwnedFd>> {
    let mut terminal = None;
    loop {
        match link.receive()? {
            None => {
                check_executed(child)?;
                return Ok(terminal);
            }
            Some(Message::Failed(error)) => return Err(error),
            Some(Message::Terminal(main)) => terminal = Some(main),
            Some(Message::Listener(listener)) => {
                let state = &record.state;
                let init = state.init.map_or(0, |p| p.pid);
                listener::send_for(spec, &state.id, &state.bundle, "running", (init, child.pid.0), listener)?;
                link.send(&Message::Continue)?;
            }
            Some(_) => return Err(Error::new(Kind::System, "the new process spoke out of turn")),
        }
    }
}

/// The link closes when the program runs, and when the process is killed before.
fn check_executed(child: &Child) -> Result<()> {
    if !crate::state::Process::of_pid(child.pid.0)?.is_still_a_clone()? {
        return Ok(());
    }
    let error = Error::new(Kind::System, "exec: the new process ended before it executed its program");
    Err(ended::explain(error, "exec: the new process", child))
}

/// The new process: enters, becomes the program, or says why not. Never returns.
fn main(entry: Entry<'_>) -> ! {
    signal::reset_all();
    let link = entry.link.as_fd().try_clone_to_owned();
    let Err(error) = enter(entry);
    if let Ok(link) = link {
        let _ = socket::send_with_fds(link.as_fd(), &crate::wire::encode_error(&error), &[]);
    }
    process::exit_now(1)
}

fn enter(entry: Entry<'_>) -> Result<Infallible> {
    let Entry { plan, spec, id, init, namespaces, filter, joiner, null, link, preserve_fds } = entry;
    init::arrive(&link, joiner)?;
    // The host has done what it must see us for.
    process::set_dumpable(false).context(|| "hide from other processes")?;
    let null = null.map_or_else(init::open_null, Ok)?;
    if !namespaces.is_empty() {
        ns::setns(init.as_fd(), namespaces).context(|| "enter the container's namespaces")?;
    }
    terminal::new_session()?;
    join_keyring(id)?;
    if let Some(last) = &plan.last_affinity {
        sched::sched_setaffinity(Pid(0), last).context(|| "set the CPU affinity")?;
    }
    if plan.terminal {
        let terminal = Terminal::open(&init::current_root()?, plan)?;
        terminal.become_standard()?;
        link.send(&Message::Terminal(terminal.into_main()))?;
    } else {
        streams::ensure_open(null.as_fd())?;
    }
    drop(null);
    set_personality(spec)?;
    let last = identity::take_on(plan, filter.is_some())?;
    let program = program::find(plan)?;
    process::set_parent_death_signal(0).context(|| "outlive the runtime")?;
    fd::cloexec_from(3).context(|| "close descriptors on execve")?;
    init::execute(plan, filter, last, program, &link, preserve_fds)
}

/// The container's own ring, if it has one: `create` may have been told to leave it.
fn join_keyring(id: &str) -> Result<()> {
    let name = std::ffi::CString::new(format!("_ses.{id}")).unwrap_or_default();
    match keyring::join_session_keyring(&name) {
        Err(e) if e.errno() == errno::NOSYS || e.errno() == errno::PERM || e.errno() == errno::ACCES => {
            Ok(())
        }
        other => other.map(drop).context(|| "join the container's session keyring"),
    }
}

fn set_personality(spec: &Spec) -> Result<()> {
    let domain = spec.linux.as_ref().and_then(|l| l.personality.as_ref());
    let mut problems = Problems::default();
    let domain = domain.and_then(|p| plan::personality(p, &mut problems));
    problems.finish()?;
    if let Some(domain) = domain {
        process::personality(domain).context(|| "set the execution domain")?;
    }
    Ok(())
}
