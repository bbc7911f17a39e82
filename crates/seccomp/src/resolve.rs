//! What a profile says about each system call number of one architecture.
//!
//! The verdicts are libseccomp's: a rule that repeats the default is dropped; a rule without arguments
//! replaces those with arguments and wins over later ones; where rules with arguments overlap and differ,
//! the order is the one in which libseccomp sorts its tree (see [`place`]).

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::arch::Arch;
use crate::profile::{Arg, Op, Profile, Rule};
use crate::syscall::{Syscall, multiplexed};

/// One comparison: `(argument & mask) op value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Cond {
    pub(crate) arg: u32,
    pub(crate) op: Op,
    pub(crate) mask: u64,
    pub(crate) value: u64,
}

/// A verdict and all that must hold for it, sorted by argument.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Clause {
    pub(crate) conds: Vec<Cond>,
    pub(crate) verdict: u32,
}

/// What is said about one number: the first clause that holds, else the default. One without conditions is
/// the only one.
pub(crate) type Clauses = Vec<Clause>;

/// What a profile says about one architecture.
pub(crate) struct Section {
    pub(crate) arch: Arch,
    /// By number, without the x32 bit.
    pub(crate) calls: BTreeMap<u32, Clauses>,
    /// Numbers above this one are unknown to the profile's author and fail with ENOSYS.
    pub(crate) newest: Option<u32>,
}

/// A rule with its names looked up once, for all architectures.
pub(crate) struct Looked<'a> {
    rule: &'a Rule,
    calls: Vec<(&'a str, Syscall)>,
}

/// Looks the names of all rules up; also returns how many are unknown.
pub(crate) fn look_up(profile: &Profile) -> (Vec<Looked<'_>>, usize) {
    let mut unknown = 0;
    let looked = profile
        .rules
        .iter()
        .map(|rule| {
            let found = rule.names.iter().map(|name| Syscall::find(name).map(|call| (name.as_str(), call)));
            let calls: Vec<_> = found.flatten().collect();
            unknown += rule.names.len() - calls.len();
            Looked { rule, calls }
        })
        .collect();
    (looked, unknown)
}

/// Collects what `rules` say about `arch`; a rule whose verdict is `default` is dropped.
pub(crate) fn section(arch: Arch, rules: &[Looked<'_>], default: u32, unknown_is_enosys: bool) -> Section {
    let mut section = Section { arch, calls: BTreeMap::new(), newest: None };
    let mut newest = 0;
    for Looked { rule, calls } in rules {
        for (_, call) in calls {
            newest = newest.max(call.number(arch).unwrap_or(0));
        }
        let verdict = rule.action.verdict(rule.errno);
        if verdict == default {
            continue;
        }
        for clause in clauses(rule, verdict, arch) {
            for (name, call) in calls {
                section.add(name, *call, &clause);
            }
        }
    }
    if unknown_is_enosys && newest > 0 {
        section.newest = Some(newest);
    }
    section
}

/// The clauses of a rule: one with all its conditions, or, when two of them are on the same argument, one
/// for each condition (as runc and crun hand such a rule to libseccomp).
fn clauses(rule: &Rule, verdict: u32, arch: Arch) -> Clauses {
    let mut conds: Vec<Cond> = rule.args.iter().map(|arg| cond(arg, arch)).collect();
    let mut seen = [false; 8];
    let repeated = rule.args.iter().any(|arg| std::mem::replace(&mut seen[arg.index as usize & 7], true));
    if repeated {
        return conds.into_iter().map(|c| Clause { conds: keep(vec![c]), verdict }).collect();
    }
    conds.sort_by_key(|c| c.arg);
    vec![Clause { conds: keep(conds), verdict }]
}

/// Without the conditions that always hold: a masked comparison with an empty mask.
fn keep(mut conds: Vec<Cond>) -> Vec<Cond> {
    conds.retain(|c| c.mask != 0);
    conds
}

fn cond(arg: &Arg, arch: Arch) -> Cond {
    let (mask, value) = match arg.op {
        Op::MaskedEq => (arg.value, arg.value & arg.value_two),
        _ => (u64::MAX, arg.value),
    };
    let width = if arch.is_64bit() { u64::MAX } else { u64::from(u32::MAX) };
    Cond { arg: arg.index, op: arg.op, mask: mask & width, value: value & width }
}

impl Section {
    /// Adds a clause for a name: for its own number, and for its place behind a multiplexer.
    fn add(&mut self, name: &str, call: Syscall, clause: &Clause) {
        if let Some(number) = call.number(self.arch) {
            self.insert(number, clause.clone());
        }
        if !self.arch.is_multiplexed() {
            return;
        }
        let Some((multiplexer, first)) = multiplexed(name) else { return };
        let Some(number) = Syscall::find(multiplexer).and_then(|m| m.number(self.arch)) else { return };
        // The multiplexer's first argument says which call it is; the call's own arguments are in memory.
        // What the rule says of the other arguments stays, as libseccomp has it.
        let mut conds = vec![Cond { arg: 0, op: Op::Eq, mask: u64::MAX, value: u64::from(first) }];
        conds.extend(clause.conds.iter().filter(|c| c.arg != 0));
        self.insert(number, Clause { conds, verdict: clause.verdict });
    }

    fn insert(&mut self, number: u32, clause: Clause) {
        let clauses = self.calls.entry(number).or_default();
        if clauses.first().is_some_and(|first| first.conds.is_empty()) {
            return;
        }
        if clause.conds.is_empty() {
            clauses.clear();
        }
        if !clauses.contains(&clause) {
            let at = place(clauses, &clause, self.arch.is_64bit());
            clauses.insert(at, clause);
        }
    }
}

/// Where libseccomp's tree would try `new`. It matters only for clauses that overlap and differ in verdict.
///
/// A clause is a path of word comparisons there. Paths that begin alike stay together; at a fork the higher
/// argument comes first, then equalities before "less" before "greater", then the larger value (the smaller
/// for "less"), then whichever was there first.
fn place(clauses: &[Clause], new: &Clause, wide: bool) -> usize {
    let new = path(new, wide);
    let mut shared_before = 0;
    for (at, old) in clauses.iter().enumerate() {
        let old = path(old, wide);
        let shared = new.iter().zip(&old).take_while(|(n, o)| n == o).count();
        if shared < shared_before {
            return at;
        }
        shared_before = shared;
        if let (Some(n), Some(o)) = (new.get(shared), old.get(shared))
            && n.precedes(o)
        {
            return at;
        }
    }
    clauses.len()
}

/// A comparison of one word of an argument.
#[derive(PartialEq, Eq)]
struct Word {
    arg: u32,
    high: bool,
    /// The BPF test: a clause for "less" takes its false branch.
    test: Op,
    mask: u32,
    value: u32,
    rank: Rank,
}

/// The rank of an operator does not tell two comparisons apart, but only sorts them.
#[derive(Clone, Copy)]
struct Rank(u32, bool);

impl PartialEq for Rank {
    fn eq(&self, _: &Rank) -> bool {
        true
    }
}

impl Eq for Rank {}

impl Word {
    fn precedes(&self, other: &Word) -> bool {
        let by_value = self.value.cmp(&other.value);
        let by_value = if self.rank.1 { by_value.reverse() } else { by_value };
        let by_argument = self.arg.cmp(&other.arg).then(self.high.cmp(&other.high));
        by_argument.then(other.rank.0.cmp(&self.rank.0)).then(by_value) == Ordering::Greater
    }
}

/// The words that `clause` compares, in order.
fn path(clause: &Clause, wide: bool) -> Vec<Word> {
    let mut path = Vec::with_capacity(2 * clause.conds.len());
    for cond in &clause.conds {
        let rank = match cond.op {
            Op::MaskedEq | Op::Eq | Op::Ne => Rank(0, false),
            Op::Le | Op::Lt => Rank(1, true),
            Op::Ge | Op::Gt => Rank(2, false),
        };
        for high in [true, false] {
            let test = match cond.op {
                Op::MaskedEq => Op::MaskedEq,
                Op::Eq | Op::Ne => Op::Eq,
                Op::Ge | Op::Lt if !high => Op::Ge,
                Op::Gt | Op::Ge | Op::Le | Op::Lt => Op::Gt,
            };
            let shift = if high { 32 } else { 0 };
            let (mask, value) = ((cond.mask >> shift) as u32, (cond.value >> shift) as u32);
            if wide || !high {
                path.push(Word { arg: cond.arg, high, test, mask, value, rank });
            }
        }
    }
    path
}
