//! Tables of copies: what is in the layer afterwards.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::scratch::Scratch;
use taru_snapshot::Lower;

struct World {
    _dir: Scratch,
    context: Arc<Tree>,
    below: Arc<Tree>,
}

fn world() -> World {
    let dir = Scratch::new(&std::env::temp_dir()).unwrap();
    let context = dir.path().join("context");
    let below = dir.path().join("below");
    for d in ["src/a/deep", "src/b", "empty"] {
        std::fs::create_dir_all(context.join(d)).unwrap();
    }
    for f in ["one.txt", "two.txt", "three.md", "src/x.c", "src/a/y.c", "src/a/deep/z.c", "src/b/w.o"] {
        std::fs::write(context.join(f), f).unwrap();
    }
    std::fs::set_permissions(context.join("src/a"), std::fs::Permissions::from_mode(0o711)).unwrap();
    symlink("src/x.c", context.join("link")).unwrap();
    symlink("x.c", context.join("src/inner")).unwrap();
    symlink("../../../../etc/passwd", context.join("escape")).unwrap();
    for d in ["tmp", "usr/lib", "home/u"] {
        std::fs::create_dir_all(below.join(d)).unwrap();
    }
    std::fs::set_permissions(below.join("tmp"), std::fs::Permissions::from_mode(0o1777)).unwrap();
    std::fs::write(below.join("home/u/file"), "old").unwrap();
    symlink("/usr/lib", below.join("lib")).unwrap();
    symlink("/home/u/file", below.join("tofile")).unwrap();
    symlink("../../../../outside", below.join("up")).unwrap();
    World {
        context: Arc::new(Tree::directory(&context).unwrap()),
        below: Arc::new(Tree::layers(&[Lower::Directory(below)], None).unwrap()),
        _dir: dir,
    }
}

/// Copies, and tells what is in the layer: `d 711 path`, `f 644 path=content`, `l path->target`.
fn copied(
    world: &World,
    sources: &[&str],
    dest: &str,
    parents: bool,
    ignore: &str,
    exclude: &[&str],
) -> Result<Vec<String>> {
    let ignore = Ignore::file(".dockerignore", ignore)?;
    let rules = Rules {
        owner: None,
        chmod: None,
        ignore: &ignore,
        exclude: Ignore::list(exclude)?,
        keeps_owners: false,
        now: 7,
        sets_times: false,
        place: "the context",
    };
    let mut assembly = Assembly::new(world.below.clone());
    for source in sources {
        if parents {
            copy_parents(&mut assembly, &world.context, source, dest, &rules)?;
            continue;
        }
        for found in find(&world.context, source, &rules)? {
            copy(&mut assembly, &world.context, &found, dest, &rules)?;
        }
    }
    let mut bytes = Vec::new();
    assembly.write(&mut bytes, None)?;
    let mut archive = tar::Archive::new(&bytes[..]);
    let mut lines = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mode = entry.header().mode().unwrap();
        lines.push(match entry.header().entry_type() {
            tar::EntryType::Directory => format!("d {mode:o} {}", path.trim_end_matches('/')),
            tar::EntryType::Symlink => {
                format!("l {path}->{}", entry.link_name().unwrap().unwrap().display())
            }
            _ => {
                let mut text = String::new();
                std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
                format!("f {path}={text}")
            }
        });
    }
    Ok(lines)
}

#[test]
fn files_go_where_buildkit_puts_them() {
    let world = world();
    type Case<'a> = (&'a [&'a str], &'a str, &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        (&["one.txt"], "/new", &["f new=one.txt"]),
        (&["one.txt"], "/new/", &["d 755 new", "f new/one.txt=one.txt"]),
        (&["one.txt"], "/tmp", &["d 1777 tmp", "f tmp/one.txt=one.txt"]),
        (&["one.txt"], "/a/b/c", &["d 755 a", "d 755 a/b", "f a/b/c=one.txt"]),
        (&["./one.txt", "/two.txt"], "/n/", &["d 755 n", "f n/one.txt=one.txt", "f n/two.txt=two.txt"]),
        (&["*.txt"], "/n/", &["d 755 n", "f n/one.txt=one.txt", "f n/two.txt=two.txt"]),
        (&["o?e.t[x]t"], "/n", &["f n=one.txt"]),
        (&["no*thing"], "/n/", &[]),
        (&["src/*/deep"], "/n", &["d 755 n", "f n/z.c=src/a/deep/z.c"]),
        // The content of a directory.
        (&["src/b"], "/n", &["d 755 n", "f n/w.o=src/b/w.o"]),
        (&["src/b/"], "/tmp/", &["d 1777 tmp", "f tmp/w.o=src/b/w.o"]),
        (&["empty"], "/n", &["d 755 n"]),
        // Not the directory itself: what it is copied to has a mode of its own.
        (
            &["src/a"],
            "/n/m",
            &[
                "d 755 n",
                "d 755 n/m",
                "d 755 n/m/deep",
                "f n/m/deep/z.c=src/a/deep/z.c",
                "f n/m/y.c=src/a/y.c",
            ],
        ),
        (
            &["src"],
            "/n",
            &[
                "d 755 n",
                "d 711 n/a",
                "d 755 n/a/deep",
                "f n/a/deep/z.c=src/a/deep/z.c",
                "f n/a/y.c=src/a/y.c",
                "d 755 n/b",
                "f n/b/w.o=src/b/w.o",
                "l n/inner->x.c",
                "f n/x.c=src/x.c",
            ],
        ),
        // Links of the source are followed, inside the context; in a directory they are copied.
        (&["link"], "/n", &["f n=src/x.c"]),
        (&["link"], "/n/", &["d 755 n", "f n/link=src/x.c"]),
        // Links of the destination lead to places inside the root.
        (&["one.txt"], "/lib/", &["d 755 usr", "d 755 usr/lib", "f usr/lib/one.txt=one.txt"]),
        (
            &["one.txt"],
            "/lib/x/y",
            &["d 755 usr", "d 755 usr/lib", "d 755 usr/lib/x", "f usr/lib/x/y=one.txt"],
        ),
        (&["one.txt"], "/tofile", &["d 755 home", "d 755 home/u", "f home/u/file=one.txt"]),
        (&["one.txt"], "/up", &["f outside=one.txt"]),
        (&["one.txt"], "/up/", &["d 755 outside", "f outside/one.txt=one.txt"]),
        (&["one.txt"], "/home/../../new", &["f new=one.txt"]),
        (&["."], "/tmp/x/../../n2/", &[]),
    ];
    for (sources, dest, wanted) in cases {
        let got = copied(&world, sources, dest, false, "", &[])
            .unwrap_or_else(|e| panic!("{sources:?} {}", e.chain()));
        if !wanted.is_empty() || *sources != ["."] {
            assert_eq!(got, *wanted, "COPY {sources:?} {dest}");
        }
    }
}

#[test]
fn what_cannot_be_copied_is_told() {
    let world = world();
    for (source, dest, ignore, wanted, hint) in [
        ("nope", "/n", "", "copy `nope`: it is not in the context", ""),
        ("one.tx", "/n", "", "not in the context", "there is `one.txt`"),
        ("one.txt", "/n", "*.txt", "not in the context", "ignore file"),
        ("escape", "/n", "", "not in the context", ""),
        ("../../etc/passwd", "/n", "", "not in the context", "nothing above it exists"),
        ("src", "/home/u/file", "", "no directory", ""),
        ("one.txt", "/home/u/file/", "", "no directory", ""),
        ("one.txt", "/home/u/file/x", "", "no directory", ""),
    ] {
        let e = copied(&world, &[source], dest, false, ignore, &[]).unwrap_err();
        assert!(e.chain().to_string().contains(wanted), "{source} {dest}: {}", e.chain());
        assert!(e.hints().iter().any(|h| h.contains(hint)) || hint.is_empty(), "{source}: {:?}", e.hints());
    }
}

#[test]
fn what_is_ignored_or_excluded_does_not_exist() {
    let world = world();
    let got = copied(&world, &["."], "/n/", false, "*\n!src/a/deep\n", &[]).unwrap();
    assert_eq!(
        got,
        [
            "d 755 n",
            "d 755 n/src",
            "d 711 n/src/a",
            "d 755 n/src/a/deep",
            "f n/src/a/deep/z.c=src/a/deep/z.c"
        ]
    );
    let got = copied(&world, &["src"], "/n/", false, "", &["**/*.c", "b"]).unwrap();
    assert_eq!(got, ["d 755 n", "d 711 n/a", "d 755 n/a/deep", "l n/inner->x.c"]);
    assert_eq!(
        copied(&world, &["*.txt"], "/n/", false, "", &["o*"]).unwrap(),
        ["d 755 n", "f n/two.txt=two.txt"]
    );
}

#[test]
fn parents_are_kept() {
    let world = world();
    let got = copied(&world, &["src/a/y.c", "one.txt"], "/n/", true, "", &[]).unwrap();
    assert_eq!(
        got,
        ["d 755 n", "f n/one.txt=one.txt", "d 755 n/src", "d 711 n/src/a", "f n/src/a/y.c=src/a/y.c"]
    );
    let got = copied(&world, &["src/./a/**/*.c"], "/n/", true, "", &["**/y.c"]).unwrap();
    assert_eq!(got, ["d 755 n", "d 711 n/a", "d 755 n/a/deep", "f n/a/deep/z.c=src/a/deep/z.c"]);
    assert!(copied(&world, &["src/nope"], "/n/", true, "", &[]).is_err());
}
