//! The instructions' names and their flags: the one table, and what somebody meant who mistyped one.

/// An instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the Dockerfile's")]
pub(crate) enum Keyword {
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
}

/// Whether a flag has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// `--link`, `--link=false`.
    Switch,
    /// `--from=x`, once.
    One,
    /// `--mount=x`, as often as wanted.
    Many,
}

/// Name, instruction, flags.
type Row = (&'static str, Keyword, &'static [(&'static str, Takes)]);

const TABLE: &[Row] = &[
    (
        "ADD",
        Keyword::Add,
        &[
            ("chown", Takes::One),
            ("chmod", Takes::One),
            ("link", Takes::Switch),
            ("keep-git-dir", Takes::Switch),
            ("checksum", Takes::One),
            ("exclude", Takes::Many),
            ("unpack", Takes::Switch),
        ],
    ),
    ("ARG", Keyword::Arg, &[]),
    ("CMD", Keyword::Cmd, &[]),
    (
        "COPY",
        Keyword::Copy,
        &[
            ("from", Takes::One),
            ("chown", Takes::One),
            ("chmod", Takes::One),
            ("link", Takes::Switch),
            ("parents", Takes::Switch),
            ("exclude", Takes::Many),
        ],
    ),
    ("ENTRYPOINT", Keyword::Entrypoint, &[]),
    ("ENV", Keyword::Env, &[]),
    ("EXPOSE", Keyword::Expose, &[]),
    ("FROM", Keyword::From, &[("platform", Takes::One)]),
    (
        "HEALTHCHECK",
        Keyword::Healthcheck,
        &[
            ("interval", Takes::One),
            ("timeout", Takes::One),
            ("start-period", Takes::One),
            ("start-interval", Takes::One),
            ("retries", Takes::One),
        ],
    ),
    ("LABEL", Keyword::Label, &[]),
    ("MAINTAINER", Keyword::Maintainer, &[]),
    ("ONBUILD", Keyword::Onbuild, &[]),
    (
        "RUN",
        Keyword::Run,
        &[("mount", Takes::Many), ("network", Takes::One), ("security", Takes::One), ("device", Takes::Many)],
    ),
    ("SHELL", Keyword::Shell, &[]),
    ("STOPSIGNAL", Keyword::Stopsignal, &[]),
    ("USER", Keyword::User, &[]),
    ("VOLUME", Keyword::Volume, &[]),
    ("WORKDIR", Keyword::Workdir, &[]),
];

impl Keyword {
    /// Reads a name, in any case.
    pub(super) fn parse(word: &str) -> Option<Keyword> {
        TABLE.iter().find(|(name, ..)| name.eq_ignore_ascii_case(word)).map(|row| row.1)
    }

    /// Its name as it is written.
    pub(crate) fn name(self) -> &'static str {
        TABLE.iter().find(|row| row.1 == self).map_or("", |row| row.0)
    }

    /// Its flags.
    pub(super) fn flags(self) -> &'static [(&'static str, Takes)] {
        TABLE.iter().find(|row| row.1 == self).map_or(&[], |row| row.2)
    }
}

/// The instruction that somebody meant who typed `word`.
pub(super) fn near_instruction(word: &str) -> Option<&'static str> {
    nearest(&word.to_ascii_uppercase(), TABLE.iter().map(|row| row.0))
}

/// That of `names` which is at most two edits (one, in short words) away from `word`.
pub(crate) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > 64 {
        return None;
    }
    let allowed = if word.len() <= 4 { 1 } else { 2 };
    let near = names.map(|name| (strsim::osa_distance(word, name), name)).filter(|(d, _)| *d <= allowed);
    near.min_by_key(|(d, _)| *d).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistyped_names_are_guessed() {
        for (typed, meant) in
            [("RUNN", Some("RUN")), ("FORM", Some("FROM")), ("entrypiont", Some("ENTRYPOINT")), ("FOO", None)]
        {
            assert_eq!(near_instruction(typed), meant, "{typed}");
        }
    }
}
