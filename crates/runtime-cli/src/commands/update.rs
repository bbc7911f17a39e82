//! `update`: other limits for a running container.

use std::path::{Path, PathBuf};

use clap::Args;
use taru_runtime::spec::{BlockIo, Cpu, IntelRdt, Memory, Pids, Resources};
use taru_runtime::update::{update, update_resctrl};
use taru_stdx::{Context, Error, Kind, Result, parse};

use crate::commands::Verb;
use crate::input;
use crate::settings::Settings;

/// Change the limits of a container
///
/// What is not named stays as it is. Sizes may have a unit (512k, 64M, 1.5G); -1 lifts a limit.
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Examples:
  taru-runtime update --memory 512M --memory-swap -1 web
  taru-runtime update --cpu-quota 50000 --cpu-period 100000 --pids-limit 100 web
  echo '{\"memory\": {\"limit\": 536870912}}' | taru-runtime update --resources - web

The document of --resources is the linux.resources of config.json. Its rules on devices are left
out: devices cannot be changed. Where an option names a limit, too, the option counts.")]
pub(crate) struct Update {
    /// The container
    id: String,
    /// Take the limits from the JSON document FILE; - is standard input
    #[arg(short, long, value_name = "FILE")]
    resources: Option<PathBuf>,
    /// Memory
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    memory: Option<String>,
    /// Memory that is left when others need some
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    memory_reservation: Option<String>,
    /// Memory and swap together
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    memory_swap: Option<String>,
    /// Kernel memory (v1, before Linux 5.16)
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, hide = true)]
    kernel_memory: Option<String>,
    /// TCP buffers (v1)
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, hide = true)]
    kernel_memory_tcp: Option<String>,
    /// Relative share of CPU time, 2 to 262144
    #[arg(long, value_name = "N")]
    cpu_share: Option<u64>,
    /// Microseconds of CPU time in a period
    #[arg(long, value_name = "USEC", allow_hyphen_values = true)]
    cpu_quota: Option<i64>,
    /// The period in microseconds; 0 is the kernel's default of 100000
    #[arg(long, value_name = "USEC")]
    cpu_period: Option<u64>,
    /// Microseconds of unused quota that may be saved up
    #[arg(long, value_name = "USEC")]
    cpu_burst: Option<u64>,
    /// 1: run only when nothing else wants to; 0: normally
    #[arg(long, value_name = "0|1", value_parser = clap::value_parser!(i64).range(0..=1))]
    cpu_idle: Option<i64>,
    /// Microseconds of real-time scheduling in a real-time period (v1)
    #[arg(long, value_name = "USEC", allow_hyphen_values = true)]
    cpu_rt_runtime: Option<i64>,
    /// The real-time period in microseconds (v1)
    #[arg(long, value_name = "USEC")]
    cpu_rt_period: Option<u64>,
    /// CPUs that may be used, as 0-2,7
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory nodes that may be used
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Number of processes and threads
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pids_limit: Option<i64>,
    /// Relative weight at block devices, 10 to 1000
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(10..=1000))]
    blkio_weight: Option<u16>,
    /// The L3 cache schema of Intel RDT
    #[arg(long, value_name = "SCHEMA")]
    l3_cache_schema: Option<String>,
    /// The memory bandwidth schema of Intel RDT
    #[arg(long, value_name = "SCHEMA")]
    mem_bw_schema: Option<String>,
}

impl Verb for Update {
    fn run(self, settings: &Settings) -> Result<u8> {
        let resources = self.to_resources()?;
        let record = settings.store()?.load(&self.id)?;
        if self.l3_cache_schema.is_some() || self.mem_bw_schema.is_some() {
            let rdt = IntelRdt {
                l3_cache_schema: self.l3_cache_schema.clone().unwrap_or_default(),
                mem_bw_schema: self.mem_bw_schema.clone().unwrap_or_default(),
                ..IntelRdt::default()
            };
            update_resctrl(&record, &rdt)?;
        }
        settings.warn(&update(&record, &resources)?);
        Ok(0)
    }
}

impl Update {
    /// What is to be changed, in the specification's words.
    fn to_resources(&self) -> Result<Resources> {
        let mut all = match &self.resources {
            Some(file) => read(file)?,
            None => Resources::default(),
        };
        // The container's devices may have been changed since by others (a GPU's hook); not to undo that.
        all.devices.clear();
        self.memory_into(all.memory.get_or_insert_default())?;
        self.cpu_into(all.cpu.get_or_insert_default());
        if let Some(limit) = self.pids_limit {
            all.pids = Some(Pids { limit: Some(limit) });
        }
        if let Some(weight) = self.blkio_weight {
            all.block_io.get_or_insert_with(BlockIo::default).weight = Some(weight);
        }
        Ok(all)
    }

    fn memory_into(&self, memory: &mut Memory) -> Result<()> {
        let fields = [
            ("--memory", &self.memory, &mut memory.limit),
            ("--memory-reservation", &self.memory_reservation, &mut memory.reservation),
            ("--memory-swap", &self.memory_swap, &mut memory.swap),
            ("--kernel-memory", &self.kernel_memory, &mut memory.kernel),
            ("--kernel-memory-tcp", &self.kernel_memory_tcp, &mut memory.kernel_tcp),
        ];
        for (option, text, field) in fields {
            if let Some(text) = text {
                *field = Some(bytes(text).context(|| format!("read {option}"))?);
            }
        }
        // v1 refuses more memory than memory and swap: lifting the first lifts both, as with runc.
        if memory.limit == Some(-1) && memory.swap.is_none() {
            memory.swap = Some(-1);
        }
        Ok(())
    }

    fn cpu_into(&self, cpu: &mut Cpu) {
        /// The kernel's period where none was set: `default_cfs_period()` in kernel/sched/fair.c.
        const PERIOD: u64 = 100_000;
        cpu.shares = self.cpu_share.or(cpu.shares);
        cpu.quota = self.cpu_quota.or(cpu.quota);
        cpu.period = self.cpu_period.map(|usec| if usec == 0 { PERIOD } else { usec }).or(cpu.period);
        cpu.burst = self.cpu_burst.or(cpu.burst);
        cpu.idle = self.cpu_idle.or(cpu.idle);
        cpu.realtime_runtime = self.cpu_rt_runtime.or(cpu.realtime_runtime);
        cpu.realtime_period = self.cpu_rt_period.or(cpu.realtime_period);
        for (list, field) in [(&self.cpuset_cpus, &mut cpu.cpus), (&self.cpuset_mems, &mut cpu.mems)] {
            if let Some(list) = list {
                field.clone_from(list);
            }
        }
    }
}

/// A size in bytes, -1 for none.
fn bytes(text: &str) -> Result<i64> {
    if text == "-1" {
        return Ok(-1);
    }
    i64::try_from(parse::size(text)?).map_err(|_| Error::invalid(format!("`{text}` is too large")))
}

fn read(file: &Path) -> Result<Resources> {
    /// A document of limits has a few kilobytes.
    const LIMIT: u64 = 1 << 20;
    let text = input::read(file, LIMIT)?;
    serde_json::from_slice(&text)
        .context_as(Kind::Invalid, || format!("parse the limits in `{}`", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_limits_in_the_words_of_the_specification() {
        let update = Update {
            memory: Some("64M".into()),
            memory_swap: Some("-1".into()),
            cpu_period: Some(0),
            cpuset_cpus: Some("0-1".into()),
            pids_limit: Some(-1),
            ..Update::default()
        };
        let all = update.to_resources().unwrap();
        let (memory, cpu) = (all.memory.unwrap(), all.cpu.unwrap());
        assert_eq!((memory.limit, memory.swap, memory.reservation), (Some(64 << 20), Some(-1), None));
        assert_eq!((cpu.period, cpu.cpus.as_str(), cpu.quota), (Some(100_000), "0-1", None));
        assert_eq!(all.pids.unwrap().limit, Some(-1));

        let lifted = Update { memory: Some("-1".into()), ..Update::default() }.to_resources().unwrap();
        assert_eq!(lifted.memory.unwrap().swap, Some(-1));
        let bad = Update { memory: Some("x".into()), ..Update::default() }.to_resources().unwrap_err();
        assert_eq!(bad.chain().to_string(), "read --memory: parse `x` as a size");
    }
}
