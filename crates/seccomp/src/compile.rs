//! From a profile to a BPF program.
//!
//! ```text
//! load arch ── x86_64? ── load nr ── x32? ──── newest? ── tree over numbers ── arguments ── return
//!          └── i386?  ── ...                       └── ENOSYS
//!          └── return KILL_THREAD
//! ```
//!
//! Numbers with the same verdict that follow each other are one range; a balanced tree of comparisons finds
//! the range. Calls with the same conditions share them.

use taru_stdx::{Error, Kind, Result};
use taru_sys::seccomp::{Filter, flag, ret};

use crate::arch::{Arch, X32_BIT};
use crate::bpf::{Assembler, Target, Test};
use crate::profile::{Action, Op, Profile};
use crate::resolve::{Clause, Cond, MAX_INSTRUCTIONS, Said, Section, look_up, section};

const ENOSYS: u32 = 38;
/// What libseccomp does to a call of an architecture the profile does not name.
const BAD_ARCH: u32 = ret::KILL_THREAD;

/// Offsets in `struct seccomp_data`.
const OFFSET_NR: u32 = 0;
const OFFSET_ARCH: u32 = 4;
const OFFSET_ARGS: u32 = 16;

/// A compiled filter, ready to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    pub(crate) filters: Vec<Filter>,
    pub(crate) flags: u32,
    pub(crate) unknown_names: usize,
}

impl Program {
    /// The instructions.
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// The flags to load it with: the profile's, and [`flag::NEW_LISTENER`] if a rule notifies.
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// Whether loading it makes a listener.
    pub fn has_listener(&self) -> bool {
        self.flags & flag::NEW_LISTENER != 0
    }

    /// How many names of the profile no architecture knows; they were skipped.
    pub fn unknown_names(&self) -> usize {
        self.unknown_names
    }
}

/// Compiles `profile` for this machine. Pure: nothing is asked of the kernel.
///
/// # Errors
/// [`Kind::Limit`] if the program exceeds [`MAX_INSTRUCTIONS`]; [`Kind::Invalid`] for an argument's index above 5.
pub fn compile(profile: &Profile) -> Result<Program> {
    compile_for(profile, Arch::NATIVE)
}

/// As [`compile`], with another architecture in place of the native one, which a filter always covers.
///
/// # Errors
/// As [`compile`].
pub fn compile_for(profile: &Profile, native: Arch) -> Result<Program> {
    if let Some(arg) = profile.rules.iter().flat_map(|rule| &rule.args).find(|arg| arg.index > 5) {
        return Err(Error::invalid(format!("compile the seccomp profile: no argument {}", arg.index)));
    }
    let default = profile.default_action.verdict(profile.default_errno);
    let (rules, unknown_names) = look_up(profile);
    let mut arches = vec![native];
    for arch in &profile.architectures {
        if !arches.contains(arch) {
            arches.push(*arch);
        }
    }
    let sections: Vec<Section> = arches
        .iter()
        .map(|arch| {
            // runc's way: only for architectures that the profile names.
            let enosys = unknown_is_enosys(profile) && profile.architectures.contains(arch);
            section(*arch, &rules, default, enosys)
        })
        .collect();
    let filters = emit(&sections, default);
    if filters.len() > MAX_INSTRUCTIONS {
        return Err(Error::new(
            Kind::Limit,
            format!(
                "compile the seccomp profile: {} instructions, the kernel takes {MAX_INSTRUCTIONS}",
                filters.len()
            ),
        )
        .hint("name fewer architectures, or compare fewer arguments"));
    }
    let notifies = profile.rules.iter().any(|rule| rule.action == Action::Notify);
    let flags = profile.flags | if notifies { flag::NEW_LISTENER } else { 0 };
    // The kernel knows WAIT_KILLABLE_RECV only together with a listener.
    let flags = if notifies { flags } else { flags & !flag::WAIT_KILLABLE_RECV };
    Ok(Program { filters, flags, unknown_names })
}

/// Whether calls younger than the profile fail with ENOSYS, so that programs fall back to older ones: where
/// they would be refused otherwise (runc since 1.0-rc93; libc's use of clone3 and faccessat2 needs it).
fn unknown_is_enosys(profile: &Profile) -> bool {
    let refuses = !matches!(profile.default_action, Action::Allow | Action::Log | Action::Trace);
    refuses && profile.default_errno != Some(ENOSYS)
}

fn emit(sections: &[Section], default: u32) -> Vec<Filter> {
    let mut emit = Emit { asm: Assembler::default(), default };
    emit.asm.load(OFFSET_ARCH);
    for section in sections.iter().filter(|s| s.arch != Arch::X32) {
        let (here, next) = (emit.asm.label(), emit.asm.label());
        emit.asm.jump(Test::Equal, section.arch.audit(), Target::Label(here), Target::Label(next));
        emit.asm.place(here);
        emit.asm.load(OFFSET_NR);
        if section.arch == Arch::X86_64 {
            let x32 = sections.iter().find(|s| s.arch == Arch::X32);
            emit.x32(x32);
        }
        emit.section(section, 0);
        emit.asm.place(next);
    }
    // An x32 section without x86_64 cannot be: the native architecture is always there; on others x32 is unknown.
    emit.asm.goto(Target::Return(BAD_ARCH));
    emit.asm.assemble()
}

struct Emit {
    asm: Assembler,
    default: u32,
}

impl Emit {
    /// Numbers of the x32 ABI, which has the architecture of x86_64.
    fn x32(&mut self, section: Option<&Section>) {
        let (yes, no) = (self.asm.label(), self.asm.label());
        self.asm.jump(Test::GreaterOrEqual, X32_BIT, Target::Label(yes), Target::Label(no));
        self.asm.place(yes);
        match section {
            Some(section) => self.section(section, X32_BIT),
            // -1 is what a tracer writes to skip a call: not x32.
            None => {
                self.asm.jump(Test::Equal, u32::MAX, Target::Return(self.default), Target::Return(BAD_ARCH))
            }
        }
        self.asm.place(no);
    }

    /// Judges a number, which is in the accumulator and has `bit` set.
    fn section(&mut self, section: &Section, bit: u32) {
        if let Some(newest) = section.newest {
            let known = self.asm.label();
            let enosys = Target::Return(ret::ERRNO | ENOSYS);
            self.asm.jump(Test::Greater, newest | bit, enosys, Target::Label(known));
            self.asm.place(known);
        }
        let default = Target::Return(self.default);
        let mut leaves = Leaves::new(section);
        let mut ranges = Vec::with_capacity(256);
        ranges.push((0, default));
        // s390's system call 0 stands for numbers too large for the instruction: an unknown one arrives as 0.
        let s390 = matches!(section.arch, Arch::S390 | Arch::S390x) && section.newest.is_some();
        if s390 {
            ranges = vec![(0, Target::Return(ret::ERRNO | ENOSYS)), (1, default)];
        }
        for (number, said) in section.numbers().filter(|(number, _)| !s390 || *number != 0) {
            let target = match said {
                Said::Nothing => default,
                Said::Always(verdict) => Target::Return(verdict),
                Said::Judged(list) => Target::Label(leaves.label(list, &mut self.asm)),
            };
            put(&mut ranges, number | bit, target);
            put(&mut ranges, (number | bit) + 1, default);
        }
        self.tree(&ranges);
        for (label, list) in leaves.pending {
            self.asm.place(label);
            self.clauses(section.arch, list);
        }
    }

    /// Finds the range that the number in the accumulator lies in, and goes to its target.
    fn tree(&mut self, ranges: &[(u32, Target)]) {
        let (left, right) = ranges.split_at(ranges.len() / 2);
        let Some((start, target)) = right.first() else { return };
        if left.is_empty() {
            return self.asm.goto(*target);
        }
        let (to_left, left_label) = self.subtree(left);
        let (to_right, right_label) = self.subtree(right);
        self.asm.jump(Test::GreaterOrEqual, *start, to_right, to_left);
        for (label, ranges) in [(left_label, left), (right_label, right)] {
            if let Some(label) = label {
                self.asm.place(label);
                self.tree(ranges);
            }
        }
    }

    /// Where to go for these ranges: straight to the target of a single one, else to a further tree.
    fn subtree(&mut self, ranges: &[(u32, Target)]) -> (Target, Option<u32>) {
        if let [(_, target)] = ranges {
            return (*target, None);
        }
        let label = self.asm.label();
        (Target::Label(label), Some(label))
    }

    /// Tries the clauses in turn.
    fn clauses(&mut self, arch: Arch, clauses: &[Clause]) {
        let steps: Vec<(Vec<Step>, u32)> = clauses.iter().map(|c| (steps(arch, c), c.verdict)).collect();
        let default = Target::Return(self.default);
        self.alternatives(arch, &steps, 0, default, None);
    }

    /// Tries alternatives that have passed their first `depth` steps, and goes to `fail` when none holds.
    /// Those that go on with the same step are next to each other and share it. `loaded`: the word in the accumulator.
    fn alternatives(
        &mut self,
        arch: Arch,
        mut all: &[(Vec<Step>, u32)],
        depth: usize,
        fail: Target,
        mut loaded: Option<(u32, u32)>,
    ) {
        if all.is_empty() {
            return self.asm.goto(fail);
        }
        while let Some((first, verdict)) = all.first() {
            let Some(step) = first.get(depth) else { return self.asm.goto(Target::Return(*verdict)) };
            let same = all.iter().take_while(|(steps, _)| steps.get(depth) == Some(step)).count();
            let (group, rest) = all.split_at(same);
            all = rest;
            let next = self.asm.label();
            let no = if rest.is_empty() { fail } else { Target::Label(next) };
            let inner = self.asm.label();
            // The last step of an alternative goes straight to its verdict; what follows it in the group cannot hold.
            let last = first.len() == depth + 1;
            let yes = if last { Target::Return(*verdict) } else { Target::Label(inner) };
            loaded = match step {
                Step::Word { offset, mask, value } => {
                    if loaded != Some((*offset, *mask)) {
                        self.word(*offset, *mask);
                    }
                    self.asm.jump(Test::Equal, *value, yes, no);
                    Some((*offset, *mask))
                }
                Step::Cond(cond) => {
                    self.cond(arch, cond, yes, no);
                    None
                }
            };
            if !last {
                self.asm.place(inner);
                self.alternatives(arch, group, depth + 1, no, loaded);
                // Whoever comes from within has loaded another word.
                loaded = None;
            }
            self.asm.place(next);
        }
    }

    /// Compares one whole argument, its high word first.
    fn cond(&mut self, arch: Arch, cond: &Cond, yes: Target, no: Target) {
        let (high, low) = offsets(arch, cond.arg);
        let (value_high, value_low) = ((cond.value >> 32) as u32, cond.value as u32);
        let (test, yes, no) = match cond.op {
            Op::Eq | Op::MaskedEq => (Test::Equal, yes, no),
            Op::Ne => (Test::Equal, no, yes),
            Op::Gt => (Test::Greater, yes, no),
            Op::Le => (Test::Greater, no, yes),
            Op::Ge => (Test::GreaterOrEqual, yes, no),
            Op::Lt => (Test::GreaterOrEqual, no, yes),
        };
        if arch.is_64bit() {
            self.asm.load(high);
            if test != Test::Equal {
                let equal = self.asm.label();
                self.asm.jump(Test::Greater, value_high, yes, Target::Label(equal));
                self.asm.place(equal);
            }
            let same = self.asm.label();
            self.asm.jump(Test::Equal, value_high, Target::Label(same), no);
            self.asm.place(same);
        }
        self.asm.load(low);
        self.asm.jump(test, value_low, yes, no);
    }

    fn word(&mut self, offset: u32, mask: u32) {
        self.asm.load(offset);
        if mask != u32::MAX {
            self.asm.and(mask);
        }
    }
}

/// Appends the range that begins at `start`; it is the last so far, and equal neighbours become one.
fn put(ranges: &mut Vec<(u32, Target)>, start: u32, target: Target) {
    if ranges.last().is_some_and(|(last, _)| *last == start) {
        ranges.pop();
    }
    if ranges.last().is_none_or(|(_, last)| *last != target) {
        ranges.push((start, target));
    }
}

/// A part of a clause, in the order of evaluation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The word at `offset`, masked, is `value`.
    Word { offset: u32, mask: u32, value: u32 },
    /// A comparison that is no equality of words.
    Cond(Cond),
}

fn steps(arch: Arch, clause: &Clause) -> Vec<Step> {
    let mut steps = Vec::with_capacity(2 * clause.conds.len());
    for cond in &clause.conds {
        if !matches!(cond.op, Op::Eq | Op::MaskedEq) {
            steps.push(Step::Cond(*cond));
            continue;
        }
        let (high, low) = offsets(arch, cond.arg);
        let words = [
            (high, (cond.mask >> 32) as u32, (cond.value >> 32) as u32),
            (low, cond.mask as u32, cond.value as u32),
        ];
        let words = if arch.is_64bit() { &words[..] } else { &words[1..] };
        let words = words.iter().filter(|(_, mask, _)| *mask != 0);
        steps.extend(words.map(|(offset, mask, value)| Step::Word {
            offset: *offset,
            mask: *mask,
            value: *value,
        }));
    }
    steps
}

/// Where the high and the low word of an argument are.
fn offsets(arch: Arch, arg: u32) -> (u32, u32) {
    let at = OFFSET_ARGS + 8 * arg;
    if arch.is_big_endian() { (at, at + 4) } else { (at + 4, at) }
}

/// The different lists of clauses of a section, each emitted once.
struct Leaves<'a> {
    lists: &'a [Vec<Clause>],
    pending: Vec<(u32, &'a [Clause])>,
}

impl<'a> Leaves<'a> {
    fn new(section: &'a Section) -> Leaves<'a> {
        Leaves { lists: &section.lists, pending: Vec::new() }
    }

    /// Where the list of this index, or one equal to it, will be.
    fn label(&mut self, list: usize, asm: &mut Assembler) -> u32 {
        let list = self.lists.get(list).map_or(&[][..], Vec::as_slice);
        if let Some((label, _)) = self.pending.iter().find(|(_, known)| *known == list) {
            return *label;
        }
        let label = asm.label();
        self.pending.push((label, list));
        label
    }
}
