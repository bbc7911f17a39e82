//! Ordinary users reach what is tested, wherever the clone lies.
//!
//! A clone in a home directory (`/root` is 0700 on Debian) is closed to the users that tests act as. In the test's own mount
//! namespace an empty directory takes the place of the outermost one that is closed, with nothing in it but the way to
//! the clone.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Opens the way to the clone and to the test executable. To be called in a mount namespace that is the test's own.
///
/// # Panics
/// When a mount fails.
pub(crate) fn open_way() {
    let clone = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(Path::to_path_buf);
    let built = std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_path_buf));
    for dir in clone.into_iter().chain(built) {
        if let Some(closed) = outermost_closed(&dir) {
            uncover(&dir, &closed);
        }
    }
}

/// The outermost directory on the way to `dir` that others may not pass.
fn outermost_closed(dir: &Path) -> Option<PathBuf> {
    let is_closed = |dir: &&Path| dir.metadata().is_ok_and(|m| m.permissions().mode() & 0o001 == 0);
    dir.ancestors().collect::<Vec<_>>().into_iter().rev().find(is_closed).map(Path::to_path_buf)
}

fn uncover(dir: &Path, closed: &Path) {
    // Held elsewhere while the directory above is covered. Tests in other mount namespaces do the same at once.
    let script = "held=$(mktemp -d /run/taru-test-XXXXXX) && mount --rbind $1 $held &&
        mount -t tmpfs -o mode=0755 way $2 && mkdir -p $1 &&
        mount --rbind $held $1 && umount -l $held && rmdir $held";
    let done = Command::new("sh").args(["-c", script, "sh"]).args([dir, closed]).output();
    let done = done.expect("start sh");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "open the way to `{}`: {said}", dir.display());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outermost_closed_directory_is_found() {
        let top = std::env::temp_dir().join(format!("taru-reach-{}", std::process::id()));
        let dir = top.join("closed/open/closed");
        std::fs::create_dir_all(&dir).unwrap();
        let set =
            |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        set(&top, 0o755);
        assert_eq!(outermost_closed(&dir), outermost_closed(&top));
        set(&dir, 0o700);
        set(&top.join("closed"), 0o750);
        if outermost_closed(&top).is_none() {
            assert_eq!(outermost_closed(&dir), Some(top.join("closed")));
        }
        std::fs::remove_dir_all(&top).unwrap();
    }
}
