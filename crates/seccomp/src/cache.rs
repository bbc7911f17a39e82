//! Compiled programs, kept by the text of their profile.
//!
//! A start of a container meets the same few profiles again and again. In a process that does it once, reading a
//! program back takes 50 µs where parsing and compiling a profile of Docker's size takes 180 µs
//! (`examples/measure.rs`; most of either is the first touch of memory).
//!
//! One file a profile, `DIRECTORY/HASH.bpf`, in the host's byte order:
//!
//! ```text
//!  0  u64  checksum of all that follows
//!  8  u64  identity of the compiler: format, version of taru, table of system calls, architecture
//! 16  u32  length of the profile's text
//! 20  u32  number of instructions
//! 24  u32  flags of the filter
//! 28  u32  number of unknown names
//! 32       the profile's text, then the instructions, 8 bytes each
//! ```
//!
//! The text stands in the file because it, not its hash, is the key. Whoever can write the directory decides
//! what containers may do: it and the file must belong to this user, and nobody else may write them. A file
//! that is anything else than expected is as good as none, and is replaced.

use std::fs::{DirBuilder, File, Metadata};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use taru_stdx::fs::Sync;
use taru_stdx::{Error, Kind, Result};
use taru_sys::seccomp::Filter;

use crate::arch::Arch;
use crate::compile::{Program, compile};
use crate::profile::Profile;
use crate::resolve::MAX_INSTRUCTIONS;
use crate::syscall;

/// To be increased when the same profile gives another program than before.
const FORMAT: u64 = 1;

/// Larger texts are not kept.
const MAX_KEPT: usize = 256 << 10;

/// When there are more files than this, all go: profiles seldom change.
const MAX_FILES: usize = 64;

const HEADER: usize = 32;

/// A directory of compiled programs.
#[derive(Debug, Clone)]
pub struct Cache {
    directory: PathBuf,
}

impl Cache {
    /// The cache in `directory`, which is made with mode 0700 when the first program is kept.
    pub fn new(directory: impl Into<PathBuf>) -> Cache {
        Cache { directory: directory.into() }
    }

    /// The program of the profile `json`, kept or compiled now; `None` for a profile that says nothing.
    ///
    /// A cache that cannot be read or written only costs time, and is no error.
    ///
    /// # Errors
    /// Those of [`Profile::parse`] and [`compile`].
    pub fn program(&self, json: &str) -> Result<Option<Program>> {
        let hash = hash(json.as_bytes());
        let path = self.directory.join(format!("{hash:016x}.bpf"));
        if let Some(program) = self.read(&path, json) {
            return Ok(Some(program));
        }
        let Some(profile) = Profile::parse(json)? else { return Ok(None) };
        let program = compile(&profile)?;
        if json.len() <= MAX_KEPT {
            let _ = self.keep(&path, json, &program);
        }
        Ok(Some(program))
    }

    fn read(&self, path: &Path, json: &str) -> Option<Program> {
        is_ours(&std::fs::symlink_metadata(&self.directory).ok()?).then_some(())?;
        let file = File::open(path).ok()?;
        is_ours(&file.metadata().ok()?).then_some(())?;
        let limit = HEADER + MAX_KEPT + 8 * MAX_INSTRUCTIONS;
        let content = taru_stdx::fs::read_file_bounded(&file, limit as u64, String::new).ok()?;
        decode(&content, json)
    }

    fn keep(&self, path: &Path, json: &str, program: &Program) -> Result<()> {
        if !self.directory.exists() {
            DirBuilder::new()
                .mode(0o700)
                .create(&self.directory)
                .map_err(|e| Error::invalid("mkdir").because(e))?;
        }
        if !std::fs::symlink_metadata(&self.directory).is_ok_and(|m| is_ours(&m)) {
            return Err(Error::new(
                Kind::Permission,
                format!("use `{}`: not ours", self.directory.display()),
            ));
        }
        let files: Vec<_> = std::fs::read_dir(&self.directory).into_iter().flatten().flatten().collect();
        if files.len() >= MAX_FILES {
            for file in files {
                let _ = std::fs::remove_file(file.path());
            }
        }
        taru_stdx::fs::replace(path, &encode(json, program), 0o600, Sync::Atomic)
    }
}

/// Whether a directory or file belongs to this user, and nobody else may write it.
fn is_ours(metadata: &Metadata) -> bool {
    let plain = metadata.is_dir() || metadata.is_file();
    plain && metadata.uid() == taru_sys::user::geteuid() && metadata.mode() & 0o022 == 0
}

/// What must be the same for the same profile to give the same program.
fn identity() -> u64 {
    let version = hash(env!("CARGO_PKG_VERSION").as_bytes());
    FORMAT ^ version ^ u64::from(Arch::NATIVE.audit()).rotate_left(32) ^ syscall::TABLE_HASH
}

fn encode(json: &str, program: &Program) -> Vec<u8> {
    let mut file = vec![0; 8];
    file.extend(identity().to_ne_bytes());
    let numbers = [json.len(), program.filters.len(), program.flags as usize, program.unknown_names];
    file.extend(numbers.iter().flat_map(|n| (*n as u32).to_ne_bytes()));
    file.extend(json.as_bytes());
    for filter in &program.filters {
        file.extend(filter.code.to_ne_bytes());
        file.extend([filter.jt, filter.jf]);
        file.extend(filter.k.to_ne_bytes());
    }
    let checksum = hash(&file[8..]);
    file[..8].copy_from_slice(&checksum.to_ne_bytes());
    file
}

fn decode(file: &[u8], json: &str) -> Option<Program> {
    let (checksum, rest) = file.split_first_chunk::<8>()?;
    if u64::from_ne_bytes(*checksum) != hash(rest) {
        return None;
    }
    let (found, rest) = rest.split_first_chunk::<8>()?;
    let (numbers, rest) = rest.split_first_chunk::<16>()?;
    let number = |at: usize| {
        let (_, from) = numbers.split_at_checked(4 * at)?;
        from.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
    };
    let (text, code) = rest.split_at_checked(number(0)? as usize)?;
    let complete = code.len() == 8 * number(1)? as usize && !code.is_empty();
    if u64::from_ne_bytes(*found) != identity() || text != json.as_bytes() || !complete {
        return None;
    }
    let filters = code
        .chunks_exact(8)
        .map(|b| match *b {
            [c0, c1, jt, jf, k0, k1, k2, k3] => {
                let (code, k) = (u16::from_ne_bytes([c0, c1]), u32::from_ne_bytes([k0, k1, k2, k3]));
                Filter { code, jt, jf, k }
            }
            _ => Filter::default(),
        })
        .collect();
    Some(Program { filters, flags: number(2)?, unknown_names: number(3)? as usize })
}

/// A hash that finds damage and spreads names: eight bytes a step, as in FxHash, with the length. Not made to
/// withstand an adversary, who does not get to the directory.
fn hash(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let step = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(FACTOR);
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().chain([&last]).map(|w| u64::from_le_bytes(*w));
    let hash = words.fold(bytes.len() as u64, step);
    (hash ^ (hash >> 32)).wrapping_mul(FACTOR) ^ (hash >> 29)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::default::default_profile;

    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("taru-seccomp-cache-{name}-{}", std::process::id()))
    }

    fn only_file(directory: &Path) -> PathBuf {
        let mut files = std::fs::read_dir(directory).unwrap();
        let file = files.next().unwrap().unwrap().path();
        assert!(files.next().is_none());
        file
    }

    #[test]
    fn keeps_reads_and_distrusts() {
        let directory = scratch("distrusts");
        let cache = Cache::new(&directory);
        let json = default_profile(taru_sys::caps::Capabilities::NONE).to_json();
        let program = cache.program(&json).unwrap().unwrap();
        let file = only_file(&directory);
        let good = std::fs::read(&file).unwrap();
        assert_eq!(cache.read(&file, &json), Some(program.clone()));

        // Any damage is seen, and mended by the next use.
        for at in [0, 9, 17, 21, 25, 29, 40, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            std::fs::write(&file, &bad).unwrap();
            assert_eq!(cache.read(&file, &json), None, "byte {at}");
        }
        for length in [0, 1, 31, 32, good.len() - 8, good.len() - 1] {
            std::fs::write(&file, &good[..length]).unwrap();
            assert_eq!(cache.read(&file, &json), None, "{length} bytes");
        }
        assert_eq!(cache.program(&json).unwrap(), Some(program.clone()));
        assert_eq!(std::fs::read(&file).unwrap(), good);

        // Another text under the same name is not this profile, nor is a file that others may write.
        assert_eq!(cache.read(&file, &format!("{json} ")), None);
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o620)).unwrap();
        assert_eq!(cache.read(&file, &json), None);
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o707)).unwrap();
        assert_eq!(cache.read(&file, &json), None);
        assert_eq!(cache.program(&json).unwrap(), Some(program));
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn stays_small_and_works_without_a_directory() {
        let directory = scratch("small");
        let cache = Cache::new(&directory);
        for errno in 0..(2 * MAX_FILES) {
            let json = format!(r#"{{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":{errno}}}"#);
            assert!(cache.program(&json).unwrap().is_some());
        }
        assert!(std::fs::read_dir(&directory).unwrap().count() <= MAX_FILES);
        std::fs::remove_dir_all(&directory).unwrap();
        let nowhere = Cache::new("/proc/nowhere");
        assert!(nowhere.program(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#).unwrap().is_some());
        assert!(nowhere.program("{}").unwrap().is_none());
    }

    /// When this fails because the compiler gives another program, and rightly so: increase FORMAT.
    #[test]
    fn the_format_says_which_compiler() {
        let json = r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86"],"syscalls":[
            {"names":["read","write","socket","clone3"],"action":"SCMP_ACT_ALLOW"},
            {"names":["clone"],"action":"SCMP_ACT_LOG","args":[{"index":0,"value":240,"op":"SCMP_CMP_MASKED_EQ"}]},
            {"names":["clone"],"action":"SCMP_ACT_LOG","args":[{"index":1,"value":7,"op":"SCMP_CMP_GT"}]}]}"#;
        let program = crate::compile_for(&Profile::parse(json).unwrap().unwrap(), Arch::X86_64).unwrap();
        let found = program.filters.iter().fold(0, |sum, f| {
            let word =
                u64::from(f.code) << 48 | u64::from(f.jt) << 40 | u64::from(f.jf) << 32 | u64::from(f.k);
            hash(&(sum ^ word).to_le_bytes())
        });
        assert_eq!((FORMAT, found), (1, 0xf6cc_9c0c_1456_1255), "{found:#x}");
    }
}
