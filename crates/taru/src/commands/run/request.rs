//! From the options as typed to what a container is asked to be.

use std::path::Path;

use taru_engine::config::{Bind, ContainerConfig, Root, VERSION};
use taru_engine::health;
use taru_engine::image::wishes::Wishes;
use taru_stdx::{Context, Error, Result};
use taru_sys::signal;

use super::Args;
use super::limits::{limits, log_limits};
use super::values::{bind, capability, entrypoint, environment, existing, labels, rlimit};

/// What is asked for.
pub(super) struct Request {
    /// The container. Of an image its root is still [`Root::Host`], and what the image says is missing.
    pub(super) config: ContainerConfig,
    /// The name of the image that is to be its root.
    pub(super) image: Option<String>,
    /// What of it goes before the image's own.
    pub(super) wishes: Wishes,
}

/// From the options as typed to what the container is asked to be. Every problem is found, and all
/// of them reported, before anything is done.
pub(super) fn request(args: &Args) -> Result<Request> {
    let mut problems = Vec::new();
    let mut note = |e: Error| problems.push(e);

    let (root, words) = root(args, &mut note);
    let (root, image) = match root {
        Typed::Image(name) => (Root::Host, Some(name)),
        Typed::Root(root) => (root, None),
    };
    if image.is_none() {
        check_without_image(args, &words, &mut note);
    }
    check_names(args, &mut note);
    let wish = args.health.wish().map_err(&mut note).unwrap_or_default();
    // What an image says of it is not known yet.
    let health = match image {
        Some(_) => None,
        None => health::chosen(&wish, None, None).map_err(&mut note).ok().flatten(),
    };
    let config = ContainerConfig {
        version: VERSION,
        root,
        read_only: args.read_only,
        keep: args.keep,
        remove: args.rm,
        args: words,
        env: environment(&args.env_file, &args.env, &mut note),
        workdir: args.workdir.clone().unwrap_or_else(|| "/".into()),
        user: args.user.clone(),
        hostname: args.hostname.clone(),
        tty: args.tty,
        interactive: args.interactive,
        binds: binds(args, &mut note),
        net: args.net.into(),
        userns: args.userns.into(),
        cap_add: each(&args.cap_add, capability, &mut note),
        cap_drop: each(&args.cap_drop, capability, &mut note),
        rlimits: each(&args.rlimit, rlimit, &mut note),
        limits: limits(args, &mut note),
        cgroup_parent: args.cgroup_parent.clone(),
        log: log_limits(args, &mut note),
        health,
        stop_signal: args.stop_signal.clone(),
        volumes: Vec::new(),
        labels: labels(&args.label, &mut note),
    };
    let wishes = Wishes {
        entrypoint: args.entrypoint.as_deref().map(entrypoint),
        workdir: args.workdir.clone(),
        health: wish,
    };
    match Error::all(problems) {
        Some(e) => Err(e),
        None => Ok(Request { config, image, wishes }),
    }
}

/// What `parse` makes of those that it understands.
fn each<T>(texts: &[String], parse: impl Fn(&str) -> Result<T>, note: &mut impl FnMut(Error)) -> Vec<T> {
    texts.iter().filter_map(|text| parse(text).map_err(&mut *note).ok()).collect()
}

/// `--ro`, `--rw` and `--bind`.
fn binds(args: &Args, note: &mut impl FnMut(Error)) -> Vec<Bind> {
    let read_only = args.ro.iter().map(|path| (path, false));
    let writable = args.rw.iter().filter(|path| !path.is_empty()).map(|path| (path, true));
    let mut binds = Vec::new();
    for (path, writable) in read_only.chain(writable) {
        match existing(path) {
            Ok(path) => binds.push(Bind { source: path.clone(), destination: path, writable }),
            Err(e) => note(e),
        }
    }
    binds.extend(each(&args.bind, bind, note));
    binds
}

/// What only an image can do without, or only an image has.
fn check_without_image(args: &Args, words: &[String], note: &mut impl FnMut(Error)) {
    // Without a root either, what is missing first is enough.
    if words.is_empty() && (args.rootfs.is_some() || !args.words.is_empty()) {
        note(Error::invalid("run a program: none is named").hint("taru run host -- sh"));
    }
    for (option, is_given) in [
        ("--entrypoint", args.entrypoint.is_some()),
        ("--platform", args.platform.is_some()),
        ("--pull", args.pull.is_some()),
    ] {
        if is_given {
            note(
                Error::invalid(format!("use {option} without an image"))
                    .hint("it says how an image is fetched or run; the root here is none"),
            );
        }
    }
}

/// The working directory, the host name, the control groups, the signal.
fn check_names(args: &Args, note: &mut impl FnMut(Error)) {
    if let Some(workdir) = &args.workdir
        && !workdir.is_absolute()
    {
        note(Error::invalid(format!("run in `{}`: not an absolute path", workdir.display())));
    }
    if let Some(name) = &args.hostname
        && (name.is_empty()
            || name.len() > 64
            || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)))
    {
        note(
            Error::invalid(format!("use `{}` as a host name: it is none", name.escape_debug()))
                .hint("a host name has up to 64 letters, digits, `-` and `.`"),
        );
    }
    let parent = Path::new(&args.cgroup_parent);
    if !parent.is_absolute() || parent.components().any(|c| c == std::path::Component::ParentDir) {
        note(Error::invalid(format!(
            "use `{}` for control groups: not an absolute path",
            args.cgroup_parent
        )));
    }
    if let Some(text) = &args.stop_signal
        && signal::parse(text).is_none()
    {
        note(
            Error::invalid(format!("stop with the signal `{text}`: no such signal"))
                .hint("signals are named as kill(1) has them: TERM, HUP, 9"),
        );
    }
}

/// The root as typed.
enum Typed {
    Root(Root),
    /// The name of an image.
    Image(String),
}

/// The root, and the command.
fn root(args: &Args, note: &mut impl FnMut(Error)) -> (Typed, Vec<String>) {
    let mut words = args.words.clone();
    let in_place = args.rw.iter().any(String::is_empty);
    let root = match &args.rootfs {
        Some(dir) => {
            let path = dir.canonicalize().context(|| format!("use `{}` as the root", dir.display()));
            let path = path.and_then(|path| match path.is_dir() {
                true => Ok(path),
                false => Err(Error::invalid(format!("use `{}` as the root: not a directory", dir.display()))),
            });
            Typed::Root(Root::Directory { path: path.map_err(&mut *note).unwrap_or_default(), in_place })
        }
        None => {
            if in_place {
                note(
                    Error::invalid("use --rw without a path: only --rootfs has a directory to change")
                        .hint("name a path of the host that the program may change: --rw PATH"),
                );
            }
            let first = if words.is_empty() { None } else { Some(words.remove(0)) };
            match first.as_deref() {
                Some("host") => {
                    if words.first().is_some_and(|w| w.starts_with('-') && w != "--") {
                        note(
                            Error::invalid(format!(
                                "use `{}` after `host`: options stand before it",
                                words[0]
                            ))
                            .hint("taru run [OPTIONS] host -- COMMAND"),
                        );
                    }
                    Typed::Root(Root::Host)
                }
                Some("--") | None => {
                    note(
                        Error::invalid("run a program: no root is named")
                            .hint("an image, or `host` for this host's own programs: taru run host -- sh"),
                    );
                    Typed::Root(Root::Host)
                }
                Some(name) => Typed::Image(name.to_owned()),
            }
        }
    };
    if words.first().is_some_and(|w| w == "--") {
        words.remove(0);
    }
    (root, words)
}
