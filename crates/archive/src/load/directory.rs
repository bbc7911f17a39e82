//! An OCI layout that is a directory (`oci:DIR` of skopeo).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use taru_content::{Content, Lease};
use taru_oci::{Descriptor, Digest, limits};
use taru_stdx::{Context, Error, Result};

use super::oci::{Source, Walk, marker};
use super::{Loaded, names};

/// Loads every image of the OCI layout in `dir` into `content`, held by `lease`. Blobs that are in the store are not read.
///
/// # Errors
/// As [`super::load`].
pub fn load_directory(dir: &Path, content: &Content, lease: &Lease) -> Result<Vec<Loaded>> {
    let mut source = Directory { dir, content, lease };
    let read = |name: &str, limit| {
        let path = dir.join(name);
        match plain_file(&path)? {
            Some(file) => {
                taru_stdx::fs::read_file_bounded(&file, limit, || format!("read `{}`", path.display()))
            }
            None => Err(Error::invalid(format!("load `{}`: no file `{name}`", dir.display()))
                .hint("an OCI layout has `oci-layout` and `index.json`")),
        }
    };
    marker(&read("oci-layout", 4096)?)?;
    let index = read("index.json", limits::MANIFEST)?;
    let mut found = names::Found::default();
    Walk::new(content, lease, &mut source).index(&index, &mut found)?;
    super::some(found.images())
}

struct Directory<'a> {
    dir: &'a Path,
    content: &'a Content,
    lease: &'a Lease,
}

impl Directory<'_> {
    fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs").join(digest.algorithm().name()).join(digest.hex())
    }
}

impl Source for Directory<'_> {
    fn document(&mut self, descriptor: &Descriptor, limit: u64) -> Result<Option<Vec<u8>>> {
        let path = self.path(&descriptor.digest);
        let Some(file) = plain_file(&path)? else { return Ok(None) };
        let bytes = taru_stdx::fs::read_file_bounded(&file, limit, || format!("read `{}`", path.display()))?;
        super::archive::verify(&bytes, &descriptor.digest)?;
        super::archive::verify_size(bytes.len() as u64, descriptor)?;
        Ok(Some(bytes))
    }

    fn blob(&mut self, descriptor: &Descriptor) -> Result<bool> {
        if let Some(size) = self.lease.protect_blob(&descriptor.digest)? {
            super::archive::verify_size(size, descriptor)?;
            return Ok(true);
        }
        let path = self.path(&descriptor.digest);
        let Some(mut file) = plain_file(&path)? else { return Ok(false) };
        let mut ingest = self.content.ingest_as(self.lease, descriptor.digest.algorithm())?;
        io::copy(&mut file, &mut ingest).context(|| format!("read `{}`", path.display()))?;
        ingest.commit(Some((&descriptor.digest, descriptor.size)))?;
        Ok(true)
    }
}

/// Opens the regular file at `path`; `None` if there is nothing. Links and pipes are refused: a layout has neither.
fn plain_file(path: &Path) -> Result<Option<File>> {
    let what = || format!("open `{}`", path.display());
    match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).context(what),
        Ok(info) if !info.is_file() => Err(Error::invalid(format!("{}: not a regular file", what()))),
        Ok(_) => File::open(path).context(what).map(Some),
    }
}
