//! The Dockerfile as a document: text -> lines -> instructions -> stages. Pure; nothing is expanded here.
//!
//! ```text
//! line         directives, comments, continuations, here-documents
//! keyword      the table of instructions and flags
//! words        flags, pairs, the JSON form
//! heredoc      which here-documents a line names
//! mount        the value of RUN --mount
//! instruction  one line as an instruction
//! ```
//! All that is wrong with a file is told at once, each with `NAME:LINE`.

mod heredoc;
mod instruction;
mod keyword;
mod line;
mod mount;
mod words;

use taru_stdx::{Error, Kind, Result};

pub(crate) use heredoc::{Heredoc, of_word as heredoc_of_word};
pub(crate) use instruction::{Command, Copy, From, Instruction, Network, Run, is_url};
pub(crate) use keyword::nearest;
pub(crate) use mount::{MountFlag, MountKind};

use instruction::Parsed;

/// An instruction and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed {
    /// The line, from 1.
    pub line: usize,
    /// As it stands, continuations joined: for people.
    pub text: String,
    /// What it says.
    pub instruction: Instruction,
}

/// A stage: what follows a FROM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stage {
    /// The line of its FROM.
    pub line: usize,
    /// FROM.
    pub from: From,
    /// What it does.
    pub instructions: Vec<Placed>,
}

/// A Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dockerfile {
    /// What it is called in messages.
    pub name: String,
    /// `\`, or what `# escape=` says.
    pub escape: char,
    /// `# syntax=`.
    pub syntax: Option<String>,
    /// `# check=`.
    pub check: Option<String>,
    /// The ARGs before the first FROM.
    pub args: Vec<(usize, String, Option<String>)>,
    /// The stages, at least one.
    pub stages: Vec<Stage>,
}

impl Dockerfile {
    /// Reads a Dockerfile.
    ///
    /// # Errors
    /// Everything that is wrong with it, as one error; [`Kind::Limit`] above [`taru_oci::limits::DOCKERFILE`].
    pub(crate) fn parse(name: &str, bytes: &[u8]) -> Result<Dockerfile> {
        if bytes.len() as u64 > taru_oci::limits::DOCKERFILE {
            return Err(Error::new(Kind::Limit, format!("read `{name}`: {} bytes", bytes.len())));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|e| Error::invalid(format!("read `{name}`: it is not UTF-8")).because(e))?;
        let mut problems = Vec::new();
        let lines = line::split(text, &mut problems);
        let mut file = Dockerfile {
            name: name.to_owned(),
            escape: lines.escape,
            syntax: lines.syntax,
            check: lines.check,
            args: Vec::new(),
            stages: Vec::new(),
        };
        for line in &lines.lines {
            match instruction::parse(line, lines.escape) {
                Ok(parsed) => {
                    if let Err(e) = file.add(line, parsed) {
                        problems.push((line.first, e));
                    }
                }
                Err(e) => problems.push((line.first, e)),
            }
        }
        if file.stages.is_empty() && problems.is_empty() {
            let e = Error::invalid(format!("read `{name}`: no FROM in it"));
            return Err(e.hint("a Dockerfile begins with FROM IMAGE, or FROM scratch"));
        }
        problems.sort_by_key(|(line, _)| *line);
        let errors = problems.into_iter().map(|(line, e)| at(name, line, e)).collect();
        Error::all(errors).map_or(Ok(file), Err)
    }

    fn add(&mut self, line: &line::Line, parsed: Parsed) -> Result<()> {
        match (parsed, self.stages.last_mut()) {
            (Parsed::From(from), _) => {
                self.stages.push(Stage { line: line.first, from, instructions: Vec::new() });
            }
            (Parsed::Other(Instruction::Arg(args)), None) => {
                self.args.extend(args.into_iter().map(|(name, value)| (line.first, name, value)));
            }
            (Parsed::Other(_), None) => {
                return Err(Error::invalid(format!(
                    "{} before the first FROM",
                    line.word.to_ascii_uppercase()
                ))
                .hint("only ARG and comments stand before FROM"));
            }
            (Parsed::Other(instruction), Some(stage)) => {
                let text = format!("{} {}", line.word.to_ascii_uppercase(), line.rest);
                stage.instructions.push(Placed { line: line.first, text, instruction });
            }
        }
        Ok(())
    }

    /// Reads a trigger, which an image brought along as text.
    ///
    /// # Errors
    /// As [`Dockerfile::parse`]; the place is the image's ONBUILD.
    pub(crate) fn trigger(text: &str, place: &str) -> Result<Placed> {
        let what = || Error::invalid(format!("read the trigger `{text}` of {place}"));
        let mut problems = Vec::new();
        let lines = line::split(text, &mut problems);
        if let Some((_, e)) = problems.pop() {
            return Err(what().because(e));
        }
        let [line] = &lines.lines[..] else { return Err(what()) };
        match instruction::parse(line, '\\').map_err(|e| what().because(e))? {
            Parsed::Other(Instruction::Onbuild(_) | Instruction::Maintainer(_)) | Parsed::From(_) => {
                Err(what())
            }
            Parsed::Other(instruction) => {
                let text = format!("{} {}", line.word.to_ascii_uppercase(), line.rest);
                Ok(Placed { line: 0, text, instruction })
            }
        }
    }
}

/// An error of a line of the file.
pub(crate) fn at(name: &str, line: usize, e: Error) -> Error {
    Error::new(e.kind(), format!("{name}:{line}")).because(e)
}

#[cfg(test)]
mod tests;
