//! Devices moved into a container's network namespace, as the OCI runtime specification 1.3 wants
//! `linux.netDevices`:
//!
//! * a name that is taken there is an error, found before anything moves; `NAME%d` is a template
//!   that becomes the first free name;
//! * the link keeps its attributes (address, MTU) and its permanent addresses of global scope;
//! * it is up afterwards.
//!
//! The kernel drops a link's addresses when it moves, so they are read before and added after.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use taru_stdx::{Context, Error, Kind, Result};

use crate::address::{Address, Scope};
use crate::link::{Link, check_link_name};
use crate::netns;
use crate::socket::Netlink;

/// How often a template is tried again when somebody else takes the name in between.
const ATTEMPTS: usize = 8;

/// A device to be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device<'a> {
    /// Its name in the caller's network namespace.
    pub name: &'a str,
    /// Its name in the target; none: the same. `NAME%d` is a template.
    pub new_name: Option<&'a str>,
}

/// A device that was moved, and how it was before.
#[derive(Debug)]
pub struct Moved {
    /// Its name in the target namespace.
    pub name: String,
    before: Link,
    addresses: Vec<Address>,
}

/// Checks that `name` can be a [`Device::new_name`]: a link's name, or a template for one with a single `%d`.
///
/// # Errors
/// [`Kind::Invalid`], with the name.
pub fn check_device_name(name: &str) -> Result<()> {
    check_link_name(&name.replacen("%d", "0", 1))
}

/// Moves `devices` from the calling thread's network namespace into `target`: all or none.
///
/// Needs `CAP_NET_ADMIN` over both namespaces and `CAP_SYS_ADMIN` to enter the target. The
/// calling thread visits the target for an instant, to open a socket there.
///
/// # Errors
/// [`Kind::NotFound`] for a device that does not exist; [`Kind::Exists`] for a name that is taken
/// in the target; [`Kind::Invalid`] for a device that cannot be moved (`lo`). What had been moved
/// is then back, with its addresses.
pub fn move_devices(devices: &[Device<'_>], target: BorrowedFd<'_>) -> Result<Vec<Moved>> {
    let mut mover = Mover::new(target)?;
    let plans = mover.plan(devices)?;
    let mut moved = Vec::with_capacity(plans.len());
    for plan in plans {
        match mover.carry_out(plan) {
            Ok(device) => moved.push(device),
            Err(e) => {
                // The first error is the one to report.
                let _ = mover.revert(&moved);
                return Err(e);
            }
        }
    }
    Ok(moved)
}

/// Moves back what [`move_devices`] moved into `target`, with the names, the addresses and the state that they had.
///
/// # Errors
/// As [`move_devices`], of all devices; those that can be moved are.
pub fn move_back(moved: &[Moved], target: BorrowedFd<'_>) -> Result<()> {
    Mover::new(target)?.revert(moved)
}

/// Moves one device: [`move_devices`] with a list of one.
///
/// # Errors
/// As [`move_devices`].
pub fn move_device(name: &str, target: BorrowedFd<'_>, new_name: Option<&str>) -> Result<Moved> {
    let mut moved = move_devices(&[Device { name, new_name }], target)?;
    moved.pop().ok_or_else(|| Error::new(Kind::System, format!("move device `{name}`")))
}

/// A move decided upon, not yet done.
struct Plan<'a> {
    device: Device<'a>,
    link: Link,
    addresses: Vec<Address>,
}

/// The two namespaces, with a socket on each.
struct Mover<'a> {
    here: Netlink,
    home: OwnedFd,
    there: Netlink,
    target: BorrowedFd<'a>,
}

impl<'a> Mover<'a> {
    fn new(target: BorrowedFd<'a>) -> Result<Mover<'a>> {
        let home = netns::current()?;
        Ok(Mover { here: Netlink::open()?, home, there: Netlink::open_in(target)?, target })
    }

    /// Checks every device before any is moved; all problems are told together.
    fn plan<'d>(&mut self, devices: &[Device<'d>]) -> Result<Vec<Plan<'d>>> {
        let mut taken: Vec<String> = Vec::new();
        for link in self.there.links()? {
            taken.push(link.name);
            taken.extend(link.alt_names);
        }
        let mut plans = Vec::with_capacity(devices.len());
        let mut errors = Vec::new();
        for device in devices {
            match self.plan_one(*device, &taken) {
                Ok(plan) => {
                    let name = device.new_name.unwrap_or(device.name);
                    if !is_template(name) {
                        taken.push(name.to_owned());
                    }
                    plans.push(plan);
                }
                Err(e) => errors.push(e),
            }
        }
        match Error::all(errors) {
            Some(e) => Err(e),
            None => Ok(plans),
        }
    }

    fn plan_one<'d>(&mut self, device: Device<'d>, taken: &[String]) -> Result<Plan<'d>> {
        let what = || format!("move device `{}`", device.name);
        let name = device.new_name.unwrap_or(device.name);
        check_device_name(name).context(what)?;
        let link = self.here.link(device.name).context(what)?;
        if !is_template(name) && taken.iter().any(|other| other == name) {
            let why = format!("the target network namespace has a link named `{name}`");
            return Err(Error::new(Kind::Exists, what()).because(Error::new(Kind::Exists, why)));
        }
        let addresses = self.here.addresses(Some(link.index)).context(what)?;
        let addresses =
            addresses.into_iter().filter(|a| a.is_permanent() && a.scope == Scope::Global).collect();
        Ok(Plan { device, link, addresses })
    }

    fn carry_out(&mut self, plan: Plan<'_>) -> Result<Moved> {
        let Plan { device, link, addresses } = plan;
        let wanted = device.new_name.unwrap_or(device.name);
        let done = self.place(&link, wanted).and_then(|name| {
            self.furnish(&link, &name, &addresses)?;
            Ok(name)
        });
        match done {
            Ok(name) => Ok(Moved { name, before: link, addresses }),
            Err(e) => {
                // The kernel moves first and renames after: a failed request can have done half.
                let name = [wanted, device.name]
                    .into_iter()
                    .find(|name| matches!(self.there.find_link(name), Ok(Some(l)) if l.mac == link.mac));
                if let (Ok(None), Some(name)) = (self.here.find_link(device.name), name) {
                    let half = Moved { name: name.to_owned(), before: link, addresses };
                    let _ = self.bring_back(&half);
                }
                Err(e).context(|| format!("move device `{}`", device.name))
            }
        }
    }

    /// Moves and renames in one request; returns the name it got.
    fn place(&mut self, link: &Link, wanted: &str) -> Result<String> {
        if !is_template(wanted) {
            return self.here.move_link_as(link.index, self.target, wanted).map(|()| wanted.to_owned());
        }
        // The kernel would expand the template too, but not say to what.
        let mut last = Error::new(Kind::Exists, format!("expand `{wanted}`: every name is taken"));
        for _ in 0..ATTEMPTS {
            let names = self.there.links()?;
            let taken =
                |name: &str| names.iter().any(|l| l.name == name || l.alt_names.iter().any(|a| a == name));
            let Some(name) = expand(wanted, taken) else { break };
            match self.here.move_link_as(link.index, self.target, &name) {
                Ok(()) => return Ok(name),
                Err(e) if e.kind() == Kind::Exists => last = e,
                Err(e) => return Err(e),
            }
        }
        Err(last)
    }

    /// Gives the moved link its addresses and sets it up. Its index may be another one there.
    fn furnish(&mut self, before: &Link, name: &str, addresses: &[Address]) -> Result<()> {
        let index = self.there.link(name)?.index;
        restore(&mut self.there, index, addresses, &before.name, name)?;
        self.there.set_link_up(index)
    }

    fn revert(&mut self, moved: &[Moved]) -> Result<()> {
        let errors = moved.iter().rev().filter_map(|device| self.bring_back(device).err()).collect();
        Error::all(errors).map_or(Ok(()), Err)
    }

    fn bring_back(&mut self, moved: &Moved) -> Result<()> {
        let Moved { name, before, addresses } = moved;
        let what = || format!("move device `{name}` back");
        let index = self.there.link(name).context(what)?.index;
        self.there.move_link_as(index, self.home.as_fd(), &before.name).context(what)?;
        let index = self.here.link(&before.name).context(what)?.index;
        restore(&mut self.here, index, addresses, &before.name, &before.name).context(what)?;
        if before.is_up() { self.here.set_link_up(index).context(what) } else { Ok(()) }
    }
}

/// Adds `addresses`, read when the link's name was `old`, to the link `index`, now named `new`.
fn restore(netlink: &mut Netlink, index: u32, addresses: &[Address], old: &str, new: &str) -> Result<()> {
    for address in addresses {
        let mut address = address.clone();
        address.label = address.label.and_then(|label| relabel(&label, old, new));
        match netlink.add_address(index, &address) {
            // Setting a link up can have made an IPv6 address of its own accord.
            Err(e) if e.kind() == Kind::Exists => {}
            other => other?,
        }
    }
    Ok(())
}

/// The IPv4 label `label` of a link renamed from `old` to `new`: `eth0:1` becomes `net1:1`; one
/// that is just the name, or would be too long, is left to the kernel.
fn relabel(label: &str, old: &str, new: &str) -> Option<String> {
    let suffix = label.strip_prefix(old)?;
    let renamed = format!("{new}{suffix}");
    (!suffix.is_empty() && renamed.len() <= 15).then_some(renamed)
}

fn is_template(name: &str) -> bool {
    name.contains("%d")
}

/// The template with the smallest number that gives a name not taken.
fn expand(template: &str, taken: impl Fn(&str) -> bool) -> Option<String> {
    (0..1u32 << 15)
        .map(|number| template.replacen("%d", &number.to_string(), 1))
        .take_while(|name| check_link_name(name).is_ok())
        .find(|name| !taken(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        assert!(is_template("eth%d") && !is_template("eth0"));
        assert!(check_device_name("eth%d").is_ok() && check_device_name("eth0").is_ok());
        for bad in ["eth%s", "eth%d%d", "eth%", ""] {
            assert!(check_device_name(bad).is_err(), "{bad}");
        }
        assert_eq!(expand("eth%d", |name| name == "eth0").as_deref(), Some("eth1"));
        assert_eq!(expand("eth%d", |_| true), None);
        assert_eq!(expand("a-long-name-150%d", |_| false), None);
    }

    #[test]
    fn labels_follow_the_name() {
        assert_eq!(relabel("eth0:1", "eth0", "net1").as_deref(), Some("net1:1"));
        assert_eq!(relabel("eth0", "eth0", "net1"), None);
        assert_eq!(relabel("other", "eth0", "net1"), None);
        assert_eq!(relabel("eth0:123456", "eth0", "a-long-name"), None);
    }
}
