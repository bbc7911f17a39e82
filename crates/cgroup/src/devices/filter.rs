//! The BPF program of v2 from a list of rules, in pure code.
//!
//! The kernel calls it with `struct bpf_cgroup_dev_ctx { u32 access_type, major, minor }`: the type of the device in the
//! lower half of the first word (1 block, 2 char), the kinds of access asked for in the upper half. 1 allows, 0 denies.
//!
//! The rules are read from the last to the first. `r2` holds the kinds of access that no rule has spoken of
//! yet: a matching rule that denies one of them ends with 0; one that allows takes its own away, and when
//! none is left the answer is 1. At the end, what is left is denied.

use taru_stdx::{Error, Kind, Result};

use super::{Access, DeviceKind, Rule};

/// More rules than this are refused; the kernel's own bound of a million instructions is far above.
const MAX_RULES: usize = 4096;

const LDX_WORD: u8 = 0x61; // dst = *(u32 *)(src + off)
const MOV: u8 = 0xb7; // dst = imm
const MOV_REG: u8 = 0xbf; // dst = src
const AND: u8 = 0x57; // dst &= imm
const RSH: u8 = 0x77; // dst >>= imm
const JNE: u8 = 0x55; // if dst != imm skip off
const JEQ: u8 = 0x15; // if dst == imm skip off
const EXIT: u8 = 0x95;

const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const UNDECIDED: u8 = 2;
const TYPE: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

/// One `struct bpf_insn`, in the byte order of this machine.
fn instruction(code: u8, dst: u8, src: u8, off: i16, imm: u32) -> u64 {
    let registers = if cfg!(target_endian = "little") { src << 4 | dst } else { dst << 4 | src };
    let ([o0, o1], [i0, i1, i2, i3]) = (off.to_ne_bytes(), imm.to_ne_bytes());
    u64::from_ne_bytes([code, registers, o0, o1, i0, i1, i2, i3])
}

/// The program that decides by `rules`, as instructions for `bpf(BPF_PROG_LOAD)`.
///
/// # Errors
/// [`Kind::Limit`] for more than 4096 rules.
pub fn program(rules: &[Rule]) -> Result<Vec<u64>> {
    if rules.len() > MAX_RULES {
        return Err(Error::new(
            Kind::Limit,
            format!("compile {} device rules: at most {MAX_RULES}", rules.len()),
        ));
    }
    let mut program = vec![
        instruction(LDX_WORD, TYPE, CONTEXT, 0, 0),
        instruction(MOV_REG, UNDECIDED, TYPE, 0, 0),
        instruction(RSH, UNDECIDED, 0, 0, 16),
        instruction(AND, TYPE, 0, 0, 0xffff),
        instruction(LDX_WORD, MAJOR, CONTEXT, 4, 0),
        instruction(LDX_WORD, MINOR, CONTEXT, 8, 0),
    ];
    for (index, rule) in rules.iter().enumerate().rev() {
        if rule.access.is_none() {
            continue;
        }
        let (tests, verdict) = (tests(rule), verdict(rule));
        let matches_all = tests.is_empty();
        let mut ahead = tests.len() + verdict.len();
        for (register, value) in tests {
            ahead -= 1;
            program.push(instruction(JNE, register, 0, ahead as i16, value));
        }
        program.extend(verdict);
        // What stands before a rule about everything is never reached; the verifier refuses dead code.
        if matches_all && rule.access == Access::ALL {
            debug_assert!(index < rules.len());
            return Ok(program);
        }
    }
    program.extend(answer(0));
    Ok(program)
}

/// The comparisons that a device must pass for the rule to match it.
fn tests(rule: &Rule) -> Vec<(u8, u32)> {
    let kind = match rule.kind {
        DeviceKind::All => None,
        DeviceKind::Block => Some(1),
        DeviceKind::Char => Some(2),
    };
    [(TYPE, kind), (MAJOR, rule.major), (MINOR, rule.minor)]
        .into_iter()
        .filter_map(|(register, value)| value.map(|v| (register, v)))
        .collect()
}

/// What a rule does with a device that it matches.
fn verdict(rule: &Rule) -> Vec<u64> {
    let bits = u32::from(rule.access.bits());
    let mut code = Vec::new();
    if rule.access == Access::ALL {
        code.extend(answer(rule.allow.into()));
    } else if rule.allow {
        // Sign-extended to 64 bits by the kernel, so the upper half stays as it is: zero.
        code.push(instruction(AND, UNDECIDED, 0, 0, !bits));
        code.push(instruction(JNE, UNDECIDED, 0, 2, 0));
        code.extend(answer(1));
    } else {
        code.push(instruction(MOV_REG, SCRATCH, UNDECIDED, 0, 0));
        code.push(instruction(AND, SCRATCH, 0, 0, bits));
        code.push(instruction(JEQ, SCRATCH, 0, 2, 0));
        code.extend(answer(0));
    }
    code
}

fn answer(value: u32) -> [u64; 2] {
    [instruction(MOV, RESULT, 0, 0, value), instruction(EXIT, 0, 0, 0, 0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program as the kernel would, on a device and an access.
    fn run(program: &[u64], kind: u32, access: u32, major: u32, minor: u32) -> u64 {
        let context = [access << 16 | kind, major, minor];
        let mut registers = [0u64; 11];
        let mut at = 0usize;
        loop {
            let [code, regs, o0, o1, i0, i1, i2, i3] = program[at].to_ne_bytes();
            let (dst, src) = ((regs & 15) as usize, (regs >> 4) as usize);
            let (off, imm) = (i16::from_ne_bytes([o0, o1]), i32::from_ne_bytes([i0, i1, i2, i3]));
            let wide = imm as i64 as u64;
            at += 1;
            match code {
                LDX_WORD => registers[dst] = context[off as usize / 4].into(),
                MOV => registers[dst] = wide,
                MOV_REG => registers[dst] = registers[src],
                AND => registers[dst] &= wide,
                RSH => registers[dst] >>= imm,
                JNE => at += if registers[dst] != wide { off as usize } else { 0 },
                JEQ => at += if registers[dst] == wide { off as usize } else { 0 },
                EXIT => return registers[0],
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    /// What the rules say, read plainly: the last rule that speaks of a device and a kind of access decides.
    fn meaning(rules: &[Rule], kind: DeviceKind, access: u8, major: u32, minor: u32) -> bool {
        [1u8, 2, 4].iter().filter(|bit| access & *bit != 0).all(|bit| {
            rules
                .iter()
                .rev()
                .find(|r| {
                    (r.kind == DeviceKind::All || r.kind == kind)
                        && r.major.is_none_or(|m| m == major)
                        && r.minor.is_none_or(|m| m == minor)
                        && r.access.bits() & bit != 0
                })
                .is_some_and(|r| r.allow)
        })
    }

    #[test]
    fn agrees_with_the_plain_meaning_on_many_lists() {
        let mut seed = 12345u32;
        let mut next = |n: u32| {
            seed = seed.wrapping_mul(1664525).wrapping_add(1013904223);
            (seed >> 16) % n
        };
        for _ in 0..300 {
            let rules: Vec<Rule> = (0..next(8))
                .map(|_| Rule {
                    allow: next(2) == 1,
                    kind: [DeviceKind::All, DeviceKind::Char, DeviceKind::Block][next(3) as usize],
                    major: [None, Some(1), Some(2), Some(u32::MAX >> 12)][next(4) as usize],
                    minor: [None, Some(0), Some(3)][next(3) as usize],
                    access: Access(next(8) as u8),
                })
                .collect();
            let program = program(&rules).unwrap();
            for (number, kind) in [(1, DeviceKind::Block), (2, DeviceKind::Char)] {
                for access in 1..8u8 {
                    for major in [1, 2, 9, u32::MAX >> 12] {
                        for minor in [0, 3, 9] {
                            let answer = run(&program, number, access.into(), major, minor);
                            let expected = meaning(&rules, kind, access, major, minor);
                            assert_eq!(answer == 1, expected, "{rules:?} {kind:?} {access} {major}:{minor}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn too_many_rules() {
        let rule =
            Rule { allow: true, kind: DeviceKind::Char, major: None, minor: None, access: Access::READ };
        assert_eq!(program(&vec![rule; MAX_RULES]).unwrap().len(), 6 + MAX_RULES * 5 + 2);
        assert_eq!(program(&vec![rule; MAX_RULES + 1]).unwrap_err().kind(), Kind::Limit);
    }
}
