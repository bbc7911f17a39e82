//! The bundle that taru made for a container, again and again, for the runtime alone.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use taru_stdx::{Context, Error, Kind, Result};

use super::engines::Engines;
use crate::bench::measure::Case;
use crate::workspace;

/// The bundle that `taru run --rm IMAGE true` gives the runtime, with directories of its own for what a round changes.
pub(super) struct Same {
    /// Of the bundles.
    dir: String,
    /// Of what containers change.
    upper: String,
    /// The host's id of the container's root.
    root: u64,
}

impl Same {
    /// Has taru run a container of the image, and keeps what it gave the runtime.
    pub(super) fn of(engines: &Engines, image: &str) -> Result<Same> {
        let taru = |words: &[&str]| -> Result<String> {
            let mut command = Command::new(&engines.taru);
            command.args(["--root", &engines.store("taru")]).args(words);
            Ok(workspace::output(&mut command)?.trim().to_owned())
        };
        let id = taru(&["run", "--detach", image, "sleep", "1000"])?;
        // Users of the container pass both.
        let (dir, upper) = (format!("{}/run/same", engines.store("taru")), engines.store("same"));
        let from = format!("{}/run/containers/{id}", engines.store("taru"));
        fs::create_dir_all(format!("{dir}/rootfs")).context(|| format!("create `{dir}`"))?;
        workspace::check(Command::new("cp").arg("-a").arg(format!("{from}/etc")).arg(&dir))?;
        let config = format!("{from}/config.json");
        let what = || format!("read `{config}`");
        let text = fs::read_to_string(&config).context(what)?;
        taru(&["rm", "--force", &id])?;
        let text = text
            .replace(&from, &dir)
            .replace(&format!("{}/snapshot/roots/{id}", engines.store("taru")), &format!("{upper}/@N@"))
            .replace(&id, "same-@N@")
            // What a container that is removed at once has.
            .replace("\\\"volatile\\\":false", "\\\"volatile\\\":true");
        let mut spec: Value = serde_json::from_str(&text).context(what)?;
        spec["process"]["args"] = json!(["/bin/true"]);
        let root = spec["linux"]["uidMappings"][0]["hostID"].as_u64();
        let root = root.ok_or_else(|| Error::new(Kind::Invalid, format!("{}: no map of ids", what())))?;
        let template = format!("{dir}/template.json");
        fs::write(&template, spec.to_string()).context(|| format!("write `{template}`"))?;
        Ok(Same { dir, upper, root })
    }

    /// Makes that of a round.
    pub(super) fn make(&self) -> Case {
        let Same { dir, upper, root } = self;
        Case::shell(&format!(
            "mkdir -p {dir}/%n {upper}/%n/upper {upper}/%n/work
            chown {root}:{root} {upper}/%n/upper {upper}/%n/work
            sed 's/@N@/%n/g' {dir}/template.json > {dir}/%n/config.json"
        ))
    }

    /// That of a round.
    pub(super) fn path(&self) -> String {
        format!("{}/%n", self.dir)
    }
}
