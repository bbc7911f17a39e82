//! Which crate may depend on which. The table is the drawing of the layers: an arrow that is not in it needs a reason.

use std::path::Path;

use serde_json::Value;
use taru_stdx::{Context, Error, Kind, Result};

use super::source::Violation;
use crate::workspace;

/// A package of the workspace and those it may link, lowest layer first.
const EDGES: &[(&str, &[&str])] = &[
    ("taru-stdx", &[]),
    ("taru-oci", &["taru-stdx"]),
    ("taru-tar", &["taru-stdx", "taru-oci"]),
    ("taru-erofs", &["taru-stdx"]),
    ("taru-sys", &["taru-stdx"]),
    ("taru-rootdir", &["taru-stdx", "taru-sys"]),
    ("taru-mount", &["taru-stdx", "taru-sys", "taru-rootdir"]),
    ("taru-cgroup", &["taru-stdx", "taru-sys"]),
    ("taru-netlink", &["taru-stdx", "taru-sys"]),
    ("taru-seccomp", &["taru-stdx", "taru-sys"]),
    (
        "taru-runtime",
        &[
            "taru-stdx",
            "taru-sys",
            "taru-rootdir",
            "taru-mount",
            "taru-cgroup",
            "taru-netlink",
            "taru-seccomp",
        ],
    ),
    ("taru-supervise", &["taru-stdx", "taru-sys", "taru-cgroup", "taru-runtime"]),
    ("taru-runtime-cli", &["taru-stdx", "taru-sys", "taru-runtime", "taru-supervise"]),
    ("taru-content", &["taru-stdx", "taru-oci", "taru-sys"]),
    ("taru-registry", &["taru-stdx", "taru-oci"]),
    (
        "taru-snapshot",
        &[
            "taru-stdx",
            "taru-oci",
            "taru-tar",
            "taru-erofs",
            "taru-sys",
            "taru-rootdir",
            "taru-mount",
            "taru-seccomp",
        ],
    ),
    ("taru-archive", &["taru-stdx", "taru-oci", "taru-tar", "taru-content"]),
    (
        "taru-engine",
        &[
            "taru-stdx",
            "taru-oci",
            "taru-sys",
            "taru-rootdir",
            "taru-mount",
            "taru-seccomp",
            "taru-runtime",
            "taru-supervise",
            "taru-content",
            "taru-registry",
            "taru-snapshot",
            "taru-archive",
        ],
    ),
    (
        "taru-build",
        &[
            "taru-stdx",
            "taru-oci",
            "taru-tar",
            "taru-sys",
            "taru-rootdir",
            "taru-content",
            "taru-registry",
            "taru-snapshot",
            "taru-archive",
            "taru-engine",
        ],
    ),
    (
        "taru",
        &[
            "taru-stdx",
            "taru-sys",
            "taru-rootdir",
            "taru-mount",
            "taru-cgroup",
            "taru-netlink",
            "taru-seccomp",
            "taru-runtime",
            "taru-supervise",
            "taru-oci",
            "taru-content",
            "taru-registry",
            "taru-snapshot",
            "taru-archive",
            "taru-engine",
            "taru-build",
        ],
    ),
    ("taru-testkit", &["taru-stdx", "taru-sys"]),
    ("taru-manual", &["taru-stdx", "taru", "taru-runtime-cli"]),
    ("xtask", &["taru-stdx"]),
];

/// Packages outside that one package of ours alone may link, with that package.
const RESERVED: &[(&str, &str)] = &[("libc", "taru-sys"), ("nix", "taru-sys"), ("rustix", "taru-sys")];

/// Packages whose only content is tests: they may link anything, nothing may link them.
const TESTS: &str = "tests/";

/// Compares the dependencies in every Cargo.toml with the table.
pub(crate) fn check(root: &Path) -> Result<Vec<Violation>> {
    let metadata = workspace::output(workspace::cargo().args([
        "metadata",
        "--quiet",
        "--offline",
        "--no-deps",
        "--format-version",
        "1",
    ]))?;
    let metadata: Value = serde_json::from_str(&metadata).context(|| "read what `cargo metadata` wrote")?;
    let packages = metadata["packages"]
        .as_array()
        .ok_or_else(|| Error::new(Kind::System, "read what `cargo metadata` wrote: no packages"))?;
    Ok(packages.iter().flat_map(|package| check_package(root, package)).collect())
}

fn check_package(root: &Path, package: &Value) -> Vec<Violation> {
    let name = package["name"].as_str().unwrap_or_default();
    let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
    if manifest.strip_prefix(root).is_ok_and(|path| path.starts_with(TESTS)) {
        return Vec::new();
    }
    let Some((_, allowed)) = EDGES.iter().find(|(of, _)| *of == name) else {
        return vec![format!(
            "{}: package `{name}` has no row in the table of xtask/src/tidy/edges.rs",
            manifest.display()
        )];
    };
    let mut found = Vec::new();
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let other = dependency["name"].as_str().unwrap_or_default();
        let for_tests = dependency["kind"].as_str() == Some("dev");
        let is_ours = dependency["path"].is_string();
        if is_ours && !for_tests && !allowed.contains(&other) {
            found.push(format!("{name}: may not depend on `{other}`: arrows between crates point down (xtask/src/tidy/edges.rs)"));
        }
        if let Some((_, only)) = RESERVED.iter().find(|(what, only)| *what == other && *only != name) {
            found.push(format!("{name}: may not depend on `{other}`: only `{only}` knows it"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_itself_points_down() {
        for (row, (name, allowed)) in EDGES.iter().enumerate() {
            for other in *allowed {
                assert!(
                    EDGES[..row].iter().any(|(lower, _)| lower == other),
                    "{name} -> {other} does not point down"
                );
            }
        }
    }

    #[test]
    fn finds_an_arrow_that_points_up() {
        let package = serde_json::json!({
            "name": "taru-sys", "manifest_path": "/x/crates/sys/Cargo.toml",
            "dependencies": [
                {"name": "taru-runtime", "path": "/x/crates/runtime", "kind": null},
                {"name": "taru-testkit", "path": "/x/crates/testkit", "kind": "dev"},
                {"name": "libc", "kind": null},
            ],
        });
        let found = check_package(Path::new("/x"), &package);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("taru-runtime"));
    }
}
