//! The commonest mistakes with images: what is said, to the letter.

use taru_testkit::image::Tar;
use taru_testkit::registry::{Options, Registry};
use taru_testkit::sandbox;

use crate::world::{Taru, app, publish};

/// What was said on standard error, with the registry's port taken out.
fn said(taru: &Taru<'_>, registry: &Registry, line: &str) -> String {
    let output = taru.taru(line);
    output.fails();
    assert_eq!(output.stdout, "", "{line}");
    output.stderr.replace(&registry.host(), "REGISTRY")
}

#[test]
fn messages_are_of_use() {
    sandbox(|sandbox| {
        let Some(registry) = Registry::start() else { return };
        let Some(private) =
            Registry::with(Options { user: Some(("me".into(), "x".into())), ..Options::default() })
        else {
            return;
        };
        for tag in ["bookworm", "bookworm-slim", "trixie"] {
            publish(sandbox, &registry, &app("x").build(), &format!("debian:{tag}"));
        }
        let taru = Taru::new(sandbox);
        let root = Tar::new().symlink("awk", "/usr/bin/mawk");
        std::fs::write(taru.dir().join("root.tar"), root.bytes()).unwrap();
        let mut all = String::new();
        let mut case = |what: &str, text: String| all.push_str(&format!("# {what}\n{text}\n"));
        for (what, line) in [
            ("a typo in a tag", format!("pull -q {}", registry.name("debian:bokworm"))),
            ("no such repository", format!("pull -q {}", registry.name("nosuch:1"))),
            ("no name of an image", "pull -q Debian".to_owned()),
            ("no tag", "pull -q debian:".to_owned()),
            ("not in the store", "image inspect nosuch".to_owned()),
            ("remove what is not there", "rmi nosuch".to_owned()),
            ("push what is not there", "push nosuch".to_owned()),
            ("never pulled", "run --pull never nosuch".to_owned()),
            ("a platform that is none", "pull --platform linux/amd64/v2/x debian".to_owned()),
            ("load nothing", "load -i nosuch.tar".to_owned()),
            ("load a root file system", "load -i root.tar".to_owned()),
            ("a transport of skopeo", "pull docker://quay.io/debian".to_owned()),
            ("save nothing", "save -o x.tar nosuch".to_owned()),
            ("a password and nobody to ask", "login -u me REGISTRY.example".to_owned()),
        ] {
            case(what, said(&taru, &registry, &line));
        }
        case("not logged in", said(&taru, &private, &format!("pull -q {}", private.name("app:1"))));
        let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/images.txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some_and(|v| v == "1") {
            std::fs::write(&golden, &all).unwrap();
        }
        let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(all, wanted, "hint: UPDATE_GOLDEN=1 accepts the change");
    });
}
