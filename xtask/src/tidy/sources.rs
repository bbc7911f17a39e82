//! Rules that one file alone can break.

use super::source::{Source, Violation};
use super::tokens::{Token, tokens};
use crate::workspace;

/// The only crate with `unsafe` code, and the only one that knows the C interface.
const SYS: &str = "crates/sys/";
/// Crates that are the C interface under another name.
const C_INTERFACES: &[&str] = &["libc", "nix", "rustix", "syscalls"];
/// What taru-runtime is linked of: it clones processes that go on in its memory, so it has one thread.
const ONE_THREAD: &[&str] = &[
    "stdx",
    "sys",
    "rootdir",
    "mount",
    "cgroup",
    "netlink",
    "seccomp",
    "runtime",
    "supervise",
    "runtime-cli",
];
/// Endings of type names that say nothing about the noun.
const HOLLOW: &[&str] = &["Manager", "Helper", "Helpers", "Util", "Utils", "Impl", "Base", "Common"];
/// Words of other programs' interfaces that end so.
const FOREIGN: &[&str] = &["CgroupManager"];
/// A file this long has probably outgrown its noun.
const LONG: usize = 700;

/// Every rule of this module.
pub(crate) fn check(sources: &[Source]) -> Vec<Violation> {
    let mut violations = machine_paths(sources);
    for source in sources {
        violations.extend(unsafe_outside_sys(source));
        violations.extend(threads(source));
        violations.extend(docs_missing(source));
        violations.extend(unfinished(source));
        violations.extend(hollow_names(source));
    }
    violations
}

/// Files that have grown long: a warning, since length alone is no fault.
pub(crate) fn long_files(sources: &[Source]) -> Vec<Violation> {
    let long = |s: &&Source| s.is_rust() && s.text.lines().count() > LONG;
    sources.iter().filter(long).map(|s| at(s, 1, &format!("has {} lines", s.text.lines().count()))).collect()
}

/// `unsafe`, or the C interface, outside the one crate for them.
pub(crate) fn unsafe_outside_sys(source: &Source) -> Vec<Violation> {
    if !source.is_rust() || source.path.starts_with(SYS) {
        return Vec::new();
    }
    let all = tokens(&source.text);
    let mut found = Vec::new();
    for (n, token) in all.iter().enumerate() {
        let next = all.get(n + 1).map(|t| t.text.as_str());
        let before = n.checked_sub(1).map(|n| all[n].text.as_str());
        if token.text == "unsafe" {
            found.push(at(source, token.line, "`unsafe` belongs into crates/sys, behind a safe wrapper"));
        }
        let names_a_crate = next == Some("::") && before != Some("::") || before == Some("use");
        if names_a_crate && C_INTERFACES.contains(&token.text.as_str()) {
            found.push(at(source, token.line, &format!("`{}` may be used in crates/sys only", token.text)));
        }
    }
    found
}

/// A thread started by the code of taru-runtime, or by a library of it that would start some. The tests at the
/// end of a file may have them.
pub(crate) fn threads(source: &Source) -> Vec<Violation> {
    let is_of_it = |name: &&str| source.path.starts_with(format!("crates/{name}/src"));
    if !source.is_rust() || !ONE_THREAD.iter().any(is_of_it) {
        return Vec::new();
    }
    let own = source.text.split("\n#[cfg(test)]\n").next().unwrap_or_default();
    let all = tokens(own);
    let starts = |w: &[Token]| {
        w[0].text == "thread"
            && w[1].text == "::"
            && ["spawn", "scope", "Builder"].contains(&w[2].text.as_str())
    };
    let library =
        |w: &[Token]| ["tokio", "rayon", "async_std"].contains(&w[0].text.as_str()) && w[1].text == "::";
    let found = all.windows(3).filter(|w| starts(w) || library(w));
    found.map(|w| at(source, w[0].line, "taru-runtime has one thread until execve")).collect()
}

/// A Rust file that does not open with what it is about.
pub(crate) fn docs_missing(source: &Source) -> Vec<Violation> {
    let opens = source.text.lines().next().is_some_and(|line| line.starts_with("//! "));
    if source.is_rust() && !opens {
        vec![at(source, 1, "must open with a `//!` line that says what it is about")]
    } else {
        Vec::new()
    }
}

/// Code that promises to be written later.
pub(crate) fn unfinished(source: &Source) -> Vec<Violation> {
    if !source.is_rust() {
        return Vec::new();
    }
    let all = tokens(&source.text);
    let macros = all
        .windows(2)
        .filter(|w| w[1].text == "!" && ["todo", "unimplemented"].contains(&w[0].text.as_str()));
    let mut found: Vec<_> =
        macros.map(|w| at(source, w[0].line, &format!("`{}!` is not code", w[0].text))).collect();
    for (n, line) in source.text.lines().enumerate() {
        // Spelt apart, so that this rule does not find itself.
        let words = [concat!("TO", "DO"), concat!("FIX", "ME")];
        if line.contains("//") && words.iter().any(|word| line.contains(word)) {
            found.push(at(source, n + 1, "work for later belongs into an issue"));
        }
    }
    found
}

/// Types called after no noun, and functions called `get_`.
pub(crate) fn hollow_names(source: &Source) -> Vec<Violation> {
    if !source.is_rust() {
        return Vec::new();
    }
    let all = tokens(&source.text);
    let mut found = Vec::new();
    for pair in all.windows(2) {
        let [Token { text: keyword, .. }, Token { text: name, line }] = pair else { continue };
        match keyword.as_str() {
            "struct" | "enum" | "trait" | "type" => {
                if let Some(word) = HOLLOW
                    .iter()
                    .find(|word| name.ends_with(**word))
                    .filter(|_| !FOREIGN.contains(&name.as_str()))
                {
                    found.push(at(
                        source,
                        *line,
                        &format!("`{name}`: `{word}` names nothing; name the noun"),
                    ));
                }
            }
            "fn" if name.starts_with("get_") => {
                found.push(at(
                    source,
                    *line,
                    &format!("`{name}`: call it by what it returns, without `get_`"),
                ));
            }
            _ => {}
        }
    }
    found
}

/// Paths that exist on one machine only: where this checkout lies, and where a workplace keeps its work.
pub(crate) fn machine_paths(sources: &[Source]) -> Vec<Violation> {
    // Spelt apart, so that this rule does not find itself.
    let mut paths = vec![concat!("/wo", "rk/").to_owned(), concat!("/bash_", "jobs").to_owned()];
    let root = workspace::root();
    if root.components().count() > 3 {
        paths.push(root.display().to_string());
    }
    let mut found = Vec::new();
    for source in sources {
        for (n, line) in source.text.lines().enumerate() {
            if let Some(path) = paths.iter().find(|path| begins_in(line, path)) {
                found.push(at(source, n + 1, &format!("`{path}` exists on one machine only")));
            }
        }
    }
    found
}

/// Whether the absolute path stands in `line`, not as the middle of a longer one.
fn begins_in(line: &str, path: &str) -> bool {
    line.match_indices(path)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-}".contains(c)))
}

fn at(source: &Source, line: usize, what: &str) -> Violation {
    format!("{}:{line}: {what}", source.path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.to_owned() }
    }

    #[test]
    fn each_rule_finds_its_breach() {
        let bad = source(
            "crates/x/src/lib.rs",
            concat!(
                "use libc::c_int;\nfn get_it() { unsafe { libc::getpid() } }\nstruct PathHelper;\n",
                "// TO",
                "DO: all\nfn f() { todo!() }\n"
            ),
        );
        assert_eq!(unsafe_outside_sys(&bad).len(), 3);
        assert_eq!(docs_missing(&bad).len(), 1);
        assert_eq!(unfinished(&bad).len(), 2);
        assert_eq!(hollow_names(&bad).len(), 2);
        let here = source("README.md", &format!("cd {}", concat!("/wo", "rk/main")));
        assert_eq!(machine_paths(&[here]).len(), 1);
    }

    #[test]
    fn threads_are_for_tests_and_for_those_who_are_not_linked_into_the_runtime() {
        let text = "//! X.\nfn f() { std::thread::spawn(|| ()); tokio::spawn(g()); }\n#[cfg(test)]\nmod t { thread::scope(h) }\n";
        assert_eq!(threads(&source("crates/mount/src/lib.rs", text)).len(), 2);
        for path in ["crates/mount/tests/all.rs", "crates/engine/src/lib.rs", "xtask/src/main.rs"] {
            assert_eq!(threads(&source(path, text)), Vec::<String>::new(), "{path}");
        }
    }

    #[test]
    fn no_rule_finds_what_is_allowed() {
        let good = source(
            "crates/x/src/lib.rs",
            "//! Words: unsafe, libc.\n#![forbid(unsafe_code)]\nfn f() -> &'static str { \"unsafe libc:: todo!\" }\n",
        );
        assert_eq!(unsafe_outside_sys(&good), Vec::<String>::new());
        assert_eq!(docs_missing(&good), Vec::<String>::new());
        assert_eq!(unfinished(&good), Vec::<String>::new());
        let sys = source("crates/sys/src/lib.rs", "//! The calls.\nfn f() { unsafe { libc::getpid() }; }\n");
        assert_eq!(unsafe_outside_sys(&sys), Vec::<String>::new());
    }
}
