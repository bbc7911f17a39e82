//! What may name a container.

use taru_stdx::{Error, Result};

/// NAME_MAX of Linux: an id is a directory's name.
const MAX: usize = 255;

/// Checks that `id` can name a container: 1 to 255 of the letters `A-Z a-z 0-9 _ + - . ,`, not `.` nor `..`.
///
/// These are the ids that runc accepts. Whatever passes is a plain file name: no separator, no NUL, no blank.
///
/// # Errors
/// [`taru_stdx::Kind::Invalid`], with the id.
pub fn check_id(id: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+-.,".contains(c);
    let problem = if id.is_empty() {
        "empty".to_owned()
    } else if id.len() > MAX {
        format!("longer than {MAX} characters")
    } else if id == "." || id == ".." {
        "neither `.` nor `..` is allowed".to_owned()
    } else if let Some(other) = id.chars().find(|c| !allowed(*c)) {
        format!(
            "invalid character `{}`: only letters, digits and `_+-.,` are allowed",
            other.escape_default()
        )
    } else {
        return Ok(());
    };
    Err(Error::invalid(format!("invalid container ID format: `{}`: {problem}", id.escape_default())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_plain_file_names() {
        for good in ["a", "0", "web-1", "a.b", "x+y_z", "...", "-a", "k8s_POD,1", &"a".repeat(255)] {
            check_id(good).unwrap();
        }
        for bad in ["", ".", "..", "a/b", "../a", "a b", "a\n", "a\0", "ä", "a:b", &"a".repeat(256)] {
            assert!(check_id(bad).is_err(), "{bad:?}");
        }
        let said = |id: &str| check_id(id).unwrap_err().to_string();
        assert!(said("a/b c").contains("`a/b c`: invalid character `/`"), "{}", said("a/b c"));
        assert!(said("a\n").contains("invalid character `\\n`"), "{}", said("a\n"));
    }
}
