//! Reading the usage of a group: one file after another, each of which may be missing.

use taru_stdx::Result;

use super::files::read;
use super::text::{limit, number};
use super::{cpu, cpuset, hugetlb, io, memory, rdma, text};
use crate::dir::Dir;
use crate::stats::{PidsStats, Pressure, Stats};
use crate::{Cgroup, Controller};

impl Cgroup {
    /// What the group has used and is using.
    ///
    /// # Errors
    /// When a file that is there cannot be read. A group that is gone has used nothing.
    pub fn stats(&self) -> Result<Stats> {
        let cpu = self.place(Controller::Cpu);
        let mut stats = Stats {
            cpu: cpu::stats(cpu, self.place(Controller::Cpuacct))?,
            memory: memory::stats(self.place(Controller::Memory))?,
            io: io::stats(self.place(Controller::Io))?,
            pids: self.pids_stats()?,
            ..Stats::default()
        };
        if let Ok(dir) = self.place(Controller::Cpuset).dir() {
            stats.cpuset = cpuset::stats(dir)?;
        }
        stats.hugetlb = hugetlb::stats(self.place(Controller::Hugetlb))?;
        if let Ok(dir) = self.place(Controller::Rdma).dir() {
            stats.rdma = rdma::stats(dir)?;
        }
        if let Ok(dir) = self.place(Controller::Misc).dir() {
            stats.misc = text::flat(&read(dir, "misc.current")?);
        }
        // The cgroup2 mount counts stalls for any group, beside v1 too.
        if let Some(v2) = &self.v2 {
            stats.cpu.pressure = pressure(&v2.dir, "cpu.pressure")?;
            stats.memory.pressure = pressure(&v2.dir, "memory.pressure")?;
            stats.io.pressure = pressure(&v2.dir, "io.pressure")?;
        }
        Ok(stats)
    }

    fn pids_stats(&self) -> Result<PidsStats> {
        let mut pids = PidsStats::default();
        if let Ok(dir) = self.place(Controller::Pids).dir()
            && let Some(current) = dir.read_if_there("pids.current")?
        {
            pids.current = number(&current);
            pids.limit = limit(&read(dir, "pids.max")?);
            pids.peak = limit(&read(dir, "pids.peak")?);
        } else {
            // Without the controller the processes are counted, though not their threads.
            pids.current = self.pids_recursive()?.len() as u64;
        }
        Ok(pids)
    }
}

fn pressure(dir: &Dir, file: &str) -> Result<Option<Pressure>> {
    Ok(text::pressure(&read(dir, file)?))
}
