//! Cache and memory bandwidth allocation (`linux.intelRdt`): the container's group in the resctrl file system.
//!
//! ```text
//! /sys/fs/resctrl/CLASS/                 a class of service: closID, or the container's id
//!   ├── schemata, tasks
//!   └── mon_groups/ID/tasks              counted by itself, with enableMonitoring
//! ```
//!
//! A class that the document names may be others' too: one that is there is compared and not changed, and none of
//! them is removed with the container. The class of the container's own id is.

use std::io::ErrorKind;
use std::path::Path;

use taru_stdx::{Context, Error, Kind, Result, Undo};
use taru_sys::process::Pid;

use crate::host::RESCTRL as ROOT;
use crate::plan::ResctrlPlan;
use crate::state::ResctrlRecord;

/// Makes the groups of the container `id`.
///
/// # Errors
/// [`Kind::NotFound`] for a class that is named, not described, and not there; [`Kind::Exists`] for one that is there
/// with another schema; [`Kind::Limit`] where the processor has no class left; a schema that the kernel refuses.
pub(crate) fn make(plan: &ResctrlPlan, id: &str) -> Result<ResctrlRecord> {
    let class = Path::new(ROOT).join(&plan.class);
    let what = || format!("make the resctrl class `{}`", class.display());
    let mut record = ResctrlRecord { class: class.clone(), monitor: None, is_ours: !plan.is_named };
    let mut undo = Undo::new();
    let is_there = class.is_dir();
    if plan.is_named && !is_there && plan.schemata.is_empty() {
        let problem = format!("find the resctrl class `{}`: there is none", class.display());
        return Err(Error::new(Kind::NotFound, problem).hint("linux.intelRdt can describe it: `schemata`"));
    }
    if !is_there {
        make_dir(&class).context(what)?;
        let class = class.clone();
        undo.push(move || remove_dir(&class));
    }
    if plan.is_named && is_there {
        let path = class.join("schemata");
        let now = std::fs::read_to_string(&path).context(|| format!("read `{}`", path.display()))?;
        if let Some(line) = first_difference(&now, &plan.schemata) {
            let problem =
                format!("use the resctrl class `{}`: it is there without `{line}`", class.display());
            return Err(Error::new(Kind::Exists, problem));
        }
    } else {
        write_schemata(&class, &plan.schemata)?;
    }
    if plan.monitor {
        let monitor = class.join("mon_groups").join(id);
        make_dir(&monitor).context(|| format!("make the resctrl monitor `{}`", monitor.display()))?;
        record.monitor = Some(monitor);
    }
    undo.commit();
    Ok(record)
}

/// Puts the process `pid` into the groups; its children follow.
pub(crate) fn join(record: &ResctrlRecord, pid: Pid) -> Result<()> {
    for dir in [Some(&record.class), record.monitor.as_ref()].into_iter().flatten() {
        let path = dir.join("tasks");
        std::fs::write(&path, pid.to_string()).context(|| format!("join `{}`", path.display()))?;
    }
    Ok(())
}

/// Writes other lines; what they do not name stays.
pub(crate) fn update(record: &ResctrlRecord, schemata: &[String]) -> Result<()> {
    write_schemata(&record.class, schemata)
}

/// Removes what was made for the container alone.
pub(crate) fn remove(record: &ResctrlRecord) -> Result<()> {
    if let Some(monitor) = &record.monitor {
        remove_dir(monitor)?;
    }
    if record.is_ours { remove_dir(&record.class) } else { Ok(()) }
}

/// Removes what a killed `create` may have made before it could record it.
pub(crate) fn remove_unrecorded(plan: &ResctrlPlan, id: &str) -> Result<()> {
    let class = Path::new(ROOT).join(&plan.class);
    let monitor = plan.monitor.then(|| class.join("mon_groups").join(id));
    remove(&ResctrlRecord { class, monitor, is_ours: !plan.is_named })
}

fn make_dir(dir: &Path) -> Result<()> {
    match std::fs::create_dir(dir) {
        // Of the same id: left by somebody who was killed.
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) if e.kind() == ErrorKind::StorageFull => {
            Err(Error::new(Kind::Limit, "make a directory: the processor has no more of these").because(e))
        }
        other => other.context(|| "make a directory"),
    }
}

fn remove_dir(dir: &Path) -> Result<()> {
    match std::fs::remove_dir(dir) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        // Processes that are left go to the default class.
        other => other.context(|| format!("remove `{}`", dir.display())),
    }
}

/// One line at a time: the kernel takes the lines before a wrong one all the same, so the error names it.
fn write_schemata(class: &Path, lines: &[String]) -> Result<()> {
    let path = class.join("schemata");
    for line in lines {
        let written = std::fs::write(&path, format!("{line}\n"));
        written.context(|| format!("write `{line}` to `{}`", path.display())).map_err(|e| {
            let said = std::fs::read_to_string(Path::new(ROOT).join("info/last_cmd_status"));
            match said.unwrap_or_default().trim() {
                "" | "ok" => e,
                said => e.hint(format!("the kernel says: {said}")),
            }
        })?;
    }
    Ok(())
}

/// A line like `L3:0=ff;1=0f` as its resource and the values by domain.
fn parse(line: &str) -> Option<(&str, Vec<(&str, String)>)> {
    let (resource, domains) = line.split_once(':')?;
    let domains = domains.split(';').map(|domain| {
        let (id, value) = domain.split_once('=')?;
        let value = value.trim().trim_start_matches('0').to_ascii_lowercase();
        Some((id.trim(), value))
    });
    Some((resource.trim(), domains.collect::<Option<_>>()?))
}

/// The first of `wanted` that the file's text does not say: numbers may have zeros in front, and domains
/// that are not named count for nothing.
fn first_difference<'a>(text: &str, wanted: &'a [String]) -> Option<&'a str> {
    let now: Vec<_> = text.lines().filter_map(parse).collect();
    wanted.iter().map(String::as_str).find(|line| {
        let Some((resource, domains)) = parse(line) else { return true };
        let all = now.iter().filter(|(name, _)| *name == resource).flat_map(|(_, domains)| domains);
        !domains.iter().all(|domain| all.clone().any(|other| other == domain))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemata_are_compared_by_value() {
        let text = "    MB:0= 100;1= 100\n    L3:0=0fffff;1=00000f\n";
        let wanted = |lines: &[&str]| lines.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>();
        for equal in [&["L3:0=fffff"][..], &["L3:1=F;0=FFFFF", "MB:1=100"], &[]] {
            assert_eq!(first_difference(text, &wanted(equal)), None);
        }
        for (lines, first) in [
            (&["MB:0=100", "L3:0=ffff"][..], "L3:0=ffff"),
            (&["L3:2=f"], "L3:2=f"),
            (&["L2:0=f"], "L2:0=f"),
            (&["nonsense"], "nonsense"),
        ] {
            assert_eq!(first_difference(text, &wanted(lines)), Some(first));
        }
    }
}
