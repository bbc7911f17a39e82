//! `taru idmap bind`: a bind mount whose files have other owners.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use taru_mount::{Attr, Mount, idmap};
use taru_rootdir::Proc;
use taru_stdx::{Context, Error, Result};
use taru_sys::fs::{self, CWD, OpenFlags};
use taru_sys::ns::{self, Namespaces};

use super::Typed;
use crate::cli::Global;

/// Mount a directory again, with other owners
///
/// What belongs to INSIDE on the file system belongs to OUTSIDE at DST, and what OUTSIDE writes there belongs to
/// INSIDE. The file system must support it; `taru check` tells of `/`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru idmap bind --map 0:100000:65536 /srv/tree /mnt
  taru idmap bind --users 0:1000:1 --groups 0:1000:1 --ro ~/root-files /mnt
  umount /mnt")]
pub(super) struct Args {
    #[command(flatten)]
    typed: Typed,
    /// Take the maps of a user namespace: of process PID, or kept at FILE
    #[arg(long, value_name = "PID|FILE", conflicts_with_all = ["map", "users", "groups"])]
    userns: Option<String>,
    /// And all mounts below SRC
    #[arg(short, long)]
    recursive: bool,
    /// Read-only
    #[arg(long)]
    ro: bool,
    /// What to mount
    src: PathBuf,
    /// Where
    dst: PathBuf,
}

pub(super) fn run(args: &Args, _: &Global) -> Result<ExitCode> {
    let what = || format!("bind `{}` at `{}`", args.src.display(), args.dst.display());
    let userns = userns(args)?;
    let (source, target) = (open(&args.src)?, open(&args.dst)?);
    let mount = Mount::bind(source.as_fd(), args.recursive).context(what)?;
    mount.idmap(userns.as_fd(), args.recursive).context(what)?;
    if args.ro {
        mount.attributes(Attr::RDONLY, Attr::empty(), args.recursive).context(what)?;
    }
    mount.attach(target).context(what)?;
    Ok(ExitCode::SUCCESS)
}

fn userns(args: &Args) -> Result<OwnedFd> {
    let proc = Proc::open()?;
    let Some(text) = &args.userns else {
        if args.typed.is_empty() {
            return Err(Error::invalid("bind with other ids: no map is named")
                .hint("--map 0:100000:65536, or --userns PID"));
        }
        return idmap::user_namespace(&proc, &args.typed.maps()?);
    };
    if let Ok(pid) = text.parse::<u32>() {
        return proc.pid(pid)?.follow("ns/user", OpenFlags::RDONLY);
    }
    let what = || format!("open the user namespace `{text}`");
    let fd = fs::openat(CWD, Path::new(text), OpenFlags::RDONLY | OpenFlags::NONBLOCK, 0)
        .map_err(|e| e.errno())
        .context(what)?;
    match ns::kind_of(fd.as_fd()) {
        Ok(Namespaces::USER) => Ok(fd),
        _ => Err(Error::invalid(format!("{}: it is none", what()))),
    }
}

fn open(path: &Path) -> Result<OwnedFd> {
    fs::openat(CWD, path, OpenFlags::PATH, 0)
        .map_err(|e| e.errno())
        .context(|| format!("open `{}`", path.display()))
}
