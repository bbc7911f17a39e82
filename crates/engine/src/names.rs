//! Ids and names that taru finds by itself.

use std::io::Read;

use taru_stdx::{Context, Error, Result};

/// Half of a name: what sake and the barrels it lies in are like.
const LIKE: [&str; 32] = [
    "amber", "bold", "bright", "calm", "cedar", "clear", "cloudy", "cool", "deep", "dry", "early", "fine",
    "fresh", "gentle", "golden", "happy", "keen", "light", "mellow", "mild", "noble", "old", "pale", "quiet",
    "rich", "round", "silken", "smooth", "sweet", "tall", "warm", "young",
];

/// The other half: what is around a brewery.
const THING: [&str; 32] = [
    "barrel", "bowl", "brook", "bung", "cask", "cellar", "cooper", "cup", "firkin", "flask", "grain", "hoop",
    "jar", "jug", "keg", "koji", "ladle", "lid", "malt", "mash", "mill", "press", "rice", "spigot", "spring",
    "stave", "steam", "tub", "tun", "vat", "well", "yeast",
];

/// A new id: 64 hexadecimal digits from the kernel's random source.
///
/// # Errors
/// `/dev/urandom` cannot be read.
pub(crate) fn new_id() -> Result<String> {
    let mut bytes = [0u8; 32];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut bytes));
    read.context(|| "read `/dev/urandom`")?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// Whether `text` has the form of [`new_id`].
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Names to try for the container `id`, simplest first.
pub(crate) fn candidates(id: &str) -> impl Iterator<Item = String> {
    let seed = u64::from_str_radix(id.get(..15).unwrap_or("0"), 16).unwrap_or(0);
    let plain = (0..8).map(move |n| {
        let bits = (seed >> (n * 5)) as usize;
        format!("{}-{}", LIKE[bits % 32], THING[(bits >> 5) % 32])
    });
    let numbered = (0..8).map(move |n| {
        let bits = (seed >> (n * 5)) as usize;
        format!("{}-{}-{}", LIKE[bits % 32], THING[(bits >> 5) % 32], bits % 10_000)
    });
    plain.chain(numbered)
}

/// Checks a name that a user chose: letters, digits, `_`, `.` and `-`, at most 128, the first a letter or digit.
///
/// # Errors
/// [`taru_stdx::Kind::Invalid`], with the name.
pub fn check(name: &str) -> Result<()> {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    if first && rest && name.len() <= 128 {
        return Ok(());
    }
    Err(Error::invalid(format!("name a container `{}`: it is no name", name.escape_debug())).hint(
        "a name begins with a letter or digit, goes on with these, `_`, `.` and `-`, and has 128 at most",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_found_are_names() {
        let id = new_id().unwrap();
        assert_eq!(id.len(), 64);
        for name in candidates(&id).chain([id.clone()]) {
            check(&name).unwrap();
        }
    }

    #[test]
    fn names_cannot_be_paths_or_options() {
        for bad in ["", ".", "..", "-x", "_x", "a/b", "a b", "a\n", "ä", &"a".repeat(129)] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
