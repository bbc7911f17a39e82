//! Clocks of a time namespace.

use taru_rootdir::Proc;
use taru_stdx::{Context, Result};

/// Writes the offsets of the time namespace that this process's children will have. They can be written
/// only before any process is in it (time_namespaces(7)).
pub(crate) fn write_offsets(lines: &[String]) -> Result<()> {
    let text = lines.join("\n");
    Proc::open()?
        .write("self/timens_offsets", text.as_bytes())
        .context(|| format!("set the clock offsets `{}`", lines.join(", ")))
}
