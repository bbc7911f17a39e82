//! Init's control groups, which the host process makes while init mounts.
//!
//! Init waits for them where it needs them: at the first mount that shows control groups, copies content into memory, or is
//! of a device; or behind the last mount. From there on all that it does is limited and accounted.

use std::collections::BTreeMap;
use std::path::PathBuf;

use taru_cgroup::Joiner;
use taru_stdx::{Context, Result};
use taru_sys::ns::{self, Namespaces};

use crate::plan::Plan;
use crate::wire::{Link, Message};

/// The groups, joined once they are asked for.
pub(super) struct Groups<'a> {
    link: &'a Link,
    plan: &'a Plan,
    paths: Option<BTreeMap<String, PathBuf>>,
}

impl<'a> Groups<'a> {
    pub(super) fn new(link: &'a Link, plan: &'a Plan) -> Groups<'a> {
        Groups { link, plan, paths: None }
    }

    /// Gets into the groups and a new cgroup namespace, unless that is done. Gives the groups' directories on the host by
    /// hierarchy.
    pub(super) fn join(&mut self) -> Result<&BTreeMap<String, PathBuf>> {
        let paths = match self.paths.take() {
            Some(paths) => paths,
            None => self.wait_and_join()?,
        };
        Ok(self.paths.insert(paths))
    }

    fn wait_and_join(&self) -> Result<BTreeMap<String, PathBuf>> {
        let groups = self.link.expect("the runtime", |m| match m {
            Message::Groups(groups) => Ok(groups),
            other => Err(other),
        })?;
        Joiner::from_files(groups.files).join()?;
        // Not before: the group that this process is in becomes the root of the new namespace.
        if self.plan.namespaces.new.contains(Namespaces::CGROUP) {
            ns::unshare(Namespaces::CGROUP).context(|| "make a cgroup namespace")?;
        }
        Ok(groups.paths)
    }
}
