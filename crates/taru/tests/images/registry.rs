//! `taru push`, `login`, `logout` and `search`, against a real registry.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use serde_json::Value;
use taru_testkit::registry::{Options, Registry};
use taru_testkit::sandbox;

use crate::world::{Taru, app, has, peer, publish};

fn private() -> Option<Registry> {
    Registry::with(Options { user: Some(("me".into(), "secret word".into())), ..Options::default() })
}

#[test]
fn what_is_pushed_skopeo_pulls_with_the_same_digest() {
    sandbox(|sandbox| {
        let Some(registry) = Registry::start() else { return };
        Taru::each(sandbox, |taru| {
            let built = app("pushed").build();
            let name = registry.name(if taru.user { "user/app:1" } else { "root/app:1" });
            taru.invoke(&format!("load -q --tag {name}")).stdin(built.oci_archive(&[])).output().succeeds();
            let pushed = taru.taru(&format!("push --progress plain {name}")).ok();
            assert_eq!(pushed.text(), built.digest());
            assert!(pushed.stderr.contains("pushed"), "{}", pushed.stderr);
            let again = taru.taru(&format!("push --progress plain {name}")).ok();
            assert!(
                again.stderr.contains("there already") && !again.stderr.contains("  pushed"),
                "{}",
                again.stderr
            );
            if has(sandbox, "skopeo") {
                let remote = format!("docker://{name}");
                let digest = peer(
                    &taru.dir(),
                    &["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", &remote],
                );
                assert_eq!(digest.trim(), built.digest());
                peer(
                    &taru.dir(),
                    &["skopeo", "copy", "--quiet", "--src-tls-verify=false", &remote, "oci:out:1"],
                );
                let blob = taru.dir().join("out/blobs").join(built.layers[1].digest.replace(':', "/"));
                assert_eq!(fs::read(blob).unwrap(), built.layers[1].bytes);
            }
            // By its id, it has to be said where to.
            let id = &built.digest()[7..20];
            taru.taru(&format!("push {id}")).fails_with("an id does not say where to");
            let other = registry.name("other:2");
            assert_eq!(taru.taru(&format!("push -q {id} {other}")).ok().text(), built.digest());
            taru.taru(&format!("rmi {name}")).succeeds();
            assert_eq!(taru.taru(&format!("run {other}")).ok().stdout, "pushed\n");
        });
    });
}

#[test]
fn login_keeps_what_the_registry_accepts_and_logout_forgets_it() {
    sandbox(|sandbox| {
        let Some(registry) = private() else { return };
        let built = app("private").build();
        publish(sandbox, &registry, &built, "app:1");
        let (host, name) = (registry.host(), registry.name("app:1"));
        Taru::each(sandbox, |taru| {
            let refused = taru.taru(&format!("pull -q {name}"));
            refused.fails_with("401");
            assert!(
                refused.stderr.contains(&format!("hint: `taru login {host}`"))
                    || refused.stderr.contains("taru login"),
                "{}",
                refused.stderr
            );
            let file = taru.home().join("config.json");

            let login = |options: &str, password: &str| {
                taru.invoke(&format!("login {options} {host}")).stdin(password).output()
            };
            let wrong = login("-u me --password-stdin", "wrong\n");
            wrong.fails_with("401");
            wrong.fails_with("hint: check the user and the password\n");
            assert!(!wrong.stderr.contains("wrong\n") && !file.exists());
            login("-u me --password-stdin", "").fails_with("the user or the password is empty");
            login("--password-stdin", "secret word").fails_with("no user is given");
            login("-u me", "secret word").fails_with("no password is given, and nobody to ask");

            let done = login("-u me --password-stdin", "secret word\n").ok();
            assert_eq!(done.stdout, format!("logged in to {host} as me\n"));
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(taru.taru(&format!("run {name}")).ok().stdout, "private\n");
            if has(sandbox, "skopeo") && !taru.user {
                let auth = file.display().to_string();
                peer(
                    &taru.dir(),
                    &[
                        "skopeo",
                        "inspect",
                        "--authfile",
                        &auth,
                        "--tls-verify=false",
                        &format!("docker://{name}"),
                    ],
                );
            }
            assert_eq!(taru.taru(&format!("logout {host}")).ok().stdout, format!("logged out of {host}\n"));
            assert_eq!(
                taru.taru(&format!("logout {host}")).ok().stdout,
                format!("was not logged in to {host}\n")
            );
            taru.taru(&format!("pull -q {name}")).fails_with("401");

            // On the command line it works, with a warning.
            let seen = taru.invoke_words(&["login", "-u", "me", "-p", "secret word", &host]).output().ok();
            assert!(
                seen.stderr.contains("warning: a password on the command line is seen"),
                "{}",
                seen.stderr
            );
            taru.taru(&format!("logout https://{host}/v2/")).succeeds();
            taru.taru(&format!("pull -q {name}")).fails_with("401");
        });
    });
}

#[test]
fn login_asks_at_a_terminal_and_shows_no_password() {
    sandbox(|sandbox| {
        let Some(registry) = private() else { return };
        if !has(sandbox, "script") {
            return;
        }
        let taru = Taru::new(sandbox);
        let line = format!(
            "HOME={0} DOCKER_CONFIG={0} {1} --root {2} login {3}; stty -a | grep -o -- '-*\\becho\\b'",
            taru.home().display(),
            env!("CARGO_BIN_EXE_taru"),
            taru.state().display(),
            registry.host()
        );
        let mut script = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut keys = script.stdin.take().unwrap();
        let mut screen = std::io::BufReader::new(script.stdout.take().unwrap());
        let mut seen = String::new();
        let mut wait = |seen: &mut String, question: &str| {
            let mut byte = [0];
            while !seen.ends_with(question) && std::io::Read::read(&mut screen, &mut byte).unwrap() > 0 {
                seen.push(char::from(byte[0]));
            }
        };
        wait(&mut seen, "User: ");
        keys.write_all(b"me\r").unwrap();
        wait(&mut seen, "Password: ");
        // The last letter is corrected.
        keys.write_all(b"secret wort\x7fd\r").unwrap();
        wait(&mut seen, "\u{0}");
        drop(keys);
        assert!(script.wait().unwrap().success(), "{seen}");
        assert!(seen.contains(&format!("logged in to {} as me", registry.host())), "{seen}");
        assert!(!seen.contains("secret"), "{seen}");
        assert!(seen.trim_end().ends_with("\necho"), "echo is on again: {seen}");
    });
}

#[test]
fn a_registry_is_searched_by_what_it_lists() {
    sandbox(|sandbox| {
        let Some(registry) = Registry::start() else { return };
        let taru = Taru::new(sandbox);
        let built = app("x").build();
        for name in ["team/app:1", "team/tool:1", "app:1"] {
            publish(sandbox, &registry, &built, name);
        }
        let host = registry.host();
        let found = |line: &str| -> Vec<String> {
            let list: Value = taru.json(line);
            list.as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(
            found(&format!("search --format json {host}/app")),
            [format!("{host}/app"), format!("{host}/team/app")]
        );
        assert_eq!(found(&format!("search --format json {host}/")).len(), 3);
        assert_eq!(found(&format!("search --format json --limit 1 {host}/team")).len(), 1);
        assert_eq!(found(&format!("search --format json {host}/nothing")), Vec::<String>::new());
        let table = taru.taru(&format!("search {host}/tool")).ok().stdout;
        let rows: Vec<Vec<&str>> = table.lines().map(|l| l.split_whitespace().collect()).collect();
        let name = format!("{host}/team/tool");
        assert_eq!(rows, [vec!["NAME", "STARS", "OFFICIAL", "DESCRIPTION"], vec![&name, "0"]]);
        taru.taru("search --limit 0 x").fails();
        taru.taru("search 127.0.0.1:1/x").fails_with("127.0.0.1:1");
    });
}
