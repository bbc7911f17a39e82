//! Filters in the kernel: what a process under them really gets.
//!
//! Each test starts this test executable again as the process under the filter ([`child`]), which loads a
//! profile and executes a small C program that makes the calls.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use taru_seccomp::{Arch, Profile, X32_BIT, compile, default_profile, load, syscall_number};
use taru_sys::caps::Capabilities;
use taru_sys::seccomp as sys;

const PROFILE: &str = "TARU_SECCOMP_TEST_PROFILE";
/// The program to execute, and its arguments, one a line.
const EXECUTABLE: &str = "TARU_SECCOMP_TEST_EXECUTABLE";
const ARGUMENTS: &str = "TARU_SECCOMP_TEST_ARGUMENTS";
/// A further profile, loaded under the first.
const SECOND: &str = "TARU_SECCOMP_TEST_SECOND";
/// Where the listener goes, if the profile makes one.
const SOCKET: &str = "TARU_SECCOMP_TEST_SOCKET";

const EPERM: i64 = -1;
const ENOSYS: i64 = -38;

/// The program that makes calls, compiled once beside this executable.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let path = std::env::current_exe().unwrap().with_extension("calls");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernel/calls.c");
        let unfinished = path.with_extension(format!("{}", std::process::id()));
        let status = Command::new("cc").args(["-O1", "-o"]).arg(&unfinished).arg(source).status().unwrap();
        assert!(status.success(), "compile the program that makes calls");
        std::fs::rename(unfinished, &path).unwrap();
        path
    })
}

/// The process under a filter; a test in name only, which does nothing by itself.
#[test]
fn child() {
    let Ok(text) = std::env::var(PROFILE) else { return };
    let arguments = std::env::var(ARGUMENTS).unwrap();
    let program = compile(&Profile::parse(&text).unwrap().unwrap()).unwrap();
    let socket = std::env::var_os(SOCKET).map(|path| UnixStream::connect(path).unwrap());
    taru_sys::process::set_no_new_privs().unwrap();
    let listener = load(&program).unwrap();
    if let (Some(socket), Some(listener)) = (&socket, &listener) {
        taru_sys::socket::send_with_fds(socket.as_fd(), b"fd", &[listener.as_fd()]).unwrap();
    }
    let executable = std::env::var(EXECUTABLE).unwrap();
    if let Ok(second) = std::env::var(SECOND) {
        load(&compile(&Profile::parse(&second).unwrap().unwrap()).unwrap()).unwrap();
    }
    let error = Command::new(executable).args(arguments.split('\n')).exec();
    panic!("execute under the filter: {error}");
}

/// How the process under `profile` that makes `calls` is started.
fn under(profile: &str, calls: &[String]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture", "--test-threads=1"]).env(PROFILE, profile);
    command.env(EXECUTABLE, program()).env(ARGUMENTS, calls.join("\n"));
    command
}

fn results(output: &Output) -> Vec<i64> {
    let text = String::from_utf8_lossy(&output.stdout);
    let values = text.lines().filter_map(|line| line.trim().strip_prefix("= "));
    values.map(|value| value.parse().unwrap()).collect()
}

/// What the process under `profile` gets for `calls`, all of which return.
fn returned(profile: &str, calls: &[String]) -> Vec<i64> {
    let output = under(profile, calls).output().unwrap();
    let results = results(&output);
    assert!(
        output.status.success(),
        "{:?} after {results:?}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(results.len(), calls.len());
    results
}

/// The signal that ends the process under `profile` at the first of `calls`.
fn killed(profile: &str, calls: &[String]) -> Option<i32> {
    let output = under(profile, calls).output().unwrap();
    assert_eq!(results(&output), Vec::<i64>::new());
    output.status.signal()
}

/// A call of the 64-bit table by name.
fn call(name: &str, args: &[u64]) -> String {
    number(64, syscall_number(name, Arch::NATIVE).unwrap(), args)
}

/// A call of the 32-bit table of x86 by name.
fn call32(name: &str, args: &[u64]) -> String {
    number(32, syscall_number(name, Arch::X86).unwrap(), args)
}

fn number(abi: u32, nr: u32, args: &[u64]) -> String {
    let args: Vec<String> = args.iter().map(|a| format!(":{a:x}")).collect();
    format!("{abi}:{nr:x}{}", args.concat())
}

/// A profile that allows all but what `rules` (JSON) say.
fn but(rules: &str) -> String {
    format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"syscalls":[{rules}]}}"#)
}

#[test]
fn errno_log_and_arguments() {
    let profile = but(r#"
        {"names":["getsid"],"action":"SCMP_ACT_ERRNO","errnoRet":77,"args":[{"index":0,"value":4096,"op":"SCMP_CMP_GE"}]},
        {"names":["getpgid"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":240,"valueTwo":160,"op":"SCMP_CMP_MASKED_EQ"}]},
        {"names":["fcntl"],"action":"SCMP_ACT_ERRNO","errnoRet":5,"args":[{"index":2,"value":4294967296,"op":"SCMP_CMP_EQ"}]},
        {"names":["umask"],"action":"SCMP_ACT_LOG"}"#);
    let calls = [
        call("getsid", &[4095]),
        call("getsid", &[4096]),
        call("getsid", &[1 << 40]),
        call("getpgid", &[0xfa9, 0]),
        call("getpgid", &[0xfffff9b0]),
        call("fcntl", &[1, 1, 1 << 32]),
        call("fcntl", &[1, 1, 0]),
        call("umask", &[0o22]),
    ];
    let got = returned(&profile, &calls);
    assert_ne!(got[0], -77);
    assert_eq!(got[1..3], [-77, -77]);
    assert_eq!(got[3..5], [EPERM, -3]);
    assert_eq!(got[5], -5);
    assert!(got[6] >= 0);
    assert!(got[7] >= 0);
}

/// A kernel before 3.17: the filter gets there by prctl(2).
#[test]
fn without_the_system_call() {
    let first = but(r#"{"names":["seccomp"],"action":"SCMP_ACT_ERRNO","errnoRet":38}"#);
    let second = but(r#"{"names":["getsid"],"action":"SCMP_ACT_ERRNO","errnoRet":77}"#);
    let second = second.replace(r#""syscalls""#, r#""flags":[],"syscalls""#);
    let mut command = under(&first, &[call("getsid", &[]), call("seccomp", &[])]);
    assert_eq!(results(&command.env(SECOND, second).output().unwrap()), [-77, ENOSYS]);
}

#[test]
fn kill_and_trap() {
    const SIGSYS: Option<i32> = Some(31);
    for action in ["SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"] {
        let profile = but(&format!(r#"{{"names":["getsid"],"action":"{action}"}}"#));
        assert_eq!(killed(&profile, &[call("getsid", &[])]), SIGSYS, "{action}");
    }
}

#[test]
fn foreign_calls_of_x86_64() {
    if Arch::NATIVE != Arch::X86_64 {
        return taru_testkit::skip("foreign_calls_of_x86_64", "an x86_64 processor");
    }
    let rule = r#"{"names":["getsid"],"action":"SCMP_ACT_ERRNO","errnoRet":77}"#;
    // The i386 table is judged by its own numbers...
    let profile = but(rule);
    assert_eq!(returned(&profile, &[call32("getsid", &[]), call32("getpid", &[])])[0], -77);
    // ...and where the profile does not name it, the caller dies.
    let profile = profile.replace("SCMP_ARCH_X86", "SCMP_ARCH_X86_64");
    assert_eq!(killed(&profile, &[call32("getpid", &[])]), Some(31));
    // A number of the x32 table is not one of x86_64.
    let x32 = number(64, X32_BIT | 124, &[]);
    assert_eq!(killed(&profile, std::slice::from_ref(&x32)), Some(31));
    let profile = profile.replace("SCMP_ARCH_X86_64", "SCMP_ARCH_X32");
    assert_eq!(returned(&profile, &[x32])[0], -77);
}

#[test]
fn unknown_calls_are_enosys() {
    let mut rules = vec![r#"{"names":["openat2"],"action":"SCMP_ACT_ALLOW"}"#.to_owned()];
    for name in taru_seccomp::syscall_names() {
        if syscall_number(name, Arch::NATIVE).is_some_and(|nr| nr < 430) && name != "getsid" {
            rules.push(format!(r#"{{"names":["{name}"],"action":"SCMP_ACT_ALLOW"}}"#));
        }
    }
    let oci = Arch::NATIVE.oci_name();
    let profile = format!(
        r#"{{"defaultAction":"SCMP_ACT_ERRNO","architectures":["{oci}"],"syscalls":[{}]}}"#,
        rules.join(",")
    );
    let calls = [call("getsid", &[]), call("openat2", &[]), call("faccessat2", &[]), number(64, 4000, &[])];
    assert_eq!(returned(&profile, &calls), [EPERM, -22, ENOSYS, ENOSYS]);
}

#[test]
fn large_filters_load() {
    // Conditions on every call, no two alike: the tree and its leaves are far apart.
    let rules: Vec<String> = taru_seccomp::syscall_names()
        .enumerate()
        .map(|(i, name)| {
            format!(
                r#"{{"names":["{name}"],"action":"SCMP_ACT_ERRNO","errnoRet":{},
                "args":[{{"index":5,"value":{},"op":"SCMP_CMP_EQ"}}]}}"#,
                100 + i % 50,
                0xdead_0000_0000u64 + i as u64
            )
        })
        .collect();
    let oci = Arch::NATIVE.oci_name();
    let profile = format!(
        r#"{{"defaultAction":"SCMP_ACT_ALLOW","architectures":["{oci}"],"syscalls":[{}]}}"#,
        rules.join(",")
    );
    let program = compile(&Profile::parse(&profile).unwrap().unwrap()).unwrap();
    assert!(program.filters().len() > 1500, "{}", program.filters().len());
    let names: Vec<&str> = taru_seccomp::syscall_names().collect();
    let calls: Vec<(i64, String)> = names
        .iter()
        .enumerate()
        // The two of the kernel's own trampolines are exempt from filters (6.14).
        .filter(|(_, name)| {
            syscall_number(name, Arch::NATIVE).is_some() && !["uprobe", "uretprobe"].contains(name)
        })
        .map(|(i, name)| (-(100 + i as i64 % 50), call(name, &[0, 0, 0, 0, 0, 0xdead_0000_0000 + i as u64])))
        .collect();
    let (expected, calls): (Vec<i64>, Vec<String>) = calls.into_iter().unzip();
    assert_eq!(returned(&profile, &calls), expected);
}

#[test]
fn listener_answers() {
    let path = std::env::temp_dir().join(format!("taru-seccomp-{}", std::process::id()));
    let socket = UnixListener::bind(&path).unwrap();
    let profile = but(r#"{"names":["getsid","userfaultfd"],"action":"SCMP_ACT_NOTIFY"}"#);
    let calls =
        [call("getsid", &[4711]), call("getsid", &[0]), call("userfaultfd", &[1]), call("fcntl", &[50, 1])];
    let child =
        under(&profile, &calls).env(SOCKET, &path).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let (stream, _) = socket.accept().unwrap();
    std::fs::remove_file(&path).unwrap();
    let message = taru_sys::socket::receive_with_fds(stream.as_fd(), 16).unwrap();
    let listener = message.fds.first().unwrap().as_fd();

    // A value of our own.
    let asked = sys::notify_recv(listener).unwrap();
    assert_eq!(asked.data.nr as u32, syscall_number("getsid", Arch::NATIVE).unwrap());
    assert_eq!((asked.data.arch, asked.data.args[0]), (Arch::NATIVE.audit(), 4711));
    assert!(sys::is_notify_id_valid(listener, asked.id));
    assert!(!sys::is_notify_id_valid(listener, asked.id + 1));
    sys::notify_send(listener, &sys::Response { id: asked.id, val: 4242, error: 0, flags: 0 }).unwrap();

    // An error.
    let asked = sys::notify_recv(listener).unwrap();
    sys::notify_send(listener, &sys::Response { id: asked.id, val: 0, error: -5, flags: 0 }).unwrap();

    // A descriptor of ours, at a number of our choice, as the call's result.
    let asked = sys::notify_recv(listener).unwrap();
    let number = sys::notify_addfd(listener, asked.id, stream.as_fd(), Some(50), true, true).unwrap();
    assert_eq!(number, 50);

    let output = child.wait_with_output().unwrap();
    assert_eq!(results(&output), [4242, -5, 50, 1]);
}

#[test]
fn kernel_offers_what_we_name() {
    let flags: Vec<&str> = taru_seccomp::available_flags().collect();
    assert!(flags.contains(&"SECCOMP_FILTER_FLAG_LOG"), "{flags:?}");
    assert!(!sys::are_flags_available(1 << 20));
    assert!(!sys::is_action_available(0x1234_0000));
}

/// Without capabilities, under the default profile: each call that widens the kernel's surface, and what
/// comes of it. Null pointers where the call would do something: EFAULT means that it reached the kernel.
#[test]
fn default_profile_refuses() {
    let refused: &[(&str, &[u64], i64)] = &[
        ("unshare", &[0x1000_0000], EPERM),
        ("unshare", &[0x4000_0000], EPERM),
        ("unshare", &[0x0002_0000], EPERM),
        ("unshare", &[0x80], EPERM),
        ("clone", &[0x1000_0011], EPERM),
        ("clone", &[0x2_0000_0011 | 0x2000_0000], EPERM),
        ("clone3", &[0, 0], ENOSYS),
        ("setns", &[u64::MAX, 0], EPERM),
        ("mount", &[], EPERM),
        ("umount2", &[], EPERM),
        ("pivot_root", &[], EPERM),
        ("fsopen", &[], EPERM),
        ("fsmount", &[], EPERM),
        ("fspick", &[], EPERM),
        ("fsconfig", &[], EPERM),
        ("open_tree", &[], EPERM),
        ("open_tree_attr", &[], EPERM),
        ("move_mount", &[], EPERM),
        ("mount_setattr", &[], EPERM),
        ("chroot", &[], EPERM),
        ("add_key", &[], EPERM),
        ("request_key", &[], EPERM),
        ("keyctl", &[], EPERM),
        ("io_uring_setup", &[], EPERM),
        ("io_uring_enter", &[], EPERM),
        ("io_uring_register", &[], EPERM),
        ("userfaultfd", &[1], EPERM),
        ("bpf", &[], EPERM),
        ("perf_event_open", &[], EPERM),
        ("pidfd_getfd", &[u64::MAX], EPERM),
        ("kcmp", &[], EPERM),
        ("personality", &[0x0004_0000], EPERM),
        ("personality", &[0x0040_0000], EPERM),
        ("syslog", &[2], EPERM),
        ("quotactl", &[], EPERM),
        ("swapon", &[], EPERM),
        ("fanotify_init", &[0xffff_ffff], EPERM),
        ("open_by_handle_at", &[], EPERM),
        ("kexec_load", &[0, 99], EPERM),
        ("kexec_file_load", &[], EPERM),
        ("init_module", &[], EPERM),
        ("finit_module", &[u64::MAX], EPERM),
        ("delete_module", &[], EPERM),
        ("iopl", &[0], EPERM),
        ("settimeofday", &[], EPERM),
        ("clock_settime", &[], EPERM),
        ("reboot", &[], EPERM),
        ("acct", &[1], EPERM),
        ("sethostname", &[], EPERM),
        ("mbind", &[], EPERM),
        ("modify_ldt", &[], EPERM),
        ("vhangup", &[], EPERM),
        // Families: AF_AX25, AF_PACKET, AF_ALG, AF_RXRPC, AF_VSOCK, AF_XDP, one past the end, and AF_UNIX
        // with rubbish above that the kernel would cut off.
        ("socket", &[3, 2], -97),
        ("socket", &[17, 3], -97),
        ("socket", &[38, 5], -97),
        ("socket", &[33, 2], -97),
        ("socket", &[40, 1], -97),
        ("socket", &[44, 3], -97),
        ("socket", &[46, 1], -97),
        ("socket", &[(1 << 32) | 38, 5], -97),
        // Netlink: XFRM, AUDIT, NETFILTER, GENERIC.
        ("socket", &[16, 3, 6], -93),
        ("socket", &[16, 3, 9], -93),
        ("socket", &[16, 3, 12], -93),
        ("socket", &[16, 3, 16], -93),
        ("socketpair", &[16, 3, 0], EPERM),
    ];
    let profile = default_profile(Capabilities::NONE).to_json();
    let known: Vec<_> =
        refused.iter().filter(|(name, ..)| syscall_number(name, Arch::NATIVE).is_some()).collect();
    let calls: Vec<String> = known.iter().map(|(name, args, _)| call(name, args)).collect();
    let got = returned(&profile, &calls);
    for ((name, args, expected), got) in known.iter().zip(got) {
        assert_eq!(got, *expected, "{name} {args:x?}");
    }
    if Arch::NATIVE == Arch::X86_64 {
        let calls =
            [call32("socketcall", &[1, 0]), call32("socket", &[38, 5]), call32("clone", &[0x1000_0011])];
        assert_eq!(returned(&profile, &calls), [ENOSYS, -97, EPERM]);
    }
}

#[test]
fn default_profile_lets_through() {
    let allowed: &[(&str, &[u64])] = &[
        ("ptrace", &[0]),
        ("process_vm_readv", &[1]),
        ("landlock_create_ruleset", &[0, 0, 1]),
        ("memfd_create", &[]),
        ("socket", &[16, 3, 0]),
        ("socket", &[1, 1]),
        ("socket", &[2, 2]),
        ("socket", &[10, 1]),
        ("socketpair", &[1, 1]),
        ("personality", &[0xffff_ffff]),
        ("personality", &[0]),
        ("unshare", &[0x400]),
        ("pidfd_open", &[0]),
        ("openat2", &[]),
        ("rseq", &[]),
        ("membarrier", &[]),
    ];
    let calls: Vec<String> = allowed.iter().map(|(name, args)| call(name, args)).collect();
    let got = returned(&default_profile(Capabilities::NONE).to_json(), &calls);
    for ((name, args), got) in allowed.iter().zip(got) {
        // Landlock may be missing, rseq is registered by libc.
        assert!(got != EPERM && (got != ENOSYS || name.starts_with("landlock")), "{name} {args:x?}: {got}");
    }
}

#[test]
fn a_capability_opens_its_calls() {
    let opened: &[(&str, &str, &[u64])] = &[
        ("SYS_ADMIN", "mount", &[]),
        ("SYS_ADMIN", "unshare", &[0x1_0000_0000]),
        ("SYS_ADMIN", "clone3", &[]),
        ("SYS_PTRACE", "pidfd_getfd", &[u64::MAX]),
        ("SYS_CHROOT", "chroot", &[]),
        ("SYS_TIME", "clock_settime", &[0, 0]),
        ("SYS_NICE", "mbind", &[1]),
        ("SYS_MODULE", "delete_module", &[]),
        ("SYS_BOOT", "reboot", &[]),
        ("SYSLOG", "syslog", &[99]),
        ("BPF", "bpf", &[99]),
        ("PERFMON", "perf_event_open", &[]),
        ("NET_RAW", "socket", &[17, 3, 0]),
        ("NET_ADMIN", "socket", &[16, 3, 6]),
        ("AUDIT_WRITE", "socket", &[16, 3, 9]),
    ];
    for (capability, name, args) in opened {
        let caps = Capabilities::named(capability).unwrap();
        let got = returned(&default_profile(caps).to_json(), &[call(name, args)])[0];
        assert!(got != EPERM && got != -93 && got != -97, "{capability} {name}: {got}");
    }
}

#[test]
fn ordinary_programs_run_under_the_default_profile() {
    let script = "set -e; cd /tmp; d=$(mktemp -d); echo a | sort | tee $d/x | grep -q a; ls -l $d > /dev/null; \
        id > /dev/null; sleep 0.01; (exit 3) || true; command -v python3 > /dev/null && \
        python3 -c 'import threading,subprocess,socket,multiprocessing; \
        t=threading.Thread(target=print); t.start(); t.join(); \
        subprocess.run([\"true\"],check=True); socket.socketpair(); socket.if_nameindex()'; rm -r $d; echo fine";
    let profile = default_profile(Capabilities::NONE).to_json();
    let mut command = under(&profile, &[]);
    command.env(EXECUTABLE, "/bin/bash").env(ARGUMENTS, format!("-c\n{script}"));
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("fine"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}
