//! The controllers, one file each: how a limit is written on v1 and on v2, and how usage is read.

mod cpu;
mod cpuset;
mod files;
mod hugetlb;
mod io;
mod memory;
mod net;
mod rdma;
mod text;
mod unified;
mod usage;

use taru_stdx::{Error, Kind, Result};

use crate::dir::Dir;
use crate::group::Place;
use crate::limits::Limits;
use crate::skipped::Skipped;
use crate::{Cgroup, Controller, devices, subtree};

pub use cpu::weight_of_shares;
pub use io::weight_of_blkio;

impl Cgroup {
    /// Writes the limits to the group. What is `None` or empty is left as it is; a later call changes
    /// what it names, also while processes run.
    ///
    /// Returns what this layout has no counterpart for, and the device filter where it may not be loaded.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] for a controller that is not there, [`Kind::Invalid`] for a value that the
    /// kernel refuses, [`Kind::Busy`] for a memory limit below the usage; with the file and the value.
    pub fn apply(&self, limits: &Limits) -> Result<Vec<Skipped>> {
        let mut skipped = Vec::new();
        self.apply_devices(limits, &mut skipped)?;
        if let Some(place) = self.wanted(Controller::Cpu, limits.cpu != Default::default())? {
            cpu::apply(place, &limits.cpu, &mut skipped)?;
        }
        if let Some(place) = self.wanted(Controller::Cpuset, limits.cpuset != Default::default())? {
            cpuset::apply(place.dir()?, &limits.cpuset)?;
        }
        let memory = limits.memory != Default::default();
        if let Some(place) = self.wanted(Controller::Memory, memory)? {
            memory::apply(place, &limits.memory, &mut skipped)?;
        }
        if let Some(place) = self.wanted(Controller::Io, limits.io != Default::default())? {
            io::apply(place, &limits.io, &mut skipped)?;
        }
        if let (Some(place), Some(max)) = (self.wanted(Controller::Pids, limits.pids.is_some())?, limits.pids)
        {
            place.dir()?.write("pids.max", &max.or_max())?;
        }
        if let Some(place) = self.wanted(Controller::Hugetlb, !limits.hugetlb.is_empty())? {
            hugetlb::apply(place, &limits.hugetlb)?;
        }
        if let Some(place) = self.wanted(Controller::Rdma, !limits.rdma.is_empty())? {
            rdma::apply(place.dir()?, &limits.rdma)?;
        }
        if let Some(place) = self.wanted(Controller::Misc, !limits.misc.is_empty())? {
            rdma::apply_misc(place.dir()?, &limits.misc)?;
        }
        self.apply_net(limits, &mut skipped)?;
        unified::apply(self, &limits.unified)?;
        Ok(skipped)
    }

    fn apply_devices(&self, limits: &Limits, skipped: &mut Vec<Skipped>) -> Result<()> {
        if limits.devices.is_empty() {
            return Ok(());
        }
        match self.place(Controller::Devices) {
            Place::V1(dir) => devices::apply_v1(dir, &limits.devices),
            Place::V2(dir) => {
                skipped.extend(devices::apply_v2(dir, &limits.devices)?);
                Ok(())
            }
            Place::Nowhere => {
                let why = "there is no cgroup to apply them to".to_owned();
                skipped.push(Skipped { what: "devices", why });
                Ok(())
            }
        }
    }

    fn apply_net(&self, limits: &Limits, skipped: &mut Vec<Skipped>) -> Result<()> {
        if limits.net.class_id.is_some() {
            match self.wanted(Controller::NetCls, true)? {
                Some(Place::V1(dir)) => net::apply_class(dir, &limits.net)?,
                _ => skipped.push(Skipped::not_on_v2("network class")),
            }
        }
        if !limits.net.priorities.is_empty() {
            match self.wanted(Controller::NetPrio, true)? {
                Some(Place::V1(dir)) => net::apply_priorities(dir, &limits.net)?,
                _ => skipped.push(Skipped::not_on_v2("network priorities")),
            }
        }
        Ok(())
    }

    /// Where a controller that is `asked` for is; an error if it is nowhere.
    fn wanted(&self, controller: Controller, asked: bool) -> Result<Option<Place<'_>>> {
        if !asked {
            return Ok(None);
        }
        match self.place(controller) {
            Place::Nowhere => Err(Error::new(
                Kind::Unsupported,
                format!("set a limit of `{controller}`: the controller is not available to this group"),
            )
            .hint(
                "it must be in /proc/cgroups, mounted, and this user must be allowed to make groups in it",
            )),
            Place::V2(dir) if !self.v1.is_empty() => {
                subtree::ensure_enabled(dir, controller)?;
                Ok(Some(Place::V2(dir)))
            }
            place => Ok(Some(place)),
        }
    }
}

impl<'a> Place<'a> {
    /// The directory, for controllers whose files are the same in both versions.
    fn dir(self) -> Result<&'a Dir> {
        match self {
            Place::V1(dir) | Place::V2(dir) => Ok(dir),
            Place::Nowhere => Err(Error::new(Kind::Unsupported, "set a limit: the group is nowhere")),
        }
    }
}

/// `text` if it is one word, as the names of devices and interfaces in the lines of these files must be.
fn word<'a>(what: &str, text: &'a str) -> Result<&'a str> {
    if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(Error::invalid(format!("use `{}` as {what}: not one word", text.escape_debug())));
    }
    Ok(text)
}
