//! Packages of another Debian release, unpacked below `target/` and not installed.
//!
//! A private configuration of apt with an empty status file: the host's own packages, lists and keys of
//! installed software are not touched. The mirror is the one that the host itself uses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use taru_stdx::{Context, Error, Kind, Result};

use crate::{setup, workspace};

/// Lists older than this are fetched anew: a release in development drops old packages within days.
const FRESH: Duration = Duration::from_secs(12 * 3600);
/// Debian's keys; part of every Debian system.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// One release of Debian, as apt sees it.
pub(crate) struct Archive {
    dir: PathBuf,
}

impl Archive {
    /// Prepares the private configuration for `suite` (`sid`, `trixie`, …) and fetches its lists.
    pub(crate) fn open(suite: &str) -> Result<Archive> {
        setup::install(&["ca-certificates", "dpkg-dev"])?;
        let archive = Archive { dir: workspace::target().join("apt").join(suite) };
        for dir in ["state/lists/partial", "cache/archives/partial"] {
            let dir = archive.dir.join(dir);
            fs::create_dir_all(&dir).context(|| format!("create `{}`", dir.display()))?;
        }
        let mirror = mirror()?;
        write(&archive.dir.join("status"), "")?;
        write(
            &archive.dir.join("sources.list"),
            &format!(
                "deb [signed-by={KEYS}] {mirror} {suite} main\ndeb-src [signed-by={KEYS}] {mirror} {suite} main\n"
            ),
        )?;
        let stamp = archive.dir.join("updated");
        let age = fs::metadata(&stamp).and_then(|m| m.modified()).ok().and_then(|at| at.elapsed().ok());
        if age.is_none_or(|age| age > FRESH) {
            workspace::check(archive.apt().arg("update"))?;
            write(&stamp, "")?;
        }
        Ok(archive)
    }

    /// Unpacks `packages` and all they depend on below `root`.
    pub(crate) fn unpack(&self, packages: &[&str], root: &Path) -> Result<()> {
        let debs = self.dir.join("cache/archives");
        workspace::check(
            self.apt()
                .args(["install", "--yes", "--download-only", "--no-install-recommends"])
                .args(packages),
        )?;
        fs::create_dir_all(root).context(|| format!("create `{}`", root.display()))?;
        for entry in fs::read_dir(&debs).context(|| format!("list `{}`", debs.display()))? {
            let deb = entry.context(|| format!("list `{}`", debs.display()))?.path();
            if deb.extension().is_some_and(|e| e == "deb") {
                workspace::check(Command::new("dpkg-deb").arg("--extract").arg(&deb).arg(root))?;
                fs::remove_file(&deb).context(|| format!("remove `{}`", deb.display()))?;
            }
        }
        Ok(())
    }

    /// Fetches the source of `package` as its authors released it: the path of the tar archive.
    pub(crate) fn source(&self, package: &str) -> Result<PathBuf> {
        let dir = self.dir.join("source").join(package);
        fs::create_dir_all(&dir).context(|| format!("create `{}`", dir.display()))?;
        // Signatures and Debian's own part may be missing from a mirror. Apt gives a file its name once it has
        // verified it, so the archive is good if it is there.
        let status = workspace::status(
            self.apt().args(["source", "--download-only", package]).current_dir(&dir).stderr(Stdio::null()),
        )?;
        let tar = fs::read_dir(&dir)
            .context(|| format!("list `{}`", dir.display()))?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                name.contains(".orig.tar.") && !name.ends_with(".asc")
            })
            .max();
        tar.ok_or_else(|| {
            Error::new(Kind::NotFound, format!("fetch the source of `{package}`: apt-get: {status}"))
        })
    }

    fn apt(&self) -> Command {
        let mut apt = Command::new("apt-get");
        let at = |name: &str| self.dir.join(name).display().to_string();
        for option in [
            "quiet=2".to_owned(),
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            "Dir::Etc::SourceParts=/dev/null".to_owned(),
            "Dir::Etc::Preferences=/dev/null".to_owned(),
            "Dir::Etc::PreferencesParts=/dev/null".to_owned(),
            format!("Dir::Etc::SourceList={}", at("sources.list")),
            format!("Dir::State={}", at("state")),
            format!("Dir::State::status={}", at("status")),
            format!("Dir::Cache={}", at("cache")),
        ] {
            apt.arg("-o").arg(option);
        }
        apt.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).stdout(Stdio::null());
        apt
    }
}

/// The mirror of Debian that this host uses for its own release.
pub(crate) fn mirror() -> Result<String> {
    let format = "$(ORIGIN) $(LABEL) $(COMPONENT) $(REPO_URI)";
    let targets = workspace::output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        format,
        "Created-By: Packages",
    ]))?;
    targets.lines().find_map(|line| line.strip_prefix("Debian Debian main ")).map(str::to_owned).ok_or_else(
        || {
            Error::new(Kind::NotFound, "find this host's mirror of Debian: no package list of it")
                .hint("apt-get update")
        },
    )
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).context(|| format!("write `{}`", path.display()))
}
