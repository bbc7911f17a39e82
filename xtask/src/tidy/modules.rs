//! Modules inside a crate form no cycle.
//!
//! A module is a file and everything below it: a parent and its children are one noun and may name each other,
//! but siblings, at every level, form no cycle. A module has an edge to each module whose items it names:
//! `crate::`, `super::` and `self::` paths, `use` or not, and paths that begin with a child. Re-exports are
//! followed to the module that defines the item, and are no edge themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::source::{Source, Violation};
use super::tokens::{Token, tokens, without_tests};

/// Where a module stands below its crate's root: `[]` is the root, `["a", "b"]` is `crate::a::b`.
type Name = Vec<String>;

/// One file: what it defines, what it imports, what it names.
#[derive(Default)]
struct Module {
    /// Names of the items that stand in the file itself.
    defines: BTreeSet<String>,
    /// Names brought in by `use`, re-exported or not, with the path they stand for.
    imports: BTreeMap<String, Vec<String>>,
    /// Paths of `use path::*`.
    globs: Vec<Vec<String>>,
    /// Every path the file names, but those of re-exports.
    paths: Vec<Vec<String>>,
}

/// All modules of one crate.
type Crate = BTreeMap<Name, Module>;

/// Finds the cycles of every crate: each is one violation that names its modules in order.
pub(crate) fn check(sources: &[Source]) -> Vec<Violation> {
    let mut crates: BTreeMap<PathBuf, Crate> = BTreeMap::new();
    for source in sources.iter().filter(|s| s.is_rust()) {
        if let Some((dir, name)) = place(&source.path) {
            crates.entry(dir).or_default().insert(name, Module::read(&source.text));
        }
    }
    crates.iter().flat_map(|(dir, modules)| cycles(dir, modules)).collect()
}

/// The `src` directory a file belongs to, and its module's name; `None` for what is not below a `src`.
fn place(path: &Path) -> Option<(PathBuf, Name)> {
    let parts: Vec<String> =
        path.with_extension("").iter().map(|p| p.to_string_lossy().into_owned()).collect();
    let src = parts.iter().position(|part| part == "src")?;
    let mut name: Name = parts[src + 1..].to_vec();
    if name.last().is_some_and(|last| last == "mod" || (name.len() == 1 && (last == "lib" || last == "main")))
    {
        name.pop();
    }
    Some((parts[..=src].iter().collect(), name))
}

impl Module {
    fn read(text: &str) -> Module {
        let all = without_tests(&tokens(text));
        let mut module = Module::default();
        let mut at = 0;
        while at < all.len() {
            let word = all[at].text.as_str();
            let before = at.checked_sub(1).map(|n| all[n].text.as_str());
            match word {
                "use" => at = module.read_use(&all, at, matches!(before, Some("pub" | ")"))),
                "struct" | "enum" | "trait" | "type" | "fn" | "const" | "static" | "union" => {
                    if let Some(name) = all.get(at + 1) {
                        module.defines.insert(name.text.clone());
                    }
                    at += 1;
                }
                _ if all.get(at + 1).is_some_and(|t| t.text == "::")
                    && before != Some("::")
                    && is_name(word) =>
                {
                    let end = path_end(&all, at);
                    module.paths.push(
                        all[at..end].iter().filter(|t| t.text != "::").map(|t| t.text.clone()).collect(),
                    );
                    at = end;
                }
                _ => at += 1,
            }
        }
        module
    }

    /// Reads one `use` declaration that starts at `at`; returns the index after its `;`.
    fn read_use(&mut self, all: &[Token], at: usize, re_exports: bool) -> usize {
        let end = all[at..].iter().position(|t| t.text == ";").map_or(all.len(), |n| at + n);
        let mut leaves = Vec::new();
        read_tree(&all[at + 1..end], &[], &mut leaves);
        for (path, name) in leaves {
            if !re_exports {
                self.paths.push(path.clone());
            }
            match name.as_str() {
                "*" => self.globs.push(path),
                "_" => {}
                _ => drop(self.imports.insert(name, path)),
            }
        }
        end + 1
    }
}

/// The leaves of a `use` tree: the path of each, and the name it gets here (`*` for all of them).
fn read_tree(tree: &[Token], prefix: &[String], leaves: &mut Vec<(Vec<String>, String)>) {
    let mut path = prefix.to_vec();
    let mut at = 0;
    while let Some(token) = tree.get(at) {
        match token.text.as_str() {
            "::" => at += 1,
            "{" => {
                for branch in branches(&tree[at + 1..]) {
                    read_tree(branch, &path, leaves);
                }
                return;
            }
            "*" => return leaves.push((path, "*".to_owned())),
            "as" => {
                let name = tree.get(at + 1).map_or_else(|| "_".to_owned(), |t| t.text.clone());
                return leaves.push((path, name));
            }
            "self" if !path.is_empty() => at += 1,
            word => {
                path.push(word.to_owned());
                at += 1;
            }
        }
    }
    if let Some(name) = path.last().cloned() {
        leaves.push((path, name));
    }
}

/// Splits the inside of a brace at its own commas; ends at the closing brace.
fn branches(inside: &[Token]) -> Vec<&[Token]> {
    let (mut depth, mut from, mut out) = (0usize, 0, Vec::new());
    for (at, token) in inside.iter().enumerate() {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" if depth == 0 => {
                out.push(&inside[from..at]);
                break;
            }
            "}" => depth -= 1,
            "," if depth == 0 => {
                out.push(&inside[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    out.retain(|branch| !branch.is_empty());
    out
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The index after the path that starts at `at`.
fn path_end(all: &[Token], mut at: usize) -> usize {
    at += 1;
    while all.get(at).is_some_and(|t| t.text == "::") && all.get(at + 1).is_some_and(|t| is_name(&t.text)) {
        at += 2;
    }
    at
}

/// The module that defines what `path`, as written in module `from`, names; `None` for another crate's item.
fn resolve(modules: &Crate, from: &Name, path: &[String], depth: usize) -> Option<Name> {
    let mut here = from.clone();
    let mut is_ours = false;
    for (n, part) in path.iter().enumerate() {
        match part.as_str() {
            "crate" => here.clear(),
            "self" => {}
            "super" => drop(here.pop()),
            part => {
                let mut child = here.clone();
                child.push(part.to_owned());
                if modules.contains_key(&child) {
                    here = child;
                } else if let Some(to) =
                    modules.get(&here).and_then(|m| m.imports.get(part)).filter(|_| is_ours && depth > 0)
                {
                    let whole: Vec<String> = to.iter().chain(&path[n + 1..]).cloned().collect();
                    // An import of another crate's item makes no edge.
                    return resolve(modules, &here, &whole, depth - 1);
                } else {
                    return is_ours.then(|| through_globs(modules, &here, part, depth));
                }
            }
        }
        is_ours = true;
    }
    is_ours.then_some(here)
}

/// The module that defines `item`, named through module `here`, which may have it by `use path::*`.
fn through_globs(modules: &Crate, here: &Name, item: &str, depth: usize) -> Name {
    let Some(module) = modules.get(here).filter(|m| depth > 0 && !m.defines.contains(item)) else {
        return here.clone();
    };
    let targets = module.globs.iter().filter_map(|glob| resolve(modules, here, glob, depth - 1));
    targets
        .filter(|target| target != here)
        .map(|target| through_globs(modules, &target, item, depth - 1))
        .find(|target| modules.get(target).is_some_and(|m| m.defines.contains(item)))
        .unwrap_or_else(|| here.clone())
}

/// The cycles among one crate's modules, each told once.
fn cycles(dir: &Path, modules: &Crate) -> Vec<Violation> {
    let mut edges: BTreeMap<Name, BTreeSet<Name>> = BTreeMap::new();
    for (name, module) in modules {
        let targets = module.paths.iter().filter_map(|path| resolve(modules, name, path, 8));
        for (from, to) in targets.filter_map(|target| between_siblings(name, &target)) {
            edges.entry(from).or_default().insert(to);
        }
    }
    let mut told: BTreeSet<Name> = BTreeSet::new();
    let mut found = Vec::new();
    for start in edges.keys() {
        if told.contains(start) {
            continue;
        }
        if let Some(round) = way_back(&edges, start) {
            let text: Vec<String> = round.iter().map(spell).collect();
            found.push(format!("{}: modules form a cycle: {}", dir.display(), text.join(" -> ")));
            told.extend(round);
        }
    }
    found
}

/// The edge that `from` naming `to` makes: between the ancestors of both, or themselves, that are siblings.
///
/// `None` where one is the other's ancestor.
fn between_siblings(from: &Name, to: &Name) -> Option<(Name, Name)> {
    let parting = from.iter().zip(to).position(|(a, b)| a != b)?;
    Some((from[..=parting].to_vec(), to[..=parting].to_vec()))
}

/// The shortest way from `start` back to itself, both ends included.
fn way_back(edges: &BTreeMap<Name, BTreeSet<Name>>, start: &Name) -> Option<Vec<Name>> {
    let mut ways: Vec<Vec<Name>> = vec![vec![start.clone()]];
    let mut seen: BTreeSet<Name> = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in way.last().and_then(|last| edges.get(last)).into_iter().flatten() {
                let mut on = way.clone();
                on.push(next.clone());
                if next == start {
                    return Some(on);
                }
                if seen.insert(next.clone()) {
                    longer.push(on);
                }
            }
        }
        ways = longer;
    }
    None
}

fn spell(name: &Name) -> String {
    if name.is_empty() { "crate".to_owned() } else { name.join("::") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_files(files: &[(&str, &str)]) -> Vec<Violation> {
        let sources: Vec<_> = files
            .iter()
            .map(|(path, text)| Source { path: format!("x/src/{path}").into(), text: (*text).to_owned() })
            .collect();
        check(&sources)
    }

    #[test]
    fn re_exports_are_followed_and_are_no_edge() {
        let files = [
            ("lib.rs", "mod error; pub mod fs; pub use error::{Error as E, Kind}; pub use fs::*;"),
            ("error.rs", "use std::fs::File; pub struct Error;"),
            ("fs.rs", "use crate::{E, Kind}; pub fn f() -> crate::E {}"),
        ];
        assert_eq!(check_files(&files), Vec::<String>::new());
    }

    #[test]
    fn two_that_name_each_other_are_a_cycle() {
        let files = [
            ("lib.rs", "mod a; mod b; pub use b::G;"),
            ("a.rs", "use crate::G; pub struct F;"),
            ("b.rs", "pub struct G; fn f() { super::a::F::new() }"),
        ];
        assert_eq!(check_files(&files), ["x/src: modules form a cycle: a -> b -> a"]);
    }

    #[test]
    fn parent_and_child_are_one_noun_but_the_siblings_of_either_are_not() {
        let files = [
            ("main.rs", "mod a; mod c; fn main() { a::run() }"),
            ("a/mod.rs", "mod b; pub struct P; pub fn run() { b::step(P) }"),
            ("a/b.rs", "use super::P; use crate::c::Q; pub fn step(p: P) {}"),
            ("c.rs", "pub struct Q;"),
        ];
        assert_eq!(check_files(&files), Vec::<String>::new());
        let mut knotted = files;
        knotted[3].1 = "pub struct Q; use crate::a::P;";
        assert_eq!(check_files(&knotted), ["x/src: modules form a cycle: a -> c -> a"]);
    }

    #[test]
    fn tests_may_name_what_they_like() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::G; pub struct F;"),
            ("b.rs", "pub struct G; #[cfg(test)] mod tests { use crate::a::F; }"),
        ];
        assert_eq!(check_files(&files), Vec::<String>::new());
    }

    #[test]
    fn glob_re_exports_lead_to_the_definition() {
        let files = [
            ("lib.rs", "mod a; mod b; pub use a::*; pub use b::*;"),
            ("a.rs", "pub struct F;"),
            ("b.rs", "use crate::F; pub struct G;"),
        ];
        assert_eq!(check_files(&files), Vec::<String>::new());
    }
}
