//! `taru run`: a container from an image, from this host's own programs, or from any directory.

use std::path::PathBuf;
use std::process::ExitCode;

use taru_engine::config::{Net, Userns};
use taru_engine::{image, names, run};
use taru_oci::Platform;
use taru_stdx::Result;

use crate::commands::open;
use crate::options::{Global, LogLevel};
use crate::output;
use crate::progress::{Shown, Style};

mod health;
mod limits;
mod request;
pub(super) mod values;

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

/// When an image is fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum PullArg {
    /// Before every run
    Always,
    /// If the store has none of that name
    #[default]
    Missing,
    /// Not at all
    Never,
}

impl From<PullArg> for image::start::Pull {
    fn from(typed: PullArg) -> image::start::Pull {
        match typed {
            PullArg::Always => image::start::Pull::Always,
            PullArg::Missing => image::start::Pull::Missing,
            PullArg::Never => image::start::Pull::Never,
        }
    }
}

/// Run a program in a new container
///
/// The root is an image, which is fetched if it is not here yet; or `host`: this host's own /usr, /bin, /lib and
/// /etc, read-only, with everything else private and empty; or with --rootfs any directory. What the program
/// changes is thrown away with the container, unless --rw says otherwise. It has its own processes, mounts,
/// network, users and host name.
///
/// Of an image the program, its variables, user, working directory, volumes and stop signal are taken where no
/// option says otherwise.
///
/// In the foreground standard input, output and error are passed through and the exit status is the
/// program's; 125 says that taru failed, 126 that the program cannot be executed, 127 that there is none.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "taru run [OPTIONS] IMAGE [COMMAND] [ARG]...\n       taru run [OPTIONS] host -- COMMAND [ARG]...\n       taru run [OPTIONS] --rootfs DIR COMMAND [ARG]..."
)]
#[command(after_help = "\
Examples:
  taru run -t debian bash                        a shell in Debian, fetched if it is not here yet
  taru run -d --name web --net host nginx
  taru run --entrypoint sh -t nginx              another program of the same image
  taru run host -- bash                          a shell that cannot harm the host
  taru run --rw . --net host host -- make        may change this directory, and use the network
  taru run --memory 256M --cpus 0.5 host -- ./job
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
    /// Choose when an image is fetched [default: missing]
    #[arg(long, value_enum, value_name = "WHEN", help_heading = "Images")]
    pull: Option<PullArg>,
    /// Choose the image for this platform, such as linux/arm64
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", help_heading = "Images")]
    platform: Option<Platform>,
    /// Run this program in place of the image's; nothing at all if it is empty
    #[arg(long, value_name = "PROGRAM", help_heading = "Images")]
    entrypoint: Option<String>,
    /// Add words about the container
    #[arg(long, short, value_name = "NAME=VALUE")]
    label: Vec<String>,
    /// Choose the signal that asks it to end [default: the image's, or TERM]
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<String>,
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
    /// Set the variables that FILE has, one a line; --env counts more
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
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
    /// Limit the number of processes and threads; 0 or -1 for no limit [default: 4096]
    #[arg(
        long,
        value_name = "NUMBER",
        visible_alias = "pids-limit",
        value_parser = values::pids,
        allow_negative_numbers = true,
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
    #[command(flatten)]
    health: health::HealthArgs,
    /// Make the control group below PATH of each hierarchy
    #[arg(long, value_name = "PATH", default_value = "/taru", help_heading = "Limits of the container")]
    cgroup_parent: String,
    /// The image or the word host, then the command and its arguments
    #[arg(value_name = "ARG", trailing_var_arg = true, hide = true)]
    words: Vec<String>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let request = request::request(args)?;
    if let Some(name) = &args.name {
        names::check(name)?;
    }
    let mut engine = open(global)?;
    let mut config = request.config;
    // What runs is held from here until its record says so.
    let held;
    if let Some(name) = &request.image {
        let wanted = image::start::Wanted {
            name,
            platform: args.platform.as_ref(),
            pull: args.pull.unwrap_or_default().into(),
            wishes: &request.wishes,
        };
        held = Some(image::start::root(&engine, &mut config, &wanted, &Shown::new(Style::Auto))?);
        config.keep |= args.detach && !args.rm;
    } else {
        held = None;
    }
    if args.rm && !args.detach {
        output::note(global, LogLevel::Info, "--rm is so in any case in the foreground");
    }
    if args.detach {
        let record = run::detached(&mut engine, config, args.name.as_deref())?;
        drop(held);
        output::line(&record.id)?;
        return Ok(ExitCode::SUCCESS);
    }
    if config.health.is_some() {
        output::note(
            global,
            LogLevel::Info,
            "health checks are for containers in the background: nobody checks this one",
        );
    }
    run::foreground(&mut engine, config, args.name.as_deref()).map(output::outcome)
}
