//! The process that becomes the container: *init*.
//!
//! It is cloned from the host process with the [`Plan`] in its memory, has one thread, and runs the
//! steps below in order, with all rights of its user namespace until `identity`. It never returns:
//! it executes the container's program or reports why not.

mod copy_up;
mod devices;
mod groups;
pub(crate) mod identity;
mod masks;
mod mounts;
pub(crate) mod program;
mod rootfs;
pub(crate) use rootfs::open_null;
pub(crate) mod streams;
pub(crate) mod terminal;

use std::convert::Infallible;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use taru_cgroup::Joiner;
use taru_mount::Mount;
use taru_rootdir::{Proc, RootDir, Subset};
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::ns::{self, Namespaces};
use taru_sys::process::Program;
use taru_sys::{errno, fd, fs, keyring, process, sched, signal, user};

use crate::files::Room;
use crate::hooks;
use crate::plan::{Plan, ProcessPlan};
use crate::spec::Spec;
use crate::wire::{Link, Message};
use groups::Groups;
use identity::LastStep;
use terminal::Terminal;

/// What init has besides the plan; all of it was opened by the host process.
pub(crate) struct Init<'a> {
    /// What to do.
    pub plan: &'a Plan,
    /// The document, for the state that hooks get.
    pub spec: &'a Spec,
    /// The conversation with the host process.
    pub link: Link,
    /// Namespaces to join that were not joined before the clone.
    pub joins: Joins,
    /// Sources of mounts that only the host process could prepare, by the mount's place in the plan.
    pub sources: Vec<(usize, Mount)>,
    /// What the host process prepared of the root.
    pub root_sources: Vec<Mount>,
    /// Device nodes that only the host process could make.
    pub nodes: Option<Mount>,
    /// Descriptors for all these, until they are mounted.
    pub room: Room,
    /// How the word to start arrives.
    pub gate: Gate,
    /// How many descriptors from 3 on the program gets.
    pub preserve_fds: u32,
    /// Whether the control groups let this process in only as long as it is still the caller.
    pub joins_groups_as_caller: bool,
}

impl Init<'_> {
    /// Closes what the host process has open and its caller left open: the lock of the record among them,
    /// which must end with the host process, and directories of the host, which init must not hold while it
    /// waits inside the container.
    fn close_others(&self) -> Result<()> {
        let mut keep = vec![self.link.as_fd()];
        keep.extend(self.joins.iter().map(|(_, file)| file.as_fd()));
        keep.extend(self.sources.iter().map(|(_, mount)| mount.as_fd()));
        keep.extend(self.root_sources.iter().map(AsFd::as_fd));
        keep.extend(self.nodes.iter().map(AsFd::as_fd));
        if let Gate::Socket(listener) = &self.gate {
            keep.push(listener.as_fd());
        }
        match fd::close_all_but(3 + self.preserve_fds, &keep) {
            // Before 5.9: all of them are closed by execve(2).
            Err(e) if e.errno() == errno::NOSYS => Ok(()),
            other => other.context(|| "close what the host has open"),
        }
    }
}

/// Namespaces that are joined, by the files they were opened as.
pub(crate) type Joins = Vec<(Namespaces, OwnedFd)>;

/// How the word to execute the program arrives.
pub(crate) enum Gate {
    /// From the host process itself, which waits (`run`).
    Link,
    /// From a connection to this listening socket (`create`, then `start`).
    Socket(OwnedFd),
}

/// Runs init to its end and reports a failure over the link. Never returns.
pub(crate) fn main(init: Init<'_>) -> ! {
    signal::reset_all();
    let mut hearer = None;
    let Err(error) = run(init, &mut hearer);
    if let Some(link) = hearer {
        // Nobody may be listening any more; there is no one else to tell.
        let _ = taru_sys::socket::send_with_fds(link.as_fd(), &crate::wire::encode_error(&error), &[]);
    }
    process::exit_now(1)
}

/// The whole life of init, read aloud.
/// `hearer` is who is told of a failure: the host process, and after the word to start whoever gave it.
fn run(init: Init<'_>, hearer: &mut Option<OwnedFd>) -> Result<Infallible> {
    init.close_others()?;
    // What is missing in the container is made for its users, whatever whoever called the runtime keeps from others.
    process::umask(0o022);
    *hearer = init.link.as_fd().try_clone_to_owned().ok();
    let Init { plan, spec, link, joins, sources, root_sources, nodes, room, gate, .. } = init;
    arrive(&link, None)?;
    make_network(plan)?;
    let mut groups = Groups::new(&link, plan);
    if init.joins_groups_as_caller {
        groups.join()?;
    }
    enter_namespaces(plan, joins)?;
    terminal::new_session()?;
    join_keyring(plan)?;
    name_host(plan)?;
    let null = open_null()?;
    let root = rootfs::mount(plan, root_sources)?;
    let complete_later = mounts::mount_all(plan, &root, sources, &mut groups)?;
    groups.join()?;
    drop(room);
    devices::make_all(plan, &root, nodes)?;
    create_cwd(plan, &root)?;
    mounts::make_read_only(complete_later)?;
    let own_pid = process::getpid().0;
    let state = |status| hooks::state_json(spec, &plan.id, status, Some(own_pid), &plan.bundle);
    if plan.has_host_step() {
        link.send(&Message::Prepared)?;
        link.expect("the runtime", continued)?;
    }
    // Behind a user namespace the way to the bundle may be shut.
    let place =
        hooks::Place::Container(Some(plan.bundle.as_path()).filter(|bundle| bundle.join(".").exists()));
    hooks::run("createContainer", &plan.hooks.create_container, &state("creating"), place)?;
    let terminal = open_terminal(plan, &root)?;
    masks::apply(plan, &root, null.as_fd())?;
    let root = rootfs::enter(plan, root)?;
    set_sysctls(plan)?;
    rootfs::finish(plan, &root)?;
    drop(root);
    match &terminal {
        Some(terminal) => terminal.become_standard()?,
        None => streams::ensure_open(null.as_fd())?,
    }
    drop(null);
    set_execution_domain(plan)?;
    process::set_dumpable(false).context(|| "hide from other processes")?;
    let last = identity::take_on(&plan.process, plan.seccomp.is_some())?;
    let program = program::find(&plan.process)?;
    if let Some(terminal) = terminal {
        link.send(&Message::Terminal(terminal.into_main()))?;
    }
    // From here on the container outlives a `create` that ends.
    process::set_parent_death_signal(0).context(|| "outlive the runtime")?;
    link.send(&Message::Ready(Vec::new()))?;
    let link = gate.wait(link)?;
    *hearer = link.as_fd().try_clone_to_owned().ok();
    hooks::run(
        "startContainer",
        &plan.hooks.start_container,
        &state("created"),
        hooks::Place::Container(None),
    )?;
    execute(&plan.process, plan.seccomp.as_ref(), last, program, &link, init.preserve_fds)
}

/// Makes sure of ending with the host process, gets into control groups that are known already, and waits for the id maps.
pub(crate) fn arrive(link: &Link, joiner: Option<Joiner>) -> Result<()> {
    process::set_parent_death_signal(signal::SIGKILL).context(|| "end with the runtime")?;
    if let Some(joiner) = joiner {
        joiner.join()?;
    }
    link.expect("the runtime", |m| match m {
        Message::Go => Ok(()),
        other => Err(other),
    })
}

fn continued(message: Message) -> std::result::Result<(), Message> {
    match message {
        Message::Continue => Ok(()),
        other => Err(other),
    }
}

/// What is to be done where the kernel makes no more namespaces.
pub(crate) const NAMESPACES_LIMIT: &str =
    "a limit of namespaces is reached: see /proc/sys/user/max_*_namespaces";

/// Makes the network namespace while the host process makes control groups. The id maps are written by now: root of the
/// user namespace owns what it shows in /proc and /sys.
fn make_network(plan: &Plan) -> Result<()> {
    if !plan.namespaces.new.contains(Namespaces::NETWORK) {
        return Ok(());
    }
    ns::unshare(Namespaces::NETWORK).map_err(|e| {
        let errno = e.errno();
        let error = Error::new(Kind::System, "make a network namespace").because(e);
        if errno == errno::NOSPC { error.hint(NAMESPACES_LIMIT) } else { error }
    })?;
    taru_netlink::loopback_up().context(|| "bring up the loopback interface")
}

/// Enters all but a new cgroup namespace, which [`Groups`] makes.
fn enter_namespaces(plan: &Plan, joins: Joins) -> Result<()> {
    for (kind, file) in joins {
        ns::setns(file.as_fd(), kind).context(|| format!("join the {kind} namespace"))?;
    }
    if plan.namespaces.new.contains(Namespaces::USER) {
        become_root(plan.process.keep_groups)?;
        if !plan.namespaces.time_offsets.is_empty() {
            offset_clocks(&plan.namespaces.time_offsets)?;
        }
    }
    // In a joined user namespace the stage became root already.
    Ok(())
}

/// Root of the user namespace: until now this process has ids that it may not know.
pub(crate) fn become_root(keep_groups: bool) -> Result<()> {
    user::setresgid(0).context(|| "become group 0 of the user namespace")?;
    user::setresuid(0).context(|| "become user 0 of the user namespace")?;
    match if keep_groups { Ok(()) } else { user::setgroups(&[]) } {
        // Denied for a single mapping without the right; see user_namespaces(7).
        Err(e) if e.errno() == errno::PERM => {}
        other => other.context(|| "leave the host's groups")?,
    }
    // A change of ids takes both away.
    process::set_dumpable(true).context(|| "stay visible to the runtime")?;
    process::set_parent_death_signal(signal::SIGKILL).context(|| "end with the runtime")
}

/// In a new user namespace only its own root may set offsets. This process enters the namespace with
/// execve(2) (since 6.1; before, only children did).
fn offset_clocks(lines: &[String]) -> Result<()> {
    ns::unshare(Namespaces::TIME).context(|| "make a time namespace")?;
    crate::clocks::write_offsets(lines)
}

fn join_keyring(plan: &Plan) -> Result<()> {
    if !plan.new_keyring {
        return Ok(());
    }
    /// KEY_USR_SEARCH: exec'ed processes of the same user find the ring.
    const USER_SEARCH: u32 = 0x0008_0000;
    let name = std::ffi::CString::new(format!("_ses.{}", plan.id)).unwrap_or_default();
    let joined = keyring::join_session_keyring(&name).and_then(|serial| keyring::allow(serial, USER_SEARCH));
    match joined {
        Err(e) if e.errno() == errno::NOSYS => Ok(()),
        other => other.map_err(|e| {
            Error::new(Kind::Limit, "join a session keyring of the container's own")
                .because(e)
                .hint("`--no-new-keyring` starts the container without one")
        }),
    }
}

fn name_host(plan: &Plan) -> Result<()> {
    if let Some(name) = &plan.hostname {
        ns::sethostname(name).context(|| "name the host")?;
    }
    if let Some(name) = &plan.domainname {
        ns::setdomainname(name).context(|| "name the NIS domain")?;
    }
    Ok(())
}

/// The working directory is made while the root may still be written: images name ones they do not hold.
fn create_cwd(plan: &Plan, root: &RootDir) -> Result<()> {
    let cwd = plan.process.cwd.as_path();
    if cwd == Path::new("/") || root.exists(cwd) {
        return Ok(());
    }
    match root.create_dir_all(cwd, 0o755) {
        // Entering it will say what is wrong.
        Err(e) if e.kind() == Kind::Permission || is_read_only(&e) => Ok(()),
        other => other.map(drop).context(|| format!("make the working directory `{}`", cwd.display())),
    }
}

fn is_read_only(e: &Error) -> bool {
    let mut next = std::error::Error::source(e);
    while let Some(cause) = next {
        if cause.downcast_ref::<taru_sys::Errno>() == Some(&errno::ROFS) {
            return true;
        }
        next = cause.source();
    }
    false
}

/// Through a procfs of our own: whatever the container mounted on /proc is not asked.
fn set_sysctls(plan: &Plan) -> Result<()> {
    if plan.sysctl.is_empty() {
        return Ok(());
    }
    let proc = Proc::private(Subset::All).or_else(|_| Proc::open())?;
    for (path, value) in &plan.sysctl {
        let name = path.strip_prefix("sys/").unwrap_or(path).replace('/', ".");
        proc.write(path, value.as_bytes())
            .context(|| format!("set the kernel parameter `{name}` to `{value}`"))?;
    }
    Ok(())
}

fn open_terminal(plan: &Plan, root: &RootDir) -> Result<Option<Terminal>> {
    if !plan.process.terminal {
        return Ok(None);
    }
    let terminal = Terminal::open(root, &plan.process)?;
    terminal.mount_console(root)?;
    Ok(Some(terminal))
}

fn set_execution_domain(plan: &Plan) -> Result<()> {
    if let Some(domain) = plan.personality {
        process::personality(domain).context(|| "set the execution domain")?;
    }
    if let Some((mode, nodes)) = &plan.memory_policy {
        sched::set_mempolicy(*mode, nodes).context(|| "set the memory policy")?;
    }
    Ok(())
}

impl Gate {
    /// Waits for the word to start; the conversation goes on with whoever gave it.
    fn wait(self, link: Link) -> Result<Link> {
        match self {
            Gate::Link => {
                link.expect("the runtime", |m| if matches!(m, Message::Start) { Ok(()) } else { Err(m) })?;
                Ok(link)
            }
            Gate::Socket(listener) => {
                drop(link);
                crate::start::accept(&listener)
            }
        }
    }
}

/// The last steps, with nothing in between that a filter could forbid but what is named here.
pub(crate) fn execute(
    process_plan: &ProcessPlan,
    seccomp: Option<&taru_seccomp::Program>,
    last: LastStep,
    program: Program,
    link: &Link,
    preserve_fds: u32,
) -> Result<Infallible> {
    // Whatever was left open, by us or by who called us, ends here.
    fd::cloexec_from(3).context(|| "close descriptors on execve")?;
    for number in 3..3 + preserve_fds as i32 {
        fd::keep_inherited(number).context(|| "preserve a descriptor")?;
    }
    identity::limit(process_plan)?;
    if let Some(filter) = seccomp {
        load_filter(filter, link)?;
    }
    last.finish()?;
    let failure = program.execve();
    let status = if failure.errno() == errno::NOENT { 127 } else { 126 };
    let name = process_plan.args.first().map_or("", String::as_str);
    let mut error = Error::new(Kind::Exec(status), format!("exec `{name}`"))
        .because(program::as_engines_read_it(failure.errno()));
    if failure.errno() == errno::NOENT {
        error = error.hint("the file is there: its interpreter or its ELF loader is missing");
    }
    Err(error)
}

/// Loads the filter; a listener goes to the host process, which sends it on before the program runs.
fn load_filter(filter: &taru_seccomp::Program, link: &Link) -> Result<()> {
    let listener = taru_seccomp::load(filter).context(|| "load the seccomp filter")?;
    if let Some(listener) = listener {
        debug_assert!(listener.as_raw_fd() > 2);
        link.send(&Message::Listener(listener))?;
        link.expect("the runtime", continued)?;
    }
    Ok(())
}

/// The root directory of this process as a handle.
pub(crate) fn current_root() -> Result<RootDir> {
    let fd = fs::openat(fs::CWD, Path::new("/"), fs::OpenFlags::PATH | fs::OpenFlags::DIRECTORY, 0)
        .context(|| "open the container's root")?;
    Ok(RootDir::from_fd(fd))
}
