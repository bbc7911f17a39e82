//! What a profile says about each system call number of one architecture.
//!
//! The verdicts are libseccomp's: a rule that repeats the default is dropped; a rule without arguments
//! replaces those with arguments and wins over later ones; where rules with arguments overlap and differ,
//! the order is the one in which libseccomp sorts its tree (see [`place`]).

use std::cmp::Ordering;

use crate::arch::Arch;
use crate::profile::{Arg, Op, Profile, Rule};
use crate::syscall::{Behind, Syscall};

/// The most instructions the kernel takes (BPF_MAXINSNS).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// One comparison: `(argument & mask) op value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Cond {
    pub(crate) arg: u32,
    pub(crate) op: Op,
    pub(crate) mask: u64,
    pub(crate) value: u64,
}

/// A verdict and all that must hold for it, sorted by argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clause {
    pub(crate) conds: Vec<Cond>,
    pub(crate) verdict: u32,
    /// The words that the conditions compare, in order.
    path: Vec<Word>,
}

impl Clause {
    /// `wide`: an argument has two words.
    fn new(mut conds: Vec<Cond>, verdict: u32, wide: bool) -> Clause {
        // A masked comparison with an empty mask always holds.
        conds.retain(|c| c.mask != 0);
        let path = path(&conds, wide);
        Clause { conds, verdict, path }
    }
}

/// What is said about one number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// Nothing: the default.
    Nothing,
    /// The verdict, whatever the arguments.
    Always(u32),
    /// The verdict of the first clause that holds in the list of this index, else the default.
    Judged(usize),
}

/// What a profile says about one architecture.
pub(crate) struct Section {
    pub(crate) arch: Arch,
    /// What is said about the number `base` + index.
    said: Vec<Said>,
    base: u32,
    /// The same about the few numbers outside of that table, sorted.
    far: Vec<(u32, Said)>,
    /// The clauses of the calls whose arguments are compared.
    pub(crate) lists: Vec<Vec<Clause>>,
    /// Numbers above this one are unknown to the profile's author and fail with ENOSYS.
    pub(crate) newest: Option<u32>,
}

/// A rule with its names looked up once, for all architectures.
pub(crate) struct Looked<'a> {
    rule: &'a Rule,
    calls: Vec<Syscall>,
}

/// Looks the names of all rules up; also returns how many are unknown.
pub(crate) fn look_up(profile: &Profile) -> (Vec<Looked<'_>>, usize) {
    let mut unknown = 0;
    let looked = profile
        .rules
        .iter()
        .map(|rule| {
            let calls: Vec<_> = rule.names.iter().filter_map(|name| Syscall::find(name)).collect();
            unknown += rule.names.len() - calls.len();
            Looked { rule, calls }
        })
        .collect();
    (looked, unknown)
}

/// Collects what `rules` say about `arch`; a rule whose verdict is `default` is dropped.
pub(crate) fn section(arch: Arch, rules: &[Looked<'_>], default: u32, unknown_is_enosys: bool) -> Section {
    let mut section = Section::new(arch);
    let mut newest = 0;
    for Looked { rule, calls } in rules {
        for call in calls {
            newest = newest.max(call.number(arch).unwrap_or(0));
        }
        let verdict = rule.action.verdict(rule.errno);
        if verdict == default {
            continue;
        }
        for clause in clauses(rule, verdict, arch) {
            for call in calls {
                section.add(*call, &clause);
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
fn clauses(rule: &Rule, verdict: u32, arch: Arch) -> Vec<Clause> {
    let mut conds: Vec<Cond> = rule.args.iter().map(|arg| cond(arg, arch)).collect();
    let wide = arch.is_64bit();
    let mut seen = [false; 8];
    let repeated = rule.args.iter().any(|arg| std::mem::replace(&mut seen[arg.index as usize & 7], true));
    if repeated {
        return conds.into_iter().map(|c| Clause::new(vec![c], verdict, wide)).collect();
    }
    conds.sort_by_key(|c| c.arg);
    vec![Clause::new(conds, verdict, wide)]
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
    fn new(arch: Arch) -> Section {
        let said = vec![Said::Nothing; 512];
        Section { arch, said, base: arch.first_number(), far: Vec::new(), lists: Vec::new(), newest: None }
    }

    /// Each number that something is said about, ascending.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = (u32, Said)> {
        let near = (self.base..).zip(self.said.iter().copied());
        let below = self.far.iter().filter(|(n, _)| *n < self.base);
        let above = self.far.iter().filter(|(n, _)| *n >= self.base);
        below.copied().chain(near).chain(above.copied()).filter(|(_, said)| *said != Said::Nothing)
    }

    /// Adds a clause for a call: for its own number, and for its place behind a multiplexer.
    fn add(&mut self, call: Syscall, clause: &Clause) {
        if let Some(number) = call.number(self.arch) {
            self.insert(number, clause);
        }
        if !self.arch.is_multiplexed() {
            return;
        }
        let Some(Behind { multiplexer, first }) = call.behind() else { return };
        let Some(number) = Syscall::find(multiplexer).and_then(|m| m.number(self.arch)) else { return };
        // The multiplexer's first argument says which call it is; the call's own arguments are in memory.
        // What the rule says of the other arguments stays, as libseccomp has it.
        let mut conds = vec![Cond { arg: 0, op: Op::Eq, mask: u64::MAX, value: u64::from(first) }];
        conds.extend(clause.conds.iter().filter(|c| c.arg != 0));
        self.insert(number, &Clause::new(conds, clause.verdict, self.arch.is_64bit()));
    }

    fn insert(&mut self, number: u32, clause: &Clause) {
        let near = number.checked_sub(self.base).and_then(|at| self.said.get_mut(at as usize));
        let said = match near {
            Some(said) => said,
            None => {
                let at = self.far.partition_point(|(n, _)| *n < number);
                if self.far.get(at).is_none_or(|(n, _)| *n != number) {
                    self.far.insert(at, (number, Said::Nothing));
                }
                let Some((_, said)) = self.far.get_mut(at) else { return };
                said
            }
        };
        match *said {
            Said::Always(_) => {}
            _ if clause.conds.is_empty() => *said = Said::Always(clause.verdict),
            Said::Nothing => {
                *said = Said::Judged(self.lists.len());
                self.lists.push(vec![clause.clone()]);
            }
            Said::Judged(list) => {
                // More clauses than instructions cannot become a program: no need to sort them all.
                let Some(list) = self.lists.get_mut(list).filter(|list| list.len() <= MAX_INSTRUCTIONS)
                else {
                    return;
                };
                if !list.contains(clause) {
                    list.insert(place(list, clause), clause.clone());
                }
            }
        }
    }
}

/// Where libseccomp's tree would try `new`. It matters only for clauses that overlap and differ in verdict.
///
/// A clause is a path of word comparisons there. Paths that begin alike stay together; at a fork the higher
/// argument comes first, then equalities before "less" before "greater", then the larger value (the smaller
/// for "less"), then whichever was there first.
fn place(clauses: &[Clause], new: &Clause) -> usize {
    let mut shared_before = 0;
    for (at, old) in clauses.iter().enumerate() {
        let shared = new.path.iter().zip(&old.path).take_while(|(n, o)| n == o).count();
        if shared < shared_before {
            return at;
        }
        shared_before = shared;
        if let (Some(n), Some(o)) = (new.path.get(shared), old.path.get(shared))
            && n.precedes(o)
        {
            return at;
        }
    }
    clauses.len()
}

/// A comparison of one word of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, Clone, Copy)]
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

/// The words that `conds` compare, in order.
fn path(conds: &[Cond], wide: bool) -> Vec<Word> {
    let mut path = Vec::with_capacity(2 * conds.len());
    for cond in conds {
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
