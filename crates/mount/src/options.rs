//! Mount options as fstab(5), runc and crun know them: one table, one typed result.
//!
//! An option can concern the mount (`nosuid`), the file system (`sync`), both (`ro`), everything below
//! (`rro`), the propagation (`rslave`), what kind of mount it is (`rbind`), or be a word of the runtimes
//! (`tmpcopyup`, `idmap`). What is in no table goes to the file system as data.

use taru_stdx::{Error, Result};

use crate::idmap::{IdMaps, Range};
use crate::{Attr, Propagation};

/// What a list of options asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// Attributes of the mount to set. Never holds an access time mode together with another.
    pub set: Attr,
    /// Attributes of the mount to clear.
    pub clear: Attr,
    /// Attributes to set on the mount and all below it.
    pub recursive_set: Attr,
    /// Attributes to clear on the mount and all below it.
    pub recursive_clear: Attr,
    /// Changes of propagation, in order; `true`: of all mounts below too.
    pub propagation: Vec<(Propagation, bool)>,
    /// A bind mount; `Some(true)`: of the whole tree.
    pub bind: Option<bool>,
    /// Change an existing mount.
    pub remount: bool,
    /// Map the ids of the mount.
    pub idmap: Option<IdMapOption>,
    /// Copy what the root file system has there into the new file system.
    pub tmpcopyup: bool,
    /// Make the source, a link, again at the target instead of mounting what it leads to.
    pub copy_symlink: bool,
    /// Do not follow the source if it is a link.
    pub src_nofollow: bool,
    /// Do not follow the target if it is a link.
    pub dest_nofollow: bool,
    /// No messages in the kernel's log. The new mount API has none: they go to the caller.
    pub silent: bool,
    superblock: Vec<&'static str>,
    data: Vec<(String, Option<String>)>,
}

/// `idmap` and `ridmap`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMapOption {
    /// Of all mounts below too.
    pub recursive: bool,
    /// Maps of its own (crun's `idmap=uids=0-1-10;gids=...`); without, those of the mount's entry in the
    /// specification or of the container.
    pub maps: Option<OwnMaps>,
}

/// The maps of `idmap=uids=...;gids=...`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnMaps {
    uids: Vec<OwnRange>,
    gids: Vec<OwnRange>,
}

/// `INSIDE-OUTSIDE-LENGTH`; with `@` in front, outside is an id of the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OwnRange {
    range: Range,
    relative: bool,
}

impl OwnMaps {
    /// The maps in the ids of the host, given the container's own maps for what is relative to it.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Invalid`] where the container has no such id.
    pub fn resolve(&self, container: &IdMaps) -> Result<IdMaps> {
        Ok(IdMaps {
            uids: resolve(&self.uids, &container.uids)?,
            gids: resolve(&self.gids, &container.gids)?,
        })
    }
}

fn resolve(own: &[OwnRange], container: &[Range]) -> Result<Vec<Range>> {
    own.iter()
        .map(|OwnRange { range, relative }| {
            if !relative {
                return Ok(*range);
            }
            let outside = container.iter().find_map(|c| c.to_outside(range.outside)).ok_or_else(|| {
                Error::invalid(format!("map the id `@{}`: the container does not have it", range.outside))
            })?;
            Ok(Range { outside, ..*range })
        })
        .collect()
}

/// What a word of the table does.
#[derive(Clone, Copy)]
enum Effect {
    Nothing,
    Set(Attr),
    Clear(Attr),
    /// One of the access time modes replaces the others.
    Time(Attr),
    /// That mode no longer.
    NotTime(Attr),
    RecursiveSet(Attr),
    RecursiveClear(Attr),
    RecursiveTime(Attr),
    /// A word for fsconfig(2).
    Superblock(&'static str),
    /// Both.
    SetBoth(Attr, &'static str),
    ClearBoth(Attr, &'static str),
    Propagate(Propagation, bool),
    Bind(bool),
    Remount,
    Silent(bool),
    IdMap(bool),
    TmpCopyUp,
    CopySymlink,
    SrcNoFollow,
    DestNoFollow,
}

use Effect as E;

/// Every option that is not the file system's own, by name.
const TABLE: &[(&str, Effect)] = &[
    ("acl", E::Superblock("acl")),
    ("async", E::Superblock("async")),
    ("atime", E::NotTime(Attr::NOATIME)),
    ("bind", E::Bind(false)),
    ("copy-symlink", E::CopySymlink),
    ("defaults", E::Nothing),
    ("dest-nofollow", E::DestNoFollow),
    ("dev", E::Clear(Attr::NODEV)),
    ("diratime", E::Clear(Attr::NODIRATIME)),
    ("dirsync", E::Superblock("dirsync")),
    ("exec", E::Clear(Attr::NOEXEC)),
    ("idmap", E::IdMap(false)),
    ("iversion", E::Superblock("iversion")),
    ("lazytime", E::Superblock("lazytime")),
    ("loud", E::Silent(false)),
    ("mand", E::Superblock("mand")),
    ("noacl", E::Superblock("noacl")),
    ("noatime", E::Time(Attr::NOATIME)),
    ("nodev", E::Set(Attr::NODEV)),
    ("nodiratime", E::Set(Attr::NODIRATIME)),
    ("noexec", E::Set(Attr::NOEXEC)),
    ("noiversion", E::Superblock("noiversion")),
    ("nolazytime", E::Superblock("nolazytime")),
    ("nomand", E::Superblock("nomand")),
    ("norelatime", E::NotTime(Attr::RELATIME)),
    ("nostrictatime", E::NotTime(Attr::STRICTATIME)),
    ("nosuid", E::Set(Attr::NOSUID)),
    ("nosymfollow", E::Set(Attr::NOSYMFOLLOW)),
    ("private", E::Propagate(Propagation::Private, false)),
    ("ratime", E::RecursiveTime(Attr::RELATIME)),
    ("rbind", E::Bind(true)),
    ("rdev", E::RecursiveClear(Attr::NODEV)),
    ("rdiratime", E::RecursiveClear(Attr::NODIRATIME)),
    ("relatime", E::Time(Attr::RELATIME)),
    ("remount", E::Remount),
    ("rexec", E::RecursiveClear(Attr::NOEXEC)),
    ("ridmap", E::IdMap(true)),
    ("rnoatime", E::RecursiveTime(Attr::NOATIME)),
    ("rnodev", E::RecursiveSet(Attr::NODEV)),
    ("rnodiratime", E::RecursiveSet(Attr::NODIRATIME)),
    ("rnoexec", E::RecursiveSet(Attr::NOEXEC)),
    ("rnorelatime", E::RecursiveTime(Attr::RELATIME)),
    ("rnostrictatime", E::RecursiveTime(Attr::RELATIME)),
    ("rnosuid", E::RecursiveSet(Attr::NOSUID)),
    ("rnosymfollow", E::RecursiveSet(Attr::NOSYMFOLLOW)),
    ("ro", E::SetBoth(Attr::RDONLY, "ro")),
    ("rprivate", E::Propagate(Propagation::Private, true)),
    ("rrelatime", E::RecursiveTime(Attr::RELATIME)),
    ("rro", E::RecursiveSet(Attr::RDONLY)),
    ("rrw", E::RecursiveClear(Attr::RDONLY)),
    ("rshared", E::Propagate(Propagation::Shared, true)),
    ("rslave", E::Propagate(Propagation::Slave, true)),
    ("rstrictatime", E::RecursiveTime(Attr::STRICTATIME)),
    ("rsuid", E::RecursiveClear(Attr::NOSUID)),
    ("rsymfollow", E::RecursiveClear(Attr::NOSYMFOLLOW)),
    ("runbindable", E::Propagate(Propagation::Unbindable, true)),
    ("rw", E::ClearBoth(Attr::RDONLY, "rw")),
    ("shared", E::Propagate(Propagation::Shared, false)),
    ("silent", E::Silent(true)),
    ("slave", E::Propagate(Propagation::Slave, false)),
    ("src-nofollow", E::SrcNoFollow),
    ("strictatime", E::Time(Attr::STRICTATIME)),
    ("suid", E::Clear(Attr::NOSUID)),
    ("symfollow", E::Clear(Attr::NOSYMFOLLOW)),
    ("sync", E::Superblock("sync")),
    ("tmpcopyup", E::TmpCopyUp),
    ("unbindable", E::Propagate(Propagation::Unbindable, false)),
];

/// The names of all options of the table, sorted, as `features` lists them.
pub fn known() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, _)| *name)
}

/// The propagation a word means: `rslave` is `(Slave, true)`.
pub fn propagation(word: &str) -> Option<(Propagation, bool)> {
    match effect(word) {
        Some(E::Propagate(propagation, recursive)) => Some((propagation, recursive)),
        _ => None,
    }
}

fn effect(word: &str) -> Option<Effect> {
    let at = TABLE.binary_search_by_key(&word, |(name, _)| *name).ok()?;
    TABLE.get(at).map(|(_, effect)| *effect)
}

/// Reads a list of options; each may itself be several joined with commas. The later wins.
///
/// ```
/// use taru_mount::{Attr, options};
/// let options = options::parse(["nosuid,size=64m", "ro", "rslave"])?;
/// assert_eq!(options.set, Attr::NOSUID | Attr::RDONLY);
/// assert_eq!(options.data(), [("ro", None), ("size", Some("64m"))]);
/// # Ok::<(), taru_stdx::Error>(())
/// ```
///
/// # Errors
/// [`taru_stdx::Kind::Invalid`] for an `idmap=` that is none, or a value given to a word that takes none.
pub fn parse<S: AsRef<str>>(list: impl IntoIterator<Item = S>) -> Result<Options> {
    let mut options = Options::default();
    for text in list {
        for word in split(text.as_ref()) {
            options.take(word)?;
        }
    }
    Ok(options)
}

/// Splits at the commas that are neither in quotes (SELinux contexts) nor behind a backslash (overlay's paths).
fn split(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                words.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    words.push(&text[start..]);
    words.retain(|word| !word.is_empty());
    words
}

impl Options {
    /// What the file system itself is to be configured with: the words for any, then its own data.
    pub fn data(&self) -> Vec<(&str, Option<&str>)> {
        let words = self.superblock.iter().map(|word| (*word, None));
        words.chain(self.data.iter().map(|(k, v)| (k.as_str(), v.as_deref()))).collect()
    }

    /// Only the file system's own data, without `ro`, `sync` and their like.
    pub fn own_data(&self) -> Vec<(&str, Option<&str>)> {
        self.data.iter().map(|(k, v)| (k.as_str(), v.as_deref())).collect()
    }

    /// Whether anything below the mount is to be changed too.
    pub fn is_recursive(&self) -> bool {
        !self.recursive_set.is_empty() || !self.recursive_clear.is_empty()
    }

    fn take(&mut self, word: &str) -> Result<()> {
        let Some(effect) = effect(word) else { return self.take_data(word) };
        match effect {
            E::Nothing => {}
            E::Set(attr) => self.set_attr(attr),
            E::Clear(attr) => self.clear_attr(attr),
            E::Time(mode) => {
                self.clear |= Attr::ATIME;
                self.set = self.set.without(Attr::ATIME) | mode;
            }
            E::NotTime(mode) => {
                let had = self.set & Attr::ATIME;
                if had == mode || mode == Attr::NOATIME {
                    self.set = self.set.without(mode);
                }
                // `atime` asks for them to be kept; the other two only take back what stood before.
                if mode == Attr::NOATIME {
                    self.clear |= Attr::ATIME;
                }
            }
            E::RecursiveSet(attr) => {
                self.recursive_set |= attr;
                self.recursive_clear = self.recursive_clear.without(attr);
            }
            E::RecursiveClear(attr) => {
                self.recursive_clear |= attr;
                self.recursive_set = self.recursive_set.without(attr);
            }
            E::RecursiveTime(mode) => {
                self.recursive_clear |= Attr::ATIME;
                self.recursive_set = self.recursive_set.without(Attr::ATIME) | mode;
            }
            E::Superblock(word) => self.superblock.push(word),
            E::SetBoth(attr, word) => {
                self.set_attr(attr);
                self.superblock.push(word);
            }
            E::ClearBoth(attr, word) => {
                self.clear_attr(attr);
                self.superblock.push(word);
            }
            E::Propagate(propagation, recursive) => self.propagation.push((propagation, recursive)),
            E::Bind(recursive) => self.bind = Some(recursive),
            E::Remount => self.remount = true,
            E::Silent(silent) => self.silent = silent,
            E::IdMap(recursive) => self.idmap = Some(IdMapOption { recursive, maps: None }),
            E::TmpCopyUp => self.tmpcopyup = true,
            E::CopySymlink => self.copy_symlink = true,
            E::SrcNoFollow => self.src_nofollow = true,
            E::DestNoFollow => self.dest_nofollow = true,
        }
        Ok(())
    }

    fn set_attr(&mut self, attr: Attr) {
        self.set |= attr;
        self.clear = self.clear.without(attr);
    }

    fn clear_attr(&mut self, attr: Attr) {
        self.clear |= attr;
        self.set = self.set.without(attr);
    }

    fn take_data(&mut self, word: &str) -> Result<()> {
        let Some((key, value)) = word.split_once('=') else {
            self.data.push((word.to_owned(), None));
            return Ok(());
        };
        if key == "idmap" || key == "ridmap" {
            let maps = Some(own_maps(value).ok_or_else(|| {
                Error::invalid(format!("read the option `{word}`"))
                    .hint("maps are written idmap=uids=0-100000-10#10-5-1;gids=0-100000-10")
            })?);
            self.idmap = Some(IdMapOption { recursive: key == "ridmap", maps });
            return Ok(());
        }
        // The quotes are for us, so that commas can stand in the value.
        let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
        self.data.push((key.to_owned(), Some(value.to_owned())));
        Ok(())
    }
}

fn own_maps(text: &str) -> Option<OwnMaps> {
    let mut maps = OwnMaps::default();
    for part in text.split(';').filter(|p| !p.is_empty()) {
        let (key, ranges) = part.split_once('=')?;
        let ranges: Vec<OwnRange> = ranges.split('#').map(own_range).collect::<Option<_>>()?;
        match key {
            "uids" => maps.uids = ranges,
            "gids" => maps.gids = ranges,
            _ => return None,
        }
    }
    (!maps.uids.is_empty() && !maps.gids.is_empty()).then_some(maps)
}

fn own_range(text: &str) -> Option<OwnRange> {
    let (relative, numbers) = match text.strip_prefix('@') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut numbers = numbers.split('-').map(|n| n.parse::<u32>().ok());
    let range = Range::new(numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some(OwnRange { range, relative })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(list: &str) -> Options {
        parse([list]).unwrap()
    }

    #[test]
    fn the_table_is_sorted_and_complete() {
        assert!(TABLE.windows(2).all(|w| w[0].0 < w[1].0));
        // runc 1.3's and crun 1.28's lists.
        let theirs = "acl async atime bind defaults dev diratime dirsync exec idmap iversion lazytime loud mand \
            noacl noatime nodev nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime nosuid \
            nosymfollow private ratime rbind rdev rdiratime relatime remount rexec ridmap rnoatime rnodev \
            rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw \
            rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared silent slave strictatime suid \
            symfollow sync tmpcopyup unbindable copy-symlink src-nofollow dest-nofollow";
        for name in theirs.split_ascii_whitespace() {
            assert!(effect(name).is_some(), "{name}");
        }
        assert_eq!(known().count(), theirs.split_ascii_whitespace().count());
    }

    #[test]
    fn mount_and_file_system_are_kept_apart_and_the_later_wins() {
        let o = one("ro,nosuid,noexec,sync,mode=755");
        assert_eq!((o.set, o.clear), (Attr::RDONLY | Attr::NOSUID | Attr::NOEXEC, Attr::empty()));
        assert_eq!(o.data(), [("ro", None), ("sync", None), ("mode", Some("755"))]);
        assert_eq!(o.own_data(), [("mode", Some("755"))]);

        let o = one("ro,nosuid,rw,suid,exec");
        assert_eq!((o.set, o.clear), (Attr::empty(), Attr::RDONLY | Attr::NOSUID | Attr::NOEXEC));

        let o = one("rro,rnosuid,rsuid,rexec,rnoatime");
        assert_eq!(o.recursive_set, Attr::RDONLY | Attr::NOATIME);
        assert_eq!(o.recursive_clear, Attr::NOSUID | Attr::NOEXEC | Attr::ATIME);
        assert!(o.is_recursive() && o.set.is_empty());
    }

    #[test]
    fn access_times_are_one_choice() {
        for (list, set, clear) in [
            ("noatime", Attr::NOATIME, Attr::ATIME),
            ("noatime,strictatime", Attr::STRICTATIME, Attr::ATIME),
            ("noatime,relatime", Attr::RELATIME, Attr::ATIME),
            ("noatime,atime", Attr::empty(), Attr::ATIME),
            ("atime", Attr::empty(), Attr::ATIME),
            ("strictatime,atime", Attr::STRICTATIME, Attr::ATIME),
            ("strictatime,nostrictatime", Attr::empty(), Attr::ATIME),
            ("norelatime", Attr::empty(), Attr::empty()),
            ("nodiratime", Attr::NODIRATIME, Attr::empty()),
        ] {
            let o = one(list);
            assert_eq!((o.set, o.clear), (set, clear), "{list}");
        }
    }

    #[test]
    fn kinds_propagation_and_words_of_the_runtimes() {
        let o = one("rbind,rprivate,slave,tmpcopyup,copy-symlink,src-nofollow,dest-nofollow,silent,remount");
        assert_eq!(o.bind, Some(true));
        assert_eq!(o.propagation, [(Propagation::Private, true), (Propagation::Slave, false)]);
        assert!(o.tmpcopyup && o.copy_symlink && o.src_nofollow && o.dest_nofollow && o.silent && o.remount);
        assert_eq!(propagation("runbindable"), Some((Propagation::Unbindable, true)));
        assert_eq!(propagation("ro"), None);
    }

    #[test]
    fn id_maps() {
        assert_eq!(one("ridmap").idmap, Some(IdMapOption { recursive: true, maps: None }));
        let o = one("bind,idmap=uids=0-1-10#10-11-10;gids=@1-3-5");
        let maps = o.idmap.unwrap().maps.unwrap();
        let container = IdMaps { uids: vec![], gids: vec![Range::new(0, 100, 1), Range::new(1, 2, 1000)] };
        let resolved = maps.resolve(&container).unwrap();
        assert_eq!(resolved.uids, [Range::new(0, 1, 10), Range::new(10, 11, 10)]);
        assert_eq!(resolved.gids, [Range::new(1, 4, 5)]);
        assert!(maps.resolve(&IdMaps::default()).is_err());
        for bad in [
            "idmap=",
            "idmap=uids=0-1-10",
            "idmap=uids=0-1;gids=0-1-1",
            "idmap=uids=a-1-1;gids=0-0-1",
            "idmap=uids=0-1-1-1;gids=0-0-1",
            "idmap=pids=0-0-1",
            "idmap=x",
        ] {
            assert!(parse([bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn data_keeps_quotes_and_escapes_together() {
        let o = one("context=\"system_u:object_r:x:s0:c1,c2\",lowerdir=/a\\,b:/c,,nr_inodes=5,userxattr");
        assert_eq!(
            o.data(),
            [
                ("context", Some("system_u:object_r:x:s0:c1,c2")),
                ("lowerdir", Some("/a\\,b:/c")),
                ("nr_inodes", Some("5")),
                ("userxattr", None)
            ]
        );
        assert_eq!(one("size=").data(), [("size", Some(""))]);
    }

    #[test]
    fn every_pair_of_words_is_something_a_kernel_could_take() {
        let times = Attr::ATIME;
        for first in known() {
            for second in known() {
                let o = parse([first, second]).unwrap();
                let clash = |set: Attr, clear: Attr| set.without(times).intersects(clear.without(times));
                assert!(!clash(o.set, o.clear), "{first},{second}");
                assert!(!clash(o.recursive_set, o.recursive_clear), "{first},{second}");
                assert!(!o.set.intersects(times) || o.clear.contains(times), "{first},{second}");
            }
        }
    }
}
