//! The permission bits of what taru makes: neither the umask of whoever calls it nor who else may pass through its
//! own directories shows in a container.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use taru_testkit::sandbox;

use crate::harness::Taru;

/// Prints the umask and what an ordinary user of the container may do with its root.
const LOOK: &str = "umask; stat -c '%a %n' / /etc /etc/hosts; ls / /etc > /dev/null && echo listed";
const SEEN: &str = "0022\n755 /\n755 /etc\n644 /etc/hosts\nlisted\n";

/// The first run makes all directories of the state; those with a closed umask lead to the roots of containers whose
/// users are others outside.
#[test]
fn the_umask_of_the_caller_makes_no_difference() {
    for mask in ["077", "000"] {
        sandbox(|sandbox| {
            Taru::each(sandbox, |taru| {
                let by = format!("umask {mask}; exec \"$@\"");
                let run = |words: &[&str]| taru.invoke_by(&["sh", "-c", &by, "sh"], words).output();
                let user = if taru.user { "0" } else { "1000" };
                for keep in [&[][..], &["--keep"]] {
                    let mut words = vec!["run", "-u", user];
                    words.extend(keep);
                    words.extend(["host", "--", "sh", "-c", LOOK]);
                    assert_eq!(run(&words).ok().stdout, SEEN, "umask {mask} {keep:?}");
                }
                let mode = fs::metadata(taru.state().join("run/containers")).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o711, "umask {mask}");
                // A mount point that is missing, in a directory that is missing.
                let root = taru.rootfs();
                let bind = format!("{}:/made/here", root.join("etc").display());
                let script = "stat -c '%a %n' / /made && cat /made/here/kept";
                let dir = root.to_str().unwrap();
                let words =
                    ["run", "-u", user, "--ro", "/usr", "--bind", &bind, "--rootfs", dir, "sh", "-c", script];
                assert_eq!(run(&words).ok().stdout, "755 /\n755 /made\nas it was\n", "umask {mask}");
                let ids = taru.ps();
                for container in &ids {
                    taru.taru(&format!("rm {}", container["id"].as_str().unwrap())).succeeds();
                }
            });
        });
    }
}

#[test]
fn the_root_of_a_kept_container_is_its_users_to_look_at() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        let seen = taru.sh("--keep --name k -u 1000", LOOK).ok();
        assert_eq!(seen.stdout, SEEN);
        taru.taru("rm k").succeeds();
        taru.assert_clean();
    });
}

#[test]
fn who_cannot_get_to_the_root_is_told_what_it_takes() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        let root = taru.rootfs();
        let shut = sandbox.dir().join("shut");
        fs::create_dir(&shut).unwrap();
        fs::set_permissions(&shut, fs::Permissions::from_mode(0o700)).unwrap();
        fs::rename(&root, shut.join("rootfs")).unwrap();
        let line = format!("run --ro /usr --rw --rootfs {} true", shut.join("rootfs").display());
        taru.taru(&line).fails_with("hint: in a user namespace its users are others outside, who need `x`");
        fs::set_permissions(&shut, fs::Permissions::from_mode(0o711)).unwrap();
        taru.taru(&line).succeeds();
        taru.assert_clean();
    });
}
