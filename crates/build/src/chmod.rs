//! The permissions of `--chmod`: `0755`, or `u=rwX,go-w` as chmod(1) has them.

use taru_stdx::{Error, Result};

/// What `--chmod` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    /// All twelve bits.
    Bits(u32),
    /// Changes, one after another.
    Changes(Vec<Change>),
}

/// `WHO OPERATOR WHAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    /// The bits of those it is about: a mask of 07777.
    who: u32,
    operator: char,
    /// The bits, for everybody.
    what: u32,
    /// `X`: execution for directories, and for what somebody may execute.
    execute_if: bool,
    /// `g=u`: the bits of these.
    copy: Option<u32>,
}

impl Mode {
    /// Reads it.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Invalid`] for what is neither.
    pub(crate) fn parse(text: &str) -> Result<Mode> {
        let bad = || {
            Error::invalid(format!("use `--chmod={text}`"))
                .hint("an octal number up to 7777, or words as of chmod(1): u=rwX,go-w")
        };
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let bits = u32::from_str_radix(text, 8).map_err(|_| bad())?;
            return if bits <= 0o7777 { Ok(Mode::Bits(bits)) } else { Err(bad()) };
        }
        let mut changes = Vec::new();
        for clause in text.split(',') {
            let end = clause.find(['+', '-', '=']).ok_or_else(bad)?;
            let mut who = 0;
            for c in clause[..end].chars() {
                who |= match c {
                    'u' => 0o4700,
                    'g' => 0o2070,
                    'o' => 0o0007,
                    'a' => 0o6777,
                    _ => return Err(bad()),
                };
            }
            if who == 0 {
                who = 0o6777;
            }
            let mut rest = clause[end..].chars().peekable();
            while let Some(operator) = rest.next() {
                if !matches!(operator, '+' | '-' | '=') {
                    return Err(bad());
                }
                let mut change = Change { who, operator, what: 0, execute_if: false, copy: None };
                while let Some(c) = rest.next_if(|c| !matches!(c, '+' | '-' | '=')) {
                    match c {
                        'r' => change.what |= 0o444,
                        'w' => change.what |= 0o222,
                        'x' => change.what |= 0o111,
                        'X' => change.execute_if = true,
                        's' => change.what |= 0o6000,
                        't' => {
                            change.what |= 0o1000;
                            change.who |= 0o1000;
                        }
                        'u' => change.copy = Some(6),
                        'g' => change.copy = Some(3),
                        'o' => change.copy = Some(0),
                        _ => return Err(bad()),
                    }
                }
                changes.push(change);
            }
        }
        Ok(Mode::Changes(changes))
    }

    /// The new permissions of what had `old`.
    pub(crate) fn apply(&self, old: u32, is_dir: bool) -> u32 {
        let changes = match self {
            Mode::Bits(bits) => return *bits,
            Mode::Changes(changes) => changes,
        };
        let mut mode = old & 0o7777;
        for change in changes {
            let mut bits = change.what;
            if change.execute_if && (is_dir || mode & 0o111 != 0) {
                bits |= 0o111;
            }
            if let Some(shift) = change.copy {
                bits |= ((mode >> shift) & 7) * 0o111;
            }
            let bits = bits & change.who;
            match change.operator {
                '+' => mode |= bits,
                '-' => mode &= !bits,
                // The set-id bits of a directory stay, as with chmod(1), unless they are named.
                _ => mode = (mode & !(change.who & 0o777 | change.what & 0o7000)) | bits,
            }
        }
        mode
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_and_applied() {
        for (text, old, is_dir, new) in [
            ("755", 0o644, false, 0o755),
            ("0644", 0o755, false, 0o644),
            ("7777", 0, false, 0o7777),
            ("u+x", 0o644, false, 0o744),
            ("+x", 0o644, false, 0o755),
            ("go-rwx", 0o755, false, 0o700),
            ("a=r", 0o777, false, 0o444),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o700, false, 0o755),
            ("g=u", 0o640, false, 0o660),
            ("u+s", 0o755, false, 0o4755),
            ("+t", 0o777, true, 0o1777),
            ("u=rwx,g+w-x", 0o010, false, 0o720),
        ] {
            assert_eq!(Mode::parse(text).unwrap().apply(old, is_dir), new, "{text}");
        }
        for bad in ["8", "17777", "x", "u", "q+x", "u+q", "", "rw"] {
            assert!(Mode::parse(bad).is_err(), "{bad}");
        }
    }
}
