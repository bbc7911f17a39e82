//! Names of units and slices from the cgroup path `slice:prefix:name`.

use taru_stdx::{Error, Result};

/// A scope, or if the name says so a slice, to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The slice it goes into.
    pub slice: String,
    /// Its name, with `.scope` or `.slice`.
    pub name: String,
}

impl Unit {
    /// Parses a path of the form `slice:prefix:name` for the container `id`, or `slice:name` as crun has it.
    ///
    /// An empty path is `:taru:ID`, an empty slice `system.slice`, or for a user's own systemd `user.slice`. The unit
    /// is `prefix-name.scope`, without prefix `name.scope`; a name that ends in `.slice` is a slice itself.
    /// What cannot stand in the name of a unit is escaped as systemd does.
    ///
    /// # Errors
    /// Any other form, or a slice that is none.
    pub fn parse(path: &str, id: &str, user: bool) -> Result<Unit> {
        let default = format!(":taru:{id}");
        let text = if path.is_empty() { &default } else { path };
        let parts: Vec<&str> = text.split(':').collect();
        let (slice, prefix, name) = match parts.as_slice() {
            [slice, prefix, name] => (slice, *prefix, name),
            [slice, name] => (slice, "", name),
            _ => {
                return Err(Error::invalid(format!("use `{path}` as a cgroup path for systemd")).hint(
                    "with the systemd driver it is of the form slice:prefix:name, as `system.slice:taru:web`",
                ));
            }
        };
        let slice = match *slice {
            "" if user => "user.slice",
            "" => "system.slice",
            // The root of all slices.
            "-" | "/" => "-.slice",
            other => other,
        };
        if !is_slice(slice) {
            return Err(Error::invalid(format!("use `{slice}` as a slice of systemd"))
                .hint("a slice is named as `machine.slice` or `machine-web.slice`, without slashes"));
        }
        if name.is_empty() {
            return Err(Error::invalid(format!(
                "use `{path}` as a cgroup path for systemd: it names no unit"
            )));
        }
        let name = match (name.ends_with(".slice"), prefix.is_empty()) {
            (true, _) => escape(name),
            (false, true) => format!("{}.scope", escape(name)),
            (false, false) => format!("{}-{}.scope", escape(prefix), escape(name)),
        };
        Ok(Unit { slice: slice.to_owned(), name })
    }

    /// Whether it is a slice itself.
    pub fn is_slice(&self) -> bool {
        self.name.ends_with(".slice")
    }
}

/// `a-b.slice` is below `a.slice`: no part between dashes may be empty.
fn is_slice(name: &str) -> bool {
    if name == "-.slice" {
        return true;
    }
    let Some(stem) = name.strip_suffix(".slice") else { return false };
    stem.split('-').all(|part| !part.is_empty()) && stem.chars().all(|c| is_plain(c) || c == '\\')
}

/// What may stand in the name of a unit as it is.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-.:@".contains(c)
}

/// Other characters become `\x2b`, byte by byte. What is escaped already stays.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if is_plain(c) || c == '\\' {
            escaped.push(c);
            continue;
        }
        let mut bytes = [0; 4];
        for byte in c.encode_utf8(&mut bytes).bytes() {
            escaped.push_str(&format!("\\x{byte:02x}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let table = [
            ("", false, "system.slice", "taru-web.scope"),
            ("", true, "user.slice", "taru-web.scope"),
            (":docker:123", false, "system.slice", "docker-123.scope"),
            ("machine.slice:libpod:9", false, "machine.slice", "libpod-9.scope"),
            ("user-1000.slice::x", false, "user-1000.slice", "x.scope"),
            ("-:a:b", false, "-.slice", "a-b.scope"),
            (":a:b+c/d", false, "system.slice", "a-b\\x2bc\\x2fd.scope"),
            ("a.slice::a-b.slice", false, "a.slice", "a-b.slice"),
            ("a.slice:web", false, "a.slice", "web.scope"),
            (":web", true, "user.slice", "web.scope"),
        ];
        for (path, user, slice, name) in table {
            let unit = Unit::parse(path, "web", user).unwrap();
            assert_eq!((unit.slice.as_str(), unit.name.as_str()), (slice, name), "{path}");
        }
        assert!(Unit::parse("a.slice::a-b.slice", "", false).unwrap().is_slice());
        for bad in [
            "/a/b",
            "a:b",
            "a:b:c:d",
            "a:b:c",
            "a/b.slice:x:y",
            "a--b.slice:x:y",
            ".slice:x:y",
            ":a:",
            "a.slice:",
        ] {
            assert!(Unit::parse(bad, "web", false).is_err(), "{bad}");
        }
    }
}
