//! Device nodes decided: the defaults of the specification and those of the document.

use std::path::{Path, PathBuf};

use taru_sys::fs::{Device, FileType};

use super::problems::Problems;
use crate::spec;

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePlan {
    /// Absolute in the container.
    pub path: PathBuf,
    /// Character or block device, or fifo.
    pub kind: FileType,
    /// Its numbers; zero for a fifo.
    pub device: Device,
    /// Permission bits.
    pub mode: u32,
    /// Owner in the container.
    pub uid: u32,
    /// Group in the container.
    pub gid: u32,
    /// Whether the document lists it: its mode and owner are then asked for, not just usual.
    pub is_listed: bool,
}

impl DevicePlan {
    /// Whether behind a new user namespace the host makes it, instead of showing its own of that name.
    pub(crate) fn is_lent(&self) -> bool {
        self.is_listed && self.kind != FileType::Fifo
    }
}

/// The nodes every container has (specification, "Default Devices").
const DEFAULTS: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// The links every container has; runc, crun and the specification agree on them.
pub const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "dev/fd"),
    ("/proc/self/fd/0", "dev/stdin"),
    ("/proc/self/fd/1", "dev/stdout"),
    ("/proc/self/fd/2", "dev/stderr"),
    ("pts/ptmx", "dev/ptmx"),
];

/// Decides on the nodes: the document's go before the defaults of the same path.
pub(super) fn plan(devices: &[spec::Device], problems: &mut Problems) -> Vec<DevicePlan> {
    let mut plans: Vec<DevicePlan> = devices.iter().filter_map(|d| one(d, problems)).collect();
    for (path, major, minor) in DEFAULTS {
        let path = Path::new(path);
        if !plans.iter().any(|p| p.path == path) {
            let device = Device::new(major, minor);
            plans.push(DevicePlan {
                path: path.into(),
                kind: FileType::CharDevice,
                device,
                mode: 0o666,
                uid: 0,
                gid: 0,
                is_listed: false,
            });
        }
    }
    plans
}

fn one(d: &spec::Device, problems: &mut Problems) -> Option<DevicePlan> {
    let what = format!("check linux.devices `{}`", d.path.display());
    let kind = match d.kind.as_str() {
        "c" | "u" => FileType::CharDevice,
        "b" => FileType::BlockDevice,
        "p" => FileType::Fifo,
        other => {
            problems.invalid(format!("{what}: unknown type `{other}`"));
            return None;
        }
    };
    if !d.path.is_absolute() {
        problems.invalid(format!("{what}: not an absolute path"));
        return None;
    }
    let number = |n: i64| if kind == FileType::Fifo { Some(0) } else { u32::try_from(n).ok() };
    let (Some(major), Some(minor)) = (number(d.major), number(d.minor)) else {
        problems.invalid(format!("{what}: `{}:{}` is no device number", d.major, d.minor));
        return None;
    };
    Some(DevicePlan {
        path: d.path.clone(),
        kind,
        device: Device::new(major, minor),
        // Only permission bits: some producers write the whole st_mode.
        mode: d.file_mode.unwrap_or(0o666) & 0o7777,
        uid: d.uid.unwrap_or(0),
        gid: d.gid.unwrap_or(0),
        is_listed: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_goes_before_the_defaults() {
        let mut problems = Problems::default();
        let documents: Vec<spec::Device> = serde_json::from_str(
            r#"[{"path":"/dev/null","type":"c","major":1,"minor":3,"fileMode":384,"uid":7},
                {"path":"/dev/pipe","type":"p"}]"#,
        )
        .unwrap();
        let plans = plan(&documents, &mut problems);
        problems.finish().unwrap();
        assert_eq!(plans.len(), 7);
        assert_eq!((plans[0].mode, plans[0].uid), (0o600, 7));
        assert_eq!(plans[1].kind, FileType::Fifo);
    }

    #[test]
    fn mistakes_are_named() {
        for (json, part) in [
            (r#"[{"path":"/dev/x","type":"q"}]"#, "unknown type `q`"),
            (r#"[{"path":"dev/x","type":"c","major":1,"minor":3}]"#, "absolute"),
            (r#"[{"path":"/dev/x","type":"c","major":-1,"minor":3}]"#, "no device number"),
        ] {
            let mut problems = Problems::default();
            let documents: Vec<spec::Device> = serde_json::from_str(json).unwrap();
            plan(&documents, &mut problems);
            let e = problems.finish().unwrap_err().to_string();
            assert!(e.contains(part), "{e}");
        }
    }
}
