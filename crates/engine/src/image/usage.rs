//! `taru store df`: how much room is taken.

use taru_stdx::{Kind, Result};

use crate::Engine;

/// How much room is taken.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    /// Documents and layers as they came.
    pub content: taru_content::Usage,
    /// How many layers there are as directories.
    pub layers: u64,
    /// Bytes that they take on the disk; what several share is counted with each.
    pub layer_bytes: u64,
    /// How many roots of containers there are.
    pub roots: u64,
    /// Bytes that containers have written into them.
    pub root_bytes: u64,
}

/// Counts it.
///
/// # Errors
/// A store cannot be read.
pub fn usage(engine: &Engine) -> Result<Usage> {
    let images = engine.images()?;
    let mut usage = Usage { content: images.content.usage()?, ..Usage::default() };
    for chain in images.snapshots.layers()? {
        // Removed meanwhile: it takes nothing.
        let Some(layer) = there(images.snapshots.layer_usage(&chain))? else { continue };
        usage.layers += 1;
        usage.layer_bytes += layer.bytes;
    }
    for key in images.snapshots.roots()? {
        let Some(root) = there(images.snapshots.usage(&key))? else { continue };
        usage.roots += 1;
        usage.root_bytes += root.bytes;
    }
    Ok(usage)
}

fn there<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Err(e) if e.kind() == Kind::NotFound => Ok(None),
        other => other.map(Some),
    }
}
