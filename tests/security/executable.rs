//! The runtime's own executable as a target from inside (T32, T33; CVE-2019-5736).
//!
//! The tests run a copy of the runtime, so that an attack that succeeds harms nobody.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use taru_testkit::{Container, Sandbox, eventually, sandbox, sandbox_with_peers};

fn fingerprint(path: &Path) -> (Vec<u8>, u32, i64) {
    let info = fs::metadata(path).expect("the executable");
    (fs::read(path).expect("the executable"), info.mode(), info.mtime_nsec())
}

fn copy(sandbox: &Sandbox) -> taru_testkit::Runtime {
    let dir = sandbox.dir().join("bin");
    fs::create_dir_all(&dir).expect("make a directory");
    sandbox.runtime().copied_to(&dir)
}

#[test]
fn t32_entry_point_is_proc_self_exe() {
    sandbox_with_peers(|sandbox| {
        let runtime = copy(sandbox);
        let before = fingerprint(runtime.program());
        let bundle = sandbox.bundle().writable().capabilities(&["CAP_DAC_OVERRIDE", "CAP_SYS_PTRACE"]);
        symlink("/proc/self/exe", bundle.rootfs().join("entry")).expect("make a symlink");
        let bundle = bundle.file("script", "#!/proc/self/exe\n", 0o755);
        for args in [&["/entry", "--version"][..], &["/proc/self/exe", "--version"], &["/script"]] {
            let output = runtime.run(&bundle.clone().args(args));
            // Whatever runs there, it is not the file on the host.
            assert!(output.status != 0 || !output.stdout.contains("wrote"));
            assert!(fingerprint(runtime.program()) == before, "the executable changed");
        }
        let container = runtime.start(&bundle.idle());
        container.exec(["/entry", "--version"]);
        container.exec(["/script"]);
        assert!(fingerprint(runtime.program()) == before, "the executable changed");
    });
}

/// Whichever way the runtime took on the file that nobody can write to: by a call, or by execve(2) where the kernel
/// refuses that.
#[test]
fn t33_nothing_of_the_hosts_file_is_in_a_waiting_init() {
    sandbox(|sandbox| {
        if sandbox.runtime().beside(["strace", "-V"]).output().status != 0 {
            return sandbox.skip("strace");
        }
        let runtime = sandbox.runtime();
        let log = sandbox.dir().join("trace");
        let refuse = ["-e", "inject=prctl:error=EPERM:when=1"];
        for (options, executed) in [(&[][..], 1), (&refuse[..], 2)] {
            let bundle = sandbox.bundle().idle();
            bundle.write();
            let container = Container::new(runtime, runtime.fresh_id());
            let mut strace = vec!["strace", "-qq", "-o", log.to_str().expect("a plain path")];
            strace.extend(["-e", "trace=execve,execveat,prctl"]);
            strace.extend(options);
            let create = runtime.invoke(["create", "--bundle"]).arg(bundle.dir()).arg(container.id());
            create.under(strace).output().succeeds();
            let trace = fs::read_to_string(&log).expect("the trace");
            assert_eq!(trace.lines().filter(|line| line.starts_with("execve")).count(), executed, "{trace}");

            let of_init = |name| Path::new("/proc").join(container.pid().to_string()).join(name);
            assert_eq!(fs::read_link(of_init("exe")).expect("its executable"), Path::new("/"));
            let maps = fs::read_to_string(of_init("maps")).expect("its memory");
            let own = runtime.program().to_str().expect("a plain path");
            assert!(maps.contains("r-xp") && !maps.contains(own), "{maps}");
            container.start();
            assert_eq!(container.exec(["/bin/echo", "runs"]).ok().text(), "runs");
            container.delete_force().succeeds();
        }
    });
}

#[test]
fn t33_executables_of_proc_are_never_writable() {
    sandbox_with_peers(|sandbox| {
        let runtime = copy(sandbox);
        let before = fingerprint(runtime.program());
        // All that an attacker could wish for short of the host's own capabilities.
        let bundle = sandbox
            .bundle()
            .writable()
            .capabilities(&["CAP_DAC_OVERRIDE", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER"])
            .sh("probe open-exes > /wrote & probe open-exes > /wrote2 & wait");
        let container = runtime.start(&bundle);
        let tries = || fs::read_to_string(bundle.rootfs().join("tries")).unwrap_or_default();
        for _ in 0..sandbox.tries(60, 400) {
            // An ordinary program, and one that makes the runtime's process itself the target.
            container.exec(["/bin/true"]);
        }
        // It saw executables of processes that came into the container, and tried to write to them.
        eventually("the attacker tried", || {
            container.exec(["/bin/true"]);
            !tries().is_empty() && !tries().contains(" 0 executables")
        });
        for file in ["wrote", "wrote2"] {
            let wrote = fs::read_to_string(bundle.rootfs().join(file)).unwrap_or_default();
            assert_eq!(wrote, "", "the attacker wrote to an executable");
        }
        assert!(fingerprint(runtime.program()) == before, "the executable changed");
        container.delete_force().succeeds();
    });
}
