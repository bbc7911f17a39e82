//! What attacks aim at: a directory with a secret, and the proof that nobody touched it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What the secret file holds; no output of a container may contain it.
const SECRET: &str = "the secret of the host";

/// A directory on the host that a container must neither read nor change.
#[derive(Debug)]
pub struct Decoy {
    dir: PathBuf,
    before: Vec<String>,
}

impl Decoy {
    pub(crate) fn new(dir: PathBuf) -> Self {
        fs::create_dir_all(&dir).expect("make the decoy");
        fs::write(dir.join("secret"), SECRET).expect("write the secret");
        fs::set_permissions(dir.join("secret"), fs::Permissions::from_mode(0o600)).expect("chmod");
        let before = describe(&dir);
        Self { dir, before }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The secret file.
    pub fn secret(&self) -> PathBuf {
        self.dir.join("secret")
    }

    /// The directory as the text of a configuration.
    pub fn path(&self) -> &str {
        self.dir.to_str().expect("a plain path")
    }

    /// Asserts that content, mode, owner and listing are as they were.
    ///
    /// # Panics
    /// When something changed.
    #[track_caller]
    pub fn assert_untouched(&self) {
        assert_eq!(describe(&self.dir), self.before, "the decoy was touched");
    }

    /// Asserts that, and that `output` does not hold the secret.
    ///
    /// # Panics
    /// When either is not so.
    #[track_caller]
    pub fn assert_unseen(&self, output: &str) {
        assert!(!output.contains(SECRET), "the secret was read: {output}");
        self.assert_untouched();
    }
}

/// A line an entry: path, mode, owner, times of change, content.
fn describe(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(path) = pending.pop() {
        let info = fs::symlink_metadata(&path).expect("an entry of the decoy");
        let content = if info.is_file() { fs::read(&path).unwrap_or_default() } else { Vec::new() };
        let times = (info.mtime(), info.mtime_nsec(), info.ctime(), info.ctime_nsec());
        let owner = (info.uid(), info.gid(), info.mode());
        lines.push(format!("{} {owner:?} {times:?} {content:?}", path.display()));
        if info.is_dir() {
            pending.extend(fs::read_dir(&path).expect("list the decoy").flatten().map(|entry| entry.path()));
        }
    }
    lines.sort();
    lines
}
