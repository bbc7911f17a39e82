//! `xtask man`: the manual from the definitions of the command lines. The package `taru-manual` makes it, since it
//! has to link both executables, and the other tasks must not wait for that.

use taru_stdx::Result;

use crate::workspace;

/// Writes `docs/man` and `docs/completion`.
pub(crate) fn run() -> Result<()> {
    workspace::check(workspace::cargo().args(["run", "--quiet", "-p", "taru-manual"]))
}
