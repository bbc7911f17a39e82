//! Images built from Dockerfiles.
//!
//! ```text
//! dockerfile   the document                       pure
//! expand       variables in it                    pure
//! graph        its stages, and what they need     pure
//! stage        a stage made definite: steps       pure
//! context      the files of the build             tree, pattern, archive: read only, by handles
//! put, run     one step: its key, its layer       files, copy, assembly; taru_engine::step executes
//! cache        what steps came to                 STATE/build
//! solve        all of it, in threads              root; output: the image, and what it becomes
//! ```
//! COPY, ADD and WORKDIR execute nothing: their layer is assembled as a tar from handles on the files, and unpacked as any
//! layer of a stranger is. RUN is an ordinary container, and its layer is
//! what `taru commit` would make of that.

mod archive;
mod assembly;
mod attribute;
mod cache;
mod chmod;
mod context;
mod copy;
mod dockerfile;
mod expand;
mod fetch;
mod files;
mod graph;
mod ids;
pub mod options;
mod output;
mod pattern;
pub mod progress;
mod put;
mod root;
mod run;
mod scratch;
mod solve;
mod stage;
mod tree;

use std::collections::{BTreeMap, BTreeSet};

use taru_oci::Platform;
use taru_stdx::Result;

pub use options::Options;
pub use output::Built;
pub use progress::{Event, Progress};
pub use solve::{Open, build, clear, forget};

/// Reads a Dockerfile called `name` and looks for everything that is wrong with it, without any image.
///
/// # Errors
/// All of it, as one error.
pub fn check(name: &str, bytes: &[u8]) -> Result<()> {
    let file = dockerfile::Dockerfile::parse(name, bytes)?;
    let host = Platform::host();
    let (args, contexts) = (BTreeMap::new(), BTreeSet::new());
    let wishes =
        graph::Wishes { target: None, args: &args, platform: &host, host: &host, contexts: &contexts };
    let graph = graph::Graph::new(&file, &wishes)?;
    for index in graph.order() {
        let around = stage::Around { name, escape: file.escape, index, graph: &graph, args: &args };
        let base = stage::scratch(&graph.nodes[index].platform);
        stage::resolve(around, base, &file.stages[index].instructions)?;
    }
    Ok(())
}
