//! Overlay mounts: layers by descriptor or path, as many as the kernel takes.
//!
//! fsconfig(2) takes values of at most 255 bytes, so that the one `lowerdir=a:b:c` of mount(2) holds few
//! layers. Kernel 6.7 appends them one by one with `lowerdir+`. Before, we give the layers
//! names of one letter: links in a tmpfs that is mounted nowhere and is the working directory for that moment, so
//! that 115 of them fit: `lowerdir=a:b:c`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use taru_stdx::{Context, Error, Kind};
use taru_sys::fs::{self, CWD, OpenFlags};
use taru_sys::mount::{self, Attr};
use taru_sys::{Errno, errno};

use crate::context::{MAX_VALUE, configure, create, failed, told};
use crate::mount::Mount;

/// As everywhere, but a step of a mount fails with more than an [`Error`].
type Result<T, E = Error> = std::result::Result<T, E>;

/// `OVL_MAX_STACK`.
const MAX_LAYERS: usize = 500;

/// A directory of an overlay.
#[derive(Debug, Clone, Copy)]
pub enum Layer<'a> {
    /// By path, resolved in the ordinary way.
    Path(&'a Path),
    /// By descriptor.
    Fd(BorrowedFd<'a>),
}

/// An overlay to be mounted.
///
/// ```no_run
/// use taru_mount::{Attr, Layer, Overlay};
/// # fn main() -> taru_stdx::Result<()> {
/// let mut overlay = Overlay::new(vec![Layer::Path("/layers/2".as_ref()), Layer::Path("/layers/1".as_ref())]);
/// overlay.writable = Some((Layer::Path("/upper".as_ref()), Layer::Path("/work".as_ref())));
/// let mount = overlay.mount(Attr::empty())?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Overlay<'a> {
    /// The lower layers, the topmost first.
    pub lower: Vec<Layer<'a>>,
    /// The upper and the work directory, both on one file system; without, the overlay is read-only.
    pub writable: Option<(Layer<'a>, Layer<'a>)>,
    /// Every other option: `volatile`, `userxattr`, `metacopy=on`, `index=off`.
    pub options: Vec<(&'a str, Option<&'a str>)>,
}

impl<'a> Overlay<'a> {
    /// A read-only overlay of these layers, the topmost first.
    pub fn new(lower: Vec<Layer<'a>>) -> Overlay<'a> {
        Overlay { lower, writable: None, options: Vec::new() }
    }

    /// The overlay that mount(2)'s options mean: `lowerdir=A:B`, `upperdir`, `workdir` and others. The
    /// kernel's escapes `\:` and `\,` in paths are taken back.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for an upper without a work directory, or data-only layers (`::`).
    pub(crate) fn from_data(data: &[(&str, Option<&str>)]) -> Result<OwnedOverlay> {
        let mut overlay = OwnedOverlay::default();
        for (key, value) in data {
            match (*key, *value) {
                ("lowerdir", Some(list)) => overlay.lower = split_lower(list)?,
                ("upperdir", Some(path)) => overlay.upper = Some(unescape(path)),
                ("workdir", Some(path)) => overlay.work = Some(unescape(path)),
                (key, value) => overlay.options.push((key.to_owned(), value.map(str::to_owned))),
            }
        }
        if overlay.upper.is_some() != overlay.work.is_some() {
            return Err(Error::invalid("mount an overlay: `upperdir` and `workdir` need each other"));
        }
        Ok(overlay)
    }

    /// The detached mount.
    ///
    /// # Errors
    /// [`Kind::Limit`] for more than 500 layers (115 before kernel 6.7); [`Kind::Invalid`] for none; overlay's
    /// own words otherwise.
    pub fn mount(&self, attributes: Attr) -> Result<Mount> {
        let what = || "make the file system `overlay`";
        if self.lower.is_empty() {
            return Err(Error::invalid("make the file system `overlay`: no lower layer"));
        }
        if self.lower.len() > MAX_LAYERS {
            let n = self.lower.len();
            return Err(Error::new(Kind::Limit, format!("{}: {n} layers, at most {MAX_LAYERS}", what())));
        }
        match self.mount_with(attributes, |at| self.append(at)) {
            // EINVAL without a word: a kernel before 6.5, whose overlay is configured the old way and finds
            // the unknown option only when it is made. 6.5 and 6.6 have the words, but not the option.
            Err(e) if e.number == errno::INVAL && e.is_unknown_option() => {
                let fds = Fds::open(self).context(what)?;
                let names = Names::new(&fds).context(what)?;
                inside(names.dir.as_fd(), || self.mount_with(attributes, |at| names.set(at))).context(what)?
            }
            done => done,
        }
        .map_err(|e| e.error)
        .context(what)
    }

    /// The new way: each layer an option of its own. The kernel looks it up at once, so that one descriptor at a time is
    /// enough.
    fn append(&self, context: BorrowedFd<'_>) -> Result<(), Failure> {
        let set = |layer: Layer<'a>, key: &str| {
            let handle = Handle::open(layer).map_err(Failure::ours)?;
            handle.set(context, key).map_err(|e| Failure::of(context, e))
        };
        for layer in &self.lower {
            set(*layer, "lowerdir+")?;
        }
        if let Some((upper, work)) = self.writable {
            set(upper, "upperdir")?;
            set(work, "workdir")?;
        }
        Ok(())
    }

    fn mount_with(
        &self,
        attributes: Attr,
        set_layers: impl FnOnce(BorrowedFd<'_>) -> Result<(), Failure>,
    ) -> Result<Mount, Failure> {
        let context = mount::fsopen("overlay").map_err(Failure::silent)?;
        let at = context.as_fd();
        mount::fsconfig_string(at, "source", "overlay").map_err(|e| Failure::of(at, e))?;
        configure(at, &self.options).map_err(Failure::ours)?;
        set_layers(at)?;
        mount::fsconfig_create(at).map_err(|e| Failure::of(at, e))?;
        mount::fsmount(at, attributes).map(Mount::from_fd).map_err(|e| Failure::of(at, e))
    }
}

/// A failure, its number, and whether the file system had words for it.
struct Failure {
    error: Error,
    number: Errno,
    said: bool,
}

impl Failure {
    fn of(context: BorrowedFd<'_>, e: taru_sys::Error) -> Failure {
        let (number, call) = (e.errno(), e.call());
        let error = told(context, e);
        let said = error.to_string() != call;
        Failure { error, number, said }
    }

    /// One that is not the file system's.
    fn ours(error: Error) -> Failure {
        Failure { error, number: errno::IO, said: true }
    }

    fn silent(e: taru_sys::Error) -> Failure {
        let number = e.errno();
        Failure { error: failed(e, "open a context"), number, said: false }
    }

    fn is_unknown_option(&self) -> bool {
        let text = self.error.to_string();
        // Before 6.5 the kernel collects the options in a page first, and that is what may be full.
        !self.said || text.contains("nknown parameter") || text.contains("Legacy: Cumulative")
    }
}

/// An overlay from text, which owns its paths.
#[derive(Debug, Default)]
pub(crate) struct OwnedOverlay {
    lower: Vec<PathBuf>,
    upper: Option<PathBuf>,
    work: Option<PathBuf>,
    options: Vec<(String, Option<String>)>,
}

impl OwnedOverlay {
    pub(crate) fn mount(&self, attributes: Attr) -> Result<Mount> {
        let mut overlay = Overlay::new(self.lower.iter().map(|p| Layer::Path(p)).collect());
        if let (Some(upper), Some(work)) = (&self.upper, &self.work) {
            overlay.writable = Some((Layer::Path(upper), Layer::Path(work)));
        }
        overlay.options = self.options.iter().map(|(k, v)| (k.as_str(), v.as_deref())).collect();
        overlay.mount(attributes)
    }
}

/// All directories of an overlay as open descriptors.
struct Fds<'a> {
    lower: Vec<Handle<'a>>,
    writable: Option<(Handle<'a>, Handle<'a>)>,
}

/// A descriptor, ours or the caller's, and the path to show in mountinfo where there is one.
struct Handle<'a> {
    fd: Result<OwnedFd, BorrowedFd<'a>>,
    path: Option<&'a Path>,
}

impl AsFd for Handle<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.fd {
            Ok(own) => own.as_fd(),
            Err(callers) => *callers,
        }
    }
}

impl<'a> Handle<'a> {
    fn open(layer: Layer<'a>) -> Result<Handle<'a>> {
        match layer {
            Layer::Fd(fd) => Ok(Handle { fd: Err(fd), path: None }),
            Layer::Path(path) => {
                let flags = OpenFlags::PATH | OpenFlags::DIRECTORY;
                let fd = fs::openat(CWD, path, flags, 0)
                    .map_err(|e| e.errno())
                    .context(|| format!("open the layer `{}`", path.display()))?;
                Ok(Handle { fd: Ok(fd), path: Some(path) })
            }
        }
    }

    /// Sets one of overlay's directories: by a path that fits and needs no escape, by descriptor (6.13),
    /// or by the descriptor's name in procfs.
    fn set(&self, context: BorrowedFd<'_>, key: &str) -> Result<(), taru_sys::Error> {
        let plain = self
            .path
            .and_then(Path::to_str)
            .filter(|p| p.starts_with('/') && p.len() <= MAX_VALUE && !p.contains([':', ',', '\\']));
        if let Some(path) = plain {
            return mount::fsconfig_string(context, key, path);
        }
        match mount::fsconfig_fd(context, key, self.as_fd()) {
            // EOPNOTSUPP before 6.5, EINVAL before 6.13; an O_PATH handle may be EBADF.
            Err(e) if [errno::INVAL, errno::NOTSUP, errno::BADF].contains(&e.errno()) => {
                mount::fs_log(context);
                let name = format!("/proc/self/fd/{}", self.as_fd().as_raw_fd());
                mount::fsconfig_string(context, key, &name)
            }
            done => done,
        }
    }
}

impl<'a> Fds<'a> {
    fn open(overlay: &Overlay<'a>) -> Result<Fds<'a>> {
        let lower = overlay.lower.iter().map(|&l| Handle::open(l)).collect::<Result<_>>()?;
        let writable = match overlay.writable {
            Some((upper, work)) => Some((Handle::open(upper)?, Handle::open(work)?)),
            None => None,
        };
        Ok(Fds { lower, writable })
    }
}

/// The old way: each directory has a name of one or two bytes.
struct Names {
    /// The root of a tmpfs that is mounted nowhere, with a link of each name.
    dir: OwnedFd,
    lower: Vec<String>,
    writable: Option<(String, String)>,
}

impl Names {
    fn new(fds: &Fds<'_>) -> Result<Names> {
        let context = mount::fsopen("tmpfs").context(|| "name the layers")?;
        let tmpfs = create(context.as_fd(), Attr::empty()).context(|| "name the layers")?;
        // What can stand in an option and in a path as a name of its own.
        let letters = ('!'..='~').filter(|c| !"/:,\\.".contains(*c)).chain('\u{a1}'..);
        let mut names = letters.map(String::from);
        let mut link = |handle: &Handle<'_>| -> Result<String> {
            let name = names.next().unwrap_or_default();
            let absolute = handle.path.filter(|p| p.is_absolute()).map(Path::to_owned);
            let target =
                absolute.unwrap_or_else(|| format!("/proc/self/fd/{}", handle.as_fd().as_raw_fd()).into());
            fs::symlinkat(&target, tmpfs.as_fd(), Path::new(&name)).context(|| "name the layers")?;
            Ok(name)
        };
        let lower = fds.lower.iter().map(&mut link).collect::<Result<_>>()?;
        let writable = match &fds.writable {
            Some((upper, work)) => Some((link(upper)?, link(work)?)),
            None => None,
        };
        Ok(Names { dir: tmpfs, lower, writable })
    }

    /// Sets them all. Whether a kernel looks them up now (6.5) or when the file system is made, it does so
    /// from the working directory.
    fn set(&self, context: BorrowedFd<'_>) -> Result<(), Failure> {
        let lower = self.lower.join(":");
        if lower.len() > MAX_VALUE {
            let error = Error::new(Kind::Limit, "this kernel takes 115 layers (6.7 takes 500)");
            return Err(Failure { error, number: errno::TOOBIG, said: true });
        }
        let set = |key: &str, value: &str| {
            mount::fsconfig_string(context, key, value).map_err(|e| Failure::of(context, e))
        };
        set("lowerdir", &lower)?;
        if let Some((upper, work)) = &self.writable {
            set("upperdir", upper)?;
            set("workdir", work)?;
        }
        Ok(())
    }
}

/// Runs `act` with `dir` as the working directory, and comes back whatever happens.
fn inside<T>(dir: BorrowedFd<'_>, act: impl FnOnce() -> T) -> Result<T> {
    let number = |e: taru_sys::Error| -> Errno { e.errno() };
    let here = fs::openat(CWD, Path::new("."), OpenFlags::PATH, 0).map_err(number).context(|| "open `.`")?;
    fs::fchdir(dir).map_err(number).context(|| "enter the layers' names")?;
    let done = act();
    fs::fchdir(&here).map_err(number).context(|| "return to the working directory")?;
    Ok(done)
}

/// Splits `lowerdir`'s value at the colons that are not escaped.
fn split_lower(list: &str) -> Result<Vec<PathBuf>> {
    let mut layers = vec![String::new()];
    let mut chars = list.chars();
    while let Some(c) = chars.next() {
        match c {
            ':' => layers.push(String::new()),
            '\\' => {
                layers.last_mut().into_iter().for_each(|l| l.extend(['\\'].into_iter().chain(chars.next())))
            }
            c => layers.last_mut().into_iter().for_each(|l| l.push(c)),
        }
    }
    if layers.iter().any(String::is_empty) {
        return Err(Error::invalid(format!("mount an overlay: an empty layer in `lowerdir={list}`"))
            .hint("data-only layers (`::`) are not supported"));
    }
    Ok(layers.iter().map(|l| unescape(l)).collect())
}

fn unescape(path: &str) -> PathBuf {
    let mut plain = String::with_capacity(path.len());
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    PathBuf::from(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_layers_are_split_at_plain_colons() {
        let split = |list| split_lower(list).unwrap();
        assert_eq!(split("/a:/b"), [Path::new("/a"), Path::new("/b")]);
        assert_eq!(split("/a\\:b:/c\\,d\\\\"), [Path::new("/a:b"), Path::new("/c,d\\")]);
        assert!(split_lower("/a::/b").is_err());
        assert!(split_lower("").is_err());
        assert!(Overlay::from_data(&[("lowerdir", Some("/a")), ("upperdir", Some("/u"))]).is_err());
    }

    #[test]
    fn the_way_of_older_kernels_works_too() {
        taru_testkit::in_namespaces(&["--mount", "--propagation", "private"], || {
            let ground = Mount::fs("tmpfs", None, &[], Attr::empty()).unwrap();
            let root = ground.root().unwrap();
            ground.attach(fs::openat(CWD, Path::new("/mnt"), OpenFlags::PATH, 0).unwrap()).unwrap();
            for dir in ["upper", "work", "on"] {
                root.create_dir_all(Path::new(dir), 0o755).unwrap();
            }
            let layers: Vec<_> = (0..115)
                .map(|n| {
                    let layer = format!("/a-long-name-to-fill-the-value/{n}");
                    root.create_file(Path::new(&format!("{layer}/f{n}")), 0o644).unwrap();
                    root.resolve(Path::new(&layer)).unwrap()
                })
                .collect();
            let upper = root.resolve(Path::new("upper")).unwrap();
            let work = root.resolve(Path::new("work")).unwrap();
            let mut overlay = Overlay::new(layers.iter().map(|l| Layer::Fd(l.as_fd())).collect());
            overlay.writable = Some((Layer::Fd(upper.as_fd()), Layer::Fd(work.as_fd())));
            let fds = Fds::open(&overlay).unwrap();
            let before = fs::getcwd().unwrap();
            let names = Names::new(&fds).unwrap();
            let made =
                inside(names.dir.as_fd(), || overlay.mount_with(Attr::empty(), |at| names.set(at))).unwrap();
            let mount = made.map_err(|f| f.error).unwrap();
            assert_eq!(fs::getcwd().unwrap(), before);
            mount.attach(root.resolve(Path::new("on")).unwrap()).unwrap();
            assert!(Path::new("/mnt/on/f0").exists() && Path::new("/mnt/on/f114").exists());
            std::fs::write("/mnt/on/new", "").unwrap();
            assert!(Path::new("/mnt/upper/new").exists());
        });
    }
}
