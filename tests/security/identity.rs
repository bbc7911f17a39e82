//! Mistakes of identity (T59-T63).

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use serde_json::json;
use taru_testkit::sandbox_with_peers;

#[test]
fn t59_ids_that_are_none_never_become_root() {
    sandbox_with_peers(|sandbox| {
        let base = sandbox.bundle().args(&["/bin/probe", "ids"]);
        for bad in [
            json!(2_147_483_648_u64),
            json!(4_294_967_295_u64),
            json!(4_294_967_296_u64),
            json!(-1),
            json!("00"),
            json!(" 0"),
            json!("0x0"),
            json!("root"),
            json!(null),
        ] {
            for key in ["uid", "gid"] {
                let mut user = json!({ "uid": 1, "gid": 1 });
                user[key] = bad.clone();
                let output = sandbox.runtime().run(&base.clone().put("/process/user", user));
                if output.status == 0 {
                    let seen = output.value(if key == "uid" { "uids" } else { "gids" });
                    let exact = bad.as_u64().map(|id| format!("{id} {id} {id}"));
                    // null is the same as absent, which is the default of the type.
                    assert!(bad.is_null() || exact.as_deref() == Some(seen), "{key} {bad} became {seen}");
                }
            }
        }
    });
}

#[test]
fn t59_exec_users_that_are_none_never_become_root() {
    sandbox_with_peers(|sandbox| {
        let bundle = sandbox.bundle().idle().file(
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\n1000:x:0:0::/:/bin/sh\n4294967296:x:0:0::/:/bin/sh\n",
            0o644,
        );
        let container = sandbox.runtime().start(&bundle);
        for user in [
            "2147483648",
            "4294967295",
            "4294967296",
            "18446744073709551616",
            "-1",
            " 0",
            "0x0",
            "1000",
            "",
            ":",
            "1:",
            ":1",
            "1:x",
            "x",
            "+0",
            "0 ",
            "1000:4294967296",
        ] {
            let output = container.exec_with(&["--user", user], ["/bin/probe", "ids"]);
            if output.status != 0 {
                continue;
            }
            let uid = output.value("uids").split(' ').next().unwrap_or("").to_owned();
            let asked = user.split(':').next().unwrap_or("");
            let kept_default = asked.is_empty() && uid == "0";
            assert!(kept_default || uid == asked, "--user `{user}` became {uid}");
        }
    });
}

#[test]
fn t60_exec_user_is_exact() {
    sandbox_with_peers(|sandbox| {
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        for uid in ["0", "1", "2", "3", "1000", "65534"] {
            let output = container.exec_with(&["--user", uid], ["/bin/probe", "ids"]).ok();
            assert_eq!(output.value("uids"), format!("{uid} {uid} {uid}"));
            let output = container.exec_with(&["--user", &format!("{uid}:7")], ["/bin/probe", "ids"]).ok();
            assert_eq!(output.value("uids"), format!("{uid} {uid} {uid}"));
            assert_eq!(output.value("gids"), "7 7 7");
        }
        // A name is looked up in the container, or refused; it is never 0.
        for name in ["user", "user:50"] {
            let output = container.exec_with(&["--user", name], ["/bin/probe", "ids"]);
            assert!(output.status != 0 || output.value("uids").starts_with("1000"), "{}", output.stdout);
        }
    });
}

#[test]
fn t61_no_inheritable_and_no_ambient_capabilities() {
    sandbox_with_peers(|sandbox| {
        let bundle = sandbox.bundle().idle().capabilities(&["CAP_CHOWN", "CAP_KILL", "CAP_SETUID"]);
        let container = sandbox.runtime().start(&bundle);
        let of_init = container.exec(["/bin/cat", "/proc/1/status"]).ok();
        let of_exec = container.exec(["/bin/cat", "/proc/self/status"]).ok();
        let of_user = container.exec_with(&["--user", "1000:1000"], ["/bin/cat", "/proc/self/status"]).ok();
        for output in [&of_init, &of_exec, &of_user] {
            assert_eq!(output.value("CapInh"), "0000000000000000");
            assert_eq!(output.value("CapAmb"), "0000000000000000");
            assert_eq!(output.value("CapBnd"), "00000000000000a1");
        }
        assert_eq!(of_init.value("CapEff"), "00000000000000a1");
        assert_eq!(of_exec.value("CapEff"), "00000000000000a1");
        assert_eq!(of_user.value("CapEff"), "0000000000000000");
        assert_eq!(of_user.value("CapPrm"), "0000000000000000");
    });
}

#[test]
fn t62_no_group_but_those_given() {
    sandbox_with_peers(|sandbox| {
        let bundle = sandbox.bundle().file("grouped", "of group 0", 0o640).idle();
        chown(bundle.rootfs().join("grouped"), Some(0), Some(0)).expect("chown");
        let container = sandbox
            .runtime()
            .start(&bundle.clone().put("/process/user", json!({ "uid": 1000, "gid": 1000 })));
        for options in [&["--user", "1000:1000"][..], &[]] {
            let output = container
                .exec_with(options, ["/bin/sh", "-c", "probe ids; cat /grouped || echo refused"])
                .ok();
            assert_eq!(output.value("groups"), "");
            assert!(output.stdout.ends_with("refused\n"), "{}", output.stdout);
        }
    });
}

#[test]
fn t63_a_setuid_program_gains_nothing_under_no_new_privileges() {
    sandbox_with_peers(|sandbox| {
        let bundle = sandbox.bundle();
        let program = bundle.rootfs().join("bin/setuid-probe");
        fs::copy(bundle.rootfs().join("bin/probe"), &program).expect("copy the probe");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o6755)).expect("chmod");
        let user = json!({ "uid": 1000, "gid": 1000 });
        let bundle = bundle.put("/process/user", user).args(&["/bin/setuid-probe", "ids"]);
        let output = sandbox.runtime().run(&bundle).ok();
        assert_eq!(output.value("uids"), "1000 1000 1000");
        assert_eq!(output.value("gids"), "1000 1000 1000");
        // The test tests something: without, the program is root.
        let output = sandbox.runtime().run(&bundle.put("/process/noNewPrivileges", json!(false))).ok();
        assert_eq!(output.value("uids"), "1000 0 0");
    });
}
