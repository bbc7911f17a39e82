//! COPY and ADD: their words expanded, remembered, and read.

use taru_oci::Digest;
use taru_stdx::Result;

use super::state::State;
use super::step::{Action, CopyStep};
use crate::chmod::Mode;
use crate::dockerfile::{Copy, Heredoc, Placed};
use crate::pattern::Ignore;

/// The words of a COPY with all variables in them expanded.
struct Words {
    sources: Vec<String>,
    /// Name and content of here-documents.
    contents: Vec<(String, String)>,
    dest: String,
    chown: Option<String>,
    chmod: Option<String>,
    exclude: Vec<String>,
}

/// Adds a COPY or ADD.
pub(super) fn add(state: &mut State<'_>, placed: &Placed, copy: &Copy) -> Result<()> {
    let optional = |text: &Option<String>| text.as_ref().map(|text| state.expand(text)).transpose();
    let from = match optional(&copy.from)? {
        None => None,
        Some(from) => Some(state.around.graph.from(state.around.index, &from)?),
    };
    let (chown, chmod) = (optional(&copy.chown)?, optional(&copy.chmod)?);
    let checksum = optional(&copy.checksum)?.map(|text| text.parse::<Digest>()).transpose()?;
    let words = Words {
        contents: copy.contents.iter().map(|document| content(state, document)).collect::<Result<_>>()?,
        sources: state.expand_all(&copy.sources)?,
        dest: state.expand(&copy.dest)?,
        chown,
        chmod,
        exclude: state.expand_all(&copy.exclude)?,
    };
    Ignore::list(&words.exclude)?;
    state.remember(told(copy, &words), true);
    let dest = if matches!(words.dest.as_str(), "." | "") { "./" } else { &words.dest };
    let step = CopyStep {
        add: copy.add,
        from,
        dest: state.absolute(dest),
        sources: words.sources,
        contents: words.contents,
        chown: words.chown,
        chmod: words.chmod.map(|text| Mode::parse(&text)).transpose()?,
        link: copy.link,
        parents: copy.parents,
        exclude: words.exclude,
        checksum,
        unpack: copy.unpack,
    };
    state.do_step(placed, Action::Copy(step));
    Ok(())
}

fn content(state: &State<'_>, document: &Heredoc) -> Result<(String, String)> {
    let text = document.content();
    let text = if document.expands { state.expand_document(&text)? } else { text };
    Ok((document.name.clone(), text))
}

/// What the history says of it.
fn told(copy: &Copy, words: &Words) -> String {
    let mut text = if copy.add { "ADD" } else { "COPY" }.to_owned();
    if copy.parents {
        text.push_str(" --parents");
    }
    for (flag, value) in [("chown", &words.chown), ("chmod", &words.chmod)] {
        if let Some(value) = value {
            text.push_str(&format!(" --{flag}={value}"));
        }
    }
    words.sources.iter().for_each(|source| text.push_str(&format!(" {source}")));
    words.contents.iter().for_each(|(name, _)| text.push_str(&format!(" <<{name}")));
    text.push_str(&format!(" {}", words.dest));
    text
}
