//! Which devices the processes of a group may make, read and write.
//!
//! v1 has files for it, v2 a BPF program that the kernel asks at each `open` and `mknod`.

mod filter;
mod table;

use std::fmt;
use std::os::fd::AsFd;

use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::{bpf, errno};

pub use filter::program;

use crate::dir::Dir;
use crate::skipped::Skipped;
pub(crate) use table::Table;

/// A rule about devices. The rules of a list are read in order, and a later one goes before an earlier one, for
/// each kind of access by itself. What no rule speaks of is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Whether it allows or denies.
    pub allow: bool,
    /// The type of device.
    pub kind: DeviceKind,
    /// Major number; `None`: any.
    pub major: Option<u32>,
    /// Minor number; `None`: any.
    pub minor: Option<u32>,
    /// What it is about.
    pub access: Access,
}

/// The type of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceKind {
    /// Both types.
    All,
    /// Character devices.
    Char,
    /// Block devices.
    Block,
}

/// Kinds of access to a device; the bits are the kernel's (`BPF_DEVCG_ACC_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Access(u8);

impl Access {
    /// Making a node for it.
    pub const MKNOD: Access = Access(1);
    /// Opening to read.
    pub const READ: Access = Access(2);
    /// Opening to write.
    pub const WRITE: Access = Access(4);
    /// All of them.
    pub const ALL: Access = Access(7);

    /// Parses `rwm` in any order; empty is no access.
    ///
    /// # Errors
    /// Any other letter.
    pub fn parse(text: &str) -> Result<Access> {
        text.chars().try_fold(Access(0), |seen, c| match c {
            'm' => Ok(Access(seen.0 | Access::MKNOD.0)),
            'r' => Ok(Access(seen.0 | Access::READ.0)),
            'w' => Ok(Access(seen.0 | Access::WRITE.0)),
            _ => Err(Error::invalid(format!("parse `{text}` as access to a device: letters of `rwm` only"))),
        })
    }

    /// The kernel's bits.
    pub fn bits(self) -> u8 {
        self.0
    }

    fn and(self, other: Access) -> Access {
        Access(self.0 & other.0)
    }

    fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, letter) in [(Access::READ, "r"), (Access::WRITE, "w"), (Access::MKNOD, "m")] {
            if !self.and(bit).is_none() {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

/// Writes the difference between what the v1 group has and what `rules` say.
pub(crate) fn apply_v1(dir: &Dir, rules: &[Rule]) -> Result<()> {
    if rules.is_empty() {
        return Ok(());
    }
    let wanted = Table::of_rules(rules)?;
    let present = Table::parse_list(&dir.read("devices.list")?)?;
    let steps = present.steps_to(&wanted);
    for steps in steps.chunk_by(|(file, _), (next, _)| file == next) {
        let Some((file, _)) = steps.first() else { continue };
        let lines: Vec<&str> = steps.iter().map(|(_, line)| line.as_str()).collect();
        dir.write_each(file, &lines).map_err(|e| {
            e.hint("a v1 group cannot have more devices than the one above it, nor change them while it has children")
        })?;
    }
    Ok(())
}

/// Loads the filter for `rules` and puts it in the place of those attached to the v2 group.
///
/// Where this user may not (a nested or rootless runtime), or the kernel has no such programs, the answer is
/// what was skipped: device nodes cannot be made there anyway.
pub(crate) fn apply_v2(dir: &Dir, rules: &[Rule]) -> Result<Option<Skipped>> {
    if rules.is_empty() {
        return Ok(None);
    }
    let filter = match bpf::load_device_filter(&program(rules)?, "taru_devices") {
        Ok(filter) => filter,
        Err(e) if [errno::PERM, errno::NOSYS].contains(&e.errno()) => {
            return Ok(Some(Skipped { what: "devices", why: format!("bpf: {}", e.errno()) }));
        }
        Err(e) => return Err(e).context_as(Kind::System, || "load the device filter"),
    };
    let (group, filter) = (dir.as_fd(), filter.as_fd());
    let old = bpf::device_filters(group).context(|| "list the device filters")?;
    if let [one] = old.as_slice()
        && bpf::attach_device_filter(group, filter, Some(one.as_fd())).is_ok()
    {
        return Ok(None);
    }
    // Before Linux 5.6, or with several: add, then take the others away. In between both must allow.
    bpf::attach_device_filter(group, filter, None).context(|| "attach the device filter")?;
    for other in &old {
        bpf::detach_device_filter(group, other.as_fd()).context(|| "detach the former device filter")?;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_is_parsed_and_printed() {
        assert_eq!(Access::parse("mwr").unwrap(), Access::ALL);
        assert_eq!(Access::parse("w").unwrap().to_string(), "w");
        assert_eq!(Access::ALL.to_string(), "rwm");
        assert!(Access::parse("rx").is_err());
    }
}
