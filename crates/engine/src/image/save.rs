//! `taru image save`: images of the store as one file, a stream, or an OCI layout in a directory.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use taru_archive::Format;
use taru_content::Lease;
use taru_oci::{Descriptor, Digest, Reference};
use taru_stdx::{Context, Result, Undo};
use taru_sys::fs::{self, AtFlags, OpenFlags};

use super::{Images, find};

/// An image, and the names that it is to have in the archive.
pub type Chosen = (Vec<Reference>, Descriptor);

/// The images that `keys` name, each once with all the names it was asked for by; `lease` keeps them here. An id gives
/// no name.
///
/// # Errors
/// As [`find::target`].
pub fn choose(images: &Images, lease: &Lease, keys: &[String]) -> Result<Vec<Chosen>> {
    let mut chosen: Vec<Chosen> = Vec::new();
    for key in keys {
        let target = find::target(images, key)?;
        lease.protect_blob(&target.digest)?;
        let name =
            key.parse::<Reference>().ok().filter(|name| name.tag().is_some() && name.digest().is_none());
        let name = match name {
            Some(name) if images.content.resolve(&name)?.is_some() => Some(name),
            _ => None,
        };
        match chosen.iter_mut().find(|(_, other)| other.digest == target.digest) {
            Some((names, _)) => names.extend(name.filter(|name| !names.contains(name))),
            None => chosen.push((name.into_iter().collect(), target)),
        }
    }
    Ok(chosen)
}

/// Writes the images that `keys` name as one archive to `writer`.
///
/// # Errors
/// As [`choose`] and [`taru_archive::save`].
pub fn to_stream(images: &Images, keys: &[String], format: Format, writer: &mut dyn Write) -> Result<()> {
    let lease = images.content.lease("save")?;
    let chosen = choose(images, &lease, keys)?;
    let size = |chain: &Digest, diff_id: &Digest| images.snapshots.tar_size(chain, diff_id);
    taru_archive::save(writer, &images.content, &chosen, format, &size)
}

/// Writes them as the file `path`: whole and durable, or not there at all.
///
/// What is no plain file (a pipe, a device) is written to as it is.
///
/// # Errors
/// As [`to_stream`]; the file cannot be written.
pub fn to_file(images: &Images, keys: &[String], format: Format, path: &Path) -> Result<()> {
    whole_file(path, |file| to_stream(images, keys, format, file))
}

/// Has `write` write a file that is there as a whole, and durable, or not at all; what is no regular file (a device,
/// a FIFO) is written to as it is. Until it is whole it has no name, where the file system can do that: whatever kills
/// this process, nothing is left of it.
///
/// # Errors
/// Those of `write`; any error of the file system. What was there before is then still there.
pub fn whole_file(path: &Path, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let what = || format!("write `{}`", path.display());
    if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let mut file = OpenOptions::new().write(true).open(path).context(what)?;
        return write(&mut file);
    }
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut undo = Undo::new();
    let mut remove_later = |temporary: &Path| {
        let temporary = temporary.to_owned();
        undo.push(move || {
            std::fs::remove_file(&temporary).context(|| format!("remove `{}`", temporary.display()))
        });
    };
    let nameless = fs::openat(fs::CWD, dir, OpenFlags::WRONLY | OpenFlags::TMPFILE, 0o666);
    let temporary = match nameless.map(File::from) {
        Ok(mut file) => {
            write(&mut file)?;
            file.sync_all().context(what)?;
            let own = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
            let link = |name: &Path| fs::linkat(fs::CWD, &own, fs::CWD, name, AtFlags::SYMLINK_FOLLOW);
            let ((), temporary) =
                with_free_name(path, |name| link(name).map_err(Into::into)).context(what)?;
            remove_later(&temporary);
            temporary
        }
        // This file system has none without a name.
        Err(_) => {
            let create = |name: &Path| OpenOptions::new().write(true).create_new(true).open(name);
            let (mut file, temporary) = with_free_name(path, create).context(what)?;
            remove_later(&temporary);
            write(&mut file)?;
            file.sync_all().context(what)?;
            temporary
        }
    };
    std::fs::rename(&temporary, path).context(what)?;
    undo.commit();
    File::open(dir).and_then(|dir| dir.sync_all()).context(what)
}

/// Has `make` make the first file beside `path` whose name is free: a process of our number may have been killed.
fn with_free_name<T>(path: &Path, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<(T, PathBuf)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut number = 0;
    loop {
        let free = path.with_file_name(format!(".{name}.{}.{number}.tmp", std::process::id()));
        match make(&free) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => number += 1,
            made => return made.map(|made| (made, free)),
        }
    }
}

/// Writes them into the OCI layout in the directory `dir`, which is made where there is none, or added to.
///
/// # Errors
/// As [`choose`] and [`taru_archive::save_directory`].
pub fn to_directory(images: &Images, keys: &[String], dir: &Path) -> Result<()> {
    let lease = images.content.lease("save")?;
    let chosen = choose(images, &lease, keys)?;
    taru_archive::save_directory(dir, &images.content, &chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_or_not_there_and_has_no_name_until_then() {
        let dir = std::env::temp_dir().join(format!("taru-save-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let names = || -> Vec<_> { dir.read_dir().unwrap().map(|e| e.unwrap().file_name()).collect() };
        let path = dir.join("f");
        let can = fs::openat(fs::CWD, &dir, OpenFlags::WRONLY | OpenFlags::TMPFILE, 0o600).is_ok();
        // What a killed process of this number has left is in nobody's way.
        let stale = dir.join(format!(".f.{}.0.tmp", std::process::id()));
        std::fs::write(&stale, "stale").unwrap();
        whole_file(&path, |file| {
            file.write_all(b"new").unwrap();
            assert_eq!(names().len(), if can { 1 } else { 2 });
            Ok(())
        })
        .unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        std::fs::remove_file(&stale).unwrap();
        let failed = whole_file(&path, |_| Err(taru_stdx::Error::invalid("no")));
        assert_eq!(failed.unwrap_err().to_string(), "no");
        assert_eq!(names(), ["f"]);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
