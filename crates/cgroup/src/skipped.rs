//! What was asked for and could not be given, without being an error.

use std::fmt;

/// Something asked for that this layout has no counterpart for, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// What was asked for.
    pub what: &'static str,
    /// Why it was left out.
    pub why: String,
}

impl Skipped {
    pub(crate) fn not_on_v2(what: &'static str) -> Skipped {
        Skipped { what, why: "cgroup v2 has no counterpart".to_owned() }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}
