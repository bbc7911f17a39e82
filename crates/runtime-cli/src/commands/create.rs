//! `create` and `run`: a container from a bundle.

use std::path::{Path, PathBuf};

use clap::Args;
use taru_runtime::create::{Request, create};
use taru_runtime::group::Driver;
use taru_runtime::plan::Options;
use taru_runtime::run::{RunOptions, run};
use taru_runtime::seal;
use taru_runtime::state::Store;
use taru_stdx::Result;
use taru_sys::process::Exit;

use crate::commands::Verb;
use crate::global::CgroupManager;
use crate::settings::Settings;

/// What `create` and `run` have in common.
#[derive(Debug, Args)]
pub(super) struct Bundle {
    /// The name of the new container: letters, digits and _+-., up to 255
    pub(super) id: String,
    /// The bundle: a directory with config.json [default: the current directory]
    #[arg(short, long, value_name = "DIR")]
    pub(super) bundle: Option<PathBuf>,
    /// Read FILE instead of the bundle's config.json
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Send the terminal's master side to the AF_UNIX socket PATH
    #[arg(long, value_name = "PATH")]
    pub(super) console_socket: Option<PathBuf>,
    /// Send a pidfd of the container's first process to the AF_UNIX socket PATH
    #[arg(long, value_name = "PATH")]
    pub(super) pidfd_socket: Option<PathBuf>,
    /// Write the pid of the container's first process to FILE
    #[arg(long, value_name = "FILE")]
    pub(super) pid_file: Option<PathBuf>,
    /// Hand N more descriptors to the container, from 3 on (behind those of LISTEN_FDS)
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) preserve_fds: u32,
    /// Use chroot instead of pivot_root, for a root file system in the initial ramdisk. Less safe
    #[arg(long)]
    pub(super) no_pivot: bool,
    /// Keep the caller's session keyring instead of making one for the container
    #[arg(long)]
    pub(super) no_new_keyring: bool,
    /// Do not adopt the orphans of the container while waiting for its end
    #[arg(long)]
    pub(super) no_subreaper: bool,
}

impl Bundle {
    /// What the library is asked for.
    fn request<'a>(&'a self, store: &'a Store, settings: &'a Settings) -> Request<'a> {
        let listen_fds = listen_fds();
        Request {
            store,
            id: &self.id,
            bundle: self.bundle.as_deref().unwrap_or(Path::new(".")),
            config: self.config.as_deref(),
            options: Options {
                no_new_keyring: self.no_new_keyring,
                no_pivot: self.no_pivot,
                ..Options::default()
            },
            driver: match settings.cgroup_manager {
                CgroupManager::Cgroupfs => Driver::Cgroupfs,
                CgroupManager::Systemd => Driver::Systemd,
                CgroupManager::Disabled => Driver::Disabled,
            },
            rootless: settings.rootless,
            console_socket: self.console_socket.as_deref(),
            pid_file: self.pid_file.as_deref(),
            pidfd_socket: self.pidfd_socket.as_deref(),
            listen_fds,
            preserve_fds: self.preserve_fds.saturating_add(listen_fds),
            notify: settings.notify_socket.as_deref(),
        }
    }
}

/// Descriptors of socket activation are handed on too (sd_listen_fds(3)), as far as there are any: the
/// variable may have been left over by whoever the sockets were meant for.
pub(super) fn listen_fds() -> u32 {
    let said = std::env::var("LISTEN_FDS").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    seal::inherited_descriptors(said)
}

/// Create a container from a bundle, ready to start
///
/// All is set up up to the point where the program would be executed: namespaces, mounts, limits. The
/// program is executed by `taru-runtime start`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  taru-runtime create --bundle /srv/web web
  taru-runtime start web")]
pub(crate) struct Create {
    #[command(flatten)]
    bundle: Bundle,
}

/// Create a container, start it and wait for its end
///
/// The exit status is that of the container's program, or 128 and the number of the signal that ended it.
/// The container is deleted afterwards.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  taru-runtime run web                        the bundle in the current directory, on this terminal
  taru-runtime run --detach --pid-file /run/web.pid --bundle /srv/web web")]
pub(crate) struct Run {
    #[command(flatten)]
    bundle: Bundle,
    /// Do not wait: return once the program runs
    #[arg(short, long)]
    detach: bool,
    /// Do not delete the container after its end
    #[arg(long)]
    keep: bool,
    /// Kill the container when the process that executed this one ends
    #[arg(long, conflicts_with = "detach")]
    die_with_parent: bool,
}

impl Verb for Create {
    fn run(self, settings: &Settings) -> Result<u8> {
        let store = settings.store()?;
        let request = self.bundle.request(&store, settings);
        seal::keep_descriptors(request.preserve_fds)?;
        let created = create(&request)?;
        settings.warn(&created.warnings);
        Ok(0)
    }
}

impl Verb for Run {
    fn run(self, settings: &Settings) -> Result<u8> {
        let options = RunOptions {
            detach: self.detach,
            keep: self.keep,
            no_subreaper: self.bundle.no_subreaper,
            die_with_parent: self.die_with_parent,
        };
        let store = settings.store()?;
        let request = self.bundle.request(&store, settings);
        seal::keep_descriptors(request.preserve_fds)?;
        let outcome = run(&request, options)?;
        settings.warn(&outcome.warnings);
        Ok(outcome.exit.map_or(0, status))
    }
}

/// The exit status of a program as a shell gives it, in the eight bits that are there for it.
pub(super) fn status(exit: Exit) -> u8 {
    u8::try_from(exit.status()).unwrap_or(255)
}
