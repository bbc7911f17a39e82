//! The files that the rules are about, and what breaking one is.

use std::path::{Path, PathBuf};
use std::process::Command;

use taru_stdx::{Context, Result};

use crate::workspace;

/// One place that breaks a rule: where, and what to do.
pub(crate) type Violation = String;

/// A file of the repository.
pub(crate) struct Source {
    /// From the repository's root.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn is_rust(&self) -> bool {
        self.path.extension().is_some_and(|e| e == "rs")
    }
}

/// Every text file that is in the repository or could be added to it.
pub(crate) fn all_below(root: &Path) -> Result<Vec<Source>> {
    let listing = workspace::output(
        Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root),
    )?;
    let mut sources = Vec::new();
    for path in listing.split('\0').filter(|path| !path.is_empty()) {
        let full = root.join(path);
        // A file that is removed but not yet committed is still listed; a symbolic link is checked where it points.
        if !full.is_file() || full.is_symlink() {
            continue;
        }
        let bytes = std::fs::read(&full).context(|| format!("read `{}`", full.display()))?;
        if let Ok(text) = String::from_utf8(bytes) {
            sources.push(Source { path: path.into(), text });
        }
    }
    Ok(sources)
}
