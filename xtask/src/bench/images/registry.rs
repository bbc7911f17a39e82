//! Debian's `docker-registry`, on a free port of the sandbox's loopback, with the images in it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use taru_stdx::{Context, Error, Kind, Result};

use super::trees::IMAGES;
use crate::workspace;

/// A running registry; dropped, it ends.
pub(super) struct Registry {
    process: Child,
    port: u16,
}

impl Registry {
    /// Starts one on what it kept below `dir`, and fills it if it is new.
    pub(super) fn start(dir: &Path) -> Result<Registry> {
        let what = || "start `docker-registry`";
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.context(what)?.port();
        let (data, config) = (dir.join("registry"), dir.join("registry.yml"));
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"127.0.0.1:{port}\"}}\n",
            data.display()
        );
        fs::write(&config, text).context(|| format!("write `{}`", config.display()))?;
        let log = dir.join("registry.log");
        let log = fs::File::create(&log).context(|| format!("create `{}`", log.display()))?;
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context(what)?)
            .stderr(log)
            .spawn()
            .context(what)?;
        let registry = Registry { process, port };
        let is_up = || {
            let answers = TcpStream::connect(("127.0.0.1", port)).is_ok();
            if !answers {
                sleep(Duration::from_millis(100));
            }
            answers
        };
        if !(0..300).any(|_| is_up()) {
            return Err(Error::new(Kind::System, format!("{}: it does not answer", what())));
        }
        let filled = dir.join("registry.filled");
        if !filled.exists() {
            for image in IMAGES {
                workspace::check(
                    Command::new("skopeo")
                        .args(["copy", "--quiet", "--dest-tls-verify=false"])
                        .arg(format!("oci:{}:1", dir.join(image).display()))
                        .arg(format!("docker://{}", registry.name(image))),
                )?;
            }
            fs::write(&filled, "").context(|| format!("write `{}`", filled.display()))?;
        }
        Ok(registry)
    }

    /// The full name of an image in it.
    pub(super) fn name(&self, image: &str) -> String {
        format!("127.0.0.1:{}/{image}:1", self.port)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
