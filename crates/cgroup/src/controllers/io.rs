//! `blkio` and `io`: weights, and throttling by bytes and operations a second.

use taru_stdx::Result;

use super::files::read;
use super::text;
use crate::dir::Dir;
use crate::group::Place;
use crate::limits::{Device, Io};
use crate::skipped::Skipped;
use crate::stats::{IoCount, IoStats};

/// The v2 weight (1 to 10000) for a blkio weight (10 to 1000).
pub fn weight_of_blkio(weight: u16) -> u64 {
    1 + (u64::from(weight).saturating_sub(10)) * 9999 / 990
}

pub(super) fn apply(place: Place<'_>, io: &Io, skipped: &mut Vec<Skipped>) -> Result<()> {
    match place {
        Place::V1(dir) => apply_v1(dir, io),
        Place::V2(dir) => apply_v2(dir, io, skipped),
        Place::Nowhere => Ok(()),
    }
}

fn apply_v1(dir: &Dir, io: &Io) -> Result<()> {
    if io.weight.is_some() || !io.weight_device.is_empty() {
        // CFQ's files were `blkio.weight*`; it is gone since Linux 5.0, and BFQ has its own.
        let (weight, device) = match dir.has("blkio.weight") {
            true => ("blkio.weight", "blkio.weight_device"),
            false => ("blkio.bfq.weight", "blkio.bfq.weight_device"),
        };
        if let Some(value) = io.weight {
            dir.write(weight, &value.to_string())?;
        }
        for w in &io.weight_device {
            if let Some(value) = w.weight {
                dir.write(device, &format!("{} {value}", w.device))?;
            }
            if let Some(value) = w.leaf_weight {
                dir.write("blkio.leaf_weight_device", &format!("{} {value}", w.device))?;
            }
        }
    }
    if let Some(value) = io.leaf_weight {
        dir.write("blkio.leaf_weight", &value.to_string())?;
    }
    let throttles = [
        ("blkio.throttle.read_bps_device", &io.read_bps),
        ("blkio.throttle.write_bps_device", &io.write_bps),
        ("blkio.throttle.read_iops_device", &io.read_iops),
        ("blkio.throttle.write_iops_device", &io.write_iops),
    ];
    for (file, rates) in throttles {
        for (device, rate) in rates {
            dir.write(file, &format!("{device} {rate}"))?;
        }
    }
    Ok(())
}

fn apply_v2(dir: &Dir, io: &Io, skipped: &mut Vec<Skipped>) -> Result<()> {
    if io.weight.is_some() || !io.weight_device.is_empty() {
        weights_v2(dir, io, skipped)?;
    }
    if io.leaf_weight.is_some() || io.weight_device.iter().any(|w| w.leaf_weight.is_some()) {
        skipped.push(Skipped::not_on_v2("I/O leaf weight"));
    }
    let throttles = [
        ("rbps", &io.read_bps),
        ("wbps", &io.write_bps),
        ("riops", &io.read_iops),
        ("wiops", &io.write_iops),
    ];
    for (key, rates) in throttles {
        for (device, rate) in rates {
            dir.write("io.max", &throttle_v2(*device, key, *rate))?;
        }
    }
    Ok(())
}

/// BFQ has blkio's scale; `io.weight` has one of its own.
fn weights_v2(dir: &Dir, io: &Io, skipped: &mut Vec<Skipped>) -> Result<()> {
    let bfq = dir.read_if_there("io.bfq.weight")?;
    match (io.weight, &bfq) {
        (Some(weight), Some(_)) => dir.write("io.bfq.weight", &weight.to_string())?,
        (Some(weight), None) => dir.write("io.weight", &weight_of_blkio(weight).to_string())?,
        (None, _) => {}
    }
    for w in &io.weight_device {
        let Some(weight) = w.weight else { continue };
        match &bfq {
            // Since Linux 5.4 BFQ has a weight for each device; its file then has a line `default`.
            Some(text) if text.contains("default") => {
                dir.write("io.bfq.weight", &format!("{} {weight}", w.device))?;
            }
            Some(_) => skipped.push(Skipped {
                what: "I/O weight of a device",
                why: "BFQ of this kernel has none".to_owned(),
            }),
            None => dir.write("io.weight", &format!("{} {}", w.device, weight_of_blkio(weight)))?,
        }
    }
    Ok(())
}

/// A line of `io.max`. A rate of 0 lifts the limit, as it does on v1; v2's own word for that is `max`.
fn throttle_v2(device: Device, key: &str, rate: u64) -> String {
    match rate {
        0 => format!("{device} {key}=max"),
        rate => format!("{device} {key}={rate}"),
    }
}

pub(super) fn stats(place: Place<'_>) -> Result<IoStats> {
    let mut stats = IoStats::default();
    match place {
        Place::V1(dir) => {
            stats.bytes =
                first_of(dir, ["bfq.io_service_bytes", "io_service_bytes", "throttle.io_service_bytes"])?;
            stats.operations = first_of(dir, ["bfq.io_serviced", "io_serviced", "throttle.io_serviced"])?;
        }
        Place::V2(dir) => (stats.bytes, stats.operations) = counts_v2(&read(dir, "io.stat")?),
        Place::Nowhere => {}
    }
    Ok(stats)
}

/// The first of the files that has counted anything: each scheduler of v1 counts what goes through it.
fn first_of(dir: &Dir, files: [&str; 3]) -> Result<Vec<IoCount>> {
    for file in files {
        let counts = counts_v1(&read(dir, &format!("blkio.{file}_recursive"))?);
        if !counts.is_empty() {
            return Ok(counts);
        }
    }
    Ok(Vec::new())
}

fn device(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `8:0 Read 4096` a line, and a `Total` without device at the end.
fn counts_v1(text: &str) -> Vec<IoCount> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (major, minor) = device(words.next()?)?;
        let operation = words.next()?.to_owned();
        Some(IoCount { major, minor, operation, value: words.next()?.parse().ok()? })
    };
    text.lines().filter_map(line).collect()
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6` a line.
fn counts_v2(text: &str) -> (Vec<IoCount>, Vec<IoCount>) {
    let (mut bytes, mut operations) = (Vec::new(), Vec::new());
    for (name, keys) in text::nested(text) {
        let Some((major, minor)) = device(name) else { continue };
        for (key, operation) in [("r", "Read"), ("w", "Write"), ("d", "Discard")] {
            for (unit, list) in [("bytes", &mut bytes), ("ios", &mut operations)] {
                if let Some(value) = keys.get(format!("{key}{unit}").as_str()).and_then(|v| v.parse().ok()) {
                    list.push(IoCount { major, minor, operation: operation.to_owned(), value });
                }
            }
        }
    }
    (bytes, operations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_and_lines() {
        for (blkio, io) in [(0, 1), (10, 1), (100, 910), (500, 4950), (1000, 10_000)] {
            assert_eq!(weight_of_blkio(blkio), io, "{blkio}");
        }
        let sda = Device { major: 8, minor: 0 };
        assert_eq!(throttle_v2(sda, "rbps", 1024), "8:0 rbps=1024");
        assert_eq!(throttle_v2(sda, "wiops", 0), "8:0 wiops=max");
    }

    #[test]
    fn counts() {
        let v1 = counts_v1("254:0 Read 4096\n254:0 Total 4096\nTotal 4096\n");
        assert_eq!(v1.len(), 2);
        let read = IoCount { major: 254, minor: 0, operation: "Read".to_owned(), value: 4096 };
        assert_eq!(v1[0], read);
        let (bytes, operations) =
            counts_v2("254:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n8:0\nx y=1\n");
        assert_eq!((bytes.len(), operations.len()), (3, 3));
        assert_eq!(bytes[0], read);
        assert_eq!(operations[0].value, 1);
    }
}
