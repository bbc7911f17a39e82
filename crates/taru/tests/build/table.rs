//! The table: each Dockerfile is built by taru and by buildah, and both images are compared: configuration and every file.
//!
//! Where buildah (1.28 of Debian 12) does something else than BuildKit's frontend, the case says what, and taru's result is
//! compared with the words after it instead of buildah's.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use taru_testkit::{Sandbox, sandbox, skip};

use crate::World;
use crate::image::Image;

/// What buildah is asked for.
enum Peer {
    /// The same image.
    Same,
    /// It differs, for this reason; taru's image has these files or configuration instead.
    Differs(&'static str, &'static [&'static str]),
}

use Peer::{Differs, Same};

type Case = (&'static str, Peer);

/// Name, where it says `%`, is busybox's shell form: there is no /bin/sh in these images.
const SHELL: &str = "SHELL [\"/bin/busybox\", \"sh\", \"-c\"]";

fn context(world: &World<'_>) {
    for (path, content) in [
        ("a.txt", "a\n"),
        ("b.txt", "b\n"),
        ("c.md", "c\n"),
        ("dir/one", "1\n"),
        ("dir/two", "2\n"),
        ("dir/sub/three", "3\n"),
        ("with space", "s\n"),
        ("ignored/x", "x\n"),
        ("ignored/kept", "k\n"),
        ("script.sh", "echo $0 $@\n"),
    ] {
        world.file(path, content);
    }
    let context = world.context();
    fs::set_permissions(context.join("script.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(context.join("dir/sub"), fs::Permissions::from_mode(0o750)).unwrap();
    fs::set_permissions(context.join("b.txt"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("dir/one", context.join("link")).unwrap();
    symlink("one", context.join("dir/inner")).unwrap();
    world.file(".dockerignore", "ignored/*\n!ignored/kept\nDockerfile\n");
    let made = Command::new("tar")
        .args(["-C", "dir", "-czf", "dir.tgz", "--owner=3", "--group=4", "one", "sub"])
        .current_dir(&context)
        .status();
    assert!(made.unwrap().success());
}

/// Builds each case with both and compares.
fn compare(sandbox: &Sandbox, cases: &[Case]) {
    let has_peer = Command::new("buildah").arg("--version").output().is_ok_and(|o| o.status.success());
    if !has_peer {
        skip(sandbox.name(), "buildah");
    }
    let world = World::new(sandbox);
    context(&world);
    for (number, (text, peer)) in cases.iter().enumerate() {
        let text = text.replace("%SHELL", SHELL).replace('\u{b6}', "\n");
        let ours = world.dir().join(format!("{number}.tar"));
        let dest = format!("type=docker,dest={}", ours.display());
        world.build(&text, &["--output", &dest, "--build-arg", "GIVEN=given"]).succeeds();
        let ours = Image::read(&ours);
        match peer {
            Same if has_peer => {
                let theirs = Image::read(&buildah(&world, number));
                assert_eq!(ours.config, theirs.config, "configuration (ours, buildah's) of\n{text}");
                assert_eq!(ours.files, theirs.files, "files (ours, buildah's) of\n{text}");
            }
            Same => {}
            Differs(why, wanted) => {
                let all = format!("{}\n{:?}\n{:?}", ours.config, ours.files, ours.history);
                for part in *wanted {
                    assert!(all.contains(part), "{why}: `{part}` in\n{all}\nof\n{text}");
                }
            }
        }
    }
}

fn buildah(world: &World<'_>, number: usize) -> std::path::PathBuf {
    let store = world.dir().join("buildah");
    let archive = world.dir().join(format!("{number}.buildah.tar"));
    let run = |words: &[&str]| {
        let done = Command::new("buildah")
            .args(["--storage-driver", "vfs", "--root"])
            .arg(store.join("root"))
            .arg("--runroot")
            .arg(store.join("run"))
            .args(words)
            .current_dir(world.context())
            .output()
            .unwrap();
        assert!(done.status.success(), "buildah {words:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    run(&[
        "bud",
        "--isolation",
        "chroot",
        "--format",
        "docker",
        "--layers=false",
        "--build-arg",
        "GIVEN=given",
        "-q",
        "-t",
        "x",
        ".",
    ]);
    run(&["push", "-q", "x", &format!("docker-archive:{}", archive.display())]);
    archive
}

#[test]
fn the_configuration_is_buildahs() {
    sandbox(|sandbox| {
        compare(
            sandbox,
            &[
                ("FROM scratch\nENV A=1 B=\"two words\" C='$A' D=x\\ y\nENV E old form", Same),
                ("FROM scratch\nENV A=1\nENV A=2 B=$A\nENV C=${A}${B:-none}${D:-none}${A:+set}", Same),
                ("FROM scratch\nENV PATH=/x\nENV P=$PATH:/y", Same),
                ("FROM scratch\nARG V=1\nARG GIVEN=default\nENV A=$V B=$GIVEN C=$NOT", Same),
                ("ARG V=outer\nFROM scratch\nARG V\nENV A=$V", Same),
                ("ARG V=outer\nFROM scratch\nENV A=${V:-unset}", Same),
                ("FROM scratch\nARG V=arg\nENV V=env\nENV A=$V", Same),
                ("FROM scratch\nCMD echo hello", Same),
                ("FROM scratch\nCMD [\"echo\", \"$A\", \"b c\"]", Same),
                ("FROM scratch\nENTRYPOINT [\"a\"]\nCMD [\"b\"]", Same),
                ("FROM scratch AS base\nCMD [\"b\"]\nFROM base\nENTRYPOINT [\"a\"]", Same),
                (
                    "FROM scratch\nCMD [\"b\"]\nENTRYPOINT [\"a\"]",
                    Differs("buildah resets CMD of the same stage", &["\"Cmd\":[\"b\"]"]),
                ),
            ],
        );
    });
}

#[test]
fn more_of_the_configuration_is_buildahs() {
    sandbox(|sandbox| {
        compare(
            sandbox,
            &[
                ("FROM scratch\nENTRYPOINT exec top -b", Same),
                (
                    "FROM scratch\nSHELL [\"/bin/bash\", \"-c\"]\nCMD x y",
                    Differs("buildah ignores SHELL there", &["\"Cmd\":[\"/bin/bash\",\"-c\",\"x y\"]"]),
                ),
                ("FROM scratch\nLABEL a=1 b=\"x y\" c.d=e\nLABEL a=2", Same),
                ("FROM scratch\nEXPOSE 80 443/tcp 53/udp", Same),
                ("FROM scratch\nENV P=90\nEXPOSE $P", Same),
                (
                    "FROM scratch\nEXPOSE 8000-8002",
                    Differs("buildah keeps the range", &["8000/tcp", "8001/tcp", "8002/tcp"]),
                ),
                ("FROM scratch\nUSER 5:6", Same),
                ("FROM scratch\nENV U=7\nUSER $U", Same),
                ("FROM scratch\nSTOPSIGNAL SIGQUIT", Same),
                ("FROM scratch\nONBUILD COPY a.txt /\nONBUILD ENV A=1", Same),
                (
                    "FROM scratch\nHEALTHCHECK --interval=1m30s --timeout=3s --retries=2 CMD [\"curl\", \"x\"]",
                    Same,
                ),
                ("FROM scratch\nHEALTHCHECK CMD curl x", Same),
                ("FROM scratch\nHEALTHCHECK NONE", Same),
            ],
        );
    });
}

#[test]
fn copied_files_are_buildahs() {
    sandbox(|sandbox| {
        compare(
            sandbox,
            &[
                ("FROM scratch\nCOPY a.txt /", Same),
                ("FROM scratch\nCOPY a.txt b.txt /d/", Same),
                ("FROM scratch\nCOPY a.txt /x/y/z", Same),
                ("FROM scratch\nCOPY *.txt /d/", Same),
                ("FROM scratch\nCOPY [ab].tx? c.md /d/", Same),
                ("FROM scratch\nCOPY dir /d", Same),
                ("FROM scratch\nCOPY dir/ /d/", Same),
                ("FROM scratch\nCOPY dir a.txt /d/", Same),
                ("FROM scratch\nCOPY [\"with space\", \"/d/\"]", Same),
                ("FROM scratch\nCOPY link /d/", Same),
                ("FROM scratch\nCOPY dir /d\nCOPY dir/sub /d", Same),
                ("FROM scratch\nCOPY ignored /i", Same),
                ("FROM scratch\nCOPY script.sh .\nCOPY b.txt ./c", Same),
            ],
        );
    });
}

#[test]
fn owners_modes_and_places_are_buildahs() {
    sandbox(|sandbox| {
        compare(
            sandbox,
            &[
                ("FROM scratch\nCOPY --chown=5:6 dir /d", Same),
                ("FROM scratch\nCOPY --chmod=0640 a.txt /d/x", Same),
                ("FROM scratch\nWORKDIR /w/x\nCOPY a.txt .\nWORKDIR ../y\nCOPY a.txt ./b", Same),
                ("FROM scratch\nENV D=/e\nWORKDIR $D\nCOPY a.txt ${D}/f", Same),
                ("FROM scratch\nWORKDIR /w\nCOPY dir/one dir/two ./", Same),
                ("FROM scratch AS a\nCOPY --chown=7:8 dir /d\nFROM scratch\nCOPY --from=a /d /e", Same),
                (
                    "FROM scratch AS a\nCOPY dir /d\nFROM scratch\nCOPY --from=a /d/sub /e\nCOPY dir/sub /f",
                    Same,
                ),
                (
                    "FROM scratch\nCOPY --chmod=u=rwX,go=r dir/sub /f",
                    Differs("octal modes only", &["\"f\": \"dir 744 0:0"]),
                ),
                (
                    "FROM scratch AS a\nCOPY a.txt /x\nFROM scratch AS b\nCOPY b.txt /y\nFROM scratch\nCOPY --from=0 /x /\nCOPY --from=b /y /",
                    Same,
                ),
                ("FROM scratch AS a\nCOPY dir /d\nFROM a\nCOPY script.sh /d/one", Same),
                ("FROM scratch\nADD dir.tgz /t", Same),
                ("FROM scratch\nCOPY dir.tgz /t/", Same),
                ("FROM scratch\nADD a.txt dir /t/", Same),
                (
                    "FROM scratch\nCOPY --parents dir/sub/three a.txt /p/",
                    Differs(
                        "buildah 1.28 has no --parents",
                        &["\"p/dir/sub\": \"dir 750 0:0\"", "\"p/dir/sub/three\"", "\"p/a.txt\""],
                    ),
                ),
                (
                    "FROM scratch\nCOPY --exclude=*.txt . /p/",
                    Differs("buildah 1.28 has no --exclude", &["\"p/c.md\"", "\"p/dir/one\""]),
                ),
                (
                    "FROM scratch\nCOPY <<one <<\"two\" /h/\n$GIVEN x\none\n$GIVEN\ntwo\n",
                    Differs(
                        "buildah 1.28 has no here-documents",
                        &["\"h/one\": \"file 644 0:0 3 ", "\"h/two\": \"file 644 0:0 7 "],
                    ),
                ),
            ],
        );
    });
}

#[test]
fn what_programs_change_is_buildahs() {
    sandbox(|sandbox| {
        compare(
            sandbox,
            &[
                (
                    "FROM scratch\nCOPY busybox /bin/\n%SHELL\nRUN mkdir -p /a/b && echo x > /a/b/f && chmod 4750 /a/b/f",
                    Same,
                ),
                (
                    "FROM scratch\nCOPY busybox /bin/\n%SHELL\nRUN echo 1 > /f\nRUN rm /f && mkdir /f && echo 2 > /f/g",
                    Same,
                ),
                (
                    "FROM scratch\nCOPY busybox /bin/\nCOPY dir /d\n%SHELL\nRUN rm -r /d/sub && mv /d/one /d/three",
                    Same,
                ),
                (
                    "FROM scratch\nCOPY busybox /bin/\nCOPY dir /d\n%SHELL\nRUN rm -r /d && mkdir /d && echo n > /d/new",
                    Same,
                ),
                (
                    "FROM scratch\nCOPY busybox /bin/\n%SHELL\nRUN echo a > /f && chown 5:6 /f && ln -s f /l && ln /f /h",
                    Same,
                ),
                (
                    "FROM scratch\nCOPY busybox /bin/\n%SHELL\nENV A=1\nARG GIVEN\nWORKDIR /w\nRUN echo $A $GIVEN $PWD > f",
                    Same,
                ),
                (
                    "FROM scratch\nCOPY busybox /bin/\n%SHELL\nUSER 5:6\nRUN id -u > /tmp.txt || id > /dev/null",
                    Same,
                ),
                ("FROM scratch\nCOPY busybox /bin/\nRUN [\"/bin/busybox\", \"touch\", \"/a b\"]", Same),
            ],
        );
    });
}

#[test]
fn what_only_buildkit_has() {
    sandbox(|sandbox| {
        compare(
            sandbox,
            &[
                (
                    "FROM scratch\nCOPY busybox /bin/\n%SHELL\nRUN <<E\necho a > /f\necho b >> /f\nE\n",
                    Differs("no here-documents in buildah 1.28", &["\"f\": \"file 644 0:0 4 "]),
                ),
                (
                    "FROM scratch\nCOPY busybox /bin/\nRUN <<E\n#!/bin/busybox sh\necho $0 > /f\nE\n",
                    Differs("no here-documents in buildah 1.28", &["\"f\": \"file 644 0:0 13 "]),
                ),
                (
                    "FROM scratch\nCOPY busybox /bin/\n%SHELL\nRUN cat <<A <<B > /f\n1\nA\n2\nB\n",
                    Differs("no here-documents in buildah 1.28", &["\"f\": \"file 644 0:0 2 "]),
                ),
                (
                    "FROM scratch\nCOPY --chmod=u=rwX,go=r dir /d",
                    Differs("octal modes only", &["\"d/one\": \"file 644 0:0", "\"d/sub\": \"dir 744 0:0"]),
                ),
                (
                    "FROM scratch\nARG TARGETPLATFORM\nARG BUILDOS\nENV A=$TARGETPLATFORM B=$BUILDOS",
                    Differs("BUILDOS is unset in buildah 1.28", &["\"A=linux/amd64\",\"B=linux\""]),
                ),
                (
                    "FROM scratch\nENV A=foobar\nENV B=${A#foo} C=${A%bar} D=${A/o/0} E=${A//o/0}",
                    Differs(
                        "no patterns in buildah 1.28",
                        &["\"B=bar\",\"C=foo\",\"D=f0obar\",\"E=f00bar\""],
                    ),
                ),
                (
                    "# escape=`\nFROM scratch\nENV A=1 `\n  B=2",
                    Differs("checked for taru alone", &["\"A=1\",\"B=2\""]),
                ),
                (
                    "FROM scratch AS base\nONBUILD ENV T=1\nONBUILD COPY a.txt /trigger\nFROM base",
                    Differs("stages of one file are no base for triggers there", &["\"T=1\"", "\"trigger\""]),
                ),
                (
                    "FROM scratch\nCOPY --link dir /d\nADD --link a.txt /e/",
                    Differs("no --link in buildah 1.28", &["\"d/one\"", "\"e/a.txt\""]),
                ),
                (
                    "FROM scratch\nCOPY nothing*here /d/",
                    Differs("a pattern without a match is no error in BuildKit", &["COPY nothing*here /d/"]),
                ),
                (
                    "FROM scratch\nMAINTAINER me\nWORKDIR /w\nRUN [\"/nope\"]\n# never built\nFROM scratch\nLABEL x=y",
                    Differs("the stage before fails there", &["\"x\":\"y\""]),
                ),
            ],
        );
    });
}
