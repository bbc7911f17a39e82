//! The files that an instruction reads: those of a context, of a stage, of an image.

use std::sync::Arc;

use crate::pattern::Ignore;
use crate::tree::Tree;

/// A tree of files, and what is known of them.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    /// The tree.
    pub tree: Arc<Tree>,
    /// What of it does not exist.
    pub ignore: Ignore,
    /// Whether owners mean something in it: those of a context do not.
    pub keeps_owners: bool,
    /// What it is called, for messages: `the context`, `the stage base`.
    pub name: String,
}

impl Files {
    /// Those of a context, but for what it ignores.
    pub(crate) fn of_context(tree: Arc<Tree>, ignore: Ignore, name: String) -> Files {
        Files { tree, ignore, keeps_owners: false, name }
    }

    /// Those of a root: a stage's, or an image's.
    pub(crate) fn of_root(tree: Arc<Tree>, name: String) -> Files {
        Files { tree, ignore: Ignore::default(), keeps_owners: true, name }
    }
}
