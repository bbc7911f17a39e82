//! The manual: man pages in English and Japanese and completion scripts, made from the definitions
//! of the command lines, committed under `docs/`, and tested not to be stale.
//!
//! ```text
//! clap definition ── page (what a page says) ─┬─ roff ── docs/man/man1/NAME.1
//!                                             ├─ catalog ── docs/man/ja.po      English beside Japanese
//!                                             └─ roff, translated ── docs/man/ja/man1/NAME.1
//! ```
//!
//! `cargo xtask man` writes them. To translate, edit `docs/man/ja.po` (any PO editor will do): an
//! entry whose English has changed is marked `fuzzy` and fails the test until the mark is removed.
//! Read the result with `man -M docs/man taru-netns`, or `man -M docs/man/ja taru-netns`.

mod catalog;
mod page;
mod roff;
mod sections;
mod text;

use std::path::{Path, PathBuf};

use catalog::Catalog;
use clap::Command;
use clap_complete::{Shell, generate};
use page::Page;
use taru_stdx::{Context, Result, fs};

/// Where the translations are, below the workspace's root.
pub const CATALOG: &str = "docs/man/ja.po";

/// The most bytes that a generated file may have.
const LIMIT: u64 = 4 << 20;

/// A file of the manual: where it belongs below the workspace's root, and its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path.
    pub path: PathBuf,
    /// What it says.
    pub content: String,
}

/// The manual as the definitions and the catalog below `root` have it now.
#[derive(Debug)]
pub struct Manual {
    /// All files, the catalog included.
    pub files: Vec<File>,
    /// The texts without a current translation, as `KEY: why`.
    pub untranslated: Vec<String>,
}

/// Makes the manual; nothing is written.
///
/// # Errors
/// If the catalog below `root` cannot be read or understood.
pub fn manual(root: &Path) -> Result<Manual> {
    let path = root.join(CATALOG);
    let text = match path.exists() {
        true => fs::read_bounded(&path, LIMIT)?,
        false => Vec::new(),
    };
    let text = String::from_utf8(text).context(|| format!("read `{CATALOG}`"))?;
    let old = Catalog::parse(&text).context(|| format!("read `{CATALOG}`"))?;
    let mut pages: Vec<Page> = commands().into_iter().flat_map(|(command, _)| page::pages(command)).collect();
    pages.iter_mut().for_each(sections::add);
    let catalog = old.updated(pages.iter().flat_map(Page::texts));

    let mut files = Vec::new();
    for page in &pages {
        let name = format!("man1/{}.1", page.name);
        files.push(File { path: Path::new("docs/man").join(&name), content: roff::render(page, None) });
        let content = roff::render(page, Some(&catalog));
        files.push(File { path: Path::new("docs/man/ja").join(&name), content });
    }
    for (command, name) in commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            files.push(completion(command.clone(), name, shell));
        }
    }
    files.push(File { path: CATALOG.into(), content: catalog.to_text() });
    Ok(Manual { files, untranslated: catalog.untranslated() })
}

/// The definitions of both command lines, each with its executable's name.
fn commands() -> [(Command, &'static str); 2] {
    [(taru::cli::command(), "taru"), (taru_runtime_cli::arguments::command(), "taru-runtime")]
}

fn completion(mut command: Command, name: &str, shell: Shell) -> File {
    let mut script = Vec::new();
    generate(shell, &mut command, name, &mut script);
    // The names under which each shell looks for it.
    let file = match shell {
        Shell::Zsh => format!("zsh/_{name}"),
        Shell::Fish => format!("fish/{name}.fish"),
        _ => format!("bash/{name}"),
    };
    // Some lines of the scripts end in white space, which no editor leaves alone.
    let text = String::from_utf8_lossy(&script);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    File {
        path: Path::new("docs/completion").join(file),
        content: lines.join("\n").trim_end().to_owned() + "\n",
    }
}

/// Writes the manual below `root` and removes pages that are no part of it. Returns how many files changed.
///
/// # Errors
/// Those of the file system.
pub fn write(manual: &Manual, root: &Path) -> Result<usize> {
    let mut changed = 0;
    for file in &manual.files {
        let path = root.join(&file.path);
        if std::fs::read_to_string(&path).is_ok_and(|old| old == file.content) {
            continue;
        }
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).context(|| format!("create `{}`", dir.display()))?;
        }
        fs::replace(&path, file.content.as_bytes(), 0o644, fs::Sync::Atomic)?;
        changed += 1;
    }
    for path in left_over(manual, root)? {
        std::fs::remove_file(root.join(&path)).context(|| format!("remove `{}`", path.display()))?;
        changed += 1;
    }
    Ok(changed)
}

/// The paths below `root` at which the manual is not as it should be: missing, different or left over.
///
/// # Errors
/// Those of the file system.
pub fn stale(manual: &Manual, root: &Path) -> Result<Vec<PathBuf>> {
    let differs =
        |file: &&File| std::fs::read_to_string(root.join(&file.path)).map_or(true, |old| old != file.content);
    let mut stale: Vec<PathBuf> = manual.files.iter().filter(differs).map(|file| file.path.clone()).collect();
    stale.extend(left_over(manual, root)?);
    Ok(stale)
}

/// Pages of commands that are no more.
fn left_over(manual: &Manual, root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for dir in ["docs/man/man1", "docs/man/ja/man1"] {
        let Ok(entries) = std::fs::read_dir(root.join(dir)) else { continue };
        for entry in entries {
            let name = entry.context(|| format!("list `{dir}`"))?.file_name();
            let path = Path::new(dir).join(name);
            if !manual.files.iter().any(|file| file.path == path) {
                found.push(path);
            }
        }
    }
    Ok(found)
}
