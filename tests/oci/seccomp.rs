//! `linux.seccomp`: each action as the program sees it.

use serde_json::{Value, json};
use taru_testkit::{Bundle, Family, Sandbox, eventually, sandbox};

/// x86-64 and aarch64 numbers differ; the tests use these calls by number through the probe.
const GETPRIORITY: &str = if cfg!(target_arch = "x86_64") { "140" } else { "141" };
const PERSONALITY: &str = if cfg!(target_arch = "x86_64") { "135" } else { "92" };

fn profile(default: &str, rules: Value) -> Value {
    json!({ "defaultAction": default, "syscalls": rules })
}

/// What `getpriority(0, 0)` answers under a profile.
fn verdict(sandbox: &Sandbox, profile: Value) -> taru_testkit::Output {
    let bundle = sandbox
        .bundle()
        .args(&["/bin/probe", "syscall", GETPRIORITY, "0", "0"])
        .put("/linux/seccomp", profile);
    sandbox.runtime().run(&bundle)
}

/// What getpriority(2) answers under the test's own nice value, which is the container's too.
fn priority() -> String {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("read /proc/self/stat");
    let after = stat.rsplit(')').next().expect("a name in parentheses");
    let nice: i64 = after.split_whitespace().nth(16).expect("field 19").parse().expect("a number");
    format!("{} ok", 20 - nice)
}

#[test]
fn allow_by_default_and_errno_by_rule() {
    sandbox(|sandbox| {
        let rule = |extra: Value| {
            let mut rule = json!({ "names": ["getpriority"], "action": "SCMP_ACT_ERRNO" });
            if let Value::Object(extra) = extra {
                rule.as_object_mut().expect("an object").extend(extra);
            }
            profile("SCMP_ACT_ALLOW", json!([rule]))
        };
        assert_eq!(verdict(sandbox, profile("SCMP_ACT_ALLOW", json!([]))).ok().text(), priority());
        assert_eq!(verdict(sandbox, rule(json!({}))).ok().text(), "-1 EPERM");
        assert_eq!(verdict(sandbox, rule(json!({ "errnoRet": 38 }))).ok().text(), "-1 ENOSYS");
    });
}

#[test]
fn a_filter_that_kills_execve_is_an_error_that_says_so() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "word of a filter that kills execve") {
            return;
        }
        let deadly = profile(
            "SCMP_ACT_ALLOW",
            json!([{ "names": ["execve", "execveat"], "action": "SCMP_ACT_KILL_PROCESS" }]),
        );
        let bundle = sandbox.bundle().put("/linux/seccomp", deadly);
        sandbox.runtime().run(&bundle).fails_with("start the container: its init was killed by SIGSYS");
    });
}

#[test]
fn default_errno_with_an_allow_list() {
    sandbox(|sandbox| {
        // What a static program needs, without getpriority.
        let names = json!([
            "execve",
            "brk",
            "arch_prctl",
            "set_tid_address",
            "set_robust_list",
            "rseq",
            "prlimit64",
            "readlink",
            "readlinkat",
            "getrandom",
            "mprotect",
            "newfstatat",
            "fstat",
            "write",
            "exit_group",
            "exit",
            "close",
            "uname",
            "mmap",
            "munmap",
            "futex",
            "prctl",
            "capget",
            "capset",
            "openat",
            "read",
            "fcntl",
            "setresuid",
            "setresgid",
            "setgroups",
            "chdir",
            "getcwd",
            "rt_sigreturn",
            "rt_sigaction",
            "rt_sigprocmask",
            "sigaltstack",
            "getpid",
            "gettid",
            "tgkill",
            "epoll_ctl",
            "epoll_pwait",
            "nanosleep",
            "sched_yield",
            "getppid",
            "setuid",
            "setgid",
            "setsid",
            "fchown",
            "umask",
            "stat",
            "lstat",
            "access",
            "faccessat2",
            "openat2",
            "fstatfs",
            "statfs",
            "close_range",
            "seccomp",
            "sendto",
            "recvfrom",
            "sendmsg",
            "recvmsg",
            "sendmmsg",
            "getdents64",
            "clone",
            "clone3",
            "pidfd_open",
            "getuid",
            "geteuid",
            "getgid",
            "getegid",
            "poll",
            "ppoll",
            "ioctl",
            "lseek",
            "pread64",
            "dup3",
            "dup2",
            "dup",
            "pipe2",
            "getsockopt",
            "madvise",
            "sched_getaffinity",
            "rt_sigtimedwait",
            "wait4",
            "waitid",
            "keyctl",
            "epoll_create1",
            "eventfd2",
            "socket",
            "connect",
            "pselect6",
            "unlinkat",
            "execveat",
            "timer_create",
            "timer_settime",
            "timer_delete",
            "kill"
        ]);
        let allow = json!([{ "names": names, "action": "SCMP_ACT_ALLOW" }]);
        let mut with_errno = profile("SCMP_ACT_ERRNO", allow);
        with_errno["defaultErrnoRet"] = json!(95);
        assert_eq!(verdict(sandbox, with_errno).ok().text(), "-1 EOPNOTSUPP");
    });
}

#[test]
fn arguments_are_compared() {
    sandbox(|sandbox| {
        let try_value = |operator: &str, value: u64, value_two: u64, actual: &str| {
            let rules = json!([{
                "names": ["personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": 42,
                "args": [{ "index": 0, "value": value, "valueTwo": value_two, "op": operator }],
            }]);
            let bundle = sandbox
                .bundle()
                .args(&["/bin/probe", "syscall", PERSONALITY, actual])
                .put("/linux/seccomp", profile("SCMP_ACT_ALLOW", rules));
            sandbox.runtime().prints(&bundle).contains("ENOMSG")
        };
        // 0xffffffff only reads the personality.
        let query = "0xffffffff";
        for (operator, value, two, hit) in [
            ("SCMP_CMP_EQ", 0xffff_ffff, 0, true),
            ("SCMP_CMP_EQ", 1, 0, false),
            ("SCMP_CMP_NE", 1, 0, true),
            ("SCMP_CMP_NE", 0xffff_ffff, 0, false),
            ("SCMP_CMP_LT", 0x1_0000_0000, 0, true),
            ("SCMP_CMP_LT", 0xffff_ffff, 0, false),
            ("SCMP_CMP_LE", 0xffff_ffff, 0, true),
            ("SCMP_CMP_GT", 0xffff_fffe, 0, true),
            ("SCMP_CMP_GT", 0xffff_ffff, 0, false),
            ("SCMP_CMP_GE", 0xffff_ffff, 0, true),
            ("SCMP_CMP_MASKED_EQ", 0xff, 0xff, true),
            ("SCMP_CMP_MASKED_EQ", 0xff, 0xfe, false),
        ] {
            assert_eq!(try_value(operator, value, two, query), hit, "{operator} {value:#x} {two:#x}");
        }
    });
}

#[test]
fn kill_ends_the_process_with_sigsys() {
    sandbox(|sandbox| {
        for action in ["SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD"] {
            let rules = json!([{ "names": ["getpriority"], "action": action }]);
            let output = verdict(sandbox, profile("SCMP_ACT_ALLOW", rules));
            assert_eq!(output.status, 128 + 31, "{action}: {}", output.stdout);
        }
    });
}

#[test]
fn trap_raises_sigsys() {
    sandbox(|sandbox| {
        let rules = json!([{ "names": ["getpriority"], "action": "SCMP_ACT_TRAP" }]);
        // Uncaught, by pid 1 of a namespace too: it is forced.
        assert_eq!(verdict(sandbox, profile("SCMP_ACT_ALLOW", rules)).status, 128 + 31);
    });
}

#[test]
fn log_allows() {
    sandbox(|sandbox| {
        let rules = json!([{ "names": ["getpriority"], "action": "SCMP_ACT_LOG" }]);
        assert_eq!(verdict(sandbox, profile("SCMP_ACT_ALLOW", rules)).ok().text(), priority());
    });
}

#[test]
fn unknown_system_calls_are_passed_over_and_unknown_actions_refused() {
    sandbox(|sandbox| {
        let rules = json!([{ "names": ["no_such_call", "getpriority"], "action": "SCMP_ACT_ERRNO" }]);
        assert_eq!(verdict(sandbox, profile("SCMP_ACT_ALLOW", rules)).ok().text(), "-1 EPERM");
        verdict(sandbox, profile("SCMP_ACT_NOSUCH", json!([]))).fails_with("SCMP_ACT_NOSUCH");
        let mut flags =
            profile("SCMP_ACT_ALLOW", json!([{ "names": ["getpriority"], "action": "SCMP_ACT_ERRNO" }]));
        flags["flags"] = json!(["SECCOMP_FILTER_FLAG_NOSUCH"]);
        if !sandbox.peer_lacks(&[Family::Runc], "nothing: it ignores `flags` in this version") {
            verdict(sandbox, flags).fails_with("SECCOMP_FILTER_FLAG_NOSUCH");
        }
    });
}

#[test]
fn flags_and_architectures() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc], "seccomp flags") {
            return;
        }
        let mut wide =
            profile("SCMP_ACT_ALLOW", json!([{ "names": ["getpriority"], "action": "SCMP_ACT_ERRNO" }]));
        wide["architectures"] =
            json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64"]);
        wide["flags"] = json!(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]);
        assert_eq!(verdict(sandbox, wide).ok().text(), "-1 EPERM");
    });
}

#[test]
fn the_filter_is_in_force_for_exec_too() {
    sandbox(|sandbox| {
        let rules = json!([{ "names": ["getpriority"], "action": "SCMP_ACT_ERRNO" }]);
        let bundle = sandbox.bundle().idle().put("/linux/seccomp", profile("SCMP_ACT_ALLOW", rules));
        let container = sandbox.runtime().start(&bundle);
        let output = container.exec(["/bin/probe", "syscall", GETPRIORITY, "0", "0"]).ok();
        assert_eq!(output.text(), "-1 EPERM");
        assert_eq!(container.exec(["/bin/grep", "Seccomp:", "/proc/self/status"]).ok().text(), "Seccomp:\t2");
    });
}

#[test]
fn a_filter_loads_without_no_new_privileges_as_an_ordinary_user() {
    sandbox(|sandbox| {
        let rules = json!([{ "names": ["getpriority"], "action": "SCMP_ACT_ERRNO" }]);
        let bundle = sandbox
            .bundle()
            .args(&["/bin/probe", "syscall", GETPRIORITY, "0", "0"])
            .put("/linux/seccomp", profile("SCMP_ACT_ALLOW", rules))
            .put("/process/noNewPrivileges", json!(false))
            .put("/process/user", json!({ "uid": 1000, "gid": 1000 }))
            .put("/process/capabilities", json!({}));
        assert_eq!(sandbox.runtime().prints(&bundle), "-1 EPERM");
    });
}

fn with_listener(sandbox: &Sandbox, socket: &std::path::Path) -> Bundle {
    let rules = json!([{ "names": ["getpriority"], "action": "SCMP_ACT_NOTIFY" }]);
    let mut seccomp = profile("SCMP_ACT_ALLOW", rules);
    seccomp["listenerPath"] = json!(socket);
    seccomp["listenerMetadata"] = json!("some metadata");
    sandbox.bundle().put("/linux/seccomp", seccomp)
}

#[test]
fn notifications_reach_the_listener_with_the_state() {
    sandbox(|sandbox| {
        let socket = sandbox.dir().join("seccomp.sock");
        let agent = sandbox.runtime().beside([taru_testkit::probe()]).arg("seccomp-agent").arg(&socket);
        let mut agent = agent.spawn();
        agent.wait_for("listening");
        let bundle = with_listener(sandbox, &socket).args(&["/bin/probe", "syscall", GETPRIORITY, "0", "0"]);
        assert_eq!(sandbox.runtime().prints(&bundle), "-1 ENOMSG");
        agent.wait_for(&format!("notified {GETPRIORITY}"));
        let output = agent.wait();
        let state: Value = serde_json::from_str(output.value("state")).expect("the container process state");
        assert_eq!(state["metadata"], "some metadata");
        assert!(state["fds"].as_array().is_some_and(|fds| fds.contains(&json!("seccompFd"))), "{state}");
        assert!(state["pid"].as_u64().is_some_and(|pid| pid > 1), "{state}");
        assert!(state["ociVersion"].is_string(), "{state}");
        assert_eq!(state["state"]["bundle"], json!(bundle.dir()));
    });
}

#[test]
fn a_listener_that_is_not_there_is_an_error() {
    sandbox(|sandbox| {
        let bundle = with_listener(sandbox, &sandbox.dir().join("nobody.sock"));
        sandbox.runtime().run(&bundle).fails_with("nobody.sock");
        eventually("nothing is left", || sandbox.leaks().lines.is_empty());
    });
}

#[test]
fn notify_without_a_listener_is_refused() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "refusal of notify without a listener") {
            return;
        }
        let rules = json!([{ "names": ["getpriority"], "action": "SCMP_ACT_NOTIFY" }]);
        let bundle = sandbox.bundle().put("/linux/seccomp", profile("SCMP_ACT_ALLOW", rules));
        sandbox.runtime().run(&bundle).fails();
    });
}
