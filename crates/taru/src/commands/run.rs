//! `taru run`: a container from this host's own programs, or from any directory.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use taru_stdx::{Context, Error, Kind, Result, parse};
use taru_sys::caps::Capabilities;

use crate::commands::open;
use crate::options::{Global, LogLevel};
use crate::output;
use taru_engine::config::{
    Bind, ContainerConfig, DeviceRate, Limits, LogLimits, Net, Rlimit, Root, Userns, VERSION,
};
use taru_engine::{names, run};

/// The network of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum NetArg {
    /// Its own, with a loopback device and nothing else
    #[default]
    None,
    /// The host's
    Host,
}

impl From<NetArg> for Net {
    fn from(typed: NetArg) -> Net {
        match typed {
            NetArg::None => Net::None,
            NetArg::Host => Net::Host,
        }
    }
}

/// The users of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum UsernsArg {
    /// Its own: root inside is an ordinary user outside
    #[default]
    Private,
    /// The host's: root inside is root outside
    Host,
}

impl From<UsernsArg> for Userns {
    fn from(typed: UsernsArg) -> Userns {
        match typed {
            UsernsArg::Private => Userns::Private,
            UsernsArg::Host => Userns::Host,
        }
    }
}

/// Run a program in a new container
///
/// The root is `host`: this host's own /usr, /bin, /lib and /etc, read-only, with everything else private
/// and empty; or with --rootfs any directory. What the program changes is thrown away when it ends, unless
/// --keep or --rw says otherwise. It has its own processes, mounts, network, users and host name.
///
/// In the foreground standard input, output and error are passed through and the exit status is the
/// program's; 125 says that taru failed, 126 that the program cannot be executed, 127 that there is none.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "taru run [OPTIONS] host -- COMMAND [ARG]...\n       taru run [OPTIONS] --rootfs DIR COMMAND [ARG]..."
)]
#[command(after_help = "\
Examples:
  taru run host -- bash                          a shell that cannot harm the host
  taru run --rw . --net host host -- make        may change this directory, and use the network
  taru run --memory 256M --cpus 0.5 host -- ./job
  taru run -d --name web --net host host -- python3 -m http.server
  taru run --rootfs ./debian sh                  a debootstrap tree, unchanged afterwards
  taru run --rootfs ./debian --rw -t sh          the same, changed in place")]
pub struct Args {
    /// Use the directory DIR as the root
    #[arg(long, value_name = "DIR")]
    rootfs: Option<PathBuf>,
    /// Let the program change PATH of the host; behind --rootfs without a PATH, that directory itself
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = "", require_equals = false)]
    rw: Vec<String>,
    /// Show PATH of the host, read-only
    #[arg(long, value_name = "PATH")]
    ro: Vec<String>,
    /// Show SRC of the host at DST, writable unless :ro follows
    #[arg(long, short = 'v', value_name = "SRC:DST[:ro]", visible_alias = "volume")]
    bind: Vec<String>,
    /// Keep the container, and what it changed in its root, after it ended
    #[arg(long, conflicts_with = "rm")]
    keep: bool,
    /// Remove the container when it ended; in the foreground that is so in any case, but for --keep
    #[arg(long)]
    rm: bool,
    /// Run in the background and print the container's id
    #[arg(long, short)]
    detach: bool,
    /// Begin a new log file at this size; with --detach [default: 10M]
    #[arg(long, value_name = "SIZE", requires = "detach")]
    log_max_size: Option<String>,
    /// Keep this many log files; with --detach [default: 3]
    #[arg(long, value_name = "NUMBER", requires = "detach", value_parser = clap::value_parser!(u32).range(1..=1000))]
    log_max_files: Option<u32>,
    /// Give the container this name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Give the program a terminal
    #[arg(long, short)]
    tty: bool,
    /// Keep standard input open with --detach; in the foreground it always is
    #[arg(long, short)]
    interactive: bool,
    /// Run as this user, by name or number
    #[arg(long, short, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Run in this directory
    #[arg(long, short, value_name = "DIR")]
    workdir: Option<PathBuf>,
    /// Set a variable of the environment; without a value, take over taru's own
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Set the host name
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// Choose the network
    #[arg(long, value_enum, default_value_t, visible_alias = "network")]
    net: NetArg,
    /// Choose whose users the container has
    #[arg(long, value_enum, default_value_t)]
    userns: UsernsArg,
    /// Make the root read-only
    #[arg(long)]
    read_only: bool,
    /// Add a capability, or ALL
    #[arg(long, value_name = "CAP")]
    cap_add: Vec<String>,
    /// Drop a capability, or ALL
    #[arg(long, value_name = "CAP")]
    cap_drop: Vec<String>,
    /// Limit each process, such as nofile=1024:4096
    #[arg(long, value_name = "NAME=SOFT[:HARD]", visible_alias = "ulimit")]
    rlimit: Vec<String>,
    /// Limit memory, such as 512M
    #[arg(long, short, value_name = "SIZE", help_heading = "Limits of the container")]
    memory: Option<String>,
    /// Limit processor time to this many CPUs, such as 1.5
    #[arg(long, value_name = "NUMBER", help_heading = "Limits of the container")]
    cpus: Option<String>,
    /// Set the share of processor time among siblings; 1024 is normal
    #[arg(long, value_name = "NUMBER", help_heading = "Limits of the container")]
    cpu_shares: Option<u64>,
    /// Choose the CPUs, such as 0-2,5
    #[arg(
        long,
        value_name = "CPUS",
        visible_alias = "cpuset-cpus",
        help_heading = "Limits of the container"
    )]
    cpuset: Option<String>,
    /// Limit the number of processes and threads [default: 4096]
    #[arg(
        long,
        value_name = "NUMBER",
        visible_alias = "pids-limit",
        help_heading = "Limits of the container"
    )]
    pids: Option<u64>,
    /// Set the share of block I/O among siblings, 10 to 1000
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(10..=1000), help_heading = "Limits of the container")]
    blkio_weight: Option<u16>,
    /// Limit bytes read from a device each second, such as /dev/sda:10M
    #[arg(long, value_name = "DEVICE:RATE", help_heading = "Limits of the container")]
    device_read_bps: Vec<String>,
    /// Limit bytes written to a device each second
    #[arg(long, value_name = "DEVICE:RATE", help_heading = "Limits of the container")]
    device_write_bps: Vec<String>,
    /// Limit reads from a device each second, such as /dev/sda:1000
    #[arg(long, value_name = "DEVICE:RATE", help_heading = "Limits of the container")]
    device_read_iops: Vec<String>,
    /// Limit writes to a device each second
    #[arg(long, value_name = "DEVICE:RATE", help_heading = "Limits of the container")]
    device_write_iops: Vec<String>,
    /// Make the control group below PATH of each hierarchy
    #[arg(long, value_name = "PATH", default_value = "/taru", help_heading = "Limits of the container")]
    cgroup_parent: String,
    /// The word host, then the command and its arguments
    #[arg(value_name = "ARG", trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    words: Vec<String>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let config = config(args)?;
    if let Some(name) = &args.name {
        names::check(name)?;
    }
    let mut engine = open(global)?;
    if args.rm && !args.detach {
        output::note(global, LogLevel::Info, "--rm is so in any case in the foreground");
    }
    if args.detach {
        let record = run::detached(&mut engine, config, args.name.as_deref())?;
        output::line(&record.id)?;
        return Ok(ExitCode::SUCCESS);
    }
    run::foreground(&mut engine, config, args.name.as_deref()).map(output::outcome)
}

/// From the options as typed to what the container is asked to be. Every problem is found, and all
/// of them reported, before anything is done.
fn config(args: &Args) -> Result<ContainerConfig> {
    let mut problems = Vec::new();
    let mut note = |e: Error| problems.push(e);

    let (root, words) = root(args, &mut note);
    if words.is_empty() {
        note(Error::invalid("run without a command").hint("name one: taru run host -- sh"));
    }
    let mut binds = Vec::new();
    let here =
        args.ro.iter().map(|p| (p, false)).chain(args.rw.iter().filter(|p| !p.is_empty()).map(|p| (p, true)));
    for (path, writable) in here {
        match existing(path) {
            Ok(path) => binds.push(Bind { source: path.clone(), destination: path, writable }),
            Err(e) => note(e),
        }
    }
    for text in &args.bind {
        match bind(text) {
            Ok(bind) => binds.push(bind),
            Err(e) => note(e),
        }
    }
    let mut rlimits = Vec::new();
    for text in &args.rlimit {
        match rlimit(text) {
            Ok(limit) => rlimits.push(limit),
            Err(e) => note(e),
        }
    }
    let mut caps = |list: &[String]| -> Vec<String> {
        let known = list.iter().filter_map(|text| capability(text).map_err(&mut note).ok());
        known.collect()
    };
    let (cap_add, cap_drop) = (caps(&args.cap_add), caps(&args.cap_drop));
    let workdir = args.workdir.clone().unwrap_or_else(|| "/".into());
    if !workdir.is_absolute() {
        note(Error::invalid(format!("run in `{}`: not an absolute path", workdir.display())));
    }
    if let Some(name) = &args.hostname
        && (name.is_empty()
            || name.len() > 64
            || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)))
    {
        note(
            Error::invalid(format!("use `{}` as a host name", name.escape_debug()))
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
    let env = environment(&args.env, &mut note);
    let limits = limits(args, &mut note);
    let log = log_limits(args, &mut note);
    match Error::all(problems) {
        Some(e) => Err(e),
        None => Ok(ContainerConfig {
            version: VERSION,
            root,
            read_only: args.read_only,
            keep: args.keep,
            remove: args.rm,
            args: words,
            env,
            workdir,
            user: args.user.clone(),
            hostname: args.hostname.clone(),
            tty: args.tty,
            interactive: args.interactive,
            binds,
            net: args.net.into(),
            userns: args.userns.into(),
            cap_add,
            cap_drop,
            rlimits,
            limits,
            cgroup_parent: args.cgroup_parent.clone(),
            log,
        }),
    }
}

/// The root, and the command.
fn root(args: &Args, note: &mut impl FnMut(Error)) -> (Root, Vec<String>) {
    let mut words = args.words.clone();
    let in_place = args.rw.iter().any(String::is_empty);
    let root = match &args.rootfs {
        Some(dir) => {
            let path = dir.canonicalize().context(|| format!("use `{}` as the root", dir.display()));
            let path = path.and_then(|path| match path.is_dir() {
                true => Ok(path),
                false => Err(Error::invalid(format!("use `{}` as the root: not a directory", dir.display()))),
            });
            Root::Directory { path: path.map_err(&mut *note).unwrap_or_default(), in_place }
        }
        None => {
            if in_place {
                note(
                    Error::invalid("use --rw without a path: only --rootfs has a directory to change")
                        .hint("name a path of the host that the program may change: --rw PATH"),
                );
            }
            match words.first().map(String::as_str) {
                Some("host") => drop(words.remove(0)),
                Some(other) => note(
                    Error::new(Kind::Unsupported, format!("run `{other}`: images are not there yet")).hint(
                        "the root is `host`, or a directory: taru run host -- sh, taru run --rootfs DIR sh",
                    ),
                ),
                None => {}
            }
            if words.first().is_some_and(|w| w.starts_with('-') && w != "--") {
                note(
                    Error::invalid(format!("use `{}` after `host`: options stand before it", words[0]))
                        .hint("taru run [OPTIONS] host -- COMMAND"),
                );
            }
            Root::Host
        }
    };
    if words.first().is_some_and(|w| w == "--") {
        words.remove(0);
    }
    (root, words)
}

fn existing(path: &str) -> Result<PathBuf> {
    Path::new(path).canonicalize().context(|| format!("find `{path}`"))
}

/// `SRC:DST`, `SRC:DST:ro`, `SRC:DST:rw`.
fn bind(text: &str) -> Result<Bind> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, destination, writable) = match parts[..] {
        [source, destination] | [source, destination, "rw"] => (source, destination, true),
        [source, destination, "ro"] => (source, destination, false),
        _ => return Err(Error::invalid(format!("bind `{text}`")).hint("--bind SRC:DST or --bind SRC:DST:ro")),
    };
    let destination = PathBuf::from(destination);
    if !destination.is_absolute() {
        return Err(Error::invalid(format!("bind `{text}`: the destination is not an absolute path")));
    }
    let source = existing(source).context(|| format!("bind `{text}`"))?;
    Ok(Bind { source, destination, writable })
}

/// `nofile=1024:4096`, `nofile=1024`, `core=unlimited`.
fn rlimit(text: &str) -> Result<Rlimit> {
    const NAMES: [&str; 16] = [
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
    let bad = || {
        Error::invalid(format!("parse `{text}` as a limit of a process"))
            .hint(format!("NAME=SOFT[:HARD]; the names are {}", NAMES.join(", ")))
    };
    let (name, values) = text.split_once('=').ok_or_else(bad)?;
    let name = name.to_ascii_lowercase();
    let name = name.strip_prefix("rlimit_").unwrap_or(&name);
    if !NAMES.contains(&name) {
        return Err(bad());
    }
    let value = |v: &str| match v {
        "unlimited" | "infinity" | "-1" => Ok(u64::MAX),
        v => v.parse().map_err(|_| bad()),
    };
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let (soft, hard) = (value(soft)?, value(hard)?);
    if soft > hard {
        return Err(Error::invalid(format!("limit `{text}`: the soft limit is above the hard one")));
    }
    Ok(Rlimit { name: format!("RLIMIT_{}", name.to_ascii_uppercase()), soft, hard })
}

/// `net_admin`, `CAP_NET_ADMIN`, `all`.
fn capability(text: &str) -> Result<String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if name == "ALL" || Capabilities::named(name).is_some() {
        return Ok(name.to_owned());
    }
    Err(Error::invalid(format!("use `{text}` as a capability: no such capability"))
        .hint("capabilities(7) lists them"))
}

/// `NAME=VALUE` as it is; `NAME` with the value it has here, left out if it has none. The last of a name counts.
fn environment(list: &[String], note: &mut impl FnMut(Error)) -> Vec<String> {
    let mut env: Vec<String> = Vec::new();
    for text in list {
        let name = text.split('=').next().unwrap_or_default();
        if name.is_empty() {
            note(Error::invalid(format!("set the variable `{text}`: it has no name")));
            continue;
        }
        env.retain(|e| e.split('=').next() != Some(name));
        if text.contains('=') {
            env.push(text.clone());
        } else if let Ok(value) = std::env::var(name) {
            env.push(format!("{name}={value}"));
        }
    }
    env
}

fn limits(args: &Args, note: &mut impl FnMut(Error)) -> Limits {
    let memory = args.memory.as_deref().map(|text| {
        let bytes = parse::size(text)?;
        // Below this not even a shell starts; Docker's bound is 6 MiB too.
        if bytes < 6 << 20 {
            return Err(Error::invalid(format!("limit memory to `{text}`: less than 6M")));
        }
        Ok(bytes)
    });
    let cpus = args.cpus.as_deref().map(|text| {
        let bad = || {
            Error::invalid(format!("limit processor time to `{text}` CPUs")).hint("a number such as 0.5 or 2")
        };
        let number: f64 = text.parse().map_err(|_| bad())?;
        // The kernel's smallest quota is 1 ms of each 100 ms.
        if number.is_finite() && (0.01..=1e6).contains(&number) {
            Ok((number * 1e9).round() as u64)
        } else {
            Err(bad())
        }
    });
    let mut take = |value: Option<Result<u64>>| value.and_then(|v| v.map_err(&mut *note).ok());
    let (memory, nano_cpus) = (take(memory), take(cpus));
    if args.cpu_shares.is_some_and(|shares| !(2..=262_144).contains(&shares)) {
        note(Error::invalid("set the share of processor time: not from 2 to 262144"));
    }
    if let Some(cpus) = &args.cpuset
        && !is_cpu_list(cpus)
    {
        note(Error::invalid(format!("choose the CPUs `{cpus}`")).hint("a list such as 0-2,5"));
    }
    let mut rates = |list: &[String], parse: fn(&str) -> Result<u64>| -> Vec<DeviceRate> {
        list.iter().filter_map(|text| rate(text, parse).map_err(&mut *note).ok()).collect()
    };
    let number: fn(&str) -> Result<u64> =
        |text| text.parse().map_err(|_| Error::invalid(format!("parse `{text}` as a number")));
    Limits {
        memory,
        nano_cpus,
        cpu_shares: args.cpu_shares,
        cpuset: args.cpuset.clone(),
        pids: args.pids,
        blkio_weight: args.blkio_weight,
        read_bps: rates(&args.device_read_bps, parse::size),
        write_bps: rates(&args.device_write_bps, parse::size),
        read_iops: rates(&args.device_read_iops, number),
        write_iops: rates(&args.device_write_iops, number),
    }
}

fn log_limits(args: &Args, note: &mut impl FnMut(Error)) -> LogLimits {
    let file_size = args.log_max_size.as_deref().map(|text| {
        let bytes = parse::size(text)?;
        // A file holds whole entries, and one takes more than 8 KiB.
        if bytes < 64 << 10 {
            return Err(Error::invalid(format!("limit a log file to `{text}`: less than 64K")));
        }
        Ok(bytes)
    });
    LogLimits { file_size: file_size.and_then(|v| v.map_err(note).ok()), files: args.log_max_files }
}

fn rate(text: &str, parse: fn(&str) -> Result<u64>) -> Result<DeviceRate> {
    let bad = || {
        Error::invalid(format!("parse `{text}` as the rate of a device"))
            .hint("DEVICE:RATE, such as /dev/sda:10M")
    };
    let (path, rate) = text.rsplit_once(':').ok_or_else(bad)?;
    let rate = parse(rate).map_err(|e| bad().because(e))?;
    if !path.starts_with('/') || rate == 0 {
        return Err(bad());
    }
    Ok(DeviceRate { path: path.into(), rate })
}

/// Whether `text` is a list of numbers and ranges.
fn is_cpu_list(text: &str) -> bool {
    let number = |n: &str| n.parse::<u16>().ok();
    text.split(',').all(|part| match part.split_once('-') {
        Some((from, to)) => matches!((number(from), number(to)), (Some(from), Some(to)) if from <= to),
        None => number(part).is_some(),
    })
}
