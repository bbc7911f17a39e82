//! Sections that no option's help can hold.

use crate::page::{Page, Section};
use crate::text::{Text, word};

/// Adds the sections that the pages of `taru` and `taru-runtime` themselves have.
pub(crate) fn add(page: &mut Page) {
    let sections: &[(&str, &[(&str, &str)])] = match page.name.as_str() {
        "taru" => &[
            (
                "EXIT STATUS",
                &[
                    ("0", "Success; for `run` and `exec`, also that of the program."),
                    ("1", "It failed; standard error says why, on one line, with its cause."),
                    ("2", "The command line cannot be understood."),
                    ("125", "`run`, `exec` and their like: the program was not started."),
                    ("126", "The program cannot be executed."),
                    ("127", "The program does not exist."),
                    ("128+N", "The program was killed by signal N."),
                ],
            ),
            (
                "ENVIRONMENT",
                &[
                    ("TARU_ROOT", "The directory for taru's state, where `--root` is not given."),
                    (
                        "TARU_STORAGE_DRIVER",
                        "How a new store keeps layers: `overlay` (the default), `erofs` (images; root, Linux 6.12), `dir` or `btrfs`.",
                    ),
                ],
            ),
            (
                "FILES",
                &[
                    ("/var/lib/taru", "The state; for ordinary users `~/.local/share/taru`."),
                    ("/run/netns", "The names of network namespaces, shared with ip-netns(8)."),
                    ("/etc/netns", "Files that `taru netns exec` shows in place of those in /etc."),
                ],
            ),
        ],
        "taru-runtime" => &[
            (
                "EXIT STATUS",
                &[
                    ("0", "Success; for `run` and `exec`, also that of the process."),
                    ("1", "It failed; standard error says why, on one line, with its cause."),
                    ("128+N", "The process was killed by signal N."),
                ],
            ),
            (
                "FILES",
                &[
                    (
                        "/run/taru/runtime",
                        "The state of containers; for ordinary users `$XDG_RUNTIME_DIR/taru/runtime`.",
                    ),
                    ("config.json", "A bundle's configuration, by the OCI runtime specification."),
                ],
            ),
        ],
        _ => &[],
    };
    for (heading, rows) in sections {
        let name = &page.name;
        let text = |term: &str, english: &str| Text {
            key: format!("{name}: {heading} {term}"),
            english: english.to_owned(),
        };
        page.sections.push(Section {
            heading: word(heading),
            rows: rows.iter().map(|(term, english)| ((*term).to_owned(), text(term, english))).collect(),
        });
    }
}
