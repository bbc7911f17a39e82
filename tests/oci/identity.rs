//! Who the program is: user, groups, umask, capabilities.

use serde_json::{Value, json};
use taru_testkit::{Family, sandbox};

/// Capability numbers of the kernel's `capability.h`, those the tests use.
const NUMBERS: &[(&str, u32)] = &[
    ("CAP_CHOWN", 0),
    ("CAP_DAC_OVERRIDE", 1),
    ("CAP_KILL", 5),
    ("CAP_SETGID", 6),
    ("CAP_SETUID", 7),
    ("CAP_NET_BIND_SERVICE", 10),
    ("CAP_NET_RAW", 13),
    ("CAP_SYS_ADMIN", 21),
    ("CAP_AUDIT_WRITE", 29),
];

fn mask(names: &[&str]) -> String {
    let bits =
        NUMBERS.iter().filter(|(name, _)| names.contains(name)).fold(0u64, |all, (_, bit)| all | 1 << bit);
    format!("{bits:016x}")
}

#[test]
fn user_and_groups_are_exact() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().args(&["/bin/probe", "ids"]).put(
            "/process/user",
            json!({ "uid": 1000, "gid": 50, "additionalGids": [7, 1000], "umask": 0o027 }),
        );
        let output = sandbox.runtime().run(&bundle).ok();
        assert_eq!(output.value("uids"), "1000 1000 1000");
        assert_eq!(output.value("gids"), "50 50 50");
        assert_eq!(output.value("umask"), "027");
        assert_eq!(output.value("groups"), "7 1000");
    });
}

#[test]
fn root_gets_no_group_of_the_callers() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().args(&["/bin/probe", "ids"]);
        let output = sandbox
            .runtime()
            .invoke_run(&bundle, &[] as &[&str])
            .under(["setpriv", "--groups", "4,27"])
            .output()
            .ok();
        assert_eq!(output.value("uids"), "0 0 0");
        assert_eq!(output.value("groups"), "");
    });
}

#[test]
fn the_callers_groups_stay_where_an_annotation_asks() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc], "run.oci.keep_original_groups") {
            return;
        }
        let bundle = sandbox
            .bundle()
            .args(&["/bin/probe", "ids"])
            .put("/annotations", json!({ "run.oci.keep_original_groups": "1" }));
        let output = sandbox
            .runtime()
            .invoke_run(&bundle, &[] as &[&str])
            .under(["setpriv", "--groups", "4,27"])
            .output()
            .ok();
        assert_eq!(output.value("groups"), "4 27");
    });
}

#[test]
fn umask_defaults_to_022() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().args(&["/bin/probe", "ids"]);
        let output = sandbox.runtime().run(&bundle).ok();
        assert_eq!(output.value("umask"), "022");
    });
}

#[test]
fn a_large_numeric_user_needs_no_passwd_entry() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc], "ids beyond 31 bits") {
            return;
        }
        let bundle = sandbox
            .bundle()
            .args(&["/bin/probe", "ids"])
            .put("/process/user", json!({ "uid": 4_000_000_000_u32, "gid": 4_000_000_001_u32 }));
        let output = sandbox.runtime().run(&bundle).ok();
        assert_eq!(output.value("uids"), "4000000000 4000000000 4000000000");
        assert_eq!(output.value("gids"), "4000000001 4000000001 4000000001");
    });
}

/// All five sets, each different, read back from the kernel. Ambient must be within inheritable and
/// permitted.
#[test]
fn the_five_capability_sets_are_exact() {
    sandbox(|sandbox| {
        let bounding = ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_NET_RAW", "CAP_SYS_ADMIN"];
        let permitted = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"];
        let effective = ["CAP_CHOWN", "CAP_KILL"];
        let inheritable = ["CAP_KILL"];
        let ambient = ["CAP_KILL"];
        // As an ordinary user: execve of a program without file capabilities leaves exactly ambient.
        let sets = json!({
            "bounding": bounding, "permitted": permitted, "effective": effective,
            "inheritable": inheritable, "ambient": ambient,
        });
        let bundle = sandbox
            .bundle()
            .args(&["/bin/cat", "/proc/self/status"])
            .put("/process/capabilities", sets)
            .put("/process/noNewPrivileges", json!(false));
        let user = bundle.clone().put("/process/user", json!({ "uid": 1000, "gid": 1000 }));
        let output = sandbox.runtime().run(&user).ok();
        assert_eq!(output.value("CapBnd"), mask(&bounding), "bounding");
        assert_eq!(output.value("CapInh"), mask(&inheritable), "inheritable");
        assert_eq!(output.value("CapAmb"), mask(&ambient), "ambient");
        assert_eq!(output.value("CapPrm"), mask(&ambient), "permitted of a user after execve");
        assert_eq!(output.value("CapEff"), mask(&ambient), "effective of a user after execve");
        // As root execve regains the whole bounding set (capabilities(7), root user).
        let output = sandbox.runtime().run(&bundle).ok();
        assert_eq!(output.value("CapBnd"), mask(&bounding));
        assert_eq!(output.value("CapPrm"), mask(&bounding));
    });
}

#[test]
fn no_capabilities_means_none() {
    sandbox(|sandbox| {
        for empty in [json!({}), json!({ "bounding": [], "effective": [], "permitted": [] })] {
            let bundle =
                sandbox.bundle().args(&["/bin/cat", "/proc/self/status"]).put("/process/capabilities", empty);
            let output = sandbox.runtime().run(&bundle).ok();
            for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                assert_eq!(output.value(set), "0000000000000000", "{set}");
            }
        }
    });
}

#[test]
fn an_absent_capabilities_object_grants_none() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().args(&["/bin/cat", "/proc/self/status"]).edit(|spec| {
            spec["process"].as_object_mut().expect("process").remove("capabilities");
        });
        if sandbox.peer_lacks(&[Family::Runc], "dropping of capabilities when the object is absent") {
            return;
        }
        let output = sandbox.runtime().run(&bundle).ok();
        assert_eq!(output.value("CapEff"), "0000000000000000");
        assert_eq!(output.value("CapBnd"), "0000000000000000");
    });
}

#[test]
fn ids_beyond_32_bits_are_refused() {
    sandbox(|sandbox| {
        for bad in [json!(4_294_967_296_u64), json!(-1), json!("0"), json!(1.5)] {
            if sandbox.peer_lacks(&[Family::Crun], "refusal of an id that is none") {
                continue;
            }
            let user: Value = json!({ "uid": bad, "gid": 0 });
            sandbox.runtime().run(&sandbox.bundle().put("/process/user", user)).fails();
        }
    });
}

#[test]
fn keep_caps_do_not_survive_into_the_program() {
    sandbox(|sandbox| {
        // A user without ambient capabilities holds nothing, whatever the permitted set said.
        let bundle = sandbox
            .bundle()
            .args(&["/bin/cat", "/proc/self/status"])
            .capabilities(&["CAP_CHOWN", "CAP_SYS_ADMIN"])
            .put("/process/user", json!({ "uid": 1000, "gid": 1000 }));
        let output = sandbox.runtime().run(&bundle).ok();
        assert_eq!(output.value("CapPrm"), mask(&[]));
        assert_eq!(output.value("CapEff"), mask(&[]));
        assert_eq!(output.value("CapBnd"), mask(&["CAP_CHOWN", "CAP_SYS_ADMIN"]));
    });
}
