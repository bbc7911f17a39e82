//! Saving: from the store into an archive or a directory.
//!
//! ```text
//! Format::Oci                            Format::Docker
//!   oci-layout                             blobs/sha256/HEX    configuration; layers as plain tars
//!   index.json                             ...                 manifests that say so
//!   manifest.json   for docker load        oci-layout
//!   blobs/sha256/HEX   as stored           index.json
//!                                          manifest.json, repositories
//! ```
//! `Format::Oci` copies: digests stay, and Docker and podman read it as well, because they decompress what they find.
//! `Format::Docker` is for readers that do not: each layer's file is its diff id, as `docker save` has had it since 1.10; the
//! configuration, and so the image's id, stays, the manifest's digest does not. Its size stands before a file in a tar, so
//! a compressed layer whose size nobody knows (it was never unpacked here) is decompressed twice: measured by a thread that
//! runs ahead, and written. Where sizes are known, the next layer is decompressed while one is written, up to a bound. Either
//! way what is written is verified against the diff id.
//!
//! Either is the same to the byte each time: entries in one order, owned by root, of 1970.

mod directory;
mod docker;
mod oci;
mod plan;

use std::io::{self, BufWriter, Read, Write};

use taru_content::Content;
use taru_oci::{Descriptor, Digest, Hasher, Reference};
use taru_stdx::{Context, Result};
use taru_tar::{Entry, Kind, Writer};

pub use directory::save_directory;

/// How images are put into an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An OCI layout with the blobs as they are stored; `docker load` reads it too.
    Oci,
    /// `docker save`'s: layers uncompressed.
    Docker,
}

/// `oci-layout`.
const MARKER: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// Bytes written at once.
const BUFFER: usize = 256 << 10;

/// How many bytes the tar of a layer has, by its chain id and its diff id, if that is known.
pub type Sizes<'s> = dyn Fn(&Digest, &Digest) -> Option<u64> + 's;

/// Writes `images`, each with the names it is to have there, as one archive to `writer`, which is never sought in.
///
/// # Errors
/// Any error of writing; [`taru_stdx::Kind::NotFound`] if a part of an image is not in the store;
/// [`taru_stdx::Kind::Invalid`] if one is damaged. What was written until then has no end and is no archive.
pub fn save(
    writer: &mut dyn Write,
    content: &Content,
    images: &[(Vec<Reference>, Descriptor)],
    format: Format,
    sizes: &Sizes<'_>,
) -> Result<()> {
    let mut tar = Writer::new(BufWriter::with_capacity(BUFFER, writer));
    match format {
        Format::Oci => oci::write(&mut tar, content, images)?,
        Format::Docker => docker::write(&mut tar, content, images, sizes)?,
    }
    tar.finish().context(|| "write the archive").map(drop)
}

/// Where a blob lies in a layout.
fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// Writes an entry for the content of `reader`, which must be `digest`.
fn blob<W: Write>(tar: &mut Writer<W>, digest: &Digest, size: u64, reader: impl Read) -> Result<()> {
    let what = || format!("write the blob `{digest}`");
    let entry = Entry::new(Kind::file(size), blob_path(digest), 0o644);
    let mut verified = Verified::new(reader, digest);
    tar.copy(&entry, &mut verified).context(what)?;
    verified.finish()
}

/// Directories of a layout, before the first blob.
fn directories<W: Write>(tar: &mut Writer<W>, digests: &[&Digest]) -> Result<()> {
    let algorithms: std::collections::BTreeSet<&str> = digests.iter().map(|d| d.algorithm().name()).collect();
    let paths =
        std::iter::once("blobs/".to_owned()).chain(algorithms.iter().map(|name| format!("blobs/{name}/")));
    for path in paths {
        let entry = Entry::new(Kind::Directory, path, 0o755);
        tar.entry(&entry).context(|| "write the archive")?;
    }
    Ok(())
}

fn document<W: Write>(tar: &mut Writer<W>, path: &str, bytes: &[u8]) -> Result<()> {
    tar.file(path, bytes).context(|| format!("write `{path}`"))
}

/// Reads and hashes.
struct Verified<'a, R> {
    inner: R,
    digest: &'a Digest,
    hasher: Hasher,
}

impl<'a, R: Read> Verified<'a, R> {
    fn new(inner: R, digest: &'a Digest) -> Verified<'a, R> {
        Verified { inner, digest, hasher: Hasher::new(digest.algorithm()) }
    }

    /// Whether all that was read is what the digest names.
    fn finish(self) -> Result<()> {
        let seen = self.hasher.finish();
        match seen == *self.digest {
            true => Ok(()),
            false => {
                let text = format!("verify the blob `{}`: its bytes have the digest `{seen}`", self.digest);
                Err(taru_stdx::Error::invalid(text)
                    .hint("the store is damaged: `taru store check` tells where"))
            }
        }
    }
}

impl<R: Read> Read for Verified<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}
