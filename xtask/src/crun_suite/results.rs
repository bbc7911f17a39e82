//! Results by name, the committed reference, and the comparison of the two.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use taru_stdx::{Context, Error, Result};

use crate::workspace;

/// How one test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    NotOk,
    Skip,
    /// The file of tests ended or was ended before it came to this one.
    Missing,
}

impl Outcome {
    fn spell(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::NotOk => "not-ok",
            Outcome::Skip => "skip",
            Outcome::Missing => "-",
        }
    }

    fn parse(text: &str) -> Outcome {
        match text {
            "ok" => Outcome::Ok,
            "not-ok" => Outcome::NotOk,
            "skip" => Outcome::Skip,
            _ => Outcome::Missing,
        }
    }
}

/// Each test, as `file/name`, with how it ended.
#[derive(Debug, Default)]
pub(super) struct Results(BTreeMap<String, Outcome>);

impl Results {
    /// Reads the `.tap` files that a run left in `dir`.
    pub(super) fn read(dir: &Path) -> Result<Results> {
        let mut results = Results::default();
        for entry in fs::read_dir(dir).context(|| format!("list `{}`", dir.display()))?.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|e| e == "tap") {
                let bytes = fs::read(&path).context(|| format!("read `{}`", path.display()))?;
                let file = path.file_stem().unwrap_or_default().to_string_lossy();
                let file = file.strip_prefix("test_").unwrap_or(&file);
                results.0.extend(parse(file, &String::from_utf8_lossy(&bytes)));
            }
        }
        Ok(results)
    }

    /// One line a test: its name, a tab, its outcome.
    pub(super) fn table(&self) -> String {
        self.0.iter().map(|(name, outcome)| format!("{name}\t{}\n", outcome.spell())).collect()
    }

    /// How many tests ended well.
    pub(super) fn passed(&self) -> usize {
        self.0.values().filter(|outcome| **outcome == Outcome::Ok).count()
    }

    /// `N ok, N not ok, N skipped`.
    pub(super) fn summary(&self) -> String {
        let count = |wanted| self.0.values().filter(|o| **o == wanted).count();
        format!(
            "crun-suite: {} ok, {} not ok, {} skipped of {}",
            count(Outcome::Ok),
            count(Outcome::NotOk) + count(Outcome::Missing),
            count(Outcome::Skip),
            self.0.len()
        )
    }
}

/// Reads lines like `not ok 3 - name` and `ok 4 - name #SKIP`; containers may print in between.
/// Newer suites add why a test is left out and how long each took: `ok 4 - name #SKIP requires root # 0.012s`.
fn parse(file: &str, text: &str) -> Vec<(String, Outcome)> {
    let mut found = Vec::new();
    for line in text.lines() {
        let (is_ok, rest) = match (line.strip_prefix("ok "), line.strip_prefix("not ok ")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => continue,
        };
        let Some((_, name)) = rest.split_once(" - ") else { continue };
        let (name, remark) = name.split_once('#').unwrap_or((name, ""));
        let outcome = match is_ok {
            _ if remark.starts_with("SKIP") => Outcome::Skip,
            true => Outcome::Ok,
            false => Outcome::NotOk,
        };
        found.push((format!("{file}/{}", name.trim()), outcome));
    }
    found
}

/// The committed table: what the peers reach, and which tests ours need not pass.
pub(super) struct Reference {
    /// Test, then the outcome of each column.
    rows: BTreeMap<String, BTreeMap<String, Outcome>>,
    /// Test and reason.
    exceptions: BTreeMap<String, String>,
}

/// The columns, in the order of the file.
const COLUMNS: [&str; 3] = ["crun", "runc", "none"];
const REFERENCE: &str = "tests/crun-suite/reference.tsv";
const EXCEPTIONS: &str = "tests/crun-suite/exceptions.tsv";

/// What the comparison found.
pub(super) struct Judgement {
    /// Tests that a peer passes and ours does not, without an exception.
    pub(super) regressions: Vec<String>,
    /// What is worth knowing.
    pub(super) notes: Vec<String>,
}

impl Reference {
    /// Reads both files; an absent one is empty.
    pub(super) fn read() -> Result<Reference> {
        let mut rows: BTreeMap<String, BTreeMap<String, Outcome>> = BTreeMap::new();
        for fields in table(REFERENCE)? {
            let outcomes =
                COLUMNS.iter().zip(&fields[1..]).map(|(c, o)| ((*c).to_owned(), Outcome::parse(o))).collect();
            rows.insert(fields[0].clone(), outcomes);
        }
        let exceptions = table(EXCEPTIONS)?
            .into_iter()
            .filter_map(|f| Some((f.first()?.clone(), f.get(1)?.clone())))
            .collect();
        Ok(Reference { rows, exceptions })
    }

    /// Replaces one column by `results` and writes the table.
    pub(super) fn record(&mut self, column: &str, results: &Results) -> Result<()> {
        if !COLUMNS.contains(&column) {
            return Err(Error::invalid(format!("record `{column}`: the columns are {}", COLUMNS.join(", "))));
        }
        for (name, outcome) in &results.0 {
            self.rows.entry(name.clone()).or_default().insert(column.to_owned(), *outcome);
        }
        let mut text = format!("# test\t{}\n", COLUMNS.join("\t"));
        for (name, row) in &self.rows {
            let outcomes = COLUMNS.map(|c| row.get(c).map_or("-", |o| o.spell()));
            text.push_str(&format!("{name}\t{}\n", outcomes.join("\t")));
        }
        let path = workspace::root().join(REFERENCE);
        fs::create_dir_all(path.parent().unwrap_or(&path))
            .context(|| format!("create the directory of `{}`", path.display()))?;
        fs::write(&path, text).context(|| format!("write `{}`", path.display()))
    }

    /// Compares a run with what the peers reach. In a run of some files only, the others' tests are not missed.
    pub(super) fn judge(&self, results: &Results, is_partial: bool) -> Judgement {
        let files: BTreeSet<&str> = results.0.keys().filter_map(|name| name.split('/').next()).collect();
        let mut regressions = Vec::new();
        let mut notes = Vec::new();
        let mut excused = 0;
        for (name, row) in &self.rows {
            let passing: Vec<&str> =
                ["crun", "runc"].into_iter().filter(|peer| row.get(*peer) == Some(&Outcome::Ok)).collect();
            let file = name.split('/').next().unwrap_or_default();
            if passing.is_empty() || (is_partial && !files.contains(file)) {
                continue;
            }
            let outcome = results.0.get(name).copied().unwrap_or(Outcome::Missing);
            match (outcome, self.exceptions.contains_key(name)) {
                (Outcome::Ok, true) => notes.push(format!("{name}: passes now; take it out of {EXCEPTIONS}")),
                (Outcome::Ok, false) => {}
                (_, true) => excused += 1,
                (outcome, false) => regressions.push(format!(
                    "{name}: {} here, passes on {}",
                    outcome.spell(),
                    passing.join(" and ")
                )),
            }
        }
        notes.push(format!(
            "crun-suite: {} that crun or runc pass do not pass here, {excused} excepted",
            regressions.len() + excused
        ));
        Judgement { regressions, notes }
    }
}

/// The fields of a committed table's lines; `#` begins a comment.
fn table(path: &str) -> Result<Vec<Vec<String>>> {
    let path = workspace::root().join(path);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(&path).context(|| format!("read `{}`", path.display()))?;
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    Ok(lines.map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_suite_prints() {
        let text = "1..3\nok 1 - start\nhello\nnot ok 2 - run-twice\nok 3 - rootless #SKIP\n";
        let found = parse("start", text);
        assert_eq!(
            found,
            [
                ("start/start".to_owned(), Outcome::Ok),
                ("start/run-twice".to_owned(), Outcome::NotOk),
                ("start/rootless".to_owned(), Outcome::Skip)
            ]
        );
    }

    #[test]
    fn reads_reasons_and_durations() {
        let text = "ok 1 - start # 0.012s\nnot ok 2 - run-twice # 1.500s\nok 3 - rootless #SKIP requires root # 0.000s\n";
        let found: Vec<_> = parse("start", text).into_iter().map(|(_, outcome)| outcome).collect();
        assert_eq!(found, [Outcome::Ok, Outcome::NotOk, Outcome::Skip]);
        assert_eq!(parse("start", text)[2].0, "start/rootless");
    }

    #[test]
    fn a_test_that_a_peer_passes_must_pass() {
        let row = |crun, runc| BTreeMap::from([("crun".to_owned(), crun), ("runc".to_owned(), runc)]);
        let reference = Reference {
            rows: BTreeMap::from([
                ("a/both".to_owned(), row(Outcome::Ok, Outcome::Ok)),
                ("a/neither".to_owned(), row(Outcome::NotOk, Outcome::Skip)),
                ("a/crun".to_owned(), row(Outcome::Ok, Outcome::NotOk)),
                ("a/excused".to_owned(), row(Outcome::Ok, Outcome::NotOk)),
                ("b/other".to_owned(), row(Outcome::Ok, Outcome::Ok)),
            ]),
            exceptions: BTreeMap::from([("a/excused".to_owned(), "why".to_owned())]),
        };
        let results = Results(BTreeMap::from([
            ("a/both".to_owned(), Outcome::Ok),
            ("a/crun".to_owned(), Outcome::NotOk),
            ("a/excused".to_owned(), Outcome::NotOk),
        ]));
        assert_eq!(reference.judge(&results, true).regressions, ["a/crun: not-ok here, passes on crun"]);
        assert_eq!(reference.judge(&results, false).regressions.len(), 2, "a file that is missing is missed");
    }
}
