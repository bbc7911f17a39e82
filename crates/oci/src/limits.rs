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
/// Documents, configurations and layers, of all platforms, that one name may lead to.
pub const PARTS: usize = 50_000;
/// Annotations or labels of one object.
pub const ANNOTATIONS: usize = 10_000;
/// Entries of any other list in a configuration: variables, arguments, history, volumes.
pub const ENTRIES: usize = 10_000;
/// Other places that a descriptor tells.
pub const URLS: usize = 100;
/// Keys of all objects that are open at one place of a document, whatever they are.
pub const KEYS: usize = 25_000;
/// How deep arrays and objects may lie in each other.
pub const DEPTH: usize = 64;
/// Bytes of one blob: sizes are signed numbers of 64 bits to everybody else.
pub const BLOB: u64 = i64::MAX as u64;
/// Entries of a layer, whiteouts and links included.
pub const LAYER_ENTRIES: u64 = 4_000_000;
/// Bytes of a layer once decompressed.
pub const LAYER_BYTES: u64 = 1 << 40;
/// Bytes of one PAX header, or of one long name of GNU tar: what Go's tar reader takes, and so Docker.
pub const TAR_EXTENSION: u64 = 1 << 20;
/// Bytes of zeros behind the end of a tar: writers fill up to records, of at most 1 MiB as GNU tar has them.
pub const TAR_PADDING: u64 = 16 << 20;
/// Bytes of a file's path in a layer, and of a symbolic link's text: the kernel's `PATH_MAX` without its NUL.
pub const PATH: usize = 4095;
/// Bytes of a file's extended attributes: the kernel lists no more than 64 KiB of names.
pub const XATTRS: usize = 1 << 17;
/// Pieces of a sparse file.
pub const SPARSE_PIECES: usize = 1 << 16;
/// Bytes of a file, holes included: what ext4 can hold.
pub const FILE: u64 = 1 << 44;
/// Window of a zstd frame as a power of two: 32 MiB, the largest that encoders take unless told otherwise; a
/// decoder must hold all of it in memory.
pub const ZSTD_WINDOW_LOG: u32 = 25;
/// Entries of an archive of images.
pub const ARCHIVE_ENTRIES: u64 = 100_000;
/// Bytes of the names of all entries of an archive of images, which are remembered.
pub const ARCHIVE_NAMES: usize = 16 << 20;
/// Bytes of all documents of an archive of images: manifests and configurations.
pub const ARCHIVE_DOCUMENTS: u64 = 24 << 20;
/// Layers that an archive of images may have.
pub const ARCHIVE_BLOBS: usize = 20_000;
/// Images, and tags of one image, that an archive may have.
pub const ARCHIVE_IMAGES: usize = 5_000;
/// Bytes of the description of a system container's image.
pub const METADATA: u64 = 1 << 20;
/// Bytes that the decompressor of xz may look back: what `xz -9` needs.
pub const XZ_WINDOW: u32 = 64 << 20;
/// Bytes of a Dockerfile, and of a `.dockerignore`.
pub const DOCKERFILE: u64 = 4 << 20;
/// Files of a build's context that is an archive, or of an archive that ADD unpacks.
pub const CONTEXT_ENTRIES: u64 = 2_000_000;
/// Bytes of a file that ADD fetches: what the largest images of disks are, and no disk that was not meant to be full.
pub const DOWNLOAD: u64 = 16 << 30;
/// Bytes of an archive that ADD unpacks, and of the files of a context that is an archive.
pub const CONTEXT: u64 = 1 << 40;
