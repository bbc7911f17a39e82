//! `net_cls` and `net_prio` of v1: tags and priorities of packets.

use taru_stdx::Result;

use super::word;
use crate::dir::Dir;
use crate::limits::Net;

pub(super) fn apply_class(dir: &Dir, net: &Net) -> Result<()> {
    net.class_id.map_or(Ok(()), |class| dir.write("net_cls.classid", &class.to_string()))
}

pub(super) fn apply_priorities(dir: &Dir, net: &Net) -> Result<()> {
    for (interface, priority) in &net.priorities {
        let interface = word("the name of an interface", interface)?;
        dir.write("net_prio.ifpriomap", &format!("{interface} {priority}"))?;
    }
    Ok(())
}
