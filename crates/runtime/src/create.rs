//! `create`: from a bundle to a container whose init waits.
//!
//! This is the *host* process. It decides ([`Plan`]), then acts, and every act registers its undo; an
//! error anywhere leaves no process, cgroup, mount or record. A kill, or a panic of a release build, leaves
//! what `delete --force` clears: the document is stored before anything is made, and init ends with its
//! creator until it is `created`. The next `create` of the id takes it over only while it has no `state.json`.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use taru_stdx::fs::{Sync, read_bounded, replace};
use taru_stdx::{Context, Error, Kind, Result, Undo};
use taru_sys::ns::{self, Namespaces};
use taru_sys::poll::{events, poll};
use taru_sys::process::{self, Child, Clone, Pid};
use taru_sys::{errno, fs, sched, signal, socket};

use crate::attend::own_size;
use crate::group::{self, Driver};
use crate::host::Host;
use crate::init::{self, Gate, Init};
use crate::plan::{self, Plan};
use crate::spec::{CONFIG, CONFIG_LIMIT, Spec};
use crate::state::{self, Record, State, Store};
use crate::wire::{self, Link, Message};
use crate::{clocks, ended, hooks, idmap, notify, resctrl, sources};

/// What `create` and `run` are asked for.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Where containers are recorded.
    pub store: &'a Store,
    /// The new container's id.
    pub id: &'a str,
    /// The bundle; relative to the working directory.
    pub bundle: &'a Path,
    /// Another document than the bundle's `config.json`.
    pub config: Option<&'a Path>,
    /// What is chosen beside the document.
    pub options: plan::Options,
    /// The cgroup driver.
    pub driver: Driver,
    /// Whether refused control groups are passed over; `None`: if this user has no rights on the host.
    pub rootless: Option<bool>,
    /// The socket that gets the main side of the terminal.
    pub console_socket: Option<&'a Path>,
    /// Where init's pid is written.
    pub pid_file: Option<&'a Path>,
    /// The socket that gets init's pidfd.
    pub pidfd_socket: Option<&'a Path>,
    /// `NAME=value` beside the document's environment.
    pub more_env: Vec<String>,
    /// How many descriptors from 3 on the program gets.
    pub preserve_fds: u32,
    /// The socket of a caller who waits for the container's readiness: `$NOTIFY_SOCKET` of sd_notify(3).
    pub notify: Option<&'a Path>,
}

/// A container that was created in this process.
pub struct Created {
    /// Its record, as `create` leaves it.
    pub record: Record,
    /// Its init, a child of this process.
    pub init: Child,
    /// The main side of its terminal, unless a console socket got it.
    pub terminal: Option<OwnedFd>,
    /// What is worth a warning.
    pub warnings: Vec<String>,
    pub(crate) spec: Spec,
    /// The conversation with init, if it waits for the word to start there.
    pub(crate) link: Option<Link>,
}

/// Creates a container that waits for [`crate::start`].
///
/// # Errors
/// All problems of the document at once; whatever a step fails with, after everything was undone.
pub fn create(request: &Request<'_>) -> Result<Created> {
    make(request, Stay::UntilCreated)
}

/// As [`create`], for a process that stays: it gives the word to start, and has the terminal.
pub(crate) fn make_attached(request: &Request<'_>) -> Result<Created> {
    make(request, Stay::Foreground)
}

/// As [`create`], but this process gives the word to start before it ends.
pub(crate) fn make_detached(request: &Request<'_>) -> Result<Created> {
    make(request, Stay::UntilStart)
}

/// How long this process has to do with the container.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stay {
    UntilCreated,
    UntilStart,
    Foreground,
}

fn make(request: &Request<'_>, stay: Stay) -> Result<Created> {
    state::check_id(request.id)?;
    let bundle = absolute(request.bundle)?;
    let config = request.config.map_or_else(|| bundle.join(CONFIG), Path::to_owned);
    let document = read_document(&config)?;
    let spec = Spec::parse(&document).context(|| format!("parse `{}`", config.display()))?;
    let host = Host::probe()?;
    let kept = Some(request.store.seccomp_cache());
    let options = plan::Options { seccomp_cache: kept, ..request.options.clone() };
    let mut plan = Plan::new(request.id, &bundle, &spec, &host, &options)?;
    if stay == Stay::Foreground {
        // Before the program runs: it may ask at once.
        plan.process.size = own_size().or(plan.process.size);
    }
    plan.process.env.extend(request.more_env.iter().cloned());
    check_terminal(&plan, request, stay == Stay::Foreground)?;
    let attached = stay != Stay::UntilCreated;
    let console = request.console_socket.map(connect_console).transpose()?;

    let reservation = request.store.reserve(request.id)?;
    reservation.save_config(&document)?;
    if let Some(caller) = request.notify {
        notify::arrange(&mut plan, reservation.dir(), caller)?;
    }
    let gate =
        if attached { Gate::Link } else { Gate::Socket(crate::start::listen(&reservation.start_socket())?) };
    // Undone from the last to the first: init, its group, what hooks did, then the record's directory.
    let mut undo_hooks = Undo::new();
    let group = group::make(&plan, &host, request.driver, request.rootless)?;
    let mut undo_group = Undo::new();
    undo_group.push(|| group.as_ref().map_or(Ok(()), group::Made::take_back));
    let mut state = new_state(request, &spec, &bundle, &plan, &host);
    if let Some(made) = &group {
        state.cgroup = made.record();
    }
    state.resctrl = plan.resctrl.as_ref().map(|plan| resctrl::make(plan, request.id)).transpose()?;
    let made = state.resctrl.clone();
    let mut undo_resctrl = Undo::new();
    undo_resctrl.push(|| made.as_ref().map_or(Ok(()), resctrl::remove));
    let (init, link) = spawn(&plan, &spec, &host, group.as_ref(), gate, request.preserve_fds)?;
    let mut undo_init = Undo::new();
    undo_init.push(|| end(&init));
    state.init = Some(state::Process::of_pid(init.pid.0)?);
    let scope = match request.driver {
        Driver::Systemd => Some(group::make_scope(&plan, &host, &spec.annotations, init.pid)?),
        _ => None,
    };
    let mut undo_scope = Undo::new();
    undo_scope.push(|| scope.as_ref().map_or(Ok(()), group::Made::take_back));
    if let Some(made) = &scope {
        state.cgroup = made.record();
    }
    reservation.save(&state)?;
    let mut warnings = plan.warnings.clone();
    warnings.extend(prepare(&plan, &init)?);
    if let Some(groups) = &state.resctrl {
        resctrl::join(groups, init.pid)?;
    }
    link.send(&Message::Go(init.pid.0))?;
    // After a failed hook the specification's life cycle goes on with the destruction and the poststop hooks.
    undo_hooks.push(|| {
        hooks::poststop(&spec, &plan.id, &plan.bundle);
        Ok(())
    });
    let terminal = converse(&plan, &spec, &link, &init, &mut warnings)?;
    let terminal = match (terminal, console) {
        (Some(main), Some(console)) => {
            send_console(console.as_fd(), main)?;
            None
        }
        (terminal, _) => terminal,
    };
    report_pid(request, &spec, &init)?;
    if let Some(made) = group.as_ref().or(scope.as_ref()) {
        warnings.extend(made.warnings.iter().cloned());
    }
    let record = reservation.commit(state)?;
    undo_scope.commit();
    undo_init.commit();
    undo_resctrl.commit();
    undo_group.commit();
    undo_hooks.commit();
    Ok(Created { record, init, terminal, warnings, spec, link: attached.then_some(link) })
}

fn absolute(bundle: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(bundle).context(|| format!("find the bundle `{}`", bundle.display()))
}

/// The document's text, kept whole for the record.
fn read_document(config: &Path) -> Result<Vec<u8>> {
    read_bounded(config, CONFIG_LIMIT).map_err(|e| match e.kind() {
        Kind::NotFound => e.hint("a bundle is a directory with config.json; `taru-runtime spec` writes one"),
        _ => e,
    })
}

fn check_terminal(plan: &Plan, request: &Request<'_>, foreground: bool) -> Result<()> {
    match (plan.process.terminal, request.console_socket.is_some()) {
        (true, false) if !foreground => Err(Error::invalid(
            "check process.terminal: nobody would hold the terminal of a detached container",
        )
        .hint("give --console-socket, or set process.terminal to false")),
        (false, true) => Err(Error::invalid("check --console-socket: there is no terminal to send to it")
            .hint("set process.terminal to true, or leave --console-socket out")),
        _ => Ok(()),
    }
}

fn connect_console(path: &Path) -> Result<OwnedFd> {
    socket::connect(path, true).context(|| format!("connect to the console socket `{}`", path.display()))
}

/// The receiver knows the terminal by the descriptor; the bytes are the name that runc sends.
pub(crate) fn send_console(console: std::os::fd::BorrowedFd<'_>, main: OwnedFd) -> Result<()> {
    socket::send_with_fds(console, b"/dev/ptmx", &[main.as_fd()])
        .context(|| "send the terminal to the console socket")?;
    Ok(())
}

fn new_state(request: &Request<'_>, spec: &Spec, bundle: &Path, plan: &Plan, host: &Host) -> State {
    let mut state = State::new(request.id, &spec.oci_version, bundle, &plan.root.path, host.uid);
    let joined = plan.namespaces.join.iter().fold(Namespaces::NONE, |all, (kind, _)| all | *kind);
    state.namespaces = (plan.namespaces.new | joined).names().map(|(_, name)| name.to_owned()).collect();
    state.annotations = spec.annotations.clone();
    state
}

/// Clones init, directly or through a stage. In init this does not return.
fn spawn(
    plan: &Plan,
    spec: &Spec,
    host: &Host,
    group: Option<&group::Made>,
    gate: Gate,
    preserve_fds: u32,
) -> Result<(Child, Link)> {
    let (link, init_link) = Link::pair()?;
    let joins = open_joins(plan)?;
    let sources = sources::prepare(plan, host)?;
    let root_sources = sources::prepare_root(plan, host)?;
    let nodes = sources::prepare_devices(plan, host)?;
    let joiner = group.map(group::Made::joiner).transpose()?;
    let cgroup_paths = group.map(group::Made::paths);
    // Before the clone: what init sends or does in its first instant must find us waiting, not dying.
    let old_mask = signal::mask(&signal::Set::full());
    let init = |joins| Init {
        plan,
        spec,
        link: init_link,
        joiner,
        joins,
        sources,
        root_sources,
        nodes,
        gate,
        preserve_fds,
        cgroup_paths,
    };
    let cloned = if plan.namespaces.needs_stage() {
        spawn_through_stage(plan, group, joins, &link, init)
    } else {
        spawn_directly(plan, group, joins, init)
    };
    signal::mask(&old_mask);
    Ok((cloned?, link))
}

fn open_joins(plan: &Plan) -> Result<Vec<(Namespaces, OwnedFd)>> {
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

/// New namespaces in one clone; joined ones init enters itself, but for the pid namespace, which only
/// a child can be in: it is ours for the length of the clone. The same goes for clock offsets.
fn spawn_directly<'a>(
    plan: &'a Plan,
    group: Option<&group::Made>,
    joins: Vec<(Namespaces, OwnedFd)>,
    init: impl FnOnce(Vec<(Namespaces, OwnedFd)>) -> Init<'a>,
) -> Result<Child> {
    let (pid_joins, joins): (Vec<_>, Vec<_>) =
        joins.into_iter().partition(|(kind, _)| *kind == Namespaces::PID);
    let mut new = plan.namespaces.new.without(Namespaces::CGROUP);
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
    match clone_into(new, group, false)? {
        Some(child) => Ok(child),
        None => init::main(init(joins)),
    }
}

/// A *stage*: it joins what must be joined first, clones init as our child, and is gone.
fn spawn_through_stage<'a>(
    plan: &'a Plan,
    group: Option<&group::Made>,
    joins: Vec<(Namespaces, OwnedFd)>,
    link: &Link,
    init: impl FnOnce(Vec<(Namespaces, OwnedFd)>) -> Init<'a>,
) -> Result<Child> {
    let Some(stage) = clone_into(Namespaces::NONE, group, false)? else {
        stage(plan, joins, init);
    };
    // It holds a copy of init's end: with that open, a stage that was killed would not be heard.
    drop(init);
    await_stage(&stage, link)
}

/// Hears which process the stage cloned, and reaps the stage.
///
/// A stage that is killed behind its clone says nothing, and the clone, which waits for us, holds the same end of the
/// link open: so the stage's end is waited for as well. With the link that clone ends, too.
pub(crate) fn await_stage(stage: &Child, link: &Link) -> Result<Child> {
    let who = "the stage process";
    let cloned = match has_word(stage, link)? {
        true => link.expect(who, |m| match m {
            Message::Cloned(pid) => Ok(pid),
            other => Err(other),
        }),
        false => Err(wire::silent(who)),
    };
    process::wait_pidfd(stage.pidfd.as_fd()).context(|| "wait for the stage process")?;
    let pid = Pid(cloned?);
    // Our child, which nobody but us reaps: the number is still its.
    let pidfd = process::pidfd_open(pid).context(|| "open the container's init")?;
    Ok(Child { pid, pidfd })
}

/// Waits until the stage has said something, or has ended; whether there is something to be heard.
fn has_word(stage: &Child, link: &Link) -> Result<bool> {
    let look = |patience| {
        let both = [(link.as_fd(), events::IN), (stage.pidfd.as_fd(), events::IN)];
        poll(both, patience).context(|| "wait for the stage process")
    };
    let [said, _ended] = look(None)?;
    // Its last word may have come between the looks at the one and at the other.
    Ok(said != 0 || look(Some(Duration::ZERO))?[0] != 0)
}

fn stage<'a>(
    plan: &'a Plan,
    joins: Vec<(Namespaces, OwnedFd)>,
    init: impl FnOnce(Vec<(Namespaces, OwnedFd)>) -> Init<'a>,
) -> ! {
    let mut init = init(Vec::new());
    // A new user namespace is new to all others; in a joined one there may be somebody.
    let hides = may_hide() && !plan.namespaces.new.contains(Namespaces::USER);
    let mut clone = || -> Result<Option<Child>> {
        if let Some(joiner) = init.joiner.take() {
            joiner.join()?;
        }
        // The user namespace first: it gives the right over those it owns.
        for wanted in [true, false] {
            for (kind, file) in joins.iter().filter(|(kind, _)| (*kind == Namespaces::USER) == wanted) {
                ns::setns(file.as_fd(), *kind).context(|| format!("join the {kind} namespace"))?;
            }
        }
        if plan.namespaces.joins(Namespaces::USER) {
            init::become_root(plan.process.keep_groups)?;
        }
        let mut new = plan.namespaces.new.without(Namespaces::CGROUP);
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
    };
    let said = match clone() {
        Ok(None) => init::main(init),
        Ok(Some(child)) => Message::Cloned(child.pid.0),
        Err(error) => Message::Failed(error),
    };
    let _ = init.link.send(&said);
    process::exit_now(0)
}

/// Clones into the group where the kernel can do that; a v2 group that takes no process, because the
/// container's own systemd split it up, is joined later.
fn clone_into(new: Namespaces, group: Option<&group::Made>, sibling: bool) -> Result<Option<Child>> {
    let cgroup = group.and_then(group::Made::v2_dir_fd);
    let how = Clone { namespaces: new, cgroup, sibling, ..Clone::default() };
    let explain = |e: taru_sys::Error| {
        let refused = e.errno() == errno::PERM && new.contains(Namespaces::USER);
        let full = e.errno() == errno::NOSPC;
        let error = Error::new(Kind::System, "clone the container's init").because(e);
        match (refused, full) {
            (true, _) => {
                error.hint("may this user make user namespaces? see kernel.unprivileged_userns_clone; in a chroot nobody may")
            }
            (_, true) => error.hint("a limit of namespaces is reached: see /proc/sys/user/max_*_namespaces"),
            _ => error,
        }
    };
    process::clone3(&how).map_err(explain)
}

/// Whether this process can do its work on children that are not dumpable: their /proc files are root's (proc(5)).
pub(crate) fn may_hide() -> bool {
    taru_sys::user::geteuid() == 0
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

/// What only a process outside can do for init: ids, limits, score.
fn prepare(plan: &Plan, init: &Child) -> Result<Vec<String>> {
    if plan.namespaces.new.contains(Namespaces::USER) {
        idmap::write(init.pid, &plan.namespaces.uid_map, &plan.namespaces.gid_map)?;
    }
    limit_process(&plan.process, init.pid)
}

/// Raises the hard rlimits of `pid` where it is to have higher ones, and sets its oom score: from outside,
/// where this process's rights count. What is refused for want of CAP_SYS_RESOURCE is said, and clamped when
/// the process itself takes the limits on, as its last step ([`identity::limit`](init::identity::limit)).
pub(crate) fn limit_process(process: &plan::ProcessPlan, pid: Pid) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for (resource, wanted) in &process.rlimits {
        let now = sched::prlimit(pid, *resource, None).context(|| "read a resource limit")?;
        if wanted.hard <= now.hard {
            continue;
        }
        match sched::prlimit(pid, *resource, Some(sched::Limit { hard: wanted.hard, ..now })) {
            Err(e) if e.errno() == errno::PERM => warnings.push(format!(
                "{} is {} instead of {}: raising it takes CAP_SYS_RESOURCE",
                resource.name(),
                now.hard,
                wanted.hard
            )),
            other => drop(other.context(|| "set a resource limit")?),
        }
    }
    if let Some(adj) = process.oom_score_adj {
        let path = format!("/proc/{pid}/oom_score_adj");
        match std::fs::write(&path, adj.to_string()) {
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
                let now = std::fs::read_to_string(&path).unwrap_or_default();
                warnings.push(format!(
                    "oom_score_adj is {} instead of {adj}: lowering it takes CAP_SYS_RESOURCE",
                    now.trim()
                ));
            }
            other => other.context(|| format!("set oom_score_adj to `{adj}`"))?,
        }
    }
    Ok(warnings)
}

/// Serves init until it is ready; gives the main side of its terminal.
fn converse(
    plan: &Plan,
    spec: &Spec,
    link: &Link,
    init: &Child,
    warnings: &mut Vec<String>,
) -> Result<Option<OwnedFd>> {
    let mut terminal = None;
    loop {
        let message = link
            .expect("the container's init", Ok)
            .map_err(|e| ended::explain(e, "create the container: its init", init))?;
        match message {
            Message::Prepared => {
                host_step(plan, spec, init)?;
                link.send(&Message::Continue)?;
            }
            Message::Terminal(main) => terminal = Some(main),
            Message::Ready(more) => {
                warnings.extend(more);
                return Ok(terminal);
            }
            _ => return Err(Error::new(Kind::System, "the container's init spoke out of turn")),
        }
    }
}

/// Between the mounts and pivot_root, in the runtime's namespaces.
fn host_step(plan: &Plan, spec: &Spec, init: &Child) -> Result<()> {
    let state = hooks::state_json(spec, &plan.id, "creating", Some(init.pid.0), &plan.bundle);
    let place = hooks::Place::Host(Some(&plan.bundle));
    move_net_devices(plan, init)?;
    hooks::run("prestart", &plan.hooks.prestart, &state, place)?;
    hooks::run("createRuntime", &plan.hooks.create_runtime, &state, place)
}

fn move_net_devices(plan: &Plan, init: &Child) -> Result<()> {
    if plan.net_devices.is_empty() {
        return Ok(());
    }
    let path = PathBuf::from(format!("/proc/{}/ns/net", init.pid));
    let target = fs::openat(fs::CWD, &path, fs::OpenFlags::RDONLY, 0)
        .context(|| "open the container's network namespace")?;
    let devices: Vec<_> = plan
        .net_devices
        .iter()
        .map(|(name, new_name)| taru_netlink::Device { name, new_name: new_name.as_deref() })
        .collect();
    taru_netlink::move_devices(&devices, target.as_fd()).map(drop)
}

/// crun's way to name the socket that `--pidfd-socket` names.
const PIDFD_RECEIVER: &str = "run.oci.pidfd_receiver";

/// Tells whoever asked where init is.
fn report_pid(request: &Request<'_>, spec: &Spec, init: &Child) -> Result<()> {
    if let Some(path) = request.pid_file {
        replace(path, init.pid.to_string().as_bytes(), 0o644, Sync::Atomic)?;
    }
    let annotated = spec.annotations.get(PIDFD_RECEIVER).map(Path::new);
    if let Some(path) = request.pidfd_socket.or(annotated) {
        send_pidfd(path, init)?;
    }
    Ok(())
}

/// Hands the pidfd of `child` to whoever listens at `path`.
pub(crate) fn send_pidfd(path: &Path, child: &Child) -> Result<()> {
    let what = || format!("send the pidfd to `{}`", path.display());
    let receiver = socket::connect(path, true).context(what)?;
    socket::send_with_fds(receiver.as_fd(), b"pidfd", &[child.pidfd.as_fd()]).context(what)?;
    Ok(())
}

/// Ends init and reaps it.
pub(crate) fn end(init: &Child) -> Result<()> {
    match process::pidfd_send_signal(init.pidfd.as_fd(), signal::SIGKILL) {
        Err(e) if e.errno() == errno::SRCH => {}
        other => other.context(|| "kill the container's init")?,
    }
    match process::wait_pidfd(init.pidfd.as_fd()) {
        Err(e) if e.errno() == errno::CHILD => Ok(()),
        other => other.map(drop).context(|| "wait for the container's init"),
    }
}
