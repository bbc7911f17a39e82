//! The limits of a group as options: their names are those of `taru run` where both have one.

use std::os::unix::fs::{FileTypeExt, MetadataExt};

use taru_cgroup::{Access, Device, DeviceKind, Limits, Max, Rule};
use taru_stdx::{Context, Error, Result, parse};

/// Limits; what is not given is left as it is.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitArgs {
    /// CPU time: this many CPUs
    #[arg(long, value_name = "N", conflicts_with = "cpu_quota")]
    cpus: Option<f64>,
    /// CPU time in each period in microseconds, or `max`
    #[arg(long, value_name = "US")]
    cpu_quota: Option<String>,
    /// Length of the period in microseconds
    #[arg(long, value_name = "US")]
    cpu_period: Option<u64>,
    /// Unused quota in microseconds that may be saved for later
    #[arg(long, value_name = "US")]
    cpu_burst: Option<u64>,
    /// Relative share of CPU time, 2 to 262144; 1024 is normal
    #[arg(long, value_name = "N")]
    cpu_shares: Option<u64>,
    /// The same on the scale of cgroup v2, 1 to 10000; 100 is normal
    #[arg(long, value_name = "N", conflicts_with = "cpu_shares")]
    cpu_weight: Option<u64>,
    /// Run only when nobody else wants to: true or false
    #[arg(long, value_name = "BOOL")]
    cpu_idle: Option<bool>,
    /// The CPUs, as a list such as 0-2,7
    #[arg(long, value_name = "LIST", visible_alias = "cpuset-cpus")]
    cpuset: Option<String>,
    /// The memory nodes, as a list
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Memory, such as 64M, or `max`
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// Memory that stays when memory is short
    #[arg(long, value_name = "SIZE")]
    memory_reservation: Option<String>,
    /// Memory and swap together, or `max`
    #[arg(long, value_name = "SIZE")]
    memory_swap: Option<String>,
    /// Processes and threads, or `max`
    #[arg(long, value_name = "N")]
    pids: Option<String>,
    /// Relative weight of block I/O, 10 to 1000
    #[arg(long, value_name = "N")]
    blkio_weight: Option<u16>,
    /// Bytes a second read from a device; 0 lifts the limit
    #[arg(long, value_name = "DEVICE:RATE")]
    device_read_bps: Vec<String>,
    /// Bytes a second written to a device
    #[arg(long, value_name = "DEVICE:RATE")]
    device_write_bps: Vec<String>,
    /// Reads a second from a device
    #[arg(long, value_name = "DEVICE:RATE")]
    device_read_iops: Vec<String>,
    /// Writes a second to a device
    #[arg(long, value_name = "DEVICE:RATE")]
    device_write_iops: Vec<String>,
    /// Deny all devices but those of --device-allow
    #[arg(long)]
    device_deny_all: bool,
    /// Allow a device: /dev/null:rw or `c 1:3 rwm`; implies --device-deny-all
    #[arg(long, value_name = "RULE")]
    device_allow: Vec<String>,
    /// Huge pages, as 2MB:64M
    #[arg(long, value_name = "PAGE:SIZE")]
    hugetlb: Vec<String>,
    /// Class of packets for tc(8), such as 0x100001 (v1)
    #[arg(long, value_name = "CLASS")]
    net_class: Option<String>,
    /// Priority of packets by interface, as eth0:5 (v1)
    #[arg(long, value_name = "INTERFACE:N")]
    net_priority: Vec<String>,
    /// A file of cgroup v2 by name
    #[arg(long, value_name = "FILE=VALUE")]
    unified: Vec<String>,
}

impl LimitArgs {
    /// The limits that the options say, with all mistakes reported together.
    pub(super) fn limits(&self) -> Result<Limits> {
        let mut limits = Limits::default();
        let mut errors = Vec::new();
        let results = [
            self.cpu(&mut limits),
            self.memory(&mut limits),
            self.io(&mut limits),
            self.devices(&mut limits),
            self.others(&mut limits),
        ];
        errors.extend(results.into_iter().filter_map(Result::err));
        Error::all(errors).map_or(Ok(limits), Err)
    }

    fn cpu(&self, limits: &mut Limits) -> Result<()> {
        const PERIOD: u64 = 100_000;
        let cpu = &mut limits.cpu;
        (cpu.period, cpu.burst, cpu.idle) = (self.cpu_period, self.cpu_burst, self.cpu_idle);
        (cpu.shares, cpu.weight) = (self.cpu_shares, self.cpu_weight);
        cpu.quota = read("cpu-quota", self.cpu_quota.as_deref(), number)?;
        if let Some(cpus) = self.cpus {
            if !(cpus.is_finite() && cpus > 0.0) {
                return Err(Error::invalid(format!("limit CPU time to `{cpus}` CPUs: not above 0")));
            }
            let period = *cpu.period.get_or_insert(PERIOD);
            cpu.quota = Some(Max::Value((cpus * period as f64) as u64));
        }
        (limits.cpuset.cpus, limits.cpuset.mems) = (self.cpuset.clone(), self.cpuset_mems.clone());
        Ok(())
    }

    fn memory(&self, limits: &mut Limits) -> Result<()> {
        limits.memory.limit = read("memory", self.memory.as_deref(), parse::size)?;
        limits.memory.reservation =
            read("memory-reservation", self.memory_reservation.as_deref(), parse::size)?;
        limits.memory.swap = read("memory-swap", self.memory_swap.as_deref(), parse::size)?;
        Ok(())
    }

    fn io(&self, limits: &mut Limits) -> Result<()> {
        let rates = |list: &[String]| list.iter().map(|text| rate(text)).collect::<Result<Vec<_>>>();
        limits.io.weight = self.blkio_weight;
        limits.io.read_bps = rates(&self.device_read_bps)?;
        limits.io.write_bps = rates(&self.device_write_bps)?;
        limits.io.read_iops = rates(&self.device_read_iops)?;
        limits.io.write_iops = rates(&self.device_write_iops)?;
        Ok(())
    }

    fn devices(&self, limits: &mut Limits) -> Result<()> {
        if self.device_deny_all || !self.device_allow.is_empty() {
            let (kind, access) = (DeviceKind::All, Access::ALL);
            limits.devices.push(Rule { allow: false, kind, major: None, minor: None, access });
        }
        for text in &self.device_allow {
            limits.devices.push(rule(text)?);
        }
        Ok(())
    }

    fn others(&self, limits: &mut Limits) -> Result<()> {
        limits.pids = read("pids", self.pids.as_deref(), number)?;
        for text in &self.hugetlb {
            let (page, size) = pair(text, ':', "--hugetlb", "PAGE:SIZE")?;
            limits.hugetlb.insert(page.to_owned(), parse::size(size)?);
        }
        limits.net.class_id = self.net_class.as_deref().map(class).transpose()?;
        for text in &self.net_priority {
            let (interface, priority) = pair(text, ':', "--net-priority", "INTERFACE:N")?;
            let priority = number(priority)?
                .try_into()
                .map_err(|_| Error::invalid(format!("use `{priority}` as a priority: too large")))?;
            limits.net.priorities.insert(interface.to_owned(), priority);
        }
        for text in &self.unified {
            let (file, value) = pair(text, '=', "--unified", "FILE=VALUE")?;
            limits.unified.insert(file.to_owned(), value.to_owned());
        }
        Ok(())
    }
}

fn pair<'a>(text: &'a str, by: char, option: &str, form: &str) -> Result<(&'a str, &'a str)> {
    text.split_once(by).ok_or_else(|| Error::invalid(format!("parse `{option} {text}`: not {form}")))
}

fn number(text: &str) -> Result<u64> {
    text.parse().map_err(|_| Error::invalid(format!("parse `{text}` as a whole number")))
}

/// What `--option` was given, if it was.
fn read(option: &str, text: Option<&str>, value: impl Fn(&str) -> Result<u64>) -> Result<Option<Max>> {
    text.map(|text| max(text, value)).transpose().context(|| format!("read --{option}"))
}

/// A value, or `max` (`-1` as with the peers) for none.
fn max(text: &str, value: impl Fn(&str) -> Result<u64>) -> Result<Max> {
    if text == "max" || text == "-1" { Ok(Max::Unlimited) } else { value(text).map(Max::Value) }
}

/// A class as tc(8) has it: `0xAAAABBBB` or `AAAA:BBBB`, both hexadecimal.
fn class(text: &str) -> Result<u32> {
    let bad = |_| {
        Error::invalid(format!("parse `{text}` as a class of packets")).hint("a class is as 10:1 or 0x100001")
    };
    if let Some((major, minor)) = text.split_once(':') {
        let half = |part: &str| u16::from_str_radix(part, 16).map(u32::from).map_err(bad);
        return Ok(half(major)? << 16 | half(minor)?);
    }
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).map_err(bad),
        None => text.parse().map_err(bad),
    }
}

/// `DEVICE:RATE`, the device by path (`/dev/sda`) or number (`8:0`).
fn rate(text: &str) -> Result<(Device, u64)> {
    let (device, rate) = text
        .rsplit_once(':')
        .ok_or_else(|| Error::invalid(format!("parse `{text}` as a rate: not DEVICE:RATE")))?;
    let rate = parse::size(rate)?;
    if let Some((major, minor)) = device.split_once(':') {
        let part = |n: &str| {
            n.parse().map_err(|_| Error::invalid(format!("parse `{device}` as a device: not MAJOR:MINOR")))
        };
        return Ok((Device { major: part(major)?, minor: part(minor)? }, rate));
    }
    let (kind, device_number) = device_of(device)?;
    match kind {
        DeviceKind::Block => Ok((device_number, rate)),
        _ => Err(Error::invalid(format!("limit `{device}`: not a block device"))),
    }
}

/// Type and number of a device node.
fn device_of(path: &str) -> Result<(DeviceKind, Device)> {
    let meta = std::fs::metadata(path).context(|| format!("look at `{path}`"))?;
    let kind = match meta.file_type() {
        t if t.is_block_device() => DeviceKind::Block,
        t if t.is_char_device() => DeviceKind::Char,
        _ => return Err(Error::invalid(format!("use `{path}` as a device: it is none"))),
    };
    // The parts of dev_t as makedev(3) puts them together.
    let number = meta.rdev();
    let major = (number >> 8 & 0xfff | number >> 32 & !0xfff) as u32;
    let minor = (number & 0xff | number >> 12 & !0xff) as u32;
    Ok((kind, Device { major, minor }))
}

/// `PATH[:rwm]`, or a line of the kernel: `c 1:3 rwm` with `*` for any number.
fn rule(text: &str) -> Result<Rule> {
    let bad = || {
        Error::invalid(format!("parse `{text}` as a rule for devices"))
            .hint("a rule is as /dev/null:rw or `c 1:3 rwm`")
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    if let [kind, numbers, access] = words.as_slice() {
        let kind = match *kind {
            "a" => DeviceKind::All,
            "b" => DeviceKind::Block,
            "c" => DeviceKind::Char,
            _ => return Err(bad()),
        };
        let number = |n: &str| if n == "*" { Ok(None) } else { n.parse().map(Some).map_err(|_| bad()) };
        let (major, minor) = numbers.split_once(':').ok_or_else(bad)?;
        let access = Access::parse(access)?;
        return Ok(Rule { allow: true, kind, major: number(major)?, minor: number(minor)?, access });
    }
    let (path, access) = text.rsplit_once(':').unwrap_or((text, "rwm"));
    let (kind, device) = device_of(path)?;
    let access = Access::parse(access)?;
    Ok(Rule { allow: true, kind, major: Some(device.major), minor: Some(device.minor), access })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        assert_eq!(max("max", number).unwrap(), Max::Unlimited);
        assert_eq!(max("64k", parse::size).unwrap(), Max::Value(65536));
        assert_eq!(class("10:1").unwrap(), 0x0010_0001);
        assert_eq!(class("0x100001").unwrap(), 0x0010_0001);
        assert!(class("x").is_err());
        assert_eq!(rate("8:16:1M").unwrap(), (Device { major: 8, minor: 16 }, 1 << 20));
        assert!(rate("/dev/null:1").is_err() && rate("8").is_err());
    }

    #[test]
    fn rules_by_path_and_by_number() {
        let null = rule("/dev/null:r").unwrap();
        assert_eq!(
            (null.kind, null.major, null.minor, null.access),
            (DeviceKind::Char, Some(1), Some(3), Access::READ)
        );
        assert_eq!(rule("/dev/null").unwrap().access, Access::ALL);
        let any = rule("b *:* m").unwrap();
        assert_eq!((any.kind, any.major, any.minor), (DeviceKind::Block, None, None));
        assert!(rule("x 1:3 r").is_err() && rule("c 13 r").is_err() && rule("/etc/passwd").is_err());
    }

    #[test]
    fn all_mistakes_at_once() {
        let args = LimitArgs {
            cpus: Some(-1.0),
            memory: Some("x".into()),
            pids: Some("y".into()),
            ..LimitArgs::default()
        };
        let text = args.limits().unwrap_err().chain().to_string();
        assert!(["-1", "`x`", "`y`"].iter().all(|part| text.contains(part)), "{text}");
    }
}
