//! A real registry for tests: Debian's `docker-registry`, with a configuration and a directory of its own, on a free port of loopback.
//!
//! ```no_run
//! let Some(registry) = taru_testkit::registry::Registry::start() else { return };
//! registry.copy("oci:/tmp/layout:latest", "team/app:1");
//! println!("{}", registry.name("team/app:1")); // 127.0.0.1:PORT/team/app:1
//! ```

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::{eventually, skip};

/// What a registry is started with.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// User and password that it wants; needs `htpasswd` of Debian's apache2-utils.
    pub user: Option<(String, String)>,
    /// Its certificate and key, in PEM: it speaks TLS then.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The authority whose certificates clients have to show.
    pub client_ca: Option<PathBuf>,
    /// The token server it trusts: realm, service, issuer, and the file with the certificate that tokens are signed with.
    pub token: Option<[String; 4]>,
}

/// A running registry. Dropped, it is ended, and what it kept is removed. It also ends with the thread that started it, so that it
/// cannot be shared by tests in a `static`.
#[derive(Debug)]
pub struct Registry {
    process: Child,
    port: u16,
    dir: PathBuf,
    options: Options,
}

impl Registry {
    /// One that anybody may read and write, by plain HTTP. `None`, with the skip told, where `docker-registry` is not installed.
    pub fn start() -> Option<Registry> {
        Registry::with(Options::default())
    }

    /// One with these options. `None`, with the skip told, where a program for it is not installed.
    pub fn with(options: Options) -> Option<Registry> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let has = |program: &str| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
        };
        let needed: &[&str] =
            if options.user.is_some() { &["docker-registry", "htpasswd"] } else { &["docker-registry"] };
        for program in needed {
            if !has(program) {
                skip("a real registry", program);
                return None;
            }
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("taru-registry-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir).expect("make the registry's directory");
        // Between this and the start somebody else may take the port; then the registry ends at once, and another is tried.
        for _ in 0..5 {
            let listener = TcpListener::bind("127.0.0.1:0").expect("find a free port");
            let port = listener.local_addr().expect("find a free port").port();
            drop(listener);
            let process = spawn(&dir, port, &options);
            let mut registry = Registry { process, port, dir: dir.clone(), options: options.clone() };
            eventually("docker-registry answers", || registry.answers() || registry.has_ended());
            if !registry.has_ended() {
                return Some(registry);
            }
        }
        panic!("docker-registry does not start: {}", fs::read_to_string(dir.join("log")).unwrap_or_default());
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The full name of an image `REPOSITORY:TAG` in it.
    pub fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.host())
    }

    /// The directory it keeps blobs and manifests in.
    pub fn storage(&self) -> PathBuf {
        self.dir.join("storage")
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Copies an image into it with skopeo: from `oci:DIR:TAG`, `docker-archive:FILE`, ... as `REPOSITORY:TAG`.
    ///
    /// # Panics
    /// If skopeo fails.
    pub fn copy(&self, from: &str, image: &str) {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "--quiet", "--all", "--preserve-digests", "--dest-tls-verify=false"]);
        if let Some((user, password)) = &self.options.user {
            skopeo.args(["--dest-creds", &format!("{user}:{password}")]);
        }
        let output = skopeo
            .args([from, &format!("docker://{}", self.name(image))])
            // Not with what this user has of its own.
            .env("REGISTRY_AUTH_FILE", self.dir.join("no-auth.json"))
            .output()
            .expect("run skopeo");
        assert!(output.status.success(), "skopeo: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }

    /// Whether somebody speaks HTTP, or with TLS, listens.
    fn answers(&self) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            if self.options.tls.is_some() {
                return Ok(true);
            }
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
            let mut start = [0; 5];
            stream.read_exact(&mut start)?;
            Ok(&start == b"HTTP/")
        };
        ask().unwrap_or(false)
    }
}

fn spawn(dir: &Path, port: u16, options: &Options) -> Child {
    let mut config = format!(
        "version: 0.1\nlog:\n  level: warn\n  accesslog:\n    disabled: false\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n\
         http:\n  addr: 127.0.0.1:{port}\n",
        dir.join("storage").display()
    );
    if let Some((certificate, key)) = &options.tls {
        config +=
            &format!("  tls:\n    certificate: {}\n    key: {}\n", certificate.display(), key.display());
        if let Some(ca) = &options.client_ca {
            config += &format!("    clientcas:\n      - {}\n", ca.display());
        }
    }
    if let Some((user, password)) = &options.user {
        let file = dir.join("htpasswd");
        let output = Command::new("htpasswd").args(["-B", "-b", "-n", user, password]).output();
        fs::write(&file, output.expect("run htpasswd").stdout).expect("write the file of passwords");
        config += &format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display());
    }
    if let Some([realm, service, issuer, bundle]) = &options.token {
        config += &format!(
            "auth:\n  token:\n    realm: {realm}\n    service: {service}\n    issuer: {issuer}\n    rootcertbundle: {bundle}\n"
        );
    }
    let path = dir.join("config.yml");
    fs::write(&path, config).expect("write the registry's configuration");
    let log = fs::File::create(dir.join("log")).expect("make the registry's log");
    // It ends with the thread that started it, also when that is killed (PR_SET_PDEATHSIG, prctl(2)).
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "docker-registry", "serve"])
        .arg(path)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("share the registry's log"))
        .stderr(log)
        .spawn()
        .expect("start docker-registry")
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
