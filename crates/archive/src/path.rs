//! Paths in archives, as keys: no file of the host is ever opened by one.

use taru_oci::limits;
use taru_stdx::{Error, Result};

/// `path` without `.` and empty parts: `./a//b/` is `a/b`, the root is empty.
///
/// # Errors
/// [`taru_stdx::Kind::Invalid`] for what has no place in an archive: `..`, an absolute path, bytes that are no text.
pub(crate) fn normal(path: &[u8]) -> Result<String> {
    let bad = |why: &str| Error::invalid(format!("use `{}` as a path: {why}", taru_tar::text(path)));
    let text = std::str::from_utf8(path).map_err(|_| bad("it is not UTF-8"))?;
    if text.starts_with('/') {
        return Err(bad("it is absolute"));
    }
    if text.len() > limits::PATH {
        return Err(bad("it is too long"));
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return Err(bad("it leads up"));
    }
    Ok(parts.join("/"))
}

/// What the symbolic link at the normal path `link` means if its target is `target`: `..` is allowed, leaving is not.
///
/// # Errors
/// As [`normal`].
pub(crate) fn relative(link: &str, target: &[u8]) -> Result<String> {
    let bad = |why: &str| {
        Error::invalid(format!("follow the link `{link}` to `{}`: {why}", taru_tar::text(target)))
    };
    let text = std::str::from_utf8(target).map_err(|_| bad("it is not UTF-8"))?;
    if text.starts_with('/') {
        return Err(bad("it is absolute"));
    }
    let mut parts: Vec<&str> = link.split('/').collect();
    parts.pop();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or_else(|| bad("it leads out of the archive"))?;
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        assert_eq!(normal(b"./a//b/./c/").unwrap(), "a/b/c");
        assert_eq!(normal(b".").unwrap(), "");
        for bad in [&b"/a"[..], b"../a", b"a/../b", b"a/..", b"\xff"] {
            assert!(normal(bad).is_err(), "{bad:?}");
        }
        assert_eq!(relative("a/b", b"../c").unwrap(), "c");
        assert_eq!(relative("a/b", b"./x/../c").unwrap(), "a/c");
        for bad in [&b"../../c"[..], b"/c"] {
            assert!(relative("a/b", bad).is_err(), "{bad:?}");
        }
    }
}
