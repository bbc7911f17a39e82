//! Data on standard output.

use std::io::{ErrorKind, Write};

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use taru_stdx::{Context, Error, Kind, Result};

/// Writes `text` to standard output.
///
/// # Errors
/// Any error of writing. For a reader that has gone (`list | head -1`) it is [`is_closed`].
pub(crate) fn text(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => {
            Err(Error::new(Kind::Exec(SIGPIPE.into()), CLOSED).because(e))
        }
        other => other.context(|| CLOSED),
    }
}

const CLOSED: &str = "write to standard output";
/// The status of a program that SIGPIPE ended, as the shell gives it.
pub(crate) const SIGPIPE: u8 = 141;

/// Whether `error` says that nobody reads our output any more: no failure, but the end.
pub(crate) fn is_closed(error: &Error) -> bool {
    error.kind() == Kind::Exec(SIGPIPE.into())
}

/// Writes `value` as JSON on one line.
pub(crate) fn json_line(value: &impl Serialize) -> Result<()> {
    text(&(serde_json::to_string(value).context(|| "write JSON")? + "\n"))
}

/// Writes `value` as JSON, indented by `indent`.
pub(crate) fn json(value: &impl Serialize, indent: &str) -> Result<()> {
    text(&to_json(value, indent)?)
}

/// `value` as JSON text, indented by `indent`, with a line's end.
pub(crate) fn to_json(value: &impl Serialize, indent: &str) -> Result<String> {
    let mut text = Vec::new();
    let formatter = PrettyFormatter::with_indent(indent.as_bytes());
    value.serialize(&mut Serializer::with_formatter(&mut text, formatter)).context(|| "write JSON")?;
    text.push(b'\n');
    String::from_utf8(text).context(|| "write JSON")
}
