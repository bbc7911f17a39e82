//! `state`: one container as JSON.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use taru_runtime::state::{Record, Status};
use taru_stdx::Result;

use crate::commands::Verb;
use crate::output;
use crate::settings::Settings;

/// Print the state of a container as JSON
///
/// The fields are the specification's (ociVersion, id, status, pid, bundle, annotations) and runc's
/// (rootfs, created, owner). The status is creating, created, running, paused or stopped; the pid of a
/// stopped container is 0.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taru-runtime state web | jq -r .status")]
pub(crate) struct State {
    /// The container
    id: String,
}

impl Verb for State {
    fn run(self, settings: &Settings) -> Result<u8> {
        let record = settings.store()?.load(&self.id)?;
        output::json(&View::of(&record, record.status()?, &mut Users::default()), "  ")?;
        Ok(0)
    }
}

/// A container as `state` and `list` show it, in runc's order of fields.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct View {
    oci_version: String,
    pub(super) id: String,
    pub(super) pid: i32,
    #[serde(serialize_with = "as_text")]
    pub(super) status: Status,
    pub(super) bundle: PathBuf,
    rootfs: PathBuf,
    pub(super) created: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    pub(super) owner: String,
}

impl View {
    pub(super) fn of(record: &Record, status: Status, users: &mut Users) -> View {
        let state = record.state.clone();
        View {
            oci_version: state.oci_version,
            id: state.id,
            pid: if status == Status::Stopped { 0 } else { state.init.map_or(0, |init| init.pid) },
            status,
            bundle: state.bundle,
            rootfs: state.rootfs,
            created: state.created,
            annotations: state.annotations,
            owner: users.name(state.owner),
        }
    }
}

fn as_text<S: serde::Serializer>(status: &Status, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(status)
}

/// The names of users in /etc/passwd. Read here, not through the C library: a static program must not load
/// the modules of nsswitch.conf.
#[derive(Default)]
pub(super) struct Users {
    names: BTreeMap<u32, String>,
}

impl Users {
    /// The user's name, or number where it has none.
    fn name(&mut self, uid: u32) -> String {
        /// Larger files than this hold no login names.
        const LIMIT: u64 = 4 << 20;
        let look = || {
            let text = taru_stdx::fs::read_bounded("/etc/passwd".as_ref(), LIMIT).unwrap_or_default();
            name_in_passwd(&String::from_utf8_lossy(&text), uid).unwrap_or_else(|| uid.to_string())
        };
        self.names.entry(uid).or_insert_with(look).clone()
    }
}

fn name_in_passwd(text: &str, uid: u32) -> Option<String> {
    let number = uid.to_string();
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_password_file() {
        let text = "root:x:0:0:root:/root:/bin/sh\nbad\nme:x:1000:100::/:/bin/sh\n";
        assert_eq!(name_in_passwd(text, 0).as_deref(), Some("root"));
        assert_eq!(name_in_passwd(text, 1000).as_deref(), Some("me"));
        assert_eq!(name_in_passwd(text, 100), None);
    }
}
