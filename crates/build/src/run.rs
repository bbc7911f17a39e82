//! RUN: its mounts made, its program executed as an ordinary container, its changes read as a layer.
//!
//! **Nothing of a mount is a path that a container could change under us.** A cache is a directory below `STATE/build`
//! that nobody else can enter; a path in it, in the context or in a stage is resolved inside it, and what is bound is the
//! handle that this gave (`/proc/PID/fd/N`). Mount points that the image lacks lie in a layer of their own, on which the step's
//! container stands and which is in no image: nothing has to be removed afterwards.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use taru_content::Lease;
use taru_engine::Engine;
use taru_engine::config::{self, ContainerConfig};
use taru_engine::memory;
use taru_engine::step::{self, Extra, ExtraSource, Extras};
use taru_oci::Digest;
use taru_rootdir::RootDir;
use taru_snapshot::Diff;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::{CWD, RenameFlags, renameat2};
use taru_sys::{errno, flock};

use crate::assembly::{Assembly, Entry};
use crate::cache::{Cache, Key, Layer};
use crate::copy::{self, Match, Rules};
use crate::dockerfile::{MountKind, Network};
use crate::graph::Source;
use crate::options::{Network as Default, Options, Secret};
use crate::pattern::Ignore;
use crate::scratch::Scratch;
use crate::stage::{Mount, RunStep, Sharing};
use crate::tree::Tree;
use crate::{agent, root};

/// Bytes of a secret.
const SECRET: u64 = 500 << 10;

/// Where a mount's files come from.
#[derive(Debug, Clone)]
pub(crate) struct From {
    /// The tree.
    pub tree: Arc<Tree>,
    /// Whether it is the context: nobody's owners, and some of it does not exist.
    pub is_context: bool,
    /// What it is called.
    pub name: String,
}

/// What surrounds a RUN.
pub(crate) struct Around<'a> {
    /// The build.
    pub options: &'a Options,
    /// Records and cache mounts.
    pub cache: &'a Cache,
    /// What of the context does not exist.
    pub ignore: &'a Ignore,
    /// Keeps what is made.
    pub lease: &'a Lease,
    /// `SOURCE_DATE_EPOCH`.
    pub epoch: Option<i64>,
    /// The layers below.
    pub parent: Option<&'a Digest>,
    /// Their files.
    pub below: Arc<Tree>,
    /// The image that the step is part of, for its record.
    pub name: &'a str,
}

/// A RUN whose inputs are known: its key, and what will be mounted.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Its key.
    pub key: Digest,
    binds: Vec<Bound>,
}

/// A tree that is mounted, with the digest of what it is.
#[derive(Debug)]
struct Bound {
    assembly: Option<Assembly>,
    /// The name of the one file it is, where it is no directory.
    file: Option<std::ffi::OsString>,
}

/// Reads what goes into the key of a RUN: its words, and the content of what it mounts. Caches, secrets and agents do not.
///
/// # Errors
/// A source that is not there; any error of reading.
pub(crate) fn prepare(
    step: &RunStep,
    around: &Around<'_>,
    from: &dyn Fn(&Mount) -> Result<From>,
) -> Result<Prepared> {
    let mut key = Key::new("run", around.parent);
    for list in [&step.args, &step.env] {
        key.part((list.len() as u64).to_le_bytes());
        list.iter().for_each(|word| key.add(word));
    }
    key.part(&step.cwd).part(&step.user);
    key.part(if has_network(step, around.options.network) { "network" } else { "" });
    key.part(if step.insecure { "insecure" } else { "" });
    key.part(around.epoch.map(|e| e.to_string()).unwrap_or_default());
    if let Some((name, text)) = &step.script {
        key.part(name).part(text);
    }
    key.part((step.mounts.len() as u64).to_le_bytes());
    let mut binds = Vec::new();
    for mount in &step.mounts {
        // A key of its own, so that no part of it can be taken for one of the next.
        let mut own = mount_key(mount);
        let is_tree =
            mount.kind == MountKind::Bind || (mount.kind == MountKind::Cache && mount.from.is_some());
        let bound = match is_tree {
            true => assemble(mount, &from(mount)?, around)?,
            false => Bound { assembly: None, file: None },
        };
        if let Some(assembly) = &bound.assembly {
            assembly.fingerprint(|part| own.add(part))?;
        }
        key.part(own.finish().hex());
        binds.push(bound);
    }
    Ok(Prepared { key: key.finish(), binds })
}

/// What a mount's words say to the step: where, whose, how. A secret's value is no part of it.
fn mount_key(mount: &Mount) -> Key {
    let number = |number: Option<u64>| number.map(|n| n.to_string()).unwrap_or_default();
    let switch = |on: bool| if on { "1" } else { "" };
    let kind = match mount.kind {
        MountKind::Bind => "bind",
        MountKind::Cache => "cache",
        MountKind::Tmpfs => "tmpfs",
        MountKind::Secret => "secret",
        MountKind::Ssh => "ssh",
    };
    let mut key = Key::new("mount", None);
    key.part(kind).part(&mount.target).part(switch(mount.writable));
    key.part(number(mount.mode.map(u64::from))).part(mount.uid.to_string()).part(mount.gid.to_string());
    key.part(number(mount.size)).part(&mount.id).part(switch(mount.required));
    key.part(switch(mount.env.is_some())).part(mount.env.as_deref().unwrap_or_default());
    // What a bind shows is in the key by its content, wherever it came from.
    if mount.kind == MountKind::Cache {
        add_origin(&mut key, mount.from.as_ref());
        key.part(&mount.source);
    }
    key
}

/// Adds where a mount's files come from.
fn add_origin(key: &mut Key, from: Option<&Source>) {
    match from {
        None => key.part("none"),
        Some(Source::Scratch) => key.part("scratch"),
        Some(Source::Stage(number)) => key.part("stage").part(number.to_string()),
        Some(Source::Image(name)) => key.part("image").part(name),
        Some(Source::Context(name)) => key.part("context").part(name),
    };
}

/// What a mount shows, as a layer that stands on nothing.
fn assemble(mount: &Mount, from: &From, around: &Around<'_>) -> Result<Bound> {
    let nothing = Ignore::default();
    let rules = Rules {
        owner: None,
        chmod: None,
        ignore: if from.is_context { around.ignore } else { &nothing },
        exclude: Ignore::default(),
        keeps_owners: !from.is_context,
        now: 0,
        sets_times: false,
        place: &from.name,
    };
    let mut assembly = Assembly::new(Arc::new(Tree::empty()));
    // A mount's source is a name, never a pattern.
    let escaped: String = mount
        .source
        .chars()
        .flat_map(|c| [Some('\\').filter(|_| matches!(c, '*' | '?' | '[' | '\\')), Some(c)])
        .flatten()
        .collect();
    let found = copy::find(&from.tree, &escaped, &rules);
    let found = match found {
        Ok(mut found) => found.pop(),
        // The root of an empty tree is an empty directory.
        Err(_) if mount.source == "/" => None,
        Err(e) => return Err(e).context(|| format!("mount `{}`", mount.source)),
    };
    let mut file = None;
    if let Some(Match { node, name }) = found {
        if !node.is_dir() {
            file = Some(name.clone());
        }
        let dest = if node.is_dir() { "/tree" } else { "/tree/" };
        copy::copy(&mut assembly, &from.tree, &Match { node, name }, dest, &rules)?;
    } else {
        assembly.make_dirs(Path::new("tree"), &Entry::directory(0o755, (0, 0), 0))?;
    }
    Ok(Bound { assembly: Some(assembly), file })
}

/// What must live until the program has ended.
#[derive(Default)]
struct Kept {
    scratch: Vec<Scratch>,
    handles: Vec<OwnedFd>,
    /// Directory and lock of each cache, by [`cache_name`].
    caches: BTreeMap<String, (PathBuf, File)>,
    agents: Vec<agent::Relay>,
}

impl Kept {
    /// A path to what `handle` is open on, good for whoever may look at this process. No ordinary user's container may, since
    /// it is in a user namespace below: it is given the name, which nothing that a container writes to may be part of.
    fn path(&mut self, handle: OwnedFd) -> Result<PathBuf> {
        let mut path = PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), handle.as_raw_fd()));
        if taru_sys::user::geteuid() != 0 {
            path = std::fs::read_link(&path).context(|| "find what is mounted")?;
        }
        self.handles.push(handle);
        Ok(path)
    }
}

/// Executes a RUN and stores what it changed.
///
/// # Errors
/// [`Kind::State`] if the program fails; a secret that is missing; anything that fails before it runs.
pub(crate) fn run(
    engine: &mut Engine,
    step: &RunStep,
    prepared: Prepared,
    around: &Around<'_>,
    output: &mut dyn FnMut(&str),
) -> Result<Layer> {
    if step.insecure && !around.options.allow_insecure {
        return Err(Error::new(Kind::Permission, "RUN --security=insecure: it was not allowed")
            .hint("--allow security.insecure"));
    }
    let mut kept = Kept { caches: claim_all(&step.mounts, &around.cache.mounts())?, ..Kept::default() };
    let mut extras = Extras { env: step.proxies.clone(), ..Extras::default() };
    for (mount, bound) in step.mounts.iter().zip(prepared.binds) {
        add_mount(engine, mount, bound, around, &mut kept, &mut extras)?;
    }
    if let Some((name, text)) = &step.script {
        extras.mounts.push(Extra {
            target: Path::new("/dev/pipes").join(name),
            source: ExtraSource::File { content: text.as_bytes().to_vec(), mode: 0o755, owner: (0, 0) },
        });
    }
    let places = places(engine, &extras, around)?;
    let config = config(step, around, places.as_ref().or(around.parent));
    let (status, made) = step::run(engine, config, extras, output, |engine, key, maps| {
        let images = engine.images()?;
        let how = Diff { maps, epoch: around.epoch };
        root::store_tar(around.parent, images, around.lease, |to| images.snapshots.diff(key, &how, to))
    })?;
    drop(kept);
    match made {
        Some(layer) => Ok(layer),
        None => Err(Error::new(Kind::State, format!("its exit status is {status}"))),
    }
}

/// Whether a step has a network, where `default` is what `--network` says of the build.
fn has_network(step: &RunStep, default: Default) -> bool {
    !matches!((step.network, default), (Network::None, _) | (Network::Default, Default::None))
}

/// The container of a step, above the layer `top`.
fn config(step: &RunStep, around: &Around<'_>, top: Option<&Digest>) -> ContainerConfig {
    let net = match has_network(step, around.options.network) {
        true => config::Net::Host,
        false => config::Net::None,
    };
    ContainerConfig {
        version: config::VERSION,
        root: config::Root::Image {
            name: around.name.to_owned(),
            // There is no image yet that the layers belong to.
            id: around.parent.cloned().unwrap_or_else(|| Digest::of(b"")),
            manifest: around.parent.cloned().unwrap_or_else(|| Digest::of(b"")),
            chain: top.cloned(),
        },
        read_only: false,
        keep: true,
        remove: true,
        args: step.args.clone(),
        env: step.env.clone(),
        workdir: PathBuf::from(&step.cwd),
        user: (!step.user.is_empty()).then(|| step.user.clone()),
        hostname: Some("taru-build".to_owned()),
        tty: false,
        interactive: false,
        binds: Vec::new(),
        net,
        userns: if step.insecure { config::Userns::Host } else { config::Userns::Private },
        cap_add: if step.insecure { vec!["ALL".to_owned()] } else { Vec::new() },
        cap_drop: Vec::new(),
        rlimits: Vec::new(),
        limits: config::Limits::default(),
        cgroup_parent: around.options.cgroup_parent.clone(),
        log: config::LogLimits::default(),
        health: None,
        stop_signal: None,
        volumes: Vec::new(),
        labels: BTreeMap::new(),
    }
}

fn add_mount(
    engine: &Engine,
    mount: &Mount,
    bound: Bound,
    around: &Around<'_>,
    kept: &mut Kept,
    extras: &mut Extras,
) -> Result<()> {
    let target = PathBuf::from(&mount.target);
    let source = match mount.kind {
        MountKind::Tmpfs => ExtraSource::Tmpfs(mount.size),
        MountKind::Secret => return add_secret(engine, mount, around, extras),
        MountKind::Ssh => return add_agent(mount, around, kept, extras),
        MountKind::Bind => {
            let Some(assembly) = bound.assembly else { return Ok(()) };
            let path = layer(engine, assembly, bound.file.as_deref(), mount.writable, around, kept)?;
            ExtraSource::Layer { path, writable: mount.writable }
        }
        MountKind::Cache => {
            let path = cache(engine, mount, bound, around, kept)?;
            ExtraSource::Layer { path, writable: mount.writable }
        }
    };
    extras.mounts.push(Extra { target, source });
    Ok(())
}

/// Files on disk as they are in `assembly`: a layer, which may be there already; a copy of it if it can be written to.
fn layer(
    engine: &Engine,
    assembly: Assembly,
    file: Option<&std::ffi::OsStr>,
    writable: bool,
    around: &Around<'_>,
    kept: &mut Kept,
) -> Result<PathBuf> {
    let images = engine.images()?;
    let tmp = around.cache.tmp();
    let chain = root::unpack(assembly, None, around.epoch, &images.snapshots, around.lease, &tmp)?;
    let place = Path::new("tree").join(file.unwrap_or_default());
    let dir = images.snapshots.trees(&chain)?.swap_remove(0);
    if !writable {
        let handle = RootDir::open(&dir)?.resolve(&place)?;
        return kept.path(handle);
    }
    let copy = Scratch::new(&around.cache.tmp())?;
    copy_tree(&dir.join("tree"), copy.path(), || "copy what is mounted".to_owned())?;
    let handle = RootDir::open(copy.path())?.resolve(&place)?;
    kept.scratch.push(copy);
    kept.path(handle)
}

/// Copies a tree as it is, its links as links: what they lead to is the host's.
fn copy_tree(from: &Path, to: &Path, what: impl Fn() -> String) -> Result<()> {
    let done = std::process::Command::new("cp")
        .args(["-a", "--reflink=auto", "--"])
        .args([from, to])
        .stdin(std::process::Stdio::null())
        .output()
        .context(&what)?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    Err(Error::new(Kind::System, what()).because(Error::new(Kind::System, said)))
}

/// The name of a cache mount's directory.
fn cache_name(mount: &Mount) -> String {
    let mut name = Key::new("cache", None);
    name.part(&mount.id);
    add_origin(&mut name, mount.from.as_ref());
    name.part(if mount.from.is_some() { &mount.source } else { "" });
    name.finish().hex().to_owned()
}

/// Locks the caches of a step, each once, as the strictest of its mounts says.
///
/// In the order of their names, and before anything else: of two steps that wait for each other's, neither would end.
fn claim_all(mounts: &[Mount], all: &Path) -> Result<BTreeMap<String, (PathBuf, File)>> {
    let mut wanted: BTreeMap<String, (Sharing, &str)> = BTreeMap::new();
    for mount in mounts.iter().filter(|mount| mount.kind == MountKind::Cache) {
        let (sharing, _) = wanted.entry(cache_name(mount)).or_insert((mount.sharing, &mount.id));
        *sharing = mount.sharing.max(*sharing);
    }
    let mut claimed = BTreeMap::new();
    for (name, (sharing, id)) in wanted {
        let cache = claim(all, &name, sharing).context(|| format!("open the cache `{id}`"))?;
        claimed.insert(name, cache);
    }
    Ok(claimed)
}

/// The directory of a cache mount, made where it is not there.
fn cache(
    engine: &Engine,
    mount: &Mount,
    bound: Bound,
    around: &Around<'_>,
    kept: &mut Kept,
) -> Result<PathBuf> {
    let what = || format!("open the cache `{}`", mount.id);
    let Some((dir, _)) = kept.caches.get(&cache_name(mount)) else {
        return Err(Error::new(Kind::State, format!("{}: it is not locked", what())));
    };
    let content = dir.join("tree");
    if !content.exists() {
        let staged = Scratch::new(&around.cache.tmp())?;
        let first = staged.path().join("tree");
        match bound.assembly {
            Some(assembly) => {
                let path = layer(engine, assembly, None, false, around, kept)?;
                // `/.` resolves the handle itself; no link inside is followed.
                copy_tree(&path.join("."), &first, what)?;
            }
            None => {
                std::fs::DirBuilder::new().create(&first).context(what)?;
                set_mode(&first, mount.mode.unwrap_or(0o755)).context(what)?;
                if engine.caller.uid == 0 {
                    std::os::unix::fs::chown(&first, Some(mount.uid), Some(mount.gid)).context(what)?;
                }
            }
        }
        match renameat2(CWD, &first, CWD, &content, RenameFlags::NOREPLACE) {
            // Whoever else made it at the same time was as good, and may have mounted it, empty as it is.
            Err(e) if matches!(e.errno(), errno::EXIST | errno::NOTEMPTY) => {}
            moved => moved.context(what)?,
        }
    }
    let inside = RootDir::open(&content)?;
    let place =
        if mount.from.is_none() && mount.source != "/" { Path::new(&mount.source) } else { Path::new("/") };
    if place != Path::new("/") && engine.caller.uid != 0 {
        // What leads there can be another place by the time that it is mounted.
        let e = Error::new(Kind::Unsupported, format!("{}: a part of it, as an ordinary user", what()));
        return Err(e.hint("leave `source` out: the whole cache can be mounted"));
    }
    kept.path(inside.create_dir_all(place, 0o755).context(what)?)
}

fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// A cache's directory and the lock on it: `shared` with others, `locked` after them, `private` the first that is free.
fn claim(all: &Path, name: &str, sharing: Sharing) -> Result<(PathBuf, File)> {
    for number in 0..u32::MAX {
        let dir = match number {
            0 => all.join(name),
            n => all.join(format!("{name}.{n}")),
        };
        let what = || format!("lock `{}`", dir.display());
        match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => made.context(what)?,
        }
        let lock =
            File::options().create(true).truncate(false).write(true).open(dir.join("lock")).context(what)?;
        match sharing {
            Sharing::Shared => flock::lock_shared(lock.as_fd()).context(what)?,
            Sharing::Locked => flock::lock(lock.as_fd()).context(what)?,
            Sharing::Private if !flock::try_lock(lock.as_fd()).context(what)? => continue,
            Sharing::Private => {}
        }
        return Ok((dir, lock));
    }
    Err(Error::new(Kind::Limit, format!("lock `{name}`: too many private copies")))
}

fn add_secret(engine: &Engine, mount: &Mount, around: &Around<'_>, extras: &mut Extras) -> Result<()> {
    let what = || format!("give the secret `{}` to the step", mount.id);
    let content = match around.options.secrets.get(&mount.id) {
        Some(Secret::File(path)) => Some(taru_stdx::fs::read_bounded(path, SECRET).context(what)?),
        Some(Secret::Variable(name)) => match std::env::var_os(name) {
            Some(value) => Some(std::os::unix::ffi::OsStringExt::into_vec(value)),
            None => return Err(Error::new(Kind::NotFound, format!("{}: no variable `{name}`", what()))),
        },
        None => None,
    };
    let Some(content) = content else {
        if mount.required {
            let hint = format!("--secret id={},src=FILE", mount.id);
            return Err(Error::new(Kind::NotFound, format!("{}: nobody gave it", what())).hint(hint));
        }
        return Ok(());
    };
    if let Some(name) = &mount.env {
        // The runtime is told its variables in files.
        let run = engine.dirs.run();
        if !memory::is_volatile(run).context(what)? {
            let text = format!(
                "{} as a variable: it would be written to the disk below `{}`",
                what(),
                run.display()
            );
            let hint = "mount it as a file, which stays in memory; or name a --root on a tmpfs, or none";
            return Err(Error::new(Kind::Unsupported, text).hint(hint));
        }
        let text = std::str::from_utf8(&content)
            .map_err(|e| Error::invalid(format!("{}: it is no text for a variable", what())).because(e))?;
        extras.env.push(format!("{name}={text}"));
    }
    if !mount.target.is_empty() {
        extras.mounts.push(Extra {
            target: PathBuf::from(&mount.target),
            source: ExtraSource::File {
                content,
                mode: mount.mode.unwrap_or(0o400),
                owner: (mount.uid, mount.gid),
            },
        });
    }
    Ok(())
}

fn add_agent(mount: &Mount, around: &Around<'_>, kept: &mut Kept, extras: &mut Extras) -> Result<()> {
    let Some(socket) = around.options.ssh.get(&mount.id) else {
        if mount.required {
            let text = format!("give the agent `{}` to the step: nobody gave it", mount.id);
            return Err(Error::new(Kind::NotFound, text).hint(format!("--ssh {}", mount.id)));
        }
        return Ok(());
    };
    let number = kept.agents.len();
    let target = match mount.target.as_str() {
        "" => format!("/run/buildkit/ssh_agent.{number}"),
        target => target.to_owned(),
    };
    let dir = Scratch::new(&around.cache.tmp())?;
    let relay = agent::Relay::start(dir, socket, mount.mode.unwrap_or(0o600))?;
    extras.mounts.push(Extra {
        target: PathBuf::from(&target),
        source: ExtraSource::Own { path: relay.path().to_owned(), owner: (mount.uid, mount.gid) },
    });
    extras.env.push(format!("SSH_AUTH_SOCK={target}"));
    kept.agents.push(relay);
    Ok(())
}

/// A layer above those below, of mount points that the image lacks, with the directories above them as they are there: what
/// the step changes is what it differs in from that. `None` if the image has all.
fn places(engine: &Engine, extras: &Extras, around: &Around<'_>) -> Result<Option<Digest>> {
    const ALWAYS: &[(&str, bool)] = &[
        ("/proc", true),
        ("/sys", true),
        ("/dev", true),
        ("/etc/hosts", false),
        ("/etc/hostname", false),
        ("/etc/resolv.conf", false),
    ];
    let mut wanted: Vec<(PathBuf, bool)> = ALWAYS.iter().map(|(p, dir)| (PathBuf::from(p), *dir)).collect();
    for extra in &extras.mounts {
        let is_dir = match &extra.source {
            ExtraSource::Tmpfs(_) => true,
            ExtraSource::File { .. } | ExtraSource::Own { .. } => false,
            ExtraSource::Layer { path, .. } => path.is_dir(),
        };
        if !extra.target.starts_with("/dev") {
            wanted.push((extra.target.clone(), is_dir));
        }
    }
    let mut assembly = Assembly::new(around.below.clone());
    for (target, is_dir) in wanted {
        let real = assembly.resolve(&target)?;
        if assembly.is_dir(&real)?.is_some() {
            continue;
        }
        let above = real.parent().unwrap_or(Path::new("")).to_owned();
        let like = Entry::directory(0o755, (0, 0), 0);
        assembly.make_dirs(&above, &like)?;
        if is_dir {
            assembly.put(real, like)?;
        } else {
            let content = crate::assembly::Content::Bytes(Arc::from(&b""[..]));
            assembly.put(real, Entry { content, mode: 0o644, ..like })?;
        }
    }
    if assembly.is_empty() {
        return Ok(None);
    }
    let (snapshots, tmp) = (&engine.images()?.snapshots, around.cache.tmp());
    root::unpack(assembly, around.parent, None, snapshots, around.lease, &tmp)
        .context(|| "make mount points")
        .map(Some)
}
