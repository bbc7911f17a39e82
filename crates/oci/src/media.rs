//! Media types of OCI and of Docker, and what they say about a layer.

/// An OCI index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// An OCI manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An OCI image's configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The empty document `{}`, the configuration of an artifact that has none.
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// A layer as plain tar.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// A layer as tar, compressed with gzip.
pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// A layer as tar, compressed with zstd.
pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// Docker's index.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker's manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's manifest, schema 1, which is refused.
pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
/// The same, signed.
pub const DOCKER_SCHEMA1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
/// Docker's configuration of an image.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker's layer, plain tar.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// Docker's layer, compressed with gzip.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Docker's layer, compressed with zstd.
pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";

/// How the bytes of a layer are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952; any number of members.
    Gzip,
    /// RFC 8878; any number of frames, skippable ones included.
    Zstd,
}

impl Compression {
    /// What the first bytes of a stream say: its magic number.
    pub fn of_magic(start: &[u8]) -> Compression {
        match start {
            [0x1f, 0x8b, 0x08, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
            // A skippable frame may come first (zstd:chunked, eStargz).
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
            _ => Compression::None,
        }
    }
}

/// What a media type says of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// A tar archive, so compressed.
    Tar(Compression),
    /// Content that is not to be distributed, kept elsewhere; refused.
    Foreign,
    /// Nothing that is known.
    Unknown,
}

/// What `media_type` says of a layer.
pub fn layer(media_type: &str) -> Layer {
    match media_type {
        LAYER | DOCKER_LAYER => Layer::Tar(Compression::None),
        LAYER_GZIP | DOCKER_LAYER_GZIP => Layer::Tar(Compression::Gzip),
        LAYER_ZSTD | DOCKER_LAYER_ZSTD => Layer::Tar(Compression::Zstd),
        // No longer made by anybody, but still in old images of Windows.
        t if t.contains(".nondistributable.") || t.contains(".foreign.") => Layer::Foreign,
        _ => Layer::Unknown,
    }
}

/// Whether `media_type` is that of an index.
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, INDEX | DOCKER_INDEX)
}

/// Whether `media_type` is that of a manifest.
pub fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, MANIFEST | DOCKER_MANIFEST)
}

/// Whether `media_type` is that of a configuration that an image can be run with.
pub fn is_config(media_type: &str) -> bool {
    matches!(media_type, CONFIG | DOCKER_CONFIG)
}

/// Whether `media_type` is of schema 1.
pub(crate) fn is_schema1(media_type: &str) -> bool {
    matches!(media_type, DOCKER_SCHEMA1 | DOCKER_SCHEMA1_SIGNED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_told_by_type_and_by_magic() {
        assert_eq!(layer(LAYER_ZSTD), Layer::Tar(Compression::Zstd));
        assert_eq!(layer(DOCKER_LAYER_GZIP), Layer::Tar(Compression::Gzip));
        assert_eq!(layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"), Layer::Foreign);
        assert_eq!(layer("application/vnd.oci.image.layer.nondistributable.v1.tar"), Layer::Foreign);
        assert_eq!(layer("text/html"), Layer::Unknown);
        assert_eq!(Compression::of_magic(&[0x1f, 0x8b, 8, 0]), Compression::Gzip);
        assert_eq!(Compression::of_magic(&[0x28, 0xb5, 0x2f, 0xfd]), Compression::Zstd);
        assert_eq!(Compression::of_magic(&[0x50, 0x2a, 0x4d, 0x18]), Compression::Zstd);
        assert_eq!(Compression::of_magic(b"ustar"), Compression::None);
        assert_eq!(Compression::of_magic(b""), Compression::None);
    }
}
