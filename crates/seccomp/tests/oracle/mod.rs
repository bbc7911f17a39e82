//! The judges: libseccomp, driven through a small C program, and an interpreter for the filters both make.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use taru_seccomp::{Arch, Op, Profile};
use taru_sys::seccomp::{Data, Filter};

/// libseccomp in a process of its own.
pub(crate) struct Libseccomp {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    directory: PathBuf,
}

impl Libseccomp {
    /// Compiles and starts the program; `None`, with a skip of `test`, where libseccomp-dev is not installed.
    pub(crate) fn start(test: &str) -> Option<Libseccomp> {
        let directory = std::env::temp_dir().join(format!("taru-libseccomp-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let program = directory.join("oracle");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/libseccomp.c");
        let built = Command::new("cc").arg("-o").arg(&program).arg(source).arg("-lseccomp").output();
        if !built.is_ok_and(|b| b.status.success()) {
            std::fs::remove_dir_all(&directory).unwrap();
            taru_testkit::skip(test, "libseccomp-dev and a C compiler");
            return None;
        }
        let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Some(Libseccomp { child, input, output, directory })
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    fn hear(&mut self) -> i64 {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }

    /// The number that libseccomp gives the call; `None` if it has none there.
    pub(crate) fn resolve(&mut self, name: &str, arch: Arch) -> Option<u32> {
        self.say(&format!("resolve {:x} {name}", token(arch)));
        u32::try_from(self.hear()).ok()
    }

    /// The program that runc would have libseccomp make of `profile`, without runc's own part (ENOSYS);
    /// `None` if libseccomp refuses a rule. `native`: x86_64, or another to stand in its place.
    pub(crate) fn compile(&mut self, profile: &Profile, native: Arch) -> Option<Vec<Filter>> {
        let default = profile.default_action.verdict(profile.default_errno);
        let mut line = format!("new {default:x}");
        if native != Arch::X86_64 {
            line += &format!(" 0 {:x}", token(native));
        }
        for arch in &profile.architectures {
            line += &format!(" {:x}", token(*arch));
        }
        self.say(&line);
        for rule in &profile.rules {
            let verdict = rule.action.verdict(rule.errno);
            if verdict == default {
                continue;
            }
            let conds: Vec<String> = rule
                .args
                .iter()
                .map(|a| format!(" {:x} {:x} {:x} {:x}", a.index, op(a.op), a.value, a.value_two))
                .collect();
            let repeated = (0..6).any(|i| rule.args.iter().filter(|a| a.index == i).count() > 1);
            for name in &rule.names {
                if repeated {
                    conds.iter().for_each(|c| self.say(&format!("rule {verdict:x} {name}{c}")));
                } else {
                    self.say(&format!("rule {verdict:x} {name}{}", conds.concat()));
                }
            }
        }
        self.say("build");
        let mut bytes = vec![0; self.hear() as usize];
        self.output.read_exact(&mut bytes).unwrap();
        // libseccomp writes the program in the byte order of the architecture it is for.
        let swap = big_endian(native);
        let filter = |b: &[u8]| {
            let code = u16::from_ne_bytes([b[0], b[1]]);
            let k = u32::from_ne_bytes([b[4], b[5], b[6], b[7]]);
            let (code, k) = if swap { (code.swap_bytes(), k.swap_bytes()) } else { (code, k) };
            Filter { code, jt: b[2], jf: b[3], k }
        };
        (!bytes.is_empty()).then(|| bytes.chunks_exact(8).map(filter).collect())
    }
}

impl Drop for Libseccomp {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The bit of AUDIT_ARCH constants that says little endian.
pub(crate) fn big_endian(arch: Arch) -> bool {
    arch.audit() & 0x4000_0000 == 0
}

/// libseccomp's name of an architecture: the audit constant, but one of its own for x32.
fn token(arch: Arch) -> u32 {
    if arch == Arch::X32 { 0x4000_003e } else { arch.audit() }
}

/// enum scmp_compare.
fn op(op: Op) -> u32 {
    match op {
        Op::Ne => 1,
        Op::Lt => 2,
        Op::Le => 3,
        Op::Eq => 4,
        Op::Ge => 5,
        Op::Gt => 6,
        Op::MaskedEq => 7,
    }
}

/// The verdict of `program` on a call, and how many instructions it took.
///
/// # Panics
/// If the program does what the kernel's verifier refuses.
pub(crate) fn run(program: &[Filter], data: &Data, big_endian: bool) -> (u32, usize) {
    let mut words = [0u32; 16];
    words[0] = data.nr as u32;
    words[1] = data.arch;
    words[2] = data.instruction_pointer as u32;
    words[3] = (data.instruction_pointer >> 32) as u32;
    for (i, arg) in data.args.iter().enumerate() {
        let (low, high) = (*arg as u32, (*arg >> 32) as u32);
        words[4 + 2 * i] = if big_endian { high } else { low };
        words[5 + 2 * i] = if big_endian { low } else { high };
    }
    let (mut at, mut steps, mut acc) = (0, 0, 0u32);
    loop {
        let Filter { code, jt, jf, k } = program[at];
        (at, steps) = (at + 1, steps + 1);
        let jump = |taken: bool| usize::from(if taken { jt } else { jf });
        match code {
            0x20 => {
                assert!(k % 4 == 0, "an unaligned load");
                acc = words[k as usize / 4];
            }
            0x54 => acc &= k,
            0x05 => at += k as usize,
            0x15 => at += jump(acc == k),
            0x25 => at += jump(acc > k),
            0x35 => at += jump(acc >= k),
            0x45 => at += jump(acc & k != 0),
            0x06 => return (k, steps),
            other => panic!("instruction {other:#x}"),
        }
    }
}
