//! An assembler for classic BPF: labels, forward jumps of any length, shared returns.

use std::collections::BTreeMap;

use taru_sys::seccomp::Filter;

/// Where a jump goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// To the place of this label, further on.
    Label(u32),
    /// To an instruction that returns this value; the assembler puts it where it is needed.
    Return(u32),
}

/// A conditional jump's test of the accumulator against the operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Test {
    Equal,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy)]
enum Op {
    /// Load the 32-bit word at this offset of `seccomp_data`.
    Load(u32),
    And(u32),
    Jump(Test, u32, Target, Target),
    Goto(Target),
    Place(u32),
}

// linux/bpf_common.h: class | size | mode, or class | operation | source.
const LD_W_ABS: u16 = 0x20;
const ALU_AND_K: u16 = 0x54;
const JMP_JA: u16 = 0x05;
const JMP_JEQ_K: u16 = 0x15;
const JMP_JGT_K: u16 = 0x25;
const JMP_JGE_K: u16 = 0x35;
const RET_K: u16 = 0x06;

/// A program under construction, in the order of its instructions.
#[derive(Default)]
pub(crate) struct Assembler {
    ops: Vec<Op>,
    labels: u32,
}

impl Assembler {
    pub(crate) fn label(&mut self) -> u32 {
        self.labels += 1;
        self.labels - 1
    }

    /// The next instruction is where `label` is.
    pub(crate) fn place(&mut self, label: u32) {
        self.ops.push(Op::Place(label));
    }

    pub(crate) fn load(&mut self, offset: u32) {
        self.ops.push(Op::Load(offset));
    }

    pub(crate) fn and(&mut self, mask: u32) {
        self.ops.push(Op::And(mask));
    }

    pub(crate) fn goto(&mut self, target: Target) {
        self.ops.push(Op::Goto(target));
    }

    pub(crate) fn jump(&mut self, test: Test, operand: u32, yes: Target, no: Target) {
        self.ops.push(Op::Jump(test, operand, yes, no));
    }

    /// The program.
    ///
    /// It is put together from its end, so that the distance to every target, all of which lie further on,
    /// is known. A conditional jump reaches 255 instructions; a target beyond gets a stepping stone (a
    /// return of its own, or an unconditional jump) just behind the jump, which earlier jumps then share.
    pub(crate) fn assemble(self) -> Vec<Filter> {
        let mut out =
            Reversed { code: Vec::new(), labels: vec![0; self.labels as usize], returns: BTreeMap::new() };
        for op in self.ops.into_iter().rev() {
            match op {
                Op::Load(offset) => out.push(LD_W_ABS, 0, 0, offset),
                Op::And(mask) => out.push(ALU_AND_K, 0, 0, mask),
                Op::Place(label) => out.set_label(label),
                Op::Goto(Target::Return(value)) => out.push_return(value),
                Op::Goto(target) => match out.distance(target) {
                    Some(0) => {}
                    Some(distance) => out.push(JMP_JA, 0, 0, distance),
                    None => {}
                },
                Op::Jump(test, operand, yes, no) => {
                    // The second target's stepping stone may push the first one instruction away.
                    out.reach(yes, 254);
                    out.reach(no, 255);
                    let code = match test {
                        Test::Equal => JMP_JEQ_K,
                        Test::Greater => JMP_JGT_K,
                        Test::GreaterOrEqual => JMP_JGE_K,
                    };
                    let (jt, jf) = (out.distance(yes).unwrap_or(0), out.distance(no).unwrap_or(0));
                    debug_assert!(jt <= 255 && jf <= 255);
                    out.push(code, jt as u8, jf as u8, operand);
                }
            }
        }
        out.code.reverse();
        out.code
    }
}

/// The program from its end; an index counts from there.
struct Reversed {
    code: Vec<Filter>,
    /// One more than the index of the instruction nearest to the one pushed next that stands for the label; 0 if none.
    labels: Vec<u32>,
    /// The same for returns.
    returns: BTreeMap<u32, u32>,
}

impl Reversed {
    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) {
        self.code.push(Filter { code, jt, jf, k });
    }

    fn push_return(&mut self, value: u32) {
        self.push(RET_K, 0, 0, value);
        self.returns.insert(value, self.code.len() as u32);
    }

    fn set_label(&mut self, label: u32) {
        self.labels[label as usize] = self.code.len() as u32;
    }

    /// How many instructions a jump pushed next must skip to reach `target`.
    fn distance(&self, target: Target) -> Option<u32> {
        let at = match target {
            Target::Label(label) => self.labels.get(label as usize).copied().filter(|at| *at > 0),
            Target::Return(value) => self.returns.get(&value).copied(),
        }?;
        Some(self.code.len() as u32 - at)
    }

    /// Makes sure that `target` is at most `limit` away.
    fn reach(&mut self, target: Target, limit: u32) {
        match (self.distance(target), target) {
            (Some(distance), _) if distance <= limit => {}
            (_, Target::Return(value)) => self.push_return(value),
            (Some(distance), Target::Label(label)) => {
                self.push(JMP_JA, 0, 0, distance);
                self.set_label(label);
            }
            (None, Target::Label(_)) => debug_assert!(false, "a jump to a label without a place"),
        }
    }
}
