//! Which files are read and which of them counts, with an environment of our own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use taru_oci::Reference;
use taru_registry::{Keyring, Policy, Registries, Settings};
use taru_stdx::Kind;

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let dir = std::env::temp_dir().join(format!("taru-files-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Dir(dir)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn variables(pairs: &[(&str, &Path)]) -> impl Fn(&str) -> Option<String> {
    let pairs: Vec<(String, String)> =
        pairs.iter().map(|(n, v)| ((*n).to_owned(), v.to_str().unwrap().to_owned())).collect();
    move |name| pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone())
}

fn names(registries: &Registries, typed: &str) -> Vec<String> {
    registries.names(typed).unwrap().iter().map(Reference::to_string).collect()
}

#[test]
fn later_files_of_registries_win() {
    let home = Dir::new("registries");
    let main = home.write("main.conf", "unqualified-search-registries = [\"a.example\"]\n[aliases]\n\"x\" = \"a.example/x\"\n\"y\" = \"a.example/y\"\n");
    home.write("parts/10-a.conf", "[aliases]\n\"x\" = \"b.example/x\"\n");
    home.write(
        "parts/20-b.conf",
        "unqualified-search-registries = [\"c.example\"]\n[aliases]\n\"x\" = \"c.example/x\"\n",
    );
    home.write("parts/30-c.txt", "not read, not even understood");
    home.write("cache/containers/short-name-aliases.conf", "[aliases]\n\"y\" = \"d.example/y\"\n");
    let parts = home.0.join("parts");
    let cache = home.0.join("cache");
    let all = Registries::of_host(variables(&[
        ("CONTAINERS_REGISTRIES_CONF", &main),
        ("CONTAINERS_REGISTRIES_CONF_DIR", &parts),
        ("XDG_CACHE_HOME", &cache),
    ]))
    .unwrap();
    assert_eq!(names(&all, "x:1"), ["c.example/x:1"]);
    assert_eq!(names(&all, "y"), ["d.example/y:latest"]);
    assert_eq!(names(&all, "z"), ["c.example/z:latest"]);
    // The user's own file takes the place of the host's.
    let own = Dir::new("own");
    own.write("config/containers/registries.conf", "unqualified-search-registries = [\"own.example\"]\n");
    let config = own.0.join("config");
    let empty = own.0.join("empty");
    let all = Registries::of_host(variables(&[
        ("XDG_CONFIG_HOME", &config),
        ("CONTAINERS_REGISTRIES_CONF_DIR", &empty),
    ]));
    assert_eq!(names(&all.unwrap(), "z"), ["own.example/z:latest"]);
    // One that cannot be understood is named.
    let bad = home.write("bad.conf", "[[registry]\n");
    let e = Registries::of_host(variables(&[("CONTAINERS_REGISTRIES_CONF", &bad)])).unwrap_err();
    assert_eq!(e.kind(), Kind::Invalid);
    assert!(e.chain().to_string().contains("bad.conf"), "{e:?}");
}

#[test]
fn the_host_s_own_files_are_understood() {
    Settings::of_host().unwrap();
    Policy::of_host().unwrap();
}

#[test]
fn credentials_have_their_files() {
    let (home, run, docker) = (Path::new("/home/x"), Path::new("/run/user/1"), Path::new("/d"));
    let all = Keyring::from_variables(variables(&[("HOME", home), ("XDG_RUNTIME_DIR", run)]));
    let paths = |keyring: &Keyring| -> Vec<String> {
        keyring.files.iter().map(|f| f.display().to_string()).collect()
    };
    assert_eq!(
        paths(&all),
        [
            "/run/user/1/containers/auth.json",
            "/home/x/.config/containers/auth.json",
            "/home/x/.docker/config.json"
        ]
    );
    assert_eq!(all.written.unwrap(), Path::new("/home/x/.docker/config.json"));
    let all = Keyring::from_variables(variables(&[("HOME", home), ("DOCKER_CONFIG", docker)]));
    assert_eq!(all.written.unwrap(), Path::new("/d/config.json"));
    let one = Path::new("/one.json");
    let all = Keyring::from_variables(variables(&[("HOME", home), ("REGISTRY_AUTH_FILE", one)]));
    assert_eq!((paths(&all), all.written.as_deref()), (vec!["/one.json".to_owned()], Some(one)));
    assert_eq!(Keyring::from_variables(|_| None).files.len(), 0);
}
