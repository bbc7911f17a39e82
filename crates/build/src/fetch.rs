//! ADD of a URL: fetched into a nameless file, its digest taken on the way.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use taru_oci::{Algorithm, Digest, Hasher, limits};
use taru_registry::{Client, error_of};
use taru_stdx::{Context, Error, Kind, Result};

use crate::scratch::nameless;

/// A file that was fetched.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// Its content.
    pub file: File,
    /// Bytes.
    pub size: u64,
    /// The last part of the address.
    pub name: String,
    /// When it was changed, as the server says.
    pub modified: Option<i64>,
}

/// Fetches `url`; its content must have the digest `checksum`, if there is one.
///
/// # Errors
/// What the server says; [`Kind::Invalid`] for another digest; [`Kind::Limit`] for more than [`limits::DOWNLOAD`]; any error of writing.
pub(crate) fn fetch(client: &Client, url: &str, checksum: Option<&Digest>, tmp: &Path) -> Result<Fetched> {
    let what = || format!("fetch `{url}`");
    let mut download = client.download(url, limits::DOWNLOAD)?;
    let mut hasher = Hasher::new(checksum.map_or(Algorithm::Sha256, Digest::algorithm));
    let mut file = nameless(tmp)?;
    let (mut buffer, mut size) = (vec![0; 1 << 17], 0);
    loop {
        let count = download.read(&mut buffer).map_err(error_of).context(what)?;
        if count == 0 {
            break;
        }
        let bytes = buffer.get(..count).unwrap_or_default();
        hasher.update(bytes);
        file.write_all(bytes).context(what)?;
        size += count as u64;
    }
    let digest = hasher.finish();
    if let Some(wanted) = checksum.filter(|wanted| **wanted != digest) {
        let text = format!("{}: its digest is `{digest}`, not `{wanted}`", what());
        return Err(Error::new(Kind::Invalid, text));
    }
    // A name from the network is a name, not a path.
    let name = download
        .name
        .as_deref()
        .filter(|n| !n.contains('/') && !matches!(*n, "." | "..") && !n.contains('\0'));
    Ok(Fetched { file, size, name: name.unwrap_or("__unnamed__").to_owned(), modified: download.modified })
}
