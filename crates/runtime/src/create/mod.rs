//! `create`: from a bundle to a container whose init waits.
//!
//! This is the *host* process. It decides ([`Plan`]), then acts, and every act registers its undo; an
//! error anywhere leaves no process, cgroup, mount or record. A kill, or a panic of a release build, leaves
//! what `delete --force` clears: the document is stored before anything is made, and init ends with its
//! creator until it is `created` (that of `run` may have been told to start by then: its program runs on, and its
//! record, never completed, is still one to kill and delete it by). The next `create` of the id takes it over only while it
//! has no `state.json`.

mod converse;
mod spawn;

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use taru_stdx::fs::read_bounded;
use taru_stdx::{Context, Error, Kind, Result, Undo};
use taru_sys::ns::Namespaces;
use taru_sys::process::Child;

use crate::attend::own_size;
use crate::group::{self, Driver};
use crate::handover::{self, Console};
use crate::host::Host;
use crate::init::Gate;
use crate::plan::{self, Plan};
use crate::spec::{CONFIG, CONFIG_LIMIT, Spec};
use crate::state::{self, Record, State, Store};
use crate::wire::{Link, Message};
use crate::{ended, hooks, idmap, notify, raise, resctrl, sources};

/// crun's way to name the socket that `--pidfd-socket` names.
const PIDFD_RECEIVER: &str = "run.oci.pidfd_receiver";

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
    /// How many of `preserve_fds` are sockets that the program is told of, as sd_listen_fds(3) has it.
    pub listen_fds: u32,
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
    /// The conversation with init, if it hears the word to start there.
    pub(crate) link: Option<Link>,
    /// Whether that word was given already.
    pub(crate) released: bool,
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

/// What is known before anything is made.
struct Decided {
    bundle: PathBuf,
    /// The document's text.
    document: Vec<u8>,
    spec: Spec,
    host: Host,
    plan: Plan,
}

fn decide(request: &Request<'_>, stay: Stay) -> Result<Decided> {
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
    plan.process.listen_fds = request.listen_fds;
    check_terminal(&plan, request, stay == Stay::Foreground)?;
    Ok(Decided { bundle, document, spec, host, plan })
}

fn make(request: &Request<'_>, stay: Stay) -> Result<Created> {
    let Decided { bundle, document, spec, host, mut plan } = decide(request, stay)?;
    let console = request.console_socket.map(Console::connect).transpose()?;
    let mut reservation = request.store.reserve(request.id)?;
    reservation.save_config(&document)?;
    if let Some(caller) = request.notify {
        notify::arrange(&mut plan, reservation.dir(), caller)?;
    }
    let attached = stay != Stay::UntilCreated;
    let gate =
        if attached { Gate::Link } else { Gate::Socket(crate::start::listen(&reservation.start_socket())?) };
    // Undone from the last to the first: init, its group, what hooks did, then the record's directory.
    let mut undo_hooks = Undo::new();
    let group = RefCell::new(group::begin(&plan, &host, request.driver, request.rootless)?);
    let mut undo_group = Undo::new();
    undo_group.push(|| group.borrow().as_ref().map_or(Ok(()), group::Made::take_back));
    let mut state = new_state(request, &spec, &bundle, &plan, &host);
    state.resctrl = plan.resctrl.as_ref().map(|plan| resctrl::make(plan, request.id)).transpose()?;
    let made = state.resctrl.clone();
    let mut undo_resctrl = Undo::new();
    undo_resctrl.push(|| made.as_ref().map_or(Ok(()), resctrl::remove));
    let (init, link, stage) =
        spawn::spawn(&plan, &spec, &host, group.borrow().as_ref(), gate, request.preserve_fds)?;
    let mut undo_init = Undo::new();
    undo_init.push(|| ended::end(&init));
    state.init = Some(state::Process::of_pid(init.pid.0)?);
    // systemd moves a process that is there: one that mounts may have failed and ended meanwhile.
    let scope = match request.driver {
        Driver::Systemd => Some(group::make_scope(&plan, &host, &spec.annotations, init.pid)?),
        _ => None,
    };
    let mut undo_scope = Undo::new();
    undo_scope.push(|| scope.as_ref().map_or(Ok(()), group::Made::take_back));
    let mut warnings = plan.warnings.clone();
    warnings.extend(prepare(&plan, &state, &init)?);
    link.offer(&Message::Go)?;
    // While init mounts.
    if let Some(made) = group.borrow_mut().as_mut() {
        made.complete(&plan, &host)?;
    }
    let mut groups = {
        let group = group.borrow();
        let made = group.as_ref().or(scope.as_ref());
        state.cgroup = made.map(group::Made::record).unwrap_or_default();
        warnings.extend(made.iter().flat_map(|made| made.warnings.iter().cloned()));
        made.map_or_else(|| group::stay(&host), group::Made::to_join)?
    };
    // What cannot be prepared init mounts itself, and says in full why it cannot.
    groups.mounts = sources::prepare_groups(&plan, &host, &groups.paths).unwrap_or_default();
    reservation.save(&state)?;
    link.offer(&Message::Groups(groups))?;
    let released = attached && !waits_for_us(&plan, request, &spec);
    if released {
        link.offer(&Message::Start)?;
    }
    // After a failed hook the specification's life cycle goes on with the destruction and the poststop hooks.
    undo_hooks.push(|| {
        hooks::poststop(&spec, &plan.id, &plan.bundle);
        Ok(())
    });
    let mut undo_gifts = Undo::new();
    let answer = converse::converse(&plan, &spec, &link, &init, &mut undo_gifts)?;
    drop(stage);
    warnings.extend(answer.warnings);
    let terminal = handover::terminal(answer.terminal, console)?;
    handover::pid(&init, request.pid_file, pidfd_socket(request, &spec))?;
    let record = reservation.commit(state)?;
    undo_gifts.commit();
    undo_scope.commit();
    undo_init.commit();
    undo_resctrl.commit();
    undo_group.commit();
    undo_hooks.commit();
    Ok(Created { record, init, terminal, warnings, spec, link: attached.then_some(link), released })
}

/// Whether something must be done here between init's mounts and the container's program. Where nothing is, init is given
/// the word to start before it waits for that: to wake one another costs the two of them more than most of what they do.
fn waits_for_us(plan: &Plan, request: &Request<'_>, spec: &Spec) -> bool {
    let is_handed_over = request.pid_file.is_some() || pidfd_socket(request, spec).is_some();
    plan.has_host_step() || plan.process.terminal || is_handed_over || request.notify.is_some()
}

/// The socket that gets init's pidfd.
fn pidfd_socket<'a>(request: &Request<'a>, spec: &'a Spec) -> Option<&'a Path> {
    request.pidfd_socket.or_else(|| spec.annotations.get(PIDFD_RECEIVER).map(Path::new))
}

/// What only a process outside can do for init: ids, limits, score, its place in resctrl.
fn prepare(plan: &Plan, state: &State, init: &Child) -> Result<Vec<String>> {
    if plan.namespaces.new.contains(Namespaces::USER) {
        idmap::write(init.pid, &plan.namespaces.uid_map, &plan.namespaces.gid_map)?;
    }
    let warnings = raise::raise(&plan.process, init.pid)?;
    if let Some(groups) = &state.resctrl {
        resctrl::join(groups, init.pid)?;
    }
    Ok(warnings)
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

fn new_state(request: &Request<'_>, spec: &Spec, bundle: &Path, plan: &Plan, host: &Host) -> State {
    let mut state = State::new(request.id, &spec.oci_version, bundle, &plan.root.path, host.uid);
    let joined = plan.namespaces.join.iter().fold(Namespaces::NONE, |all, (kind, _)| all | *kind);
    state.namespaces = (plan.namespaces.new | joined).names().map(|(_, name)| name.to_owned()).collect();
    state.annotations = spec.annotations.clone();
    state
}
