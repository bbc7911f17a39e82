//! Profiles as people and programs write them, well and badly.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use taru_seccomp::{Action, Arch, Op, Profile, compile};
use taru_stdx::Kind;
use taru_sys::seccomp::flag;

fn parse(json: &str) -> Profile {
    Profile::parse(json).unwrap().unwrap()
}

#[test]
fn every_member_is_read() {
    let profile = parse(
        r#"{
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64", "SCMP_ARCH_LOONGARCH64"],
        "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
        "listenerPath": "/run/agent.sock", "listenerMetadata": "opaque",
        "syscalls": [
            {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["ioctl"], "action": "SCMP_ACT_NOTIFY", "errnoRet": null, "comment": "unknown members are skipped",
             "args": [{"index": 1, "value": 18446744073709551615, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ"}]}
        ]}"#,
    );
    assert_eq!((profile.default_action, profile.default_errno), (Action::Errno, Some(38)));
    assert_eq!(profile.architectures, [Arch::X86_64, Arch::Aarch64, Arch::Loongarch64]);
    assert_eq!(profile.flags, flag::LOG | flag::WAIT_KILLABLE_RECV);
    assert_eq!(profile.listener_path.as_deref(), Some("/run/agent.sock".as_ref()));
    assert_eq!(profile.listener_metadata.as_deref(), Some("opaque"));
    let args = &profile.rules[1].args[0];
    assert_eq!((args.index, args.value, args.value_two, args.op), (1, u64::MAX, 1, Op::MaskedEq));
    assert_eq!(parse(&profile.to_json()), profile);
    let program = compile(&profile).unwrap();
    assert!(program.has_listener());
    assert_eq!(program.flags(), flag::LOG | flag::WAIT_KILLABLE_RECV | flag::NEW_LISTENER);
}

#[test]
fn keys_match_in_any_case_and_null_is_nothing() {
    let profile = parse(
        r#"{"DEFAULTACTION": "SCMP_ACT_ALLOW", "Architectures": null, "flags": null, "listenerPath": null,
        "Syscalls": [{"Names": ["read"], "ACTION": "SCMP_ACT_LOG", "args": null},
                     {"names": null, "action": "SCMP_ACT_KILL", "Args": [{"Index": 2, "VALUE": 7, "Op": "SCMP_CMP_EQ"}]}]}"#,
    );
    assert_eq!(profile.default_action, Action::Allow);
    assert_eq!(profile.flags, flag::SPEC_ALLOW);
    assert_eq!(parse(r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":[]}"#).flags, 0);
    assert_eq!(profile.rules.len(), 2);
    assert_eq!((profile.rules[1].args[0].index, profile.rules[1].args[0].value), (2, 7));
    // A flag of listeners alone does not reach a kernel that would refuse it.
    let profile =
        parse(r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}"#);
    assert_eq!(compile(&profile).unwrap().flags(), 0);
}

#[test]
fn saying_nothing_is_no_profile() {
    for json in ["{}", "null", r#"{"syscalls":[]}"#, r#"{"architectures":["SCMP_ARCH_X86"],"syscalls":null}"#]
    {
        assert!(Profile::parse(json).unwrap().is_none(), "{json}");
    }
}

#[test]
fn mistakes_are_named() {
    let rule = |rule: &str| format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{rule}]}}"#);
    let table: &[(String, &str)] = &[
        (String::new(), "read the seccomp profile"),
        ("[]".into(), "expected an object"),
        ("{".into(), "EOF"),
        (r#"{"defaultAction":1}"#.into(), "expected a string"),
        (r#"{"defaultAction":"ALLOW"}"#.into(), "seccomp `defaultAction`: no such value `ALLOW`"),
        (r#"{"defaultAction":"scmp_act_allow"}"#.into(), "no such value `scmp_act_allow`"),
        (r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#.into(), "cannot be the default action"),
        (r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":65536}"#.into(), "65536 is no errno"),
        (r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":-1}"#.into(), "-1"),
        (
            r#"{"syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]}"#.into(),
            "seccomp `defaultAction`: no such value ``",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_VAX"]}"#.into(),
            "no architecture `SCMP_ARCH_VAX`",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_X"]}"#.into(),
            "seccomp `flags`: no such value",
        ),
        (rule(r#"{"names":["read"]}"#), "seccomp `action`: no such value ``"),
        (rule(r#"{"names":[""],"action":"SCMP_ACT_LOG"}"#), "an empty name"),
        (rule(r#"{"names":["sendmsg"],"action":"SCMP_ACT_NOTIFY"}"#), "seccomp `sendmsg`"),
        (rule(r#"{"names":["write"],"action":"SCMP_ACT_NOTIFY"}"#), "SCMP_ACT_NOTIFY cannot be used for it"),
        (
            rule(r#"{"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":6,"op":"SCMP_CMP_EQ"}]}"#),
            "index 6",
        ),
        (
            rule(
                r#"{"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":4294967296,"op":"SCMP_CMP_EQ"}]}"#,
            ),
            "index 4294967296",
        ),
        (
            rule(r#"{"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":0}]}"#),
            "seccomp `op`: no such value ``",
        ),
        (
            rule(
                r#"{"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":0,"op":"SCMP_CMP_EQ","value":1.5}]}"#,
            ),
            "1.5",
        ),
        (rule(r#"{"names":"read","action":"SCMP_ACT_LOG"}"#), "expected a sequence"),
    ];
    for (json, words) in table {
        let error = Profile::parse(json).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{json}");
        let text = error.chain().to_string();
        assert!(text.contains(words), "{json}: {text}");
    }
    // All of them at once.
    let text =
        Profile::parse(&rule(r#"{"names":["",""],"action":"X","errnoRet":70000}"#)).unwrap_err().to_string();
    assert!(text.contains("`X`") && text.contains("70000") && text.contains("empty"), "{text}");
}

#[test]
fn hostile_sizes_are_refused_in_time() {
    let many = |count: usize, rule: &dyn Fn(usize) -> String| {
        let rules: Vec<String> = (0..count).map(rule).collect();
        format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{}]}}"#, rules.join(","))
    };
    // Too many conditions for a program.
    let json = many(9000, &|i| {
        format!(
            r#"{{"names":["read"],"action":"SCMP_ACT_LOG","args":[{{"index":{},"value":{i},"op":"SCMP_CMP_NE"}}]}}"#,
            i % 6
        )
    });
    let error = compile(&parse(&json)).unwrap_err();
    assert_eq!(error.kind(), Kind::Limit);
    assert!(error.to_string().contains("instructions, the kernel takes 4096"), "{error}");
    // Too many rules, too much text, too deep.
    let json = many(1, &|_| {
        let names = r#""read","#.repeat(100_001);
        format!(r#"{{"names":[{}],"action":"SCMP_ACT_LOG"}}"#, names.trim_end_matches(','))
    });
    assert_eq!(Profile::parse(&json).unwrap_err().kind(), Kind::Limit);
    assert_eq!(Profile::parse(&" ".repeat(5 << 20)).unwrap_err().kind(), Kind::Limit);
    let deep =
        format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","x":{}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    assert!(Profile::parse(&deep).is_ok(), "what is not read is skipped without recursion");
    // The same rule a thousand times is one.
    let json = many(1000, &|_| {
        r#"{"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":0,"op":"SCMP_CMP_EQ"}]}"#.into()
    });
    assert!(compile(&parse(&json)).unwrap().filters().len() < 20);
}

#[test]
fn unknown_names_are_counted() {
    let json = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
        {"names":["read","frobnicate","","x"],"action":"SCMP_ACT_LOG"}]}"#;
    let program = compile(&parse(&json.replace("\"\",", ""))).unwrap();
    assert_eq!(program.unknown_names(), 2);
    let long = "a".repeat(100_000);
    let program = compile(&parse(&json.replace("\"\",", "").replace("frobnicate", &long))).unwrap();
    assert_eq!(program.unknown_names(), 2);
}

/// Every prefix of a document, and every byte of it changed: an error or a profile, never a panic.
#[test]
fn damaged_documents() {
    let json = r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86"],"syscalls":[
        {"names":["clone"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":2114060288,"valueTwo":0,"op":"SCMP_CMP_MASKED_EQ"}]}]}"#;
    for at in 0..json.len() {
        let _ = Profile::parse(&json[..at]);
        for byte in [b'"', b'{', b'}', b'[', b'0', b'9', b'-', b'e', b' ', 0] {
            let mut damaged = json.as_bytes().to_vec();
            damaged[at] = byte;
            if let Ok(Some(profile)) = Profile::parse(std::str::from_utf8(&damaged).unwrap()) {
                compile(&profile).unwrap();
            }
        }
    }
}
