//! Limits of the whole container, as typed.

use taru_engine::config::{DeviceRate, Limits, LogLimits};
use taru_stdx::{Context, Error, Result, parse};

use super::Args;

pub(super) fn limits(args: &Args, note: &mut impl FnMut(Error)) -> Limits {
    let memory = args.memory.as_deref().map(|text| {
        let bytes = parse::size(text).context(|| "limit memory")?;
        // Below this not even a shell starts; Docker's bound is 6 MiB too.
        if bytes < 6 << 20 {
            return Err(Error::invalid(format!("limit memory to `{text}`: less than 6M")));
        }
        Ok(bytes)
    });
    let cpus = args.cpus.as_deref().map(|text| {
        let bad = || {
            Error::invalid(format!("limit processor time to `{text}` CPUs: not a number from 0.01 on"))
                .hint("a number such as 0.5 or 2")
        };
        let number: f64 = text.parse().map_err(|_| bad())?;
        // The kernel's smallest quota is 1 ms of each 100 ms.
        if number.is_finite() && (0.01..=1e6).contains(&number) {
            Ok((number * 1e9).round() as u64)
        } else {
            Err(bad())
        }
    });
    let mut take = |value: Option<Result<u64>>| value.and_then(|v| v.map_err(&mut *note).ok());
    let (memory, nano_cpus) = (take(memory), take(cpus));
    if let Some(shares) = args.cpu_shares.filter(|shares| !(2..=262_144).contains(shares)) {
        note(Error::invalid(format!("set the share of processor time to `{shares}`: not from 2 to 262144")));
    }
    if let Some(cpus) = &args.cpuset
        && !is_cpu_list(cpus)
    {
        note(
            Error::invalid(format!("choose the CPUs `{cpus}`: not a list of numbers"))
                .hint("a list such as 0-2,5"),
        );
    }
    let mut rates = |list: &[String], parse: fn(&str) -> Result<u64>| -> Vec<DeviceRate> {
        list.iter().filter_map(|text| rate(text, parse).map_err(&mut *note).ok()).collect()
    };
    let number: fn(&str) -> Result<u64> =
        |text| text.parse().map_err(|_| Error::invalid(format!("parse `{text}` as a whole number")));
    Limits {
        memory,
        nano_cpus,
        cpu_shares: args.cpu_shares,
        cpuset: args.cpuset.clone(),
        pids: args.pids,
        blkio_weight: args.blkio_weight,
        read_bps: rates(&args.device_read_bps, parse::size),
        write_bps: rates(&args.device_write_bps, parse::size),
        read_iops: rates(&args.device_read_iops, number),
        write_iops: rates(&args.device_write_iops, number),
    }
}

pub(super) fn log_limits(args: &Args, note: &mut impl FnMut(Error)) -> LogLimits {
    let file_size = args.log_max_size.as_deref().map(|text| {
        let bytes = parse::size(text).context(|| "limit a log file")?;
        // A file holds whole entries, and one takes more than 8 KiB.
        if bytes < 64 << 10 {
            return Err(Error::invalid(format!("limit a log file to `{text}`: less than 64K")));
        }
        Ok(bytes)
    });
    LogLimits { file_size: file_size.and_then(|v| v.map_err(note).ok()), files: args.log_max_files }
}

fn rate(text: &str, parse: fn(&str) -> Result<u64>) -> Result<DeviceRate> {
    let bad = || {
        Error::invalid(format!("parse `{text}` as the rate of a device"))
            .hint("DEVICE:RATE, such as /dev/sda:10M")
    };
    let (path, rate) = text.rsplit_once(':').ok_or_else(bad)?;
    let rate = parse(rate).map_err(|e| bad().because(e))?;
    if !path.starts_with('/') || rate == 0 {
        return Err(bad());
    }
    Ok(DeviceRate { path: path.into(), rate })
}

/// Whether `text` is a list of numbers and ranges.
fn is_cpu_list(text: &str) -> bool {
    let number = |n: &str| n.parse::<u16>().ok();
    text.split(',').all(|part| match part.split_once('-') {
        Some((from, to)) => matches!((number(from), number(to)), (Some(from), Some(to)) if from <= to),
        None => number(part).is_some(),
    })
}
