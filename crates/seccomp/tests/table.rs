//! The table of system call numbers: made from the kernel's own headers, and held against them.
//!
//! `TARU_KERNEL_HEADERS=DIR cargo test -p taru-seccomp --test table` writes `src/table.rs` anew, where DIR
//! holds the unpacked Debian packages `linux-libc-dev-*-cross` of amd64, arm64, armhf, mips, mips64, mipsn32,
//! powerpc, ppc64, riscv64 and s390x. Without it the numbers of this machine's own headers
//! (`linux-libc-dev`) are compared with the table.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use taru_seccomp::{Arch, syscall_number};

/// The columns of the table, the directory of their headers, and the macros that choose them there.
const COLUMNS: [(Arch, &str, &[&str]); 14] = [
    (Arch::X86_64, "x86_64-linux-gnu", &["__x86_64__"]),
    (Arch::X86, "x86_64-linux-gnu", &["__i386__"]),
    (Arch::X32, "x86_64-linux-gnu", &["__x86_64__", "__ILP32__"]),
    (Arch::Aarch64, "aarch64-linux-gnu", &["__aarch64__", "__LP64__"]),
    (Arch::Arm, "arm-linux-gnueabihf", &["__arm__", "__ARM_EABI__"]),
    (Arch::Riscv64, "riscv64-linux-gnu", &["__riscv", "__LP64__", "__riscv_xlen=64", "__SIZEOF_POINTER__=8"]),
    // Debian 12 has no headers of it: the generic table with what its asm/unistd.h asks for (6.11).
    (
        Arch::Loongarch64,
        "aarch64-linux-gnu",
        &["LOONGARCH", "__LP64__", "__ARCH_WANT_SYS_CLONE", "__ARCH_WANT_SYS_CLONE3", "__ARCH_WANT_NEW_STAT"],
    ),
    (Arch::Mips, "mips-linux-gnu", &["__mips__", "_MIPS_SIM=1"]),
    (Arch::Mips64, "mips-linux-gnu", &["__mips__", "_MIPS_SIM=3"]),
    (Arch::Mips64n32, "mips-linux-gnu", &["__mips__", "_MIPS_SIM=2"]),
    (Arch::Ppc, "powerpc64-linux-gnu", &["__powerpc__"]),
    (Arch::Ppc64, "powerpc64-linux-gnu", &["__powerpc__", "__powerpc64__", "__LP64__"]),
    (Arch::S390, "s390x-linux-gnu", &["__s390__"]),
    (Arch::S390x, "s390x-linux-gnu", &["__s390__", "__s390x__"]),
];

/// System calls younger than those headers (Linux 6.1). Since 5.0 a new one has the same number everywhere,
/// above the base of its table. Source: scripts/syscall.tbl and the arch's syscall.tbl of Linux 6.19.
const YOUNGER: &[(&str, u32)] = &[
    ("cachestat", 451),
    ("fchmodat2", 452),
    ("map_shadow_stack", 453),
    ("futex_wake", 454),
    ("futex_wait", 455),
    ("futex_requeue", 456),
    ("statmount", 457),
    ("listmount", 458),
    ("lsm_get_self_attr", 459),
    ("lsm_set_self_attr", 460),
    ("lsm_list_modules", 461),
    ("mseal", 462),
    ("setxattrat", 463),
    ("getxattrat", 464),
    ("listxattrat", 465),
    ("removexattrat", 466),
    ("open_tree_attr", 467),
    ("file_getattr", 468),
    ("file_setattr", 469),
    ("listns", 470),
];

/// Those that only one architecture has.
const YOUNGER_OF_ONE: &[(Arch, &str, u32)] = &[
    (Arch::X86_64, "uretprobe", 335),
    (Arch::X86_64, "uprobe", 336),
    (Arch::Riscv64, "riscv_hwprobe", 258),
    (Arch::Aarch64, "memfd_secret", 447),
    // ARM's private calls, which its unistd.h names __ARM_NR_*.
    (Arch::Arm, "breakpoint", 0xf0001),
    (Arch::Arm, "cacheflush", 0xf0002),
    (Arch::Arm, "usr26", 0xf0003),
    (Arch::Arm, "usr32", 0xf0004),
    (Arch::Arm, "set_tls", 0xf0005),
];

/// Preprocesses `text` with the headers below `include` and the given macros only.
fn preprocess(include: &Path, macros: &[&str], flags: &[&str], text: &str) -> String {
    let mut command = Command::new("cc");
    command.args(["-E", "-P", "-undef", "-nostdinc", "-xc", "-"]).args(flags).arg("-I").arg(include);
    command.args(macros.iter().map(|m| format!("-D{m}")));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "cc -E of {}", include.display());
    String::from_utf8(output.stdout).unwrap()
}

/// A sum such as `(4000 + 278)` or `(0x40000000 + 1)`.
fn sum(text: &str) -> Option<u32> {
    let mut total = 0u32;
    for part in text.replace(['(', ')'], " ").split('+') {
        let part = part.trim();
        total += match part.strip_prefix("0x") {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => part.parse().ok()?,
        };
    }
    Some(total)
}

/// Name to number of one architecture, as its headers have it.
fn numbers(arch: Arch, include: &Path, macros: &[&str]) -> BTreeMap<String, u32> {
    let unistd = match arch {
        Arch::Loongarch64 => "#include <asm-generic/unistd.h>\n",
        _ => "#include <asm/unistd.h>\n",
    };
    let defines = preprocess(include, macros, &["-dM"], unistd);
    let mut names: Vec<&str> = defines
        .lines()
        .filter_map(|line| line.strip_prefix("#define __NR_")?.split(' ').next())
        .filter(|name| !name.contains('(') && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_'))
        .filter(|name| !["arch_specific_syscall", "syscalls", "syscall_mask"].contains(name))
        .filter(|name| !name.starts_with("reserved") && !name.starts_with("unused"))
        .collect();
    names.sort_unstable();
    let mut text = unistd.to_owned();
    for name in &names {
        writeln!(text, "=\"{name}\" __NR_{name}").unwrap();
    }
    let base = if arch == Arch::X32 { 0x4000_0000 } else { 0 };
    let expanded = preprocess(include, macros, &[], &text);
    let mut numbers = BTreeMap::new();
    for line in expanded.lines().filter_map(|l| l.trim().strip_prefix("=\"")) {
        let (name, number) = line.split_once('"').unwrap();
        if let Some(number) = sum(number) {
            numbers.insert(name.to_owned(), number - base);
        }
    }
    assert!(numbers.len() > 250, "{arch:?}: only {} system calls", numbers.len());
    numbers
}

/// Where the numbers of an architecture begin.
fn base(arch: Arch) -> u32 {
    match arch {
        Arch::Mips => 4000,
        Arch::Mips64 => 5000,
        Arch::Mips64n32 => 6000,
        _ => 0,
    }
}

fn generate(headers: &Path) -> String {
    let mut rows: BTreeMap<String, [Option<u32>; COLUMNS.len()]> = BTreeMap::new();
    for (column, (arch, triple, macros)) in COLUMNS.iter().enumerate() {
        let mut all = numbers(*arch, &headers.join("usr").join(triple).join("include"), macros);
        all.extend(YOUNGER.iter().map(|(name, number)| ((*name).to_owned(), base(*arch) + number)));
        if *arch == Arch::X32 {
            // Shadow stacks are for 64-bit processes.
            all.remove("map_shadow_stack");
        }
        let own = YOUNGER_OF_ONE.iter().filter(|(a, ..)| a == arch);
        all.extend(own.map(|(_, name, number)| ((*name).to_owned(), *number)));
        for (name, number) in all {
            rows.entry(name).or_default()[column] = Some(number);
        }
    }
    let mut text = String::from(
        "//! The number of each system call on each architecture. Generated by `tests/table.rs` from the kernel's\n\
         //! headers; not to be edited.\n\n\
         use super::{NONE as __, Row, row};\n\n\
         /// Sorted by name; the columns are in the order of `Arch::column`.\n\
         #[rustfmt::skip]\n",
    );
    writeln!(text, "pub(super) static TABLE: [Row; {}] = [", rows.len()).unwrap();
    for (name, numbers) in rows {
        // ARM's private numbers do not fit 16 bits: `number` puts the high ones back.
        let cells: Vec<String> = numbers
            .iter()
            .map(|n| {
                n.map_or("__".to_owned(), |n| {
                    (if n >= 0xf0000 { n - 0xf0000 + 0xf000 } else { n }).to_string()
                })
            })
            .collect();
        writeln!(text, "    row({name:?}, [{}]),", cells.join(", ")).unwrap();
    }
    text.push_str("];\n");
    text
}

#[test]
fn table_agrees_with_the_kernels_headers() {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/syscall/table.rs");
    if let Some(headers) = std::env::var_os("TARU_KERNEL_HEADERS") {
        std::fs::write(target, generate(Path::new(&headers))).unwrap();
        return;
    }
    let triple = Path::new("/usr/include/x86_64-linux-gnu");
    if !triple.join("asm/unistd_x32.h").exists() {
        return taru_testkit::skip("table_agrees_with_the_kernels_headers", "linux-libc-dev of x86_64");
    }
    // Debian splits its own headers: asm/ below the triple, asm-generic/ and linux/ beside it.
    for (arch, _, macros) in &COLUMNS[..3] {
        let all = numbers(*arch, triple, macros);
        for (name, number) in all {
            assert_eq!(syscall_number(&name, *arch), Some(number), "{name} on {arch:?}");
        }
    }
}
