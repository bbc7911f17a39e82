//! A page as groff_man(7) text.

use crate::catalog::Catalog;
use crate::page::{Entry, Opt, Page, Piece, Section, Verbs};
use crate::text::{ELSEWHERE, Text, word};

/// Writes `page`, in English or in the catalog's language.
pub(crate) fn render(page: &Page, catalog: Option<&Catalog>) -> String {
    let mut out = Writer { text: String::new(), catalog };
    out.page(page);
    out.text
}

struct Writer<'a> {
    text: String,
    catalog: Option<&'a Catalog>,
}

impl Writer<'_> {
    fn page(&mut self, page: &Page) {
        if self.catalog.is_some() {
            self.line("'\\\" -*- coding: UTF-8 -*-");
        }
        self.line(".\\\" Made by `cargo xtask man` from the command line's definition; do not edit.");
        let title = escape(&page.name.to_uppercase());
        self.line(&format!(
            ".TH \"{title}\" \"1\" \"\" \"{}\" \"{}\"",
            escape(&page.version),
            escape(&self.word("taru manual"))
        ));
        // No hyphenation, ragged right: options and names stay whole.
        self.line(".nh\n.ad l");
        self.heading("NAME");
        let summary = self.translate(&page.main.summary);
        let line = format!("{} \\- {}", escape(&page.name), inline(&lower_first(&summary)));
        self.line(&line);
        self.heading("SYNOPSIS");
        match &page.verbs {
            Verbs::Here(entries) => {
                for entry in entries {
                    self.synopsis(entry);
                }
            }
            _ => self.synopsis(&page.main),
        }
        self.heading("DESCRIPTION");
        self.sentence(&summary);
        self.description(&page.main);
        if page.see_also.iter().any(|name| name == "taru") {
            let text = self.word(ELSEWHERE);
            self.line(".PP");
            self.sentence(&text);
        }
        for group in &page.main.groups {
            let heading = self.translate(&group.heading).to_uppercase();
            self.line(&format!(".SH \"{}\"", escape(&heading)));
            group.options.iter().for_each(|option| self.option(option));
        }
        self.verbs(&page.verbs);
        page.sections.iter().for_each(|section| self.section(section));
        if let Some(notes) = &page.main.notes {
            self.heading("NOTES");
            let notes = self.translate(notes);
            self.paragraphs(&notes);
        }
        let mut all = vec![&page.main];
        if let Verbs::Here(entries) = &page.verbs {
            all.extend(entries);
        }
        self.examples(&all);
        self.see_also(page);
    }

    fn verbs(&mut self, verbs: &Verbs) {
        match verbs {
            Verbs::None => {}
            Verbs::Pages(pages) => {
                self.heading("COMMANDS");
                for (name, summary) in pages {
                    let summary = self.translate(summary);
                    self.line(&format!(".TP\n\\fB{}\\fR(1)", escape(name)));
                    self.sentence(&summary);
                }
            }
            Verbs::Here(entries) => {
                self.heading("COMMANDS");
                for entry in entries {
                    self.line(&format!(".SS \"{}\"", escape(&entry.path)));
                    let summary = self.translate(&entry.summary);
                    self.sentence(&summary);
                    self.description(entry);
                    for option in entry.groups.iter().flat_map(|group| &group.options) {
                        self.option(option);
                    }
                    if let Some(notes) = &entry.notes {
                        let notes = self.translate(notes);
                        self.line(".PP");
                        self.paragraphs(&notes);
                    }
                }
            }
        }
    }

    fn description(&mut self, entry: &Entry) {
        if let Some(text) = &entry.description {
            let text = self.translate(text);
            self.line(".PP");
            self.paragraphs(&text);
        }
        if !entry.aliases.is_empty() {
            let names: Vec<String> =
                entry.aliases.iter().map(|name| format!("\\fB{}\\fR", escape(name))).collect();
            let label = self.word("Also called");
            self.line(&format!(".PP\n{}: {}", inline(&label), names.join(", ")));
        }
    }

    fn synopsis(&mut self, entry: &Entry) {
        // `HP` hangs the continuation lines under the first.
        for way in &entry.synopsis {
            let line = self.pieces(way);
            self.line(&format!(".HP\n{line}"));
        }
    }

    fn option(&mut self, option: &Opt) {
        let term = self.pieces(&option.term);
        self.line(&format!(".TP\n{term}"));
        let help = self.translate(&option.help);
        self.hanging(&help);
        let plain: Vec<&str> = option.values.iter().map(|(value, _)| value.as_str()).collect();
        if option.values.iter().all(|(_, help)| help.is_none()) {
            if !plain.is_empty() {
                let values: Vec<String> =
                    plain.iter().map(|value| format!("\\fB{}\\fR", escape(value))).collect();
                let label = self.word("One of");
                self.line(&format!(".IP\n{}: {}", inline(&label), values.join(", ")));
            }
        } else {
            self.line(".RS");
            for (value, help) in &option.values {
                self.line(&format!(".TP\n\\fB{}\\fR", escape(value)));
                let help = help.as_ref().map(|text| self.translate(text)).unwrap_or_default();
                self.hanging(&help);
            }
            self.line(".RE");
        }
        if let Some(default) = &option.default {
            let label = self.word("Default");
            self.line(&format!(".IP\n{}: \\fB{}\\fR", inline(&label), escape(default)));
        }
    }

    fn section(&mut self, section: &Section) {
        let heading = self.translate(&section.heading);
        self.line(&format!(".SH \"{}\"", escape(&heading)));
        for (term, text) in &section.rows {
            let text = self.translate(text);
            self.line(&format!(".TP\n\\fB{}\\fR", escape(term)));
            self.hanging(&text);
        }
    }

    fn examples(&mut self, entries: &[&Entry]) {
        let blocks: Vec<String> =
            entries.iter().filter_map(|entry| Some(self.translate(entry.examples.as_ref()?))).collect();
        if blocks.is_empty() {
            return;
        }
        self.heading("EXAMPLES");
        for block in blocks {
            self.line(".PP\n.nf");
            for line in block.lines() {
                self.line(&verbatim(line));
            }
            self.line(".fi");
        }
    }

    fn see_also(&mut self, page: &Page) {
        let own = [
            ("taru-netns", "ip-netns(8)"),
            ("taru-link", "ip-link(8)"),
            ("taru", "taru-runtime(1)"),
            ("taru-runtime", "taru(1)"),
        ];
        let mut pages: Vec<String> = page.see_also.iter().map(|name| format!("{name}(1)")).collect();
        pages.extend(own.iter().filter(|(name, _)| *name == page.name).map(|(_, other)| (*other).to_owned()));
        if pages.is_empty() {
            return;
        }
        self.heading("SEE ALSO");
        let pages: Vec<String> = pages
            .iter()
            .map(|page| match page.split_once('(') {
                Some((name, section)) => format!("\\fB{}\\fR({section}", escape(name)),
                None => escape(page),
            })
            .collect();
        self.line(&pages.join(", "));
    }

    fn heading(&mut self, english: &str) {
        let heading = self.word(english);
        self.line(&format!(".SH \"{}\"", escape(&heading)));
    }

    fn pieces(&self, pieces: &[Piece]) -> String {
        let write = |piece: &Piece| match piece {
            Piece::Literal(text) => format!("\\fB{}\\fR", escape(text)),
            Piece::Value(text) => format!("\\fI{}\\fR", escape(text)),
            Piece::Sign(text) => escape(text),
            Piece::Options => format!("\\fI{}\\fR", escape(&self.word("options"))),
        };
        pieces.iter().map(write).collect()
    }

    /// A summary, which the definition writes without its full stop.
    fn sentence(&mut self, text: &str) {
        let full = text.ends_with(['.', '。']);
        let stop = if full || text.is_empty() {
            ""
        } else if self.catalog.is_some() {
            "。"
        } else {
            "."
        };
        self.line(&inline(&format!("{text}{stop}")));
    }

    fn paragraphs(&mut self, text: &str) {
        for (number, paragraph) in text.split("\n\n").enumerate() {
            if number > 0 {
                self.line(".PP");
            }
            self.line(&inline(paragraph));
        }
    }

    /// Paragraphs below a term.
    fn hanging(&mut self, text: &str) {
        for (number, paragraph) in text.split("\n\n").enumerate() {
            if number > 0 {
                self.line(".IP");
            }
            self.sentence(paragraph);
        }
    }

    fn word(&self, english: &str) -> String {
        self.translate(&word(english))
    }

    fn translate(&self, text: &Text) -> String {
        self.catalog.and_then(|catalog| catalog.translation(text)).unwrap_or(&text.english).to_owned()
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }
}

/// `Make a thing` as the NAME section has it: `make a thing`. `CPU` stays.
fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if first.is_ascii_uppercase() && second.is_ascii_lowercase() => {
            format!("{}{}", first.to_ascii_lowercase(), &text[1..])
        }
        _ => text.to_owned(),
    }
}

/// Text to be filled: `code` becomes bold, line breaks spaces.
fn inline(text: &str) -> String {
    let one_line = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let parts: Vec<&str> = one_line.split('`').collect();
    // An even number of parts means a backquote without its fellow.
    if parts.len().is_multiple_of(2) {
        return protect(&escape(&one_line));
    }
    let part = |(number, part): (usize, &&str)| {
        if number % 2 == 1 { format!("\\fB{}\\fR", escape(part)) } else { escape(part) }
    };
    protect(&parts.iter().enumerate().map(part).collect::<String>())
}

/// A line that is to stay as it is.
fn verbatim(line: &str) -> String {
    protect(&escape(line))
}

/// A leading dot or quote would be a request.
fn protect(line: &str) -> String {
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() }
}

/// Characters that groff would take for something else.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            '`' => out.push_str("\\(ga"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            '"' => out.push_str("\\(dq"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_safe_for_groff() {
        assert_eq!(inline(".Don't use `a-b`\nor \\n"), "\\&.Don\\(aqt use \\fBa\\-b\\fR or \\en");
        assert_eq!(inline("a ` b"), "a \\(ga b");
        assert_eq!(lower_first("Make it"), "make it");
        assert_eq!(lower_first("CPU shares"), "CPU shares");
        assert_eq!(lower_first("表示する"), "表示する");
    }
}
