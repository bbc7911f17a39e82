//! `taru netns` and `taru link` beside ip(8), in both directions: what one makes the other sees.
//!
//! Each test is a thread with mount and network namespaces of its own and an empty /run: the host's
//! names and links are never touched.
#![allow(clippy::unwrap_used, reason = "the functions around the tests are tests too")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use serde_json::{Value, json};
use taru_sys::mount::{MountFlags, mount};
use taru_sys::ns::{Namespaces, unshare};

/// Runs `test` in a world of its own, or says why not.
fn world(name: &str, test: fn()) {
    let outcome = thread::spawn(move || {
        if let Err(e) = unshare(Namespaces::NETWORK | Namespaces::MOUNT) {
            return Some(e.errno().text());
        }
        let tmpfs = |target: &str| {
            mount(Some(Path::new("none")), Path::new(target), Some("tmpfs"), MountFlags::NOSUID, None)
                .unwrap();
        };
        mount(None, Path::new("/"), None, MountFlags::PRIVATE | MountFlags::REC, None).unwrap();
        tmpfs("/run");
        test();
        None
    })
    .join();
    match outcome {
        Ok(None) => {}
        Ok(Some(why)) => taru_testkit::skip(name, &format!("mount and network namespaces: {why}")),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn run(program: &str, line: &str) -> Output {
    Command::new(program).args(line.split_whitespace()).stdin(Stdio::null()).output().unwrap()
}

/// What `program LINE` prints; it must succeed.
fn output(program: &str, line: &str) -> String {
    let output = run(program, line);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {line}: {}: {stderr}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn taru(line: &str) -> String {
    output(env!("CARGO_BIN_EXE_taru"), line)
}

fn taru_json(line: &str) -> Value {
    serde_json::from_str(&taru(line)).unwrap()
}

/// Status and the first line of standard error of `taru LINE`, which must fail.
fn taru_fails(line: &str) -> (i32, String) {
    let output = run(env!("CARGO_BIN_EXE_taru"), line);
    assert!(!output.status.success(), "taru {line} succeeded");
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), stderr.lines().next().unwrap_or("").to_owned())
}

fn ip(line: &str) -> String {
    output("ip", line)
}

fn ip_json(line: &str) -> Value {
    serde_json::from_str(&output("ip", &format!("-j {line}"))).unwrap()
}

#[test]
fn names_are_shared_with_iproute2() {
    world("names_are_shared_with_iproute2", || {
        taru("netns add blue");
        ip("netns add green");
        assert_eq!(taru_json("netns list --format json"), json!([{"name": "blue"}, {"name": "green"}]));
        let mut theirs: Vec<String> =
            ip_json("netns list").as_array().unwrap().iter().map(|n| n["name"].to_string()).collect();
        theirs.sort();
        assert_eq!(theirs, ["\"blue\"", "\"green\""]);

        // The same namespace, whoever enters it, and neither ours nor the other.
        let inode = |text: String| text.trim().to_owned();
        let blue = inode(taru("netns exec blue readlink /proc/self/ns/net"));
        assert_eq!(inode(ip("netns exec blue readlink /proc/self/ns/net")), blue);
        let green = inode(taru("netns exec green readlink /proc/self/ns/net"));
        assert_eq!(inode(ip("netns exec green readlink /proc/self/ns/net")), green);
        let own = inode(fs::read_link("/proc/thread-self/ns/net").unwrap().display().to_string());
        assert!(blue != green && blue != own && green != own);

        assert_eq!(
            taru_fails("netns add green"),
            (1, "taru: create network namespace `green`: create `/run/netns/green`: File exists".to_owned())
        );
        taru("netns delete green");
        ip("netns delete blue");
        assert_eq!(taru("netns list"), "NAME   ID\n");
        assert!(fs::read_dir("/run/netns").unwrap().next().is_none());
        assert_eq!(ip("netns list"), "");
    });
}

#[test]
fn the_directory_is_a_shared_mount() {
    world("the_directory_is_a_shared_mount", || {
        let mount_of = || {
            let text = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
            let lines: Vec<&str> = text.lines().filter(|l| l.contains(" /run/netns ")).collect();
            assert_eq!(lines.len(), 1, "{text}");
            lines[0].to_owned()
        };
        taru("netns add blue");
        assert!(mount_of().contains(" shared:"), "{}", mount_of());
        // Neither makes it again when the other has made it.
        ip("netns add green");
        taru("netns add red");
        mount_of();
        // A copy of the mount elsewhere does not keep a deleted namespace alive.
        let bound = Path::new("/run/copy");
        fs::create_dir(bound).unwrap();
        mount(Some(Path::new("/run/netns")), bound, None, MountFlags::BIND | MountFlags::REC, None).unwrap();
        taru("netns delete blue");
        let text = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        assert!(!text.contains("/blue "), "{text}");
    });
}

/// The talk's demonstration: new links, a cable, one end moved in, both addressed, one reaches the other.
#[test]
fn the_talks_network_demonstration() {
    world("the_talks_network_demonstration", || {
        taru("netns add blue");
        let links = taru_json("link list --netns blue --format json");
        assert_eq!(links.as_array().unwrap().len(), 1, "{links}");
        assert_eq!((&links[0]["name"], &links[0]["up"]), (&json!("lo"), &json!(true)));
        assert_eq!(taru("netns exec blue ip route"), "");

        taru(
            "link add veth0 --address 10.0.0.1/24 --address fd00::1/64 --mac 02:00:00:00:00:01 \
             --peer eth0 --peer-netns blue --peer-address 10.0.0.2/24 --peer-address fd00::2/64 \
             --peer-gateway 10.0.0.1 --peer-gateway fd00::1 --mtu 1400",
        );
        let eth0 =
            &serde_json::from_str::<Value>(&taru("netns exec blue ip -j address show eth0")).unwrap()[0];
        assert_eq!(eth0["mtu"], 1400);
        assert_eq!(eth0["addr_info"][0]["local"], "10.0.0.2");
        assert_eq!(ip_json("link show veth0")[0]["address"], "02:00:00:00:00:01");
        let route = ip("-n blue route show default");
        assert!(route.starts_with("default via 10.0.0.1 dev eth0"), "{route}");
        let route = ip("-n blue -6 route show default");
        assert!(route.starts_with("default via fd00::1 dev eth0"), "{route}");

        reaches("10.0.0.2", "blue");
        reaches("[fd00::2]", "blue");

        taru("link delete veth0");
        assert_eq!(taru_json("link list --netns blue --format json").as_array().unwrap().len(), 1);
    });
}

/// Asserts that a program in the namespace `netns` is reached from here at `address`.
fn reaches(address: &str, netns: &str) {
    let netns = taru_netlink::named::find(netns).unwrap();
    let listen = || Ok(std::net::TcpListener::bind(format!("{address}:0")).unwrap());
    let listener = taru_netlink::netns::inside(std::os::fd::AsFd::as_fd(&netns), listen).unwrap();
    let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (_, from) = listener.accept().unwrap();
    assert_eq!(from, stream.local_addr().unwrap());
}

#[test]
fn links_of_one_move_into_namespaces_of_the_other() {
    world("links_of_one_move_into_namespaces_of_the_other", || {
        ip("netns add green");
        taru("link add veth0 --peer veth1");
        ip("link set veth1 netns green");
        ip("-n green address add 10.0.0.2/24 dev veth1");
        taru("netns exec green ip link set veth1 up");
        ip("address add 10.0.0.1/24 dev veth0");
        reaches("10.0.0.2", "green");

        // And out of a namespace of ip's, with its address and another name.
        taru("netns add blue");
        taru("netns exec green ip link set veth1 down");
        let moved = "netns exec green TARU link move veth1 --netns blue --rename eth%d"
            .replace("TARU", env!("CARGO_BIN_EXE_taru"));
        assert_eq!(taru(&moved), "eth0\n");
        reaches("10.0.0.2", "blue");
    });
}

#[test]
fn a_macvlan_is_made_inside_in_one_command() {
    world("a_macvlan_is_made_inside_in_one_command", || {
        taru("netns add blue");
        taru("link add veth0 --peer veth1");
        taru(
            "link add eth0 --type macvlan --parent veth0 --netns blue --address 10.0.0.7/24 --gateway 10.0.0.1",
        );
        let shown = &ip_json("-d -n blue address show eth0")[0];
        assert_eq!(shown["linkinfo"]["info_data"]["mode"], "bridge");
        assert_eq!(shown["addr_info"][0]["local"], "10.0.0.7");
        assert!(ip("-n blue route show default").starts_with("default via 10.0.0.1 dev eth0"));

        taru("link add br0 --type bridge --address 10.1.0.1/24");
        taru("link add port --master br0 --peer eth1 --peer-netns blue --peer-address 10.1.0.2/24");
        reaches("10.1.0.2", "blue");
        let links = taru_json("link list --format json");
        let port = links.as_array().unwrap().iter().find(|l| l["name"] == "port").unwrap();
        assert_eq!((&port["master"], &port["type"]), (&json!("br0"), &json!("veth")));
        let table = taru("link list --netns blue");
        assert!(table.lines().any(|l| l.starts_with("eth1") && l.contains("10.1.0.2/24")), "{table}");
    });
}

#[test]
fn what_fails_leaves_nothing_behind() {
    world("what_fails_leaves_nothing_behind", || {
        taru("netns add blue");
        let (status, line) =
            taru_fails("link add veth0 --peer eth0 --peer-netns blue --peer-gateway 192.168.7.1");
        assert_eq!(status, 1);
        assert_eq!(
            line,
            "taru: add route `default` via `192.168.7.1`: RTM_NEWROUTE: \
             Nexthop has invalid gateway: Network is unreachable"
        );
        for netns in ["", "--netns blue"] {
            let links = taru_json(&format!("link list --format json {netns}"));
            assert_eq!(links.as_array().unwrap().len(), 1, "{links}");
        }
        for (line, status, text) in [
            ("link add veth0", 2, "taru: make link `veth0`: `--peer` is missing"),
            ("link add x --type bridge --parent lo", 2, "taru: use `--parent` with a bridge link"),
            (
                "link add x --peer y --address 10.0.0.1/33",
                2,
                "taru: parse `10.0.0.1/33`: the prefix has at most 32 bits",
            ),
            ("link add x --peer y --mac 1", 2, "taru: parse `1` as a hardware address"),
            (
                "link add x --peer y --peer-netns nope",
                1,
                "taru: open network namespace `nope`: openat `/run/netns/nope`: No such file or directory",
            ),
            ("link delete nope", 1, "taru: find link `nope`: RTM_GETLINK: No such device"),
            ("link add lo --peer y", 1, "taru: create veth link `lo`: RTM_NEWLINK: File exists"),
            ("netns delete nope", 1, "taru: delete network namespace `nope`: No such file or directory"),
            (
                "netns add ../x",
                2,
                "taru: create network namespace `../x`: use `../x` as the name of a network namespace",
            ),
            (
                "netns exec nope true",
                125,
                "taru: open network namespace `nope`: openat `/run/netns/nope`: No such file or directory",
            ),
            ("netns exec blue nope", 127, "taru: execute `nope`: No such file or directory"),
            ("netns exec blue /etc/passwd", 126, "taru: execute `/etc/passwd`: Permission denied"),
            ("netns set blue x", 2, "taru: use `x` as an id: neither a number from 0 nor `auto`"),
        ] {
            assert_eq!(taru_fails(line), (status, text.to_owned()), "taru {line}");
        }
    });
}

#[test]
fn processes_are_found_and_namespaces_named() {
    world("processes_are_found_and_namespaces_named", || {
        taru("netns add blue");
        let mut sleeper = Command::new(env!("CARGO_BIN_EXE_taru"))
            .args(["netns", "exec", "blue", "sleep", "1000"])
            .spawn()
            .unwrap();
        let pid = sleeper.id();
        taru_testkit::eventually("the process is in the namespace", || {
            taru("netns pids blue") == format!("{pid}\n")
        });
        assert_eq!(ip("netns pids blue"), format!("{pid}\n"));
        assert_eq!(taru_json("netns pids blue --format json"), json!([pid]));
        assert_eq!(taru(&format!("netns identify {pid}")), "blue\n");
        assert_eq!(ip(&format!("netns identify {pid}")), "blue\n");
        assert_eq!(taru("netns identify"), "");
        // A second name, by process id as ip(8) takes it and as we write it.
        taru(&format!("netns attach azure {pid}"));
        taru(&format!("netns attach sky pid:{pid}"));
        assert_eq!(
            taru_json(&format!("netns identify {pid} --format json")),
            json!(["azure", "blue", "sky"])
        );
        assert!(ip("netns exec azure ip netns identify").contains("blue"));
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        assert_eq!(taru("netns pids blue"), "");

        taru("netns set blue 7");
        assert_eq!(
            taru_json("netns list-id --format json"),
            json!([{"nsid": 7, "names": ["azure", "blue", "sky"]}])
        );
        assert!(ip("netns list").contains("blue (id: 7)"));
        assert_eq!(taru_json("netns list --format json")[1], json!({"name": "blue", "id": 7}));
        let other = ip("netns list-id");
        assert!(other.contains("nsid 7"), "{other}");
        taru("netns delete --all");
        assert_eq!(taru_json("netns list --format json"), json!([]));
    });
}

#[test]
fn names_are_told_as_they_come_and_go() {
    world("names_are_told_as_they_come_and_go", || {
        let mut monitor = Command::new(env!("CARGO_BIN_EXE_taru"))
            .args(["netns", "monitor"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(monitor.stdout.take().unwrap()).lines();
        taru_testkit::eventually("the directory is watched", || {
            fs::read_dir("/run/netns").is_ok() && {
                let fds = format!("/proc/{}/fdinfo", monitor.id());
                let infos = fs::read_dir(fds).into_iter().flatten().flatten();
                infos.filter_map(|f| fs::read_to_string(f.path()).ok()).any(|t| t.contains("inotify wd:"))
            }
        });
        ip("netns add green");
        taru("netns add blue");
        taru("netns delete green");
        let told: Vec<String> = lines.by_ref().take(3).map(Result::unwrap).collect();
        assert_eq!(told, ["add green", "add blue", "delete green"]);
        monitor.kill().unwrap();
        monitor.wait().unwrap();
    });
}

/// Removes the containers of a test, however that ends.
struct Removed;

impl Drop for Removed {
    fn drop(&mut self) {
        run(env!("CARGO_BIN_EXE_taru"), "--root /run/state rm -f one two");
    }
}

/// Two containers without a network get one: a bridge, and a cable from it into each.
#[test]
fn a_running_container_is_given_a_link() {
    let taru_runtime = Path::new(env!("CARGO_BIN_EXE_taru")).with_file_name("taru-runtime");
    if !taru_runtime.exists() {
        return taru_testkit::skip("a_running_container_is_given_a_link", "a taru-runtime beside taru");
    }
    world("a_running_container_is_given_a_link", || {
        let taru = |line: &str| taru(&format!("--root /run/state {line}"));
        let _containers = Removed;
        taru("link add br0 --type bridge --address 10.5.0.1/24");
        for (name, address) in [("one", "10.5.0.2"), ("two", "10.5.0.3")] {
            taru(&format!("run -d --name {name} host -- sleep 1000"));
            taru(&format!(
                "link add {name} --master br0 --peer eth0 --peer-netns container:{name} \
                 --peer-address {address}/24 --peer-gateway 10.5.0.1"
            ));
        }
        let links = taru("exec one ip -o -4 address show eth0");
        assert!(links.contains("10.5.0.2/24"), "{links}");
        let links: Value =
            serde_json::from_str(&taru("link list --netns container:two --format json")).unwrap();
        assert_eq!(links.as_array().unwrap().len(), 2, "{links}");

        let pid: Value = serde_json::from_str(&taru("inspect one")).unwrap();
        reaches("10.5.0.2", &format!("pid:{}", pid[0]["state"]["pid"]));
        taru("stop --time 0 two");
        let gone = taru_fails("--root /run/state link list --netns container:two");
        assert_eq!(gone.0, 1, "{gone:?}");
        assert!(gone.1.starts_with("taru: open the network namespace of container `two`: "), "{gone:?}");
        taru("rm -f one");
        // The kernel takes a network namespace down behind the scenes, after its last process is gone.
        taru_testkit::eventually("the cables end with the containers", || {
            !taru("link list").contains("veth")
        });
    });
}

#[test]
fn a_program_sees_its_own_links_and_files() {
    world("a_program_sees_its_own_links_and_files", || {
        // The host's /etc is not ours to write: an overlay of it.
        for dir in ["/run/upper", "/run/work"] {
            fs::create_dir(dir).unwrap();
        }
        let options = "lowerdir=/etc,upperdir=/run/upper,workdir=/run/work";
        let etc = Path::new("/etc");
        mount(Some(Path::new("none")), etc, Some("overlay"), MountFlags::NOSUID, Some(options)).unwrap();
        fs::create_dir_all("/etc/netns/blue").unwrap();
        fs::write("/etc/netns/blue/hosts", "10.0.0.2 inside\n").unwrap();
        fs::write("/etc/netns/blue/no-such-file-in-etc", "").unwrap();
        ip("netns add blue");
        taru("link add veth0 --peer eth77 --peer-netns blue");

        assert_eq!(taru("netns exec blue cat /etc/hosts"), "10.0.0.2 inside\n");
        assert_eq!(taru("netns exec blue ls /sys/class/net"), "eth77\nlo\n");
        // What is mounted below /sys stays in view.
        let below = |text: &str| {
            let mut all: Vec<String> = text
                .lines()
                .filter_map(|l| l.split(' ').nth(4))
                .filter(|p| p.starts_with("/sys/"))
                .map(str::to_owned)
                .collect();
            all.sort();
            all
        };
        let outside = below(&fs::read_to_string("/proc/thread-self/mountinfo").unwrap());
        assert_eq!(below(&taru("netns exec blue cat /proc/self/mountinfo")), outside);
        // Nothing of it reaches us.
        assert!(!fs::read_to_string("/etc/hosts").unwrap().contains("inside"));
        let warned = run(env!("CARGO_BIN_EXE_taru"), "netns exec blue true");
        let stderr = String::from_utf8(warned.stderr).unwrap();
        assert_eq!(
            stderr,
            "taru: warning: bind `/etc/netns/blue/no-such-file-in-etc` to \
             `/etc/no-such-file-in-etc`: No such file or directory\n"
        );
    });
}
