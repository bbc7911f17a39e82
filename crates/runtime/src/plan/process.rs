//! A process decided: ids, rights and limits as the kernel takes them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use taru_sys::caps::Capabilities;
use taru_sys::sched::{self, Limit, Resource};
use taru_sys::tty::Size;

use super::problems::Problems;
use crate::spec;

/// A process as it will be made; nothing in it needs to be looked up any more.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessPlan {
    /// The program and its arguments, at least one.
    pub args: Vec<String>,
    /// `NAME=value`; the last of two with one name counts.
    pub env: Vec<String>,
    /// How many descriptors from 3 on are sockets that the environment is to tell of; the document knows of none.
    pub listen_fds: u32,
    /// Absolute in the container.
    pub cwd: PathBuf,
    /// User id in the container.
    pub uid: u32,
    /// Group id in the container.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Whether the caller's supplementary groups stay, and `groups` count for nothing.
    pub keep_groups: bool,
    /// File mode creation mask.
    pub umask: u32,
    /// The five sets.
    pub capabilities: CapabilityPlan,
    /// Whether execve(2) may not grant rights.
    pub no_new_privileges: bool,
    /// In the document's order.
    pub rlimits: Vec<(Resource, Limit)>,
    /// `None` leaves it inherited.
    pub oom_score_adj: Option<i32>,
    /// The AppArmor profile for execve(2).
    pub apparmor_profile: Option<String>,
    /// The SELinux label for execve(2).
    pub selinux_label: Option<String>,
    /// Class and level of ioprio_set(2).
    pub io_priority: Option<(u32, u32)>,
    /// The arguments of sched_setattr(2).
    pub scheduler: Option<sched::Attributes>,
    /// Whether it gets a pseudo-terminal.
    pub terminal: bool,
    /// The terminal's first size.
    pub size: Option<Size>,
    /// CPUs for an `exec`ed process while it is set up, 64 a word.
    pub first_affinity: Option<Vec<u64>>,
    /// CPUs for an `exec`ed process once it runs.
    pub last_affinity: Option<Vec<u64>>,
}

/// The five sets of capabilities(7).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are capabilities(7)'s")]
pub struct CapabilityPlan {
    pub bounding: Capabilities,
    pub effective: Capabilities,
    pub inheritable: Capabilities,
    pub permitted: Capabilities,
    pub ambient: Capabilities,
}

/// `podman run --group-add keep-groups` asks for it: groups that a user namespace has no id for still open
/// the files of the group.
const KEEP_GROUPS: &str = "run.oci.keep_original_groups";

impl ProcessPlan {
    /// Decides on `process`; `known` are the capabilities that the running kernel has.
    pub fn new(process: &spec::Process, known: Capabilities, problems: &mut Problems) -> ProcessPlan {
        check_strings(process, problems);
        ProcessPlan {
            args: process.args.clone(),
            env: last_of_each_name(&process.env),
            listen_fds: 0,
            cwd: process.cwd.clone(),
            uid: check_id("process.user.uid", process.user.uid, problems),
            gid: check_id("process.user.gid", process.user.gid, problems),
            groups: process
                .user
                .additional_gids
                .iter()
                .map(|gid| check_id("process.user.additionalGids", *gid, problems))
                .collect(),
            keep_groups: false,
            umask: process.user.umask.unwrap_or(0o022),
            capabilities: process
                .capabilities
                .as_ref()
                .map(|c| capabilities(c, known, problems))
                .unwrap_or_default(),
            no_new_privileges: process.no_new_privileges,
            rlimits: rlimits(&process.rlimits, problems),
            oom_score_adj: process.oom_score_adj.inspect(|adj| {
                if !(-1000..=1000).contains(adj) {
                    problems.invalid(format!("check process.oomScoreAdj `{adj}`: not from -1000 to 1000"));
                }
            }),
            apparmor_profile: text(&process.apparmor_profile),
            selinux_label: text(&process.selinux_label),
            io_priority: process.io_priority.as_ref().and_then(|p| io_priority(p, problems)),
            scheduler: process.scheduler.as_ref().and_then(|s| scheduler(s, problems)),
            terminal: process.terminal,
            size: process.console_size.map(|s| Size {
                rows: s.height.min(u16::MAX.into()) as u16,
                columns: s.width.min(u16::MAX.into()) as u16,
            }),
            first_affinity: affinity(process, |a| &a.initial, problems),
            last_affinity: affinity(process, |a| &a.last, problems),
        }
    }

    /// As `self`, with what `annotations` ask for.
    pub(crate) fn annotated(mut self, annotations: &BTreeMap<String, String>) -> ProcessPlan {
        self.keep_groups = annotations.get(KEEP_GROUPS).is_some_and(|v| v == "1" || v == "true");
        self
    }

    /// The value of an environment variable.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.env.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
    }
}

fn check_strings(process: &spec::Process, problems: &mut Problems) {
    if process.args.is_empty() {
        problems.invalid("check process.args: it is empty, there is nothing to execute");
    }
    if !process.cwd.is_absolute() {
        problems.invalid(format!("check process.cwd `{}`: not an absolute path", process.cwd.display()));
    }
    let nul = |text: &String| text.contains('\0');
    if process.args.iter().any(nul) || process.env.iter().any(nul) || has_nul(&process.cwd) {
        problems.invalid("check process: a string holds a NUL byte");
    }
}

fn has_nul(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().contains(&0)
}

fn text(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

/// 2³²−1 means "no change" to setresuid(2): the process would stay root.
fn check_id(key: &str, id: u32, problems: &mut Problems) -> u32 {
    if id == u32::MAX {
        problems.invalid(format!("check {key} `{id}`: not an id"));
    }
    id
}

/// A shell would take the last of two entries with one name, getenv(3) the first: leave only the last.
fn last_of_each_name(env: &[String]) -> Vec<String> {
    let name = |entry: &'_ String| entry.split('=').next().unwrap_or_default().to_owned();
    let mut seen = std::collections::HashSet::with_capacity(env.len());
    let mut kept: Vec<String> = env.iter().rev().filter(|entry| seen.insert(name(entry))).cloned().collect();
    kept.reverse();
    kept
}

fn capabilities(c: &spec::Capabilities, known: Capabilities, problems: &mut Problems) -> CapabilityPlan {
    let mut unknown = std::collections::BTreeSet::new();
    let mut set = |names: &[String]| {
        names.iter().fold(Capabilities::NONE, |set, name| match Capabilities::named(name) {
            Some(one) if known.contains(one) => set | one,
            _ => {
                unknown.insert(name.clone());
                set
            }
        })
    };
    let plan = CapabilityPlan {
        bounding: set(&c.bounding),
        effective: set(&c.effective),
        inheritable: set(&c.inheritable),
        permitted: set(&c.permitted),
        ambient: set(&c.ambient),
    };
    if !unknown.is_empty() {
        // The specification asks for a warning: a newer document on an older kernel.
        let names: Vec<String> = unknown.into_iter().collect();
        problems.warn(format!("ignoring unknown or unavailable capabilities: {}", names.join(" ")));
    }
    plan
}

fn rlimits(list: &[spec::Rlimit], problems: &mut Problems) -> Vec<(Resource, Limit)> {
    let mut seen = std::collections::HashSet::new();
    let mut limits = Vec::with_capacity(list.len());
    for limit in list {
        match Resource::named(&limit.kind) {
            None => problems.invalid(format!("check process.rlimits: unknown type `{}`", limit.kind)),
            Some(_) if !seen.insert(&limit.kind) => {
                problems.invalid(format!("check process.rlimits: `{}` stands twice", limit.kind));
            }
            Some(_) if limit.soft > limit.hard => {
                problems.invalid(format!("check process.rlimits `{}`: soft is over hard", limit.kind));
            }
            Some(resource) => limits.push((resource, Limit { soft: limit.soft, hard: limit.hard })),
        }
    }
    limits
}

fn io_priority(p: &spec::IoPriority, problems: &mut Problems) -> Option<(u32, u32)> {
    let class = match p.class.as_str() {
        "IOPRIO_CLASS_RT" => 1,
        "IOPRIO_CLASS_BE" => 2,
        "IOPRIO_CLASS_IDLE" => 3,
        other => {
            problems.invalid(format!("check process.ioPriority.class `{other}`: unknown"));
            return None;
        }
    };
    if !(0..=7).contains(&p.priority) {
        problems.invalid(format!("check process.ioPriority.priority `{}`: not from 0 to 7", p.priority));
        return None;
    }
    Some((class, p.priority as u32))
}

fn scheduler(s: &spec::Scheduler, problems: &mut Problems) -> Option<sched::Attributes> {
    let Some(policy) = sched::policy_named(&s.policy) else {
        problems.invalid(format!("check process.scheduler.policy `{}`: unknown", s.policy));
        return None;
    };
    let mut attributes = sched::Attributes::default();
    (attributes.policy, attributes.nice) = (policy, s.nice);
    (attributes.runtime, attributes.deadline, attributes.period) =
        (s.runtime.unwrap_or(0), s.deadline.unwrap_or(0), s.period.unwrap_or(0));
    let real_time = matches!(s.policy.as_str(), "SCHED_FIFO" | "SCHED_RR");
    match u32::try_from(s.priority) {
        Ok(priority) if priority == 0 || real_time => attributes.priority = priority,
        _ => problems.invalid(format!(
            "check process.scheduler.priority `{}`: it is for SCHED_FIFO and SCHED_RR, from 1 to 99",
            s.priority
        )),
    }
    if !(-20..=19).contains(&s.nice) {
        problems.invalid(format!("check process.scheduler.nice `{}`: not from -20 to 19", s.nice));
    }
    if s.policy == "SCHED_DEADLINE" {
        if let Err(problem) = check_deadline(s) {
            problems.invalid(format!("check process.scheduler: sched_setattr: `SCHED_DEADLINE` {problem}"));
        }
    } else if (attributes.runtime, attributes.deadline, attributes.period) != (0, 0, 0) {
        problems.invalid("check process.scheduler: runtime, deadline and period are for SCHED_DEADLINE");
    }
    for flag in &s.flags {
        match sched::flag_named(flag) {
            Some(bit) => attributes.flags |= bit,
            None => problems.invalid(format!("check process.scheduler.flags: unknown flag `{flag}`")),
        }
    }
    Some(attributes)
}

/// What the kernel asks of SCHED_DEADLINE (sched(7)): its answer to all else is EINVAL, without a word on which
/// of the numbers is wrong.
fn check_deadline(s: &spec::Scheduler) -> Result<(), String> {
    const LEAST: u64 = 1 << 10;
    const MOST: u64 = 1 << 63;
    let runtime = s.runtime.ok_or("requires `runtime`")?;
    let deadline = s.deadline.ok_or("requires `deadline`")?;
    let period = s.period.filter(|p| *p > 0).unwrap_or(deadline);
    for (name, value) in [("runtime", runtime), ("deadline", deadline)] {
        if value == 0 {
            return Err(format!("{name} must be greater than 0"));
        }
    }
    for (name, value) in [("runtime", runtime), ("deadline", deadline), ("period", period)] {
        if !(LEAST..MOST).contains(&value) {
            return Err(format!("{name} ({value}) must be between {LEAST} and {}", MOST - 1));
        }
    }
    if runtime > deadline {
        return Err(format!("runtime ({runtime}) must be <= deadline ({deadline})"));
    }
    if deadline > period {
        return Err(format!("deadline ({deadline}) must be <= period ({period})"));
    }
    Ok(())
}

fn affinity(
    process: &spec::Process,
    which: impl Fn(&spec::CpuAffinity) -> &String,
    problems: &mut Problems,
) -> Option<Vec<u64>> {
    let list = which(process.exec_cpu_affinity.as_ref()?);
    if list.is_empty() {
        return None;
    }
    let mask = list_to_mask(list);
    if mask.is_none() {
        problems.invalid(format!("check process.execCPUAffinity `{list}`: not a list like 0-3,7"));
    }
    mask
}

/// A list of numbers and ranges (`0-3,7`) as bits, 64 a word; `None` if it is not one or goes over 8191.
pub(crate) fn list_to_mask(list: &str) -> Option<Vec<u64>> {
    const MOST: usize = 8192;
    let mut mask = Vec::new();
    for part in list.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last || last >= MOST {
            return None;
        }
        mask.resize(mask.len().max(last / 64 + 1), 0u64);
        for bit in first..=last {
            mask[bit / 64] |= 1 << (bit % 64);
        }
    }
    Some(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: &str) -> Result<(ProcessPlan, Vec<String>), String> {
        let process: spec::Process = serde_json::from_str(json).unwrap();
        let mut problems = Problems::default();
        let plan = ProcessPlan::new(&process, Capabilities::all_known(), &mut problems);
        problems.finish().map(|warnings| (plan, warnings)).map_err(|e| e.to_string())
    }

    #[test]
    fn a_plain_process() {
        let (plan, warnings) = plan(
            r#"{"args":["sh"],"cwd":"/","env":["A=1","B=2","A=3"],"user":{"uid":5},
            "capabilities":{"bounding":["CAP_CHOWN","CAP_FUTURE"]},
            "rlimits":[{"type":"RLIMIT_NOFILE","soft":1,"hard":2}]}"#,
        )
        .unwrap();
        assert_eq!(plan.env, ["B=2", "A=3"]);
        assert_eq!(plan.variable("A"), Some("3"));
        assert_eq!((plan.uid, plan.umask), (5, 0o022));
        assert_eq!(plan.capabilities.bounding, Capabilities(1));
        assert_eq!(warnings, ["ignoring unknown or unavailable capabilities: CAP_FUTURE"]);
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let e = plan(
            r#"{"args":[],"cwd":"x","user":{"uid":4294967295},"oomScoreAdj":2000,
            "rlimits":[{"type":"RLIMIT_X","soft":0,"hard":0}],"ioPriority":{"class":"X"},
            "scheduler":{"policy":"SCHED_OTHER","priority":3},"execCPUAffinity":{"initial":"3-1"}}"#,
        )
        .unwrap_err();
        for part in
            ["args", "cwd", "uid", "oomScoreAdj", "rlimits", "ioPriority", "priority", "execCPUAffinity"]
        {
            assert!(e.contains(part), "{part}: {e}");
        }
    }

    #[test]
    fn a_deadline_that_cannot_be_is_explained() {
        let problem = |numbers: &str| {
            let text = format!(
                r#"{{"args":["sh"],"cwd":"/","user":{{}},"scheduler":{{"policy":"SCHED_DEADLINE"{numbers}}}}}"#
            );
            plan(&text).err().unwrap_or_default()
        };
        for (numbers, wanted) in [
            (r#","deadline":2000,"period":2000"#, "requires `runtime`"),
            (r#","runtime":1024,"period":2000"#, "requires `deadline`"),
            (r#","runtime":0,"deadline":2000"#, "runtime must be greater than 0"),
            (r#","runtime":2000,"deadline":0"#, "deadline must be greater than 0"),
            (r#","runtime":1023,"deadline":2000"#, "runtime (1023) must be between 1024 and"),
            (
                r#","runtime":2000,"deadline":9223372036854775808"#,
                "deadline (9223372036854775808) must be between",
            ),
            (r#","runtime":3000,"deadline":2000,"period":4000"#, "runtime (3000) must be <= deadline (2000)"),
            (r#","runtime":2000,"deadline":4000,"period":3000"#, "deadline (4000) must be <= period (3000)"),
        ] {
            let e = problem(numbers);
            assert!(e.contains(wanted), "{wanted}: {e}");
        }
        assert_eq!(problem(r#","runtime":2000,"deadline":4000"#), "");
        assert_eq!(problem(r#","runtime":2000,"deadline":4000,"period":0"#), "");
    }

    #[test]
    fn lists_of_numbers() {
        assert_eq!(list_to_mask("0-3,7"), Some(vec![0b1000_1111]));
        assert_eq!(list_to_mask("64"), Some(vec![0, 1]));
        for bad in ["", "a", "3-1", "0-", "8192", "-1", "0,,1"] {
            assert_eq!(list_to_mask(bad), None, "{bad}");
        }
    }
}
