//! Images of many layers, where a process may have few open files.

use std::fs;

use taru_testkit::image::{Image, Tar};
use taru_testkit::{Invocation, sandbox};

use crate::world::{Taru, app};

/// More than descriptors: each layer takes one or two on its way into a root.
const LAYERS: usize = 300;
/// What a shell allows, as some do, and what it can be raised to.
const SOFT: &str = "256";
const HARD: &str = "2048";

/// The command with few descriptors.
fn narrowly(command: Invocation) -> Invocation {
    let limit = format!("ulimit -S -n {SOFT} && ulimit -H -n {HARD} && exec \"$@\"");
    command.under(["sh", "-c", &limit, "sh"])
}

fn layered() -> Image {
    (2..LAYERS).fold(app("many"), |image, number| {
        // Each hides what the one before said.
        image.layer(Tar::new().file("last", format!("{number}\n"), 0o644).file(
            &format!("l{number}"),
            "",
            0o644,
        ))
    })
}

#[test]
fn an_image_of_many_layers_needs_no_more_descriptors_than_a_shell_has() {
    sandbox(|sandbox| {
        let archive = layered().build().oci_archive(&["docker.io/library/many:1"]);
        Taru::each(sandbox, |taru| {
            narrowly(taru.invoke("load -q").stdin(archive.clone())).output().succeeds();
            let script = "cat /last /word; ls / | wc -w; ulimit -S -n; ulimit -H -n; echo x >/made";
            let words = |name: &'static str| ["run", "-d", "--name", name, "many:1", "sh", "-c", script];
            let said = |name: &str| taru.taru(&format!("logs {name}")).ok().stdout;
            narrowly(taru.invoke_words(&words("w"))).output().succeeds();
            narrowly(taru.invoke("wait w")).output().succeeds();
            let lines = said("w");
            let lines: Vec<&str> = lines.lines().collect();
            let [last, word, entries, soft, hard] = lines[..] else { panic!("{lines:?}") };
            assert_eq!((last, word), (&*(LAYERS - 1).to_string(), "many"));
            assert!(entries.parse::<usize>().unwrap() > LAYERS, "{entries}");
            // The program has what the shell has.
            assert_eq!((soft, hard), (SOFT, HARD));
            // Or what it was to have.
            let mut wide = vec!["run", "--ulimit", "nofile=300:1000"];
            wide.extend(["many:1", "sh", "-c", "ulimit -S -n; ulimit -H -n"]);
            let wide = narrowly(taru.invoke_words(&wide)).output().ok();
            assert_eq!(wide.stdout, "300\n1000\n");
            // Ended, it is entered, compared, made an image of.
            narrowly(taru.invoke("cp w:/last .")).output().succeeds();
            assert_eq!(narrowly(taru.invoke("diff w")).output().ok().stdout, "A /made\n");
            narrowly(taru.invoke("commit w more:1")).output().succeeds();
            narrowly(taru.invoke("save -o more.tar more:1")).output().succeeds();
            narrowly(taru.invoke("store check")).output().succeeds();
            if !taru.user {
                let at = taru.dir().join("at");
                fs::create_dir(&at).unwrap();
                narrowly(taru.invoke("image mount many:1 at")).output().succeeds();
                assert_eq!(fs::read_to_string(at.join("last")).unwrap(), format!("{}\n", LAYERS - 1));
                taru.taru("image unmount at").succeeds();
            }
        });
    });
}
