//! The same profile through libseccomp and through us: both programs give the same verdict on every call.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod oracle;

use oracle::{Libseccomp, big_endian, run};
use taru_seccomp::{
    Action, Arch, Arg, Op, Profile, Rule, X32_BIT, compile_for, default_profile, syscall_names,
    syscall_number,
};
use taru_sys::caps::Capabilities;
use taru_sys::seccomp::{Data, Filter, ret};

/// Numbers that a generator without state outside gives: xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

fn rule(names: &[&str], action: Action, args: &[Arg]) -> Rule {
    let names = names.iter().map(|n| (*n).to_owned()).collect();
    Rule { names, action, errno: None, args: args.to_vec() }
}

fn arg(index: u32, op: Op, value: u64, value_two: u64) -> Arg {
    Arg { index, value, value_two, op }
}

/// Every number of every known architecture, and the borders of the ranges.
fn all_numbers(arch: Arch) -> Vec<u32> {
    let base = match arch {
        Arch::Mips | Arch::Mipsel => 4000,
        Arch::Mips64 | Arch::Mipsel64 => 5000,
        Arch::Mips64n32 | Arch::Mipsel64n32 => 6000,
        Arch::X32 => X32_BIT,
        _ => 0,
    };
    let mut numbers: Vec<u32> = (0..600).map(|n| base + n).collect();
    numbers.extend([
        0,
        1,
        999,
        0xf0001,
        0xf0005,
        X32_BIT - 1,
        X32_BIT,
        X32_BIT + 1,
        X32_BIT + 900,
        u32::MAX - 1,
    ]);
    numbers
}

/// Argument lists that stand at every border of every comparison of `profile`, single and mixed.
fn all_args(profile: &Profile, random: &mut Random) -> Vec<[u64; 6]> {
    let mut values = vec![0, u64::MAX, 1 << 32, u64::from(u32::MAX)];
    for a in profile.rules.iter().flat_map(|rule| &rule.args) {
        for v in [a.value, a.value_two, a.value & a.value_two] {
            for near in [v.wrapping_sub(1), v, v.wrapping_add(1), v ^ (1 << 32), v.wrapping_add(1 << 32), !v]
            {
                values.push(near);
            }
        }
        values.push(a.value_two | !a.value);
        values.push((a.value_two & a.value) | (1 << 40));
    }
    values.sort_unstable();
    values.dedup();
    let mut lists: Vec<[u64; 6]> = Vec::new();
    for v in &values {
        lists.push([*v; 6]);
    }
    for _ in 0..200 {
        lists.push(std::array::from_fn(|_| random.one(&values)));
    }
    lists
}

/// runc's own part: what is newer than all of the profile on an architecture it names is ENOSYS.
fn newer(profile: &Profile, arch: Arch, number: u32) -> bool {
    let arch = match arch {
        Arch::X86_64 | Arch::X32 if number & X32_BIT != 0 => Arch::X32,
        Arch::X86_64 | Arch::X32 => Arch::X86_64,
        other => other,
    };
    let refuses = !matches!(profile.default_action, Action::Allow | Action::Log | Action::Trace);
    if !refuses || profile.default_errno == Some(38) || !profile.architectures.contains(&arch) {
        return false;
    }
    let names = profile.rules.iter().flat_map(|rule| &rule.names);
    let newest = names.filter_map(|name| syscall_number(name, arch)).max().unwrap_or(0);
    let bit = if arch == Arch::X32 { X32_BIT } else { 0 };
    let s390 = matches!(arch, Arch::S390 | Arch::S390x) && number == 0;
    newest > 0 && (number > newest | bit || s390)
}

/// Compares the programs over `numbers` and `args`; returns how many verdicts were compared.
fn compare(
    profile: &Profile,
    theirs: &[Filter],
    ours: &[Filter],
    native: Arch,
    numbers: impl Fn(Arch) -> Vec<u32>,
    args: &[[u64; 6]],
) -> usize {
    let mut arches = vec![native, Arch::Aarch64, Arch::X86];
    arches.extend(&profile.architectures);
    let mut compared = 0;
    for arch in arches {
        for nr in numbers(arch) {
            for list in args {
                let data = Data { nr: nr as i32, arch: arch.audit(), instruction_pointer: 0, args: *list };
                let expected = match newer(profile, arch, nr) {
                    true => ret::ERRNO | 38,
                    false => run(theirs, &data, big_endian(native)).0,
                };
                let found = run(ours, &data, big_endian(native)).0;
                assert_eq!(found, expected, "{arch:?} call {nr:#x} args {list:x?}\n{profile:x?}");
                compared += 1;
            }
        }
    }
    compared
}

#[test]
fn numbers_are_libseccomps() {
    let Some(mut libseccomp) = Libseccomp::start("numbers_are_libseccomps") else { return };
    let mut compared = 0;
    for arch in Arch::all().filter(|a| *a != Arch::Loongarch64) {
        for name in syscall_names() {
            if let Some(theirs) = libseccomp.resolve(name, arch).filter(|_| name != "memfd_secret") {
                let ours = syscall_number(name, arch);
                assert_eq!(
                    ours,
                    Some(theirs & !if arch == Arch::X32 { X32_BIT } else { 0 }),
                    "{name} on {arch:?}"
                );
                compared += 1;
            }
        }
    }
    println!("{compared} numbers");
    assert!(compared > 5000);
}

#[test]
fn single_comparisons() {
    let Some(mut libseccomp) = Libseccomp::start("single_comparisons") else { return };
    let ops = [Op::Ne, Op::Lt, Op::Le, Op::Eq, Op::Ge, Op::Gt, Op::MaskedEq];
    let values = [0, 1, 0x10, 0xffff_ffff, 1 << 32, (1 << 32) + 5, 0xdead_beef_0000_0001, u64::MAX];
    let mut random = Random(1);
    let mut compared = 0;
    for op in ops {
        for value in values {
            for value_two in if op == Op::MaskedEq { vec![0, 5, value, 1 << 32, u64::MAX] } else { vec![0] } {
                for index in [0, 5] {
                    let mut profile = Profile::new(Action::Errno);
                    profile.rules =
                        vec![rule(&["ptrace"], Action::Allow, &[arg(index, op, value, value_two)])];
                    let theirs = libseccomp.compile(&profile, Arch::X86_64).unwrap();
                    let ours = compile_for(&profile, Arch::X86_64).unwrap();
                    let args = all_args(&profile, &mut random);
                    let numbers = |_: Arch| vec![100, 101, 102];
                    compared += compare(&profile, &theirs, ours.filters(), Arch::X86_64, numbers, &args);
                }
            }
        }
    }
    println!("{compared} verdicts");
}

/// What random profiles are made of.
#[derive(Clone, Copy)]
struct Shape<'a> {
    ops: &'a [Op],
    values: &'a [u64],
    /// How many arguments a rule compares at most, and how many there are to choose from.
    args: usize,
    indices: usize,
    /// How many rules with arguments a call may have.
    rules: usize,
    /// Whether the rules differ in action.
    mixed: bool,
    /// Whether a rule compares an argument at most once.
    distinct: bool,
}

const OPS: &[Op] = &[Op::Ne, Op::Lt, Op::Le, Op::Eq, Op::Eq, Op::Ge, Op::Gt, Op::MaskedEq];
const VALUES: &[u64] = &[0, 1, 2, 8, 0x2000, 0xffff_ffff, 1 << 32, (1 << 32) | 8, u64::MAX];
const SMALL: &[u64] = &[0, 1, 2, 8, 16, 38, 40, 0x2000, 0xffff_ffff];

/// Calls of every architecture, some behind a multiplexer on some, and a name that none has. A name that only
/// some have, such as `send`, makes libseccomp 2.5.4 lose the load of the number where it is the first rule.
const CALLS: [&str; 10] = [
    "ptrace",
    "socket",
    "clone",
    "personality",
    "ioctl",
    "semget",
    "read",
    "getsockopt",
    "openat2",
    "nonsense",
];

fn random_profile(random: &mut Random, arches: &[Arch], shape: Shape<'_>) -> Profile {
    use Action::{Allow, Errno, KillProcess, KillThread, Log, Trace, Trap};
    let mut left = [shape.rules; CALLS.len()];
    let mut profile = Profile::new(random.one(&[Errno, Errno, KillProcess, Allow, Log]));
    profile.default_errno = random.one(&[None, Some(38), Some(1), Some(77)]);
    for _ in 0..random.below(4) {
        profile.architectures.push(random.one(arches));
    }
    let one = random.one(&[Allow, Log, Errno, Trap, KillThread]);
    for _ in 0..random.below(12) {
        let action = if shape.mixed {
            random.one(&[Allow, Log, Errno, Trap, Trace, KillThread, KillProcess])
        } else {
            one
        };
        let mut used = [false; 6];
        let args: Vec<Arg> = (0..random.below(shape.args + 1))
            .map(|_| {
                let index = random.below(shape.indices) as u32;
                arg(index, random.one(shape.ops), random.one(shape.values), random.one(shape.values))
            })
            .filter(|a| !shape.distinct || !std::mem::replace(&mut used[a.index as usize], true))
            .collect();
        let mut chosen = Vec::new();
        for _ in 0..1 + random.below(3) {
            let name = random.below(CALLS.len());
            if left[name] > 0 && !chosen.contains(&CALLS[name]) {
                left[name] -= usize::from(!args.is_empty());
                chosen.push(CALLS[name]);
            }
        }
        let mut rule = rule(&chosen, action, &args);
        rule.errno = if shape.mixed { random.one(&[None, Some(13), Some(38)]) } else { Some(13) };
        profile.rules.push(rule);
    }
    profile
}

/// Random profiles with `native` in the place of the native architecture.
fn random_profiles(
    libseccomp: &mut Libseccomp,
    seed: u64,
    native: Arch,
    arches: &[Arch],
    shape: Shape<'_>,
    count: usize,
) {
    let mut random = Random(seed);
    let (mut compared, mut refused) = (0, 0);
    for _ in 0..count {
        let profile = random_profile(&mut random, arches, shape);
        let ours = compile_for(&profile, native).unwrap();
        let Some(theirs) = libseccomp.compile(&profile, native) else {
            refused += 1;
            continue;
        };
        compared += compare(&profile, &theirs, ours.filters(), native, all_numbers, &[[0; 6]]);
        let args = all_args(&profile, &mut random);
        let touched = |arch: Arch| {
            let names = profile.rules.iter().flat_map(|r| &r.names).map(String::as_str);
            let mut numbers: Vec<u32> =
                names.chain(["socketcall", "ipc"]).filter_map(|name| syscall_number(name, arch)).collect();
            numbers.sort_unstable();
            numbers.dedup();
            numbers
        };
        compared += compare(&profile, &theirs, ours.filters(), native, touched, &args);
    }
    println!("{native:?}: {compared} verdicts of {count} profiles, {refused} refused by libseccomp");
    assert!(refused < count * 3 / 4);
}

fn random_x86(test: &str, shape: Shape<'_>) {
    let Some(mut libseccomp) = Libseccomp::start(test) else { return };
    let x86 = [Arch::X86_64, Arch::X86, Arch::X32, Arch::Aarch64, Arch::Arm];
    random_profiles(&mut libseccomp, 7, Arch::X86_64, &x86, shape, 120);
}

/// The default profile, whatever the capabilities: every number with every border value, and how long the
/// way through the filters is.
#[test]
fn default_profile_is_the_same() {
    let Some(mut libseccomp) = Libseccomp::start("default_profile_is_the_same") else { return };
    for caps in [Capabilities::NONE, Capabilities::all_known()] {
        let mut profile = default_profile(caps);
        assert_eq!(Profile::parse(&profile.to_json()).unwrap().unwrap(), profile);
        assert_eq!(compile_for(&profile, Arch::NATIVE).unwrap().unknown_names(), 0);
        // Without the calls that are younger than libseccomp 2.5.4.
        for rule in &mut profile.rules {
            rule.names.retain(|name| Arch::all().any(|arch| libseccomp.resolve(name, arch).is_some()));
        }
        let theirs = libseccomp.compile(&profile, Arch::NATIVE).unwrap();
        let ours = compile_for(&profile, Arch::NATIVE).unwrap();
        let mut lists = vec![[0; 6]];
        for family in (0..70).chain([1 << 32, (1 << 32) | 1, 0x1000_0000, 0x400, u64::MAX]) {
            let protocols = if family == 16 { 24 } else { 1 };
            for protocol in (0..protocols).chain([1 << 32, u64::MAX]) {
                lists.push([family, 1, protocol, 0, 0, 0]);
            }
        }
        lists.extend(all_args(&profile, &mut Random(9)));
        let some = |arch: Arch| {
            let names =
                ["clone", "unshare", "personality", "socket", "socketpair", "socketcall", "ipc", "mount"];
            names.iter().filter_map(|name| syscall_number(name, arch)).collect()
        };
        compare(&profile, &theirs, ours.filters(), Arch::NATIVE, all_numbers, &[[0; 6]]);
        compare(&profile, &theirs, ours.filters(), Arch::NATIVE, some, &lists);
        let steps = |program: &[Filter]| {
            let nr = |nr: u32| Data { nr: nr as i32, arch: Arch::NATIVE.audit(), ..Data::default() };
            let all: Vec<usize> = (0..470).map(|n| run(program, &nr(n), false).1).collect();
            (all.iter().sum::<usize>() / all.len(), all.iter().max().copied().unwrap_or(0))
        };
        let (ours_steps, theirs_steps) = (steps(ours.filters()), steps(&theirs));
        println!(
            "{} instructions, mean and longest way {ours_steps:?}; libseccomp {}, {theirs_steps:?}",
            ours.filters().len(),
            theirs.len()
        );
        assert!(ours_steps.0 <= 14);
    }
}

/// A profile as Docker writes it for x86_64: three architectures, the default's list, `socketcall`, and its own
/// conditions on `socket`.
#[test]
fn dockers_shape() {
    let Some(mut libseccomp) = Libseccomp::start("dockers_shape") else { return };
    let mut profile = Profile::new(Action::Errno);
    profile.default_errno = Some(1);
    profile.architectures = vec![Arch::X86_64, Arch::X86, Arch::X32];
    let mut names = default_profile(Capabilities::NONE).rules.swap_remove(0).names;
    names.extend(["socketcall".to_owned(), "io_uring_setup".to_owned()]);
    names.retain(|name| Arch::all().any(|arch| libseccomp.resolve(name, arch).is_some()));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    profile.rules.push(rule(&names, Action::Allow, &[]));
    for family in [arg(0, Op::Lt, 38, 0), arg(0, Op::Eq, 39, 0), arg(0, Op::Gt, 40, 0)] {
        profile.rules.push(rule(&["socket"], Action::Allow, &[family]));
    }
    for persona in [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff] {
        profile.rules.push(rule(&["personality"], Action::Allow, &[arg(0, Op::Eq, persona, 0)]));
    }
    profile.rules.push(rule(&["clone"], Action::Allow, &[arg(0, Op::MaskedEq, 0x7e02_0000, 0)]));
    let mut clone3 = rule(&["clone3"], Action::Errno, &[]);
    clone3.errno = Some(38);
    profile.rules.push(clone3);
    let theirs = libseccomp.compile(&profile, Arch::X86_64).unwrap();
    let ours = compile_for(&profile, Arch::X86_64).unwrap();
    let lists = all_args(&profile, &mut Random(5));
    let some = |arch: Arch| {
        let bit = if arch == Arch::X32 { X32_BIT } else { 0 };
        let names = ["socket", "personality", "clone", "clone3", "socketcall"];
        names.iter().filter_map(|name| Some(syscall_number(name, arch)? | bit)).collect()
    };
    let all = compare(&profile, &theirs, ours.filters(), Arch::X86_64, all_numbers, &[[0; 6]]);
    let some = compare(&profile, &theirs, ours.filters(), Arch::X86_64, some, &lists);
    println!("{} verdicts; {} instructions, libseccomp {}", all + some, ours.filters().len(), theirs.len());
}

/// One rule a call: any comparisons of any arguments.
#[test]
fn one_rule_a_call() {
    let shape =
        Shape { ops: OPS, values: VALUES, args: 3, indices: 6, rules: 1, mixed: true, distinct: true };
    random_x86("one_rule_a_call", shape);
}

/// Several rules that compare one argument with 32-bit values, as Docker's rules for `socket` do; also with
/// different actions, where the order in libseccomp's tree decides.
#[test]
fn several_rules_on_one_argument() {
    let shape =
        Shape { ops: OPS, values: SMALL, args: 1, indices: 1, rules: 9, mixed: false, distinct: false };
    random_x86("several_rules_on_one_argument", shape);
    random_x86("several_rules_on_one_argument_mixed", Shape { mixed: true, ..shape });
}

/// Several rules with several arguments each that are compared for equality.
#[test]
fn several_equalities() {
    let shape = Shape {
        ops: &[Op::Eq],
        values: VALUES,
        args: 3,
        indices: 4,
        rules: 9,
        mixed: false,
        distinct: false,
    };
    random_x86("several_equalities", shape);
    let ops = &[Op::Eq, Op::MaskedEq];
    random_x86("several_masked", Shape { ops, values: SMALL, args: 2, indices: 3, ..shape });
}

/// Several rules a call with any comparisons: the verdict is that of the profile read literally.
///
/// libseccomp is not the judge here. Its tree (2.5.4) loses rules or their conditions when several rules of
/// a call compare different arguments with other operators than equality; how often is printed.
#[test]
fn every_rule_counts() {
    let mut libseccomp = Libseccomp::start("every_rule_counts");
    let shape =
        Shape { ops: OPS, values: VALUES, args: 3, indices: 4, rules: 9, mixed: false, distinct: false };
    let mut random = Random(23);
    let (mut compared, mut differ) = (0, 0);
    for _ in 0..200 {
        let mut profile = random_profile(&mut random, &[Arch::Aarch64], shape);
        profile.default_errno = Some(38);
        let ours = compile_for(&profile, Arch::X86_64).unwrap();
        let theirs = libseccomp.as_mut().and_then(|l| l.compile(&profile, Arch::X86_64));
        let lists = all_args(&profile, &mut random);
        for arch in [Arch::X86_64, Arch::Aarch64] {
            if arch != Arch::X86_64 && !profile.architectures.contains(&arch) {
                continue;
            }
            for name in CALLS.iter().filter(|name| **name != "nonsense") {
                let nr = syscall_number(name, arch).unwrap_or(9999);
                for args in &lists {
                    let data =
                        Data { nr: nr as i32, arch: arch.audit(), instruction_pointer: 0, args: *args };
                    let expected = literal(&profile, name, nr == 9999, args);
                    let found = run(ours.filters(), &data, false).0;
                    assert_eq!(found, expected, "{arch:?} {name} args {args:x?}\n{profile:x?}");
                    differ += theirs.as_ref().is_some_and(|t| run(t, &data, false).0 != expected) as usize;
                    compared += 1;
                }
            }
        }
    }
    println!("{compared} verdicts as written; libseccomp differs in {differ}");
}

/// The verdict of a profile whose rules have one action, read literally.
fn literal(profile: &Profile, name: &str, absent: bool, args: &[u64; 6]) -> u32 {
    let holds = |a: &Arg| {
        let v = args[a.index as usize];
        match a.op {
            Op::Ne => v != a.value,
            Op::Lt => v < a.value,
            Op::Le => v <= a.value,
            Op::Eq => v == a.value,
            Op::Ge => v >= a.value,
            Op::Gt => v > a.value,
            Op::MaskedEq => v & a.value == a.value_two & a.value,
        }
    };
    for rule in profile.rules.iter().filter(|rule| !absent && rule.names.iter().any(|n| n == name)) {
        let repeated = (0..6).any(|i| rule.args.iter().filter(|a| a.index == i).count() > 1);
        if if repeated { rule.args.iter().any(holds) } else { rule.args.iter().all(holds) } {
            return rule.action.verdict(rule.errno);
        }
    }
    profile.default_action.verdict(profile.default_errno)
}

#[test]
fn random_profiles_of_other_architectures() {
    let Some(mut libseccomp) = Libseccomp::start("random_profiles_of_other_architectures") else { return };
    let little = [
        Arch::Aarch64,
        Arch::Riscv64,
        Arch::Mipsel,
        Arch::Mipsel64,
        Arch::Mipsel64n32,
        Arch::Ppc64le,
        Arch::Arm,
    ];
    let big = [Arch::S390x, Arch::S390, Arch::Mips, Arch::Mips64, Arch::Mips64n32, Arch::Ppc64, Arch::Ppc];
    let shape =
        Shape { ops: OPS, values: VALUES, args: 3, indices: 6, rules: 1, mixed: true, distinct: true };
    for native in little.into_iter() {
        random_profiles(&mut libseccomp, 3 + native as u64, native, &little, shape, 12);
    }
    for native in big.into_iter() {
        random_profiles(&mut libseccomp, 5 + native as u64, native, &big, shape, 12);
    }
}
