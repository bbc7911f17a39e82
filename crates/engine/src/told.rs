//! What the engine says of its steps while it takes them. It prints nothing: whoever opened it is told, and knows who
//! wants to read it.

use std::ffi::OsStr;

/// How much of a step somebody wants to know who is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What there is to a container's life: its image, its name, its start, its end.
    Main,
    /// Every program that is executed, and where its files are.
    Every,
}

/// Told of a step.
pub type Say = fn(Detail, &str);

/// A command line as one would type it, if it were simple.
pub(crate) fn line<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> String {
    let words: Vec<String> = words.into_iter().map(|w| w.as_ref().to_string_lossy().into_owned()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_are_a_line() {
        assert_eq!(super::line(["/bin/taru-runtime", "run", "x"]), "/bin/taru-runtime run x");
    }
}
