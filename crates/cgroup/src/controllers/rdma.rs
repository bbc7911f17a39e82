//! `rdma` and `misc`: numbers of things, by name; the same files in both versions.

use std::collections::BTreeMap;

use taru_stdx::Result;

use super::files::read;
use super::{text, word};
use crate::dir::Dir;
use crate::limits::{Max, Rdma};
use crate::stats::RdmaStats;

pub(super) fn apply(dir: &Dir, limits: &BTreeMap<String, Rdma>) -> Result<()> {
    for (device, limit) in limits {
        dir.write("rdma.max", &line(word("the name of an RDMA device", device)?, limit))?;
    }
    Ok(())
}

pub(super) fn apply_misc(dir: &Dir, limits: &BTreeMap<String, Max>) -> Result<()> {
    for (resource, max) in limits {
        let resource = word("the name of a resource", resource)?;
        dir.write("misc.max", &format!("{resource} {}", max.or_max()))?;
    }
    Ok(())
}

fn line(device: &str, limit: &Rdma) -> String {
    let max = |n: Option<u32>| n.map_or("max".to_owned(), |n| n.to_string());
    format!("{device} hca_handle={} hca_object={}", max(limit.handles), max(limit.objects))
}

pub(super) fn stats(dir: &Dir) -> Result<BTreeMap<String, RdmaStats>> {
    let text = read(dir, "rdma.current")?;
    let line = |(device, keys): (&str, BTreeMap<&str, &str>)| {
        let value = |key: &str| keys.get(key).map_or(0, |v| text::number(v));
        (device.to_owned(), RdmaStats { handles: value("hca_handle"), objects: value("hca_object") })
    };
    Ok(text::nested(&text).into_iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let limit = Rdma { handles: Some(3), objects: None };
        assert_eq!(line("mlx5_1", &limit), "mlx5_1 hca_handle=3 hca_object=max");
        assert!(word("x", "a b").is_err() && word("x", "").is_err() && word("x", "a\nb").is_err());
    }
}
