//! A file that somebody asked for by its name (an archive, the tar of a root): whole and durable, or not there at all.
//!
//! What is written may be larger than memory and take minutes, and be interrupted: unlike [`taru_stdx::fs::replace`], which
//! has all the content, this one keeps the file nameless for so long.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use taru_stdx::fs::make_beside;
use taru_stdx::{Context, Result, Undo};
use taru_sys::fs::{self, AtFlags, OpenFlags};

/// Has `fill` write a file that is there as a whole, and durable, or not at all; what is no regular file (a device,
/// a FIFO) is written to as it is, and a link leads to what is written.
///
/// Until it is whole the file has no name, where the file system can do that: whatever kills this process, nothing is left.
///
/// # Errors
/// Those of `fill`; any error of the file system. What was there before is then still there.
pub fn write(path: &Path, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let what = || format!("write `{}`", path.display());
    if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let mut file = OpenOptions::new().write(true).open(path).context(what)?;
        return fill(&mut file);
    }
    // The file that a link leads to is replaced, not the link: `/dev/stdout` is one.
    let real = match path.is_symlink() {
        true => Some(path.canonicalize().context(what)?),
        false => None,
    };
    let path = real.as_deref().unwrap_or(path);
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
            fill(&mut file)?;
            file.sync_all().context(what)?;
            let own = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
            let link = |name: &Path| fs::linkat(fs::CWD, &own, fs::CWD, name, AtFlags::SYMLINK_FOLLOW);
            let ((), temporary) = make_beside(path, |name| link(name).map_err(Into::into)).context(what)?;
            remove_later(&temporary);
            temporary
        }
        // This file system has none without a name.
        Err(_) => {
            let create = |name: &Path| OpenOptions::new().write(true).create_new(true).open(name);
            let (mut file, temporary) = make_beside(path, create).context(what)?;
            remove_later(&temporary);
            fill(&mut file)?;
            file.sync_all().context(what)?;
            temporary
        }
    };
    std::fs::rename(&temporary, path).context(what)?;
    undo.commit();
    File::open(dir).and_then(|dir| dir.sync_all()).context(what)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_is_whole_or_not_there_and_has_no_name_until_then() {
        let dir = std::env::temp_dir().join(format!("taru-whole-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let names = || -> Vec<_> { dir.read_dir().unwrap().map(|e| e.unwrap().file_name()).collect() };
        let path = dir.join("f");
        let can = fs::openat(fs::CWD, &dir, OpenFlags::WRONLY | OpenFlags::TMPFILE, 0o600).is_ok();
        // What a killed process of this number has left is in nobody's way.
        let stale = dir.join(format!(".f.{}.0.tmp", std::process::id()));
        std::fs::write(&stale, "stale").unwrap();
        write(&path, |file| {
            file.write_all(b"new").unwrap();
            assert_eq!(names().len(), if can { 1 } else { 2 });
            Ok(())
        })
        .unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        std::fs::remove_file(&stale).unwrap();
        let failed = write(&path, |_| Err(taru_stdx::Error::invalid("no")));
        assert_eq!(failed.unwrap_err().to_string(), "no");
        assert_eq!(names(), ["f"]);
        // A link stays one; what it leads to is replaced, and made only where it can be.
        let link = dir.join("link");
        std::os::unix::fs::symlink("f", &link).unwrap();
        write(&link, |file| file.write_all(b"led").context(|| "write")).unwrap();
        assert_eq!((std::fs::read(&path).unwrap(), link.is_symlink()), (b"led".to_vec(), true));
        std::fs::remove_file(&path).unwrap();
        write(&link, |_| Ok(())).unwrap_err();
        assert_eq!(names(), ["link"]);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
