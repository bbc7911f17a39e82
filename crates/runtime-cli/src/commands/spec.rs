//! `spec`: a starter document for a bundle.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use clap::Args;
use taru_runtime::spec::CONFIG;
use taru_runtime::spec_template::{default_spec, rootless_spec};
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::user;

use crate::commands::Verb;
use crate::output;
use crate::settings::Settings;

/// Write a starter config.json
///
/// The document runs `sh` on a terminal, in namespaces of its own, with the bundle's directory `rootfs` as a
/// read-only root. Edit it to run something else. An existing file is never overwritten.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mkdir -p hello/rootfs && cd hello        a bundle
  docker export $(docker create debian) | tar -C rootfs -x
  taru-runtime spec
  taru-runtime run hello

An ordinary user needs `taru-runtime spec --rootless`.")]
pub(crate) struct Spec {
    /// Write it into the bundle DIR instead of the current directory
    #[arg(short, long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Write it to PATH instead of config.json; - is standard output
    #[arg(short, long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Make it one that an ordinary user can run
    #[arg(long)]
    rootless: bool,
}

impl Verb for Spec {
    fn run(self, _: &Settings) -> Result<u8> {
        // Only where v2 is the whole tree does a container want a view of its own of it.
        let cgroup_namespace = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let spec = if self.rootless {
            rootless_spec(cgroup_namespace, user::geteuid(), user::getegid())
        } else {
            default_spec(cgroup_namespace)
        };
        let text = output::to_json(&spec, "\t")?;
        let file = self.file.unwrap_or_else(|| CONFIG.into());
        if file.as_os_str() == "-" {
            output::text(&text)?;
            return Ok(0);
        }
        let path = self.bundle.unwrap_or_default().join(file);
        let what = || format!("write `{}`", path.display());
        let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                let problem = format!("{}: the file exists, remove it first", what());
                return Err(Error::new(Kind::Exists, problem));
            }
            other => other.context(what)?,
        };
        file.write_all(text.as_bytes()).context(what)?;
        Ok(0)
    }
}
