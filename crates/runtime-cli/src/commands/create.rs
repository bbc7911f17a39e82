//! `create` and `run`: from a bundle to a container.

use std::path::{Path, PathBuf};

use clap::Args;
use taru_runtime::create::{self, Request};
use taru_runtime::group::Driver;
use taru_runtime::plan::Options;
use taru_runtime::run::{self, RunOptions};
use taru_runtime::seal;
use taru_runtime::state::Store;
use taru_stdx::Result;

use crate::arguments::CgroupManager;
use crate::commands::Verb;
use crate::settings::Settings;

/// What both take.
#[derive(Debug, Args)]
pub(crate) struct Making {
    /// The directory with config.json
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    bundle: PathBuf,
    /// Send the main side of the terminal to this socket
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// Write the pid of the container's first process to this file
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Send the pidfd of the container's first process to this socket
    #[arg(long, value_name = "SOCKET")]
    pidfd_socket: Option<PathBuf>,
    /// Enter the root with chroot instead of pivot_root: for a root on a ramdisk
    #[arg(long)]
    no_pivot: bool,
    /// Leave the session keyring as it is
    #[arg(long)]
    no_new_keyring: bool,
    /// Hand on so many further descriptors, from 3 on
    #[arg(long, value_name = "N", default_value_t = 0)]
    preserve_fds: u32,
    /// The container's name
    id: String,
}

/// Create a container that waits for start
///
/// Everything is prepared: namespaces, mounts, control groups, the terminal. Only the container's
/// program is not executed yet.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taru-runtime create --bundle /tmp/web web && taru-runtime start web")]
pub(crate) struct Create {
    #[command(flatten)]
    making: Making,
    /// Accepted for compatibility; create has no children to reap
    #[arg(long, hide = true)]
    no_subreaper: bool,
}

/// Create and start a container, wait for its end, and delete it
///
/// The exit status is the program's; 128 and the signal if one ended it.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  taru-runtime spec --bundle /tmp/web && taru-runtime run --bundle /tmp/web web"
)]
pub(crate) struct Run {
    #[command(flatten)]
    making: Making,
    /// Return once the program runs
    #[arg(short, long)]
    detach: bool,
    /// Leave the record of the ended container, until delete
    #[arg(long)]
    keep: bool,
    /// Leave orphans of the container to another reaper
    #[arg(long)]
    no_subreaper: bool,
}

impl Making {
    fn request<'a>(&'a self, settings: &Settings, store: &'a Store) -> Request<'a> {
        Request {
            store,
            id: &self.id,
            bundle: &self.bundle,
            options: Options { no_new_keyring: self.no_new_keyring, no_pivot: self.no_pivot },
            driver: match settings.cgroup_manager {
                CgroupManager::Cgroupfs => Driver::Cgroupfs,
                CgroupManager::Systemd => Driver::Systemd,
                CgroupManager::Disabled => Driver::Disabled,
            },
            console_socket: self.console_socket.as_deref().map(Path::new),
            pid_file: self.pid_file.as_deref(),
            pidfd_socket: self.pidfd_socket.as_deref(),
            preserve_fds: self.preserve_fds + listen_fds(),
        }
    }
}

/// Descriptors of socket activation are handed on too (sd_listen_fds(3)).
pub(super) fn listen_fds() -> u32 {
    std::env::var("LISTEN_FDS").ok().and_then(|n| n.parse().ok()).unwrap_or(0)
}

impl Verb for Create {
    fn run(self, settings: &Settings) -> Result<u8> {
        let store = settings.store()?;
        let request = self.making.request(settings, &store);
        seal::keep_descriptors(request.preserve_fds)?;
        let created = create::create(&request)?;
        settings.warn(&created.warnings);
        Ok(0)
    }
}

impl Verb for Run {
    fn run(self, settings: &Settings) -> Result<u8> {
        let store = settings.store()?;
        let request = self.making.request(settings, &store);
        seal::keep_descriptors(request.preserve_fds)?;
        let options = RunOptions { detach: self.detach, keep: self.keep, no_subreaper: self.no_subreaper };
        let outcome = run::run(&request, options)?;
        settings.warn(&outcome.warnings);
        Ok(outcome.exit.map_or(0, |exit| exit.status() as u8))
    }
}
