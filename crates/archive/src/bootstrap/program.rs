//! mmdebstrap, or debootstrap, and the tar that comes out of it.
//!
//! ```text
//! setpriv --pdeathsig KILL            dies with the thread that started it
//!   unshare ... --kill-child=KILL     and with it everything in these namespaces
//!     sh                              a tmpfs on /var/tmp, seen in here alone
//!       mmdebstrap ... -              packages; its tar on standard output, what it does on standard error
//! ```
//! An ordinary user is root in a user namespace with that user's subordinate ids (newuidmap(1)).

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};

use taru_content::{Content, Lease};
use taru_oci::limits;
use taru_oci::media::Compression;
use taru_stdx::{Context, Error, Kind, Result};

use super::request::{Distribution, Request};
use super::{sources, tidied};
use crate::image::About;
use crate::pack::{LayerWriter, StoredLayer};
use crate::tree;

/// Lines of what the program said last that an error shows.
const LAST: usize = 12;
/// Bytes of one of them.
const LINE: u64 = 4096;

/// Works on a file system that goes with the namespace. $0 is unused; the rest is what to run.
const ON_TMPFS: &str = "mount -t tmpfs -o mode=1777,size=8g tmpfs /var/tmp && exec \"$@\"";
/// The same with debootstrap, which makes a directory: $1 is where, the rest is debootstrap's line.
const WITH_DEBOOTSTRAP: &str = "mount -t tmpfs -o mode=1777,size=8g tmpfs /var/tmp && mkdir -m 755 \"$1\" && root=$1 && shift && \"$@\" >&2 && \
     exec tar --create --sort=name --numeric-owner --xattrs --one-file-system --directory \"$root\" .";
const ROOT: &str = "/var/tmp/root";

/// What the image runs if nothing is said.
pub(super) fn defaults(request: &Request, about: &mut About) {
    about.config.cmd.get_or_insert_with(|| vec!["bash".to_owned()]);
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    about.config.env.get_or_insert_with(|| vec![path.to_owned()]);
    let name = request.distribution.origin().to_lowercase();
    about.created_by = Some(format!("taru image bootstrap {name}:{}", request.suite));
}

/// Runs the program and stores what comes out of it as a layer.
pub(super) fn layer(
    request: &Request,
    epoch: u64,
    compression: Compression,
    content: &Content,
    lease: &Lease,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<StoredLayer> {
    let name = request.distribution.origin().to_lowercase();
    let what = || format!("bootstrap `{name}:{}`", request.suite);
    let mut command = command(request, epoch)?;
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut running = Running(child.context(|| "start `setpriv`").map_err(missing_tools)?);
    let streams = (running.0.stdout.take(), running.0.stderr.take());
    let (Some(stdout), Some(stderr)) = streams else { return Err(Error::new(Kind::System, what())) };
    let mut writer = LayerWriter::new(content, lease, compression)?;
    let (copied, said) = std::thread::scope(|scope| {
        let said = scope.spawn(|| listen(stderr, progress));
        let mut archive = tree::reader(stdout, limits::LAYER_ENTRIES);
        let copied = tree::write(&mut archive, &mut writer, |entry| tidied::tidied(entry, epoch));
        if copied.is_err() {
            running.kill();
        }
        drop(archive);
        (copied, said.join().unwrap_or_default())
    });
    let status = running.0.wait().context(what)?;
    if !status.success() {
        return Err(Error::new(Kind::System, format!("{}: {}", what(), reason(&said))));
    }
    copied.context(what)?;
    writer.finish()
}

/// Why it failed: of its last lines those that say `E:`, as apt and mmdebstrap do, the first of each; else all of them.
fn reason(said: &VecDeque<String>) -> String {
    let mut lines: Vec<&str> = said.iter().filter_map(|line| line.strip_prefix("E: ")).collect();
    // What mmdebstrap adds to apt's own words names its call, not the cause.
    lines.retain(|line| !line.starts_with("apt-get ") && *line != "mmdebstrap failed to run");
    lines.dedup();
    if lines.is_empty() {
        lines = said.iter().map(String::as_str).collect();
    }
    lines.join("; ")
}

/// Ends with its owner, early or not.
struct Running(Child);

impl Running {
    /// setpriv became unshare; with unshare goes all that is in its namespaces.
    fn kill(&mut self) {
        let _ = self.0.kill();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        let _ = self.0.wait();
    }
}

/// Passes on what the program says and returns the end of it.
fn listen(stderr: ChildStderr, progress: &(dyn Fn(&str) + Sync)) -> VecDeque<String> {
    let mut reader = BufReader::new(stderr);
    let mut last = VecDeque::new();
    loop {
        let mut line = Vec::new();
        match (&mut reader).take(LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return last,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        // mmdebstrap's progress bar redraws its line.
        let text: String =
            text.rsplit('\r').find(|part| !part.trim().is_empty()).unwrap_or_default().trim().into();
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        if text.is_empty() {
            continue;
        }
        progress(&text);
        if last.len() == LAST {
            last.pop_front();
        }
        last.push_back(text);
    }
}

fn missing_tools(e: Error) -> Error {
    e.hint("setpriv and unshare are of util-linux")
}

/// The whole command line.
fn command(request: &Request, epoch: u64) -> Result<Command> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "unshare"]);
    command.args([
        "--mount",
        "--propagation",
        "private",
        "--pid",
        "--fork",
        "--kill-child=KILL",
        "--mount-proc",
    ]);
    if !is_root() {
        command.args(["--user", "--map-auto", "--map-root-user"]);
    }
    command.args(["--", "sh", "-c"]);
    let lines = sources::lines(request);
    if has("mmdebstrap") {
        mmdebstrap(&mut command, request, &lines);
    } else if has("debootstrap") {
        debootstrap(&mut command, request, &lines)?;
    } else {
        let text = "bootstrap an image: this host has no mmdebstrap and no debootstrap";
        return Err(Error::new(Kind::NotFound, text).hint("Debian: apt-get install mmdebstrap"));
    }
    // Nothing of this user's environment decides what is in the image; the ways out are needed.
    let ways = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "HOME"];
    let inherited: Vec<_> = ways.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))).collect();
    command.env_clear().envs(sources::proxies()).envs(inherited);
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("TMPDIR", "/var/tmp").env("LC_ALL", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive");
    command.env("SOURCE_DATE_EPOCH", epoch.to_string());
    command.current_dir("/");
    Ok(command)
}

fn mmdebstrap(command: &mut Command, request: &Request, lines: &[String]) {
    command.args([ON_TMPFS, "sh", "mmdebstrap", "--mode=root", "--format=tar"]);
    command.arg(format!("--variant={}", request.variant));
    command.arg(format!("--components={}", request.components.join(",")));
    command.args(request.include.iter().map(|name| format!("--include={name}")));
    command.args(request.architecture.iter().map(|name| format!("--architectures={name}")));
    if request.distribution == Distribution::Ubuntu {
        // Its own choice of keys goes by what this host trusts.
        command.arg("--keyring=/usr/share/keyrings/ubuntu-archive-keyring.gpg");
    }
    command.args(["--", &request.suite, "-"]).args(lines);
}

/// debootstrap takes one mirror: the suite without its updates.
fn debootstrap(command: &mut Command, request: &Request, lines: &[String]) -> Result<()> {
    let variant = match request.variant.as_str() {
        "minbase" | "required" => "minbase",
        "buildd" => "buildd",
        other => {
            let text = format!("bootstrap an image: debootstrap has no variant `{other}`");
            return Err(Error::new(Kind::Unsupported, text).hint("mmdebstrap has it"));
        }
    };
    command.args([WITH_DEBOOTSTRAP, "sh", ROOT, "debootstrap"]);
    command.arg(format!("--variant={variant}"));
    command.arg(format!("--components={}", request.components.join(",")));
    if !request.include.is_empty() {
        command.arg(format!("--include={}", request.include.join(",")));
    }
    command.args(request.architecture.iter().map(|name| format!("--arch={name}")));
    command.args([&request.suite, ROOT]);
    command.args(lines.first().and_then(|line| line.split(' ').nth(1)));
    Ok(())
}

/// Whether a program is where the bootstrap looks.
fn has(program: &str) -> bool {
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .any(|dir| std::path::Path::new(dir).join(program).is_file())
}

/// Whether this process is root in its user namespace: proc(5), status, the effective one.
fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    ids.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_what_apt_says() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<VecDeque<_>>();
        let said = "Err:1 http://mirror nosuch InRelease\nReading package lists...\n\
                    E: Failed to fetch http://mirror/nosuch  404\nE: apt-get update -oX failed\n\
                    I: removing tempdir /var/tmp/x\nE: mmdebstrap failed to run";
        assert_eq!(reason(&lines(said)), "Failed to fetch http://mirror/nosuch  404");
        assert_eq!(reason(&lines("no space\nleft")), "no space; left");
    }
}
