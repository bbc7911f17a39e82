//! The formats that the kernel's cgroup files are written in, read without trust: what does not parse is left out.

use std::collections::BTreeMap;

use crate::stats::{Pressure, Stall};

/// `key value` a line.
pub(super) fn flat(text: &str) -> BTreeMap<String, u64> {
    text.lines()
        .filter_map(|line| {
            let (key, value) = line.split_once(' ')?;
            Some((key.to_owned(), value.trim().parse().ok()?))
        })
        .collect()
}

/// `name key=value key=value ...` a line.
pub(super) fn nested(text: &str) -> Vec<(&str, BTreeMap<&str, &str>)> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next()?;
            Some((name, words.filter_map(|w| w.split_once('=')).collect()))
        })
        .collect()
}

/// A number, `max` or v1's "unlimited" (the highest multiple of the page size) being none.
pub(super) fn limit(text: &str) -> Option<u64> {
    /// 2^63 rounded down to a page of 64 KiB, the largest in use.
    const UNLIMITED_V1: u64 = 0x7fff_ffff_ffff_0000;
    text.trim().parse().ok().filter(|n| *n < UNLIMITED_V1)
}

/// A single number; 0 if it is none.
pub(super) fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

/// Numbers on one line.
pub(super) fn numbers(text: &str) -> Vec<u64> {
    text.split_whitespace().filter_map(|n| n.parse().ok()).collect()
}

/// `some avg10=.. avg60=.. avg300=.. total=..` and the same for `full`, which the CPU's lacked before Linux 5.13.
pub(super) fn pressure(text: &str) -> Option<Pressure> {
    let mut some = None;
    let mut full = None;
    for (name, keys) in nested(text) {
        let average = |key: &str| keys.get(key).and_then(|v| v.parse().ok()).unwrap_or(0.0);
        let stall = Stall {
            avg10: average("avg10"),
            avg60: average("avg60"),
            avg300: average("avg300"),
            total_us: keys.get("total").map_or(0, |v| number(v)),
        };
        match name {
            "some" => some = Some(stall),
            "full" => full = Some(stall),
            _ => {}
        }
    }
    Some(Pressure { some: some?, full })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let map = flat("usage_usec 12\nbad\nalso bad x\nnr 3\n");
        assert_eq!(
            map.into_iter().collect::<Vec<_>>(),
            [("nr".to_owned(), 3), ("usage_usec".to_owned(), 12)]
        );
        let lines = nested("8:0 rbytes=1 wbytes=2\n\n253:0 rios=x junk\n");
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].1["wbytes"], "2");
        for (text, value) in
            [("max\n", None), ("4096\n", Some(4096)), ("9223372036854771712\n", None), ("", None)]
        {
            assert_eq!(limit(text), value, "{text}");
        }
        assert_eq!(numbers("1 2  x 3 \n"), [1, 2, 3]);
    }

    #[test]
    fn pressure_with_and_without_full() {
        let p = pressure("some avg10=1.50 avg60=0.25 avg300=0.00 total=77\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n").unwrap();
        assert_eq!((p.some.avg10, p.some.total_us, p.full.unwrap().total_us), (1.5, 77, 5));
        assert!(pressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n").unwrap().full.is_none());
        assert!(pressure("").is_none());
    }
}
