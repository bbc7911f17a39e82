//! `process.apparmorProfile`: what the program and its kin run under, and T27's other half: where the label is written.
//!
//! The test machine's kernel has AppArmor (`cargo xtask vm`); elsewhere these are skips.

use std::fs;

use serde_json::json;
use taru_testkit::{Bundle, Sandbox, sandbox};

/// A loaded profile, which forbids one file; gone when dropped.
struct Profile<'a> {
    sandbox: &'a Sandbox,
    name: String,
}

impl<'a> Profile<'a> {
    /// `None`, and a skip, where there is no AppArmor or nothing to load a profile with.
    fn load(sandbox: &'a Sandbox, suffix: &str) -> Option<Profile<'a>> {
        let enabled = fs::read("/sys/module/apparmor/parameters/enabled");
        let has_parser = || sandbox.runtime().beside(["apparmor_parser", "--version"]).output().status == 0;
        if !enabled.is_ok_and(|text| text.starts_with(b"Y")) || !has_parser() {
            sandbox.skip("AppArmor");
            return None;
        }
        let profile = Profile { sandbox, name: format!("{}-{suffix}", sandbox.marker()) };
        profile.parser("--replace");
        Some(profile)
    }

    fn parser(&self, verb: &str) {
        let rules = "file, capability, network, mount, umount, signal, ptrace, unix, deny /denied rw,";
        let text = format!("profile {} flags=(attach_disconnected) {{ {rules} }}\n", self.name);
        let file = self.sandbox.dir().join("profile");
        fs::write(&file, text.replace(", ", ",\n")).expect("write the profile");
        self.sandbox
            .runtime()
            .beside(["apparmor_parser", "--skip-cache", verb])
            .arg(file)
            .output()
            .succeeds();
    }

    fn bundle(&self) -> Bundle {
        self.sandbox
            .bundle()
            .file("denied", "read", 0o666)
            .file("allowed", "allowed", 0o666)
            .put("/process/apparmorProfile", json!(self.name))
    }
}

impl Drop for Profile<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.parser("--remove");
        }
    }
}

#[test]
fn the_program_runs_under_its_profile_and_exec_under_the_same_or_another() {
    sandbox(|sandbox| {
        let Some(profile) = Profile::load(sandbox, "one") else { return };
        let Some(other) = Profile::load(sandbox, "two") else { return };
        let current = "cat /proc/self/attr/current; cat /allowed /denied";
        let output = sandbox.runtime().run(&profile.bundle().sh(current));
        assert_eq!(output.stdout, format!("{} (enforce)\nallowed", profile.name));
        assert!(output.stderr.contains("Permission denied"), "{}", output.stderr);

        let container = sandbox.runtime().start(&profile.bundle().idle());
        let label = |options: &[&str]| {
            container.exec_with(options, ["/bin/cat", "/proc/self/attr/current"]).ok().text().to_owned()
        };
        assert_eq!(label(&[]), format!("{} (enforce)", profile.name));
        assert_eq!(label(&["--apparmor", &other.name]), format!("{} (enforce)", other.name));

        let unknown = sandbox.bundle().put("/process/apparmorProfile", json!("no-such-profile"));
        sandbox.runtime().run(&unknown).fails_with("no-such-profile");
    });
}

/// T27: what is mounted on /proc gets no label to keep, and the program does not go without.
#[test]
fn t27_fake_proc_does_not_receive_labels() {
    sandbox(|sandbox| {
        let Some(profile) = Profile::load(sandbox, "t27") else { return };
        let fake = sandbox.dir().join("fake-proc");
        let files =
            ["self/attr/exec", "self/attr/apparmor/exec", "thread-self/attr/exec"].map(|f| fake.join(f));
        for file in &files {
            fs::create_dir_all(file.parent().expect("a directory")).expect("make directories");
            fs::write(file, "fake").expect("write a file");
        }
        let bundle = profile
            .bundle()
            .mount("/proc", "bind", fake.to_str().expect("a plain path"), &["rbind"])
            .sh("cat /allowed /denied");
        let output = sandbox.runtime().run(&bundle);
        for file in &files {
            assert_eq!(fs::read_to_string(file).expect("the fake"), "fake", "the label went to the fake");
        }
        // Refused, or under its profile: never without.
        assert!(output.stdout == "allowed" || output.status != 0 && output.stdout.is_empty(), "{output:?}");
        if sandbox.runtime().family() == taru_testkit::Family::Taru {
            assert_eq!(output.stdout, "allowed", "{}", output.stderr);
        }
    });
}
