//! The one table of what is read of foreign data at most.

/// Bytes of a manifest or an index: what registries accept.
pub const MANIFEST: u64 = 4 << 20;
/// Bytes of an image's configuration.
pub const CONFIG: u64 = 8 << 20;
/// Manifests in an index.
pub const INDEX_ENTRIES: usize = 10_000;
/// Layers of an image: overlay takes 500.
pub const LAYERS: usize = 500;
/// How deep an index may lead to an index.
pub const INDEX_DEPTH: usize = 4;
/// Names in a list of tags or repositories.
pub const LISTED: usize = 100_000;
/// Annotations or labels of one object.
pub const ANNOTATIONS: usize = 10_000;
