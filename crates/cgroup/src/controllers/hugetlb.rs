//! `hugetlb`: huge pages by size, in use and reserved.

use std::collections::BTreeMap;

use taru_stdx::{Error, Result};
use taru_sys::errno;

use crate::dir::Dir;
use crate::group::Place;

pub(super) fn apply(place: Place<'_>, limits: &BTreeMap<String, u64>) -> Result<()> {
    for (size, bytes) in limits {
        check(size)?;
        let value = bytes.to_string();
        match place {
            Place::V1(dir) => {
                dir.write(&format!("hugetlb.{size}.limit_in_bytes"), &value)?;
                reserved(dir, &format!("hugetlb.{size}.rsvd.limit_in_bytes"), &value)?;
            }
            Place::V2(dir) => {
                dir.write(&format!("hugetlb.{size}.max"), &value)?;
                reserved(dir, &format!("hugetlb.{size}.rsvd.max"), &value)?;
            }
            Place::Nowhere => {}
        }
    }
    Ok(())
}

/// Reservations are limited too, where the kernel counts them (Linux 5.7): a limit on faults alone kills
/// with SIGBUS.
fn reserved(dir: &Dir, file: &str, value: &str) -> Result<()> {
    match dir.try_write(file, value) {
        Err(e) if e.errno() != errno::NOENT => Err(dir.explain(file, e)),
        _ => Ok(()),
    }
}

/// A page size as the kernel writes it in file names.
fn check(size: &str) -> Result<()> {
    let digits = size.trim_end_matches(|c: char| c.is_ascii_uppercase());
    let ok = !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
        && ["KB", "MB", "GB"].contains(&&size[digits.len()..]);
    if ok {
        return Ok(());
    }
    Err(Error::invalid(format!("limit huge pages of size `{}`", size.escape_debug()))
        .hint("page sizes are written as 64KB, 2MB, 1GB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for good in ["64KB", "2MB", "1GB"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", "MB", "2", "2mb", "../2MB", "2MB/x", "2TB"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
