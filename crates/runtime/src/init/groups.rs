//! Init's control groups, which the host process makes while init mounts.
//!
//! Init waits for them where it needs them: at the first mount that shows control groups, copies content into memory, or is
//! of a device; or behind the last mount. From there on all that it does is limited and accounted.

use taru_cgroup::Joiner;
use taru_stdx::{Context, Result};
use taru_sys::ns::{self, Namespaces};

use crate::plan::Plan;
use crate::wire::{self, Link, Message};

/// The groups, joined once they are asked for.
pub(super) struct Groups<'a> {
    link: &'a Link,
    plan: &'a Plan,
    joined: Option<wire::Groups>,
}

impl<'a> Groups<'a> {
    pub(super) fn new(link: &'a Link, plan: &'a Plan) -> Groups<'a> {
        Groups { link, plan, joined: None }
    }

    /// Gets into the groups and a new cgroup namespace, unless that is done. What it gives has no files any more.
    pub(super) fn join(&mut self) -> Result<&mut wire::Groups> {
        let joined = match self.joined.take() {
            Some(joined) => joined,
            None => self.wait_and_join()?,
        };
        Ok(self.joined.insert(joined))
    }

    fn wait_and_join(&self) -> Result<wire::Groups> {
        let mut groups = self.link.expect("the runtime", |m| match m {
            Message::Groups(groups) => Ok(groups),
            other => Err(other),
        })?;
        Joiner::from_files(std::mem::take(&mut groups.files)).join()?;
        // Not before: the group that this process is in becomes the root of the new namespace.
        if self.plan.namespaces.new.contains(Namespaces::CGROUP) {
            ns::unshare(Namespaces::CGROUP).context(|| "make a cgroup namespace")?;
        }
        Ok(groups)
    }
}
