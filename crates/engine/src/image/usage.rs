//! `taru store df`: how much room is taken.

use taru_stdx::Result;

use crate::Engine;

/// How much room is taken.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    /// Documents and layers as they came.
    pub content: taru_content::Usage,
    /// Layers as directories.
    pub layers: u64,
    /// Roots of containers.
    pub roots: u64,
}

/// Counts it.
///
/// # Errors
/// A store cannot be read.
pub fn usage(engine: &Engine) -> Result<Usage> {
    let images = engine.images()?;
    Ok(Usage {
        content: images.content.usage()?,
        layers: images.snapshots.layers()?.len() as u64,
        roots: images.snapshots.roots()?.len() as u64,
    })
}
