//! The bundles that every runtime is given: runc's default configuration around two static programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use taru_stdx::{Context, Result};

use crate::workspace;

/// Ends at once, and never ends: what costs nothing itself.
const PROGRAMS: [(&str, &str); 2] = [
    ("true", "int main(void) { return 0; }"),
    ("wait", "#include <unistd.h>\nint main(void) { for (;;) pause(); }"),
];

/// Two bundles over one root.
pub(super) struct Bundle {
    dir: PathBuf,
}

impl Bundle {
    /// Makes both below `dir`, from what `runtime spec` writes.
    pub(super) fn create(dir: &Path, runtime: &Path) -> Result<Bundle> {
        let rootfs = dir.join("rootfs");
        for sub in ["bin", "dev", "proc", "sys/fs/cgroup"] {
            let sub = rootfs.join(sub);
            fs::create_dir_all(&sub).context(|| format!("create `{}`", sub.display()))?;
        }
        for (name, source) in PROGRAMS {
            let file = dir.join(format!("{name}.c"));
            fs::write(&file, source).context(|| format!("write `{}`", file.display()))?;
            workspace::check(
                Command::new("cc")
                    .args(["-O2", "-static", "-o"])
                    .arg(rootfs.join("bin").join(name))
                    .arg(&file),
            )?;
        }
        let bundle = Bundle { dir: dir.to_path_buf() };
        workspace::check(Command::new(runtime).arg("spec").current_dir(dir).stdin(Stdio::null()))?;
        let written = dir.join("config.json");
        let text = fs::read_to_string(&written).context(|| format!("read `{}`", written.display()))?;
        let spec: Value = serde_json::from_str(&text).context(|| format!("read `{}`", written.display()))?;
        for (name, _) in PROGRAMS {
            let mut spec = spec.clone();
            spec["process"]["terminal"] = json!(false);
            spec["process"]["args"] = json!([format!("/bin/{name}")]);
            spec["root"]["path"] = json!(rootfs);
            let path = dir.join(name);
            fs::create_dir_all(&path).context(|| format!("create `{}`", path.display()))?;
            let config = path.join("config.json");
            fs::write(&config, spec.to_string()).context(|| format!("write `{}`", config.display()))?;
        }
        Ok(bundle)
    }

    /// The bundle whose program ends at once.
    pub(super) fn once(&self) -> String {
        self.dir.join("true").display().to_string()
    }

    /// The bundle whose program never ends.
    pub(super) fn waiting(&self) -> String {
        self.dir.join("wait").display().to_string()
    }

    /// The root of both.
    pub(super) fn rootfs(&self) -> String {
        self.dir.join("rootfs").display().to_string()
    }
}
