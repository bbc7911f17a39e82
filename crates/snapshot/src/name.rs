//! Names in a layer: where an entry leads, and what whiteouts mean.
//!
//! A whiteout `.wh.NAME` says that NAME of the layers below is gone, `.wh..wh..opq` that all in its directory
//! is (OCI image specification, layer.md). What else begins with `.wh.` is aufs' own and has no meaning; with it
//! files could be smuggled past readers that skip it.

use taru_stdx::{Error, Result};

/// What an entry's name means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The layer's root.
    Root,
    /// A path: components without `.`, `..` and slashes.
    Path(Vec<u8>),
    /// The path is gone.
    Whiteout(Vec<u8>),
    /// All that was below the path (the root, if empty) is gone.
    Opaque(Vec<u8>),
}

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// The name of the whiteout of `name`.
pub(crate) fn whiteout_of(name: &[u8]) -> Vec<u8> {
    [WHITEOUT, name].concat()
}

/// The path that marks the directory `dir` as opaque.
pub(crate) fn opaque_of(dir: &[u8]) -> Vec<u8> {
    join(dir, OPAQUE)
}

/// `name` below `dir`.
pub(crate) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() { name.to_vec() } else { [dir, b"/", name].concat() }
}

/// A path's directory, and its last component.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(at) => (&path[..at], path.get(at + 1..).unwrap_or_default()),
        None => (&[], path),
    }
}

/// A path as plain components: absolute ones begin at the layer's root, `a/../b` is `b`.
pub(crate) fn normal(path: &[u8]) -> Result<Vec<u8>> {
    let refused = |why: &str| Error::invalid(format!("unpack `{}`: {why}", path.escape_ascii()));
    if path.contains(&0) {
        return Err(refused("a NUL byte in the name"));
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop().ok_or_else(|| refused("it leads out of the root"))?;
            }
            part if part.len() > 255 => return Err(refused("a name of more than 255 bytes")),
            part => parts.push(part),
        }
    }
    Ok(parts.join(&b'/'))
}

/// What the name of an entry means.
pub(crate) fn meaning(path: &[u8]) -> Result<Meaning> {
    let plain = normal(path)?;
    if plain.is_empty() {
        return Ok(Meaning::Root);
    }
    let (dir, name) = split(&plain);
    let refused = || Error::invalid(format!("unpack `{}`: no whiteout that is known", path.escape_ascii()));
    if dir.split(|&b| b == b'/').any(|part| part.starts_with(WHITEOUT)) {
        return Err(refused());
    }
    match name.strip_prefix(WHITEOUT) {
        None => Ok(Meaning::Path(plain)),
        Some(_) if name == OPAQUE => Ok(Meaning::Opaque(dir.to_vec())),
        Some(b"" | b"." | b"..") => Err(refused()),
        Some(gone) if gone.starts_with(WHITEOUT) => Err(refused()),
        Some(gone) => Ok(Meaning::Whiteout(join(dir, gone))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_other_tools_take_them_for() {
        let path = |text: &str| Meaning::Path(text.into());
        for (text, expected) in [
            ("./", Meaning::Root),
            ("/", Meaning::Root),
            ("a/..", Meaning::Root),
            ("/etc/passwd", path("etc/passwd")),
            ("./a//b/./c/", path("a/b/c")),
            ("a/../b", path("b")),
            ("a/.wh.b", Meaning::Whiteout(b"a/b".into())),
            (".wh..wh..opq", Meaning::Opaque(b"".into())),
            ("a/.wh..wh..opq", Meaning::Opaque(b"a".into())),
            (".wha", path(".wha")),
            (".wh.a.wh.", Meaning::Whiteout(b"a.wh.".into())),
        ] {
            assert_eq!(meaning(text.as_bytes()).unwrap(), expected, "{text}");
        }
        for bad in
            ["..", "a/../../b", "../a", ".wh.", ".wh..", ".wh...", ".wh..wh.plnk/a", ".wh..wh.plnk", "a\0"]
        {
            assert!(meaning(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(meaning(&[b'a'; 256]).is_err());
    }
}
