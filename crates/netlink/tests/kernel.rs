//! Every call against the kernel, judged by what ip(8) then prints. Each test has network namespaces
//! of its own: namespaces belong to threads, so a test is a thread.

#![allow(clippy::unwrap_used, reason = "the functions around the tests are tests too")]

use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::thread;

use serde_json::Value;
use taru_netlink::*;
use taru_stdx::Kind;
use taru_sys::ns::{Namespaces, unshare};

/// Runs `test` in a new network namespace, or says why not.
fn world(name: &str, test: fn()) {
    let outcome = thread::spawn(move || match unshare(Namespaces::NETWORK) {
        Ok(()) => {
            test();
            None
        }
        Err(e) => Some(e.errno().text()),
    })
    .join();
    match outcome {
        Ok(None) => {}
        Ok(Some(why)) => taru_testkit::skip(name, &format!("network namespaces: {why}")),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Another new network namespace.
fn another() -> OwnedFd {
    thread::spawn(|| {
        unshare(Namespaces::NETWORK).unwrap();
        netns::current().unwrap()
    })
    .join()
    .unwrap()
}

/// What `ip -j -d ARGS` prints in this thread's namespace.
fn ip(args: &str) -> Value {
    let output = Command::new("ip").args(["-j", "-d"]).args(args.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {args}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

/// The same in the namespace `netns`.
fn ip_in(netns: &OwnedFd, args: &str) -> Value {
    netns::inside(netns.as_fd(), || Ok(ip(args))).unwrap()
}

fn veth(peer: &str) -> LinkKind<'_> {
    LinkKind::Veth { peer, peer_netns: None, peer_mac: None, peer_mtu: None }
}

/// The addresses of `link` as ip(8) prints them, without the link-local ones.
fn addresses_by_ip(link: &Value) -> Vec<String> {
    let all = link[0]["addr_info"].as_array().unwrap();
    let global = all.iter().filter(|a| a["scope"] != "link");
    global.map(|a| format!("{}/{}", a["local"].as_str().unwrap(), a["prefixlen"])).collect()
}

#[test]
fn loopback() {
    world("loopback", || {
        let mut netlink = Netlink::open().unwrap();
        assert!(!netlink.link("lo").unwrap().is_up());
        loopback_up().unwrap();
        assert!(netlink.link("lo").unwrap().is_up());
        assert!(ip("link show lo")[0]["flags"].as_array().unwrap().contains(&"UP".into()));
        assert_eq!(addresses_by_ip(&ip("address show lo"))[0], "127.0.0.1/8");
        loopback_up().unwrap();
    });
}

#[test]
fn links_are_listed_as_ip_lists_them() {
    world("links_are_listed_as_ip_lists_them", || {
        let mut netlink = Netlink::open().unwrap();
        netlink.create_link(&NewLink { up: true, ..NewLink::new("br0", LinkKind::Bridge) }).unwrap();
        let bridge = netlink.link("br0").unwrap().index;
        let new = NewLink {
            mac: Some([2, 0, 0, 0, 0, 7]),
            mtu: Some(1400),
            master: Some(bridge),
            up: true,
            ..NewLink::new("veth0", veth("veth1"))
        };
        netlink.create_link(&new).unwrap();
        let index = netlink.link("veth0").unwrap().index;
        ip("link property add dev veth0 altname a-name-of-more-than-fifteen-bytes");

        let theirs = ip("link show");
        let ours = netlink.links().unwrap();
        assert_eq!(ours.len(), theirs.as_array().unwrap().len());
        let name_of = |index| ours.iter().find(|link| link.index == index).unwrap().name.clone();
        for link in &ours {
            let other = &ip(&format!("link show {}", link.name))[0];
            assert_eq!(other["ifindex"], link.index);
            assert_eq!(other["mtu"], link.mtu);
            // The kernel settles this one a little later, of its own accord.
            taru_testkit::eventually("ip and we see one state", || {
                let theirs = &ip(&format!("link show {}", link.name))[0]["operstate"];
                theirs == netlink.link(&link.name).unwrap().state.as_str()
            });
            assert_eq!(other["linkinfo"]["info_kind"].as_str(), link.kind.as_deref());
            assert_eq!(other["address"], link.mac_text());
            assert_eq!(other["flags"].as_array().unwrap().contains(&"UP".into()), link.is_up());
            let parent = link.parent.map(name_of);
            assert_eq!(other["link"].as_str().map(str::to_owned), parent);
            let master = link.master.map(name_of);
            assert_eq!(other["master"].as_str().map(str::to_owned), master);
            let alt: Vec<Value> = link.alt_names.iter().map(|n| n.as_str().into()).collect();
            assert_eq!(other["altnames"].as_array().cloned().unwrap_or_default(), alt);
        }
        let found = netlink.link("a-name-of-more-than-fifteen-bytes").unwrap();
        assert_eq!((found.index, found.mac_text().as_str()), (index, "02:00:00:00:00:07"));
        assert_eq!(netlink.find_link("another-name-of-more-than-fifteen").unwrap(), None);
    });
}

#[test]
fn links_are_changed_and_deleted() {
    world("links_are_changed_and_deleted", || {
        let mut netlink = Netlink::open().unwrap();
        netlink.create_link(&NewLink::new("veth0", veth("veth1"))).unwrap();
        let index = netlink.link("veth0").unwrap().index;
        assert!(!netlink.link("veth0").unwrap().is_up());
        netlink.set_link_up(index).unwrap();
        assert!(netlink.link("veth0").unwrap().is_up());
        netlink.create_link(&NewLink::new("br0", LinkKind::Bridge)).unwrap();
        let bridge = netlink.link("br0").unwrap().index;
        netlink.set_link_master(index, Some(bridge)).unwrap();
        assert_eq!(ip("link show veth0")[0]["master"], "br0");
        netlink.set_link_master(index, None).unwrap();
        assert_eq!(ip("link show veth0")[0]["master"], Value::Null);
        netlink.delete_link(index).unwrap();
        assert_eq!(netlink.find_link("veth0").unwrap(), None);
        assert_eq!(netlink.find_link("veth1").unwrap(), None);
    });
}

#[test]
fn every_kind_of_link_this_kernel_has() {
    world("every_kind_of_link_this_kernel_has", || {
        let mut netlink = Netlink::open().unwrap();
        netlink.create_link(&NewLink { up: true, ..NewLink::new("veth0", veth("veth1")) }).unwrap();
        netlink.create_link(&NewLink::new("veth2", veth("veth3"))).unwrap();
        let one = netlink.link("veth0").unwrap().index;
        // A link has macvlan or ipvlan links on it, not both.
        let two = netlink.link("veth2").unwrap().index;
        let vxlan = LinkKind::Vxlan {
            id: 0xabcdef,
            remote: Some("10.0.0.9".parse().unwrap()),
            local: None,
            parent: Some(one),
            port: 4789,
        };
        let kinds = [
            ("macvlan0", LinkKind::Macvlan { parent: one, mode: MacvlanMode::Bridge }, "mode", "\"bridge\""),
            (
                "macvlan1",
                LinkKind::Macvlan { parent: one, mode: MacvlanMode::Private },
                "mode",
                "\"private\"",
            ),
            ("ipvlan0", LinkKind::Ipvlan { parent: two, mode: IpvlanMode::L3 }, "mode", "\"l3\""),
            ("vlan7", LinkKind::Vlan { parent: one, id: 7 }, "id", "7"),
            ("vxlan0", vxlan, "id", "11259375"),
            ("dummy0", LinkKind::Dummy, "", "null"),
            ("bridge0", LinkKind::Bridge, "", "null"),
        ];
        for (name, kind, key, value) in kinds {
            let kind_name = kind.name();
            match netlink.create_link(&NewLink::new(name, kind)) {
                Err(e) if e.kind() == Kind::Unsupported => {
                    assert!(e.chain().to_string().contains("RTM_NEWLINK: Unknown device type"), "{e:?}");
                    let module = if kind_name == "vlan" { "8021q" } else { kind_name };
                    assert!(e.hints()[0].contains(&format!("modprobe {module}")), "{:?}", e.hints());
                    taru_testkit::skip("every_kind_of_link_this_kernel_has", &format!("{kind_name} links"));
                }
                other => {
                    other.unwrap();
                    let info = &ip(&format!("link show {name}"))[0]["linkinfo"];
                    assert_eq!(info["info_kind"], kind_name);
                    assert_eq!(info["info_data"][key].to_string(), value, "{info}");
                }
            }
        }
    });
}

#[test]
fn a_veth_pair_spans_two_namespaces() {
    world("a_veth_pair_spans_two_namespaces", || {
        let there = another();
        let mut netlink = Netlink::open().unwrap();
        let kind = LinkKind::Veth {
            peer: "eth0",
            peer_netns: Some(there.as_fd()),
            peer_mac: Some([2, 0, 0, 0, 0, 2]),
            peer_mtu: Some(1400),
        };
        netlink.create_link(&NewLink { up: true, ..NewLink::new("veth0", kind) }).unwrap();
        let mut other = Netlink::open_in(there.as_fd()).unwrap();
        let (here, eth0) = (netlink.link("veth0").unwrap(), other.link("eth0").unwrap());
        assert_eq!((eth0.mtu, eth0.mac_text().as_str()), (1400, "02:00:00:00:00:02"));
        // Each names the other's namespace by an id that the kernel gave it.
        assert_eq!(here.parent_netns, netlink.netns_id(there.as_fd()).unwrap());
        assert!(here.parent_netns.is_some() && eth0.parent_netns.is_some());

        for (socket, index, text) in
            [(&mut netlink, here.index, "10.0.0.1/24"), (&mut other, eth0.index, "10.0.0.2/24")]
        {
            socket.add_address(index, &Address::new(text.parse().unwrap())).unwrap();
            socket.set_link_up(index).unwrap();
        }
        other.add_route(&Route::default_via("10.0.0.1".parse().unwrap())).unwrap();
        assert_eq!(ip_in(&there, "route show default")[0]["gateway"], "10.0.0.1");
        let listener = netns::inside(there.as_fd(), || Ok(TcpListener::bind("10.0.0.2:0").unwrap())).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(stream.peer_addr().unwrap().ip().to_string(), "10.0.0.2");
        assert_eq!(listener.accept().unwrap().1.ip().to_string(), "10.0.0.1");
        // A link made elsewhere from the start, on a parent here.
        let parent = here.index;
        let kind = LinkKind::Macvlan { parent, mode: MacvlanMode::Bridge };
        let new = NewLink { netns: Some(there.as_fd()), ..NewLink::new("mv0", kind) };
        netlink.create_link(&new).unwrap();
        assert_eq!(netlink.find_link("mv0").unwrap(), None);
        assert_eq!(ip_in(&there, "link show mv0")[0]["linkinfo"]["info_kind"], "macvlan");
    });
}

#[test]
fn addresses() {
    world("addresses", || {
        let mut netlink = Netlink::open().unwrap();
        netlink.create_link(&NewLink { up: true, ..NewLink::new("veth0", veth("veth1")) }).unwrap();
        let index = netlink.link("veth0").unwrap().index;
        let mut pointed = Address::new("10.1.0.1/32".parse().unwrap());
        pointed.peer = Some("10.1.0.2".parse().unwrap());
        let mut labelled = Address::new("10.2.0.1/16".parse().unwrap());
        labelled.label = Some("veth0:two".into());
        labelled.metric = Some(77);
        let six = Address::new("fd00::1/64".parse().unwrap()).without_duplicate_detection();
        for address in [&pointed, &labelled] {
            netlink.add_address(index, address).unwrap();
        }
        match netlink.add_address(index, &six) {
            Err(e) if e.kind() == Kind::Unsupported => taru_testkit::skip("addresses", "IPv6"),
            other => {
                other.unwrap();
                let info = &ip("-6 address show veth0 scope global")[0]["addr_info"][0];
                assert_eq!((&info["local"], &info["prefixlen"]), (&"fd00::1".into(), &64.into()));
                assert_eq!(info["nodad"], true);
            }
        }
        let shown = ip("-4 address show veth0");
        let info = &shown[0]["addr_info"];
        assert_eq!((&info[0]["local"], &info[0]["address"]), (&"10.1.0.1".into(), &"10.1.0.2".into()));
        assert_eq!((&info[1]["broadcast"], &info[1]["label"]), (&"10.2.255.255".into(), &"veth0:two".into()));
        assert_eq!(info[1]["metric"], 77);

        let ours = netlink.addresses(Some(index)).unwrap();
        let ours: Vec<_> = ours.iter().filter(|a| a.scope == Scope::Global && a.net.ip().is_ipv4()).collect();
        assert!(ours.iter().all(|a| a.is_permanent() && a.link == index));
        assert_eq!((ours[0].net, ours[0].peer), (pointed.net, pointed.peer));
        assert_eq!((ours[1].net, &ours[1].label, ours[1].metric), (labelled.net, &labelled.label, Some(77)));

        let twice = netlink.add_address(index, &labelled).unwrap_err();
        assert_eq!(twice.kind(), Kind::Exists);
    });
}

#[test]
fn routes() {
    world("routes", || {
        let mut netlink = Netlink::open().unwrap();
        netlink.create_link(&NewLink { up: true, ..NewLink::new("veth0", veth("veth1")) }).unwrap();
        let index = netlink.link("veth0").unwrap().index;
        let peer = netlink.link("veth1").unwrap().index;
        netlink.set_link_up(peer).unwrap();
        netlink.add_address(index, &Address::new("10.0.0.2/24".parse().unwrap())).unwrap();
        let gateway: IpAddr = "10.0.0.1".parse().unwrap();
        let mut default = Route::default_via(gateway);
        default.metric = Some(100);
        netlink.add_route(&default).unwrap();
        let mut network = Route::to("10.9.0.0/16".parse().unwrap());
        network.link = Some(index);
        network.source = Some("10.0.0.2".parse().unwrap());
        netlink.add_route(&network).unwrap();
        let mut elsewhere = Route::to("10.8.0.0/16".parse().unwrap());
        elsewhere.link = Some(index);
        elsewhere.table = 1000;
        netlink.add_route(&elsewhere).unwrap();

        let shown = ip("route show");
        let find = |dst: &str| shown.as_array().unwrap().iter().find(|r| r["dst"] == dst).cloned().unwrap();
        assert_eq!(find("default")["gateway"], "10.0.0.1");
        assert_eq!(
            (&find("default")["metric"], &find("default")["protocol"]),
            (&100.into(), &"static".into())
        );
        assert_eq!(
            (&find("10.9.0.0/16")["scope"], &find("10.9.0.0/16")["prefsrc"]),
            (&"link".into(), &"10.0.0.2".into())
        );
        assert_eq!(ip("route show table 1000")[0]["dst"], "10.8.0.0/16");

        // IPv4 by an IPv6 router.
        let mut other_family = Route::to("10.7.0.0/16".parse().unwrap());
        other_family.link = Some(index);
        other_family.gateway = Some("fe80::1".parse().unwrap());
        netlink.add_route(&other_family).unwrap();
        assert_eq!(ip("route show 10.7.0.0/16")[0]["via"]["host"], "fe80::1");

        assert_eq!(netlink.add_route(&default).unwrap_err().kind(), Kind::Exists);
        // The kernel's own words reach the user.
        let e = netlink.add_route(&Route::default_via("192.168.77.1".parse().unwrap())).unwrap_err();
        assert_eq!(
            e.chain().to_string(),
            "add route `default` via `192.168.77.1`: RTM_NEWROUTE: \
             Nexthop has invalid gateway: Network is unreachable"
        );
    });
}

#[test]
fn netns_ids() {
    world("netns_ids", || {
        let mut netlink = Netlink::open().unwrap();
        let (one, two) = (another(), another());
        assert_eq!(netlink.netns_id(one.as_fd()).unwrap(), None);
        netlink.assign_netns_id(one.as_fd(), Some(7)).unwrap();
        netlink.assign_netns_id(two.as_fd(), None).unwrap();
        assert_eq!(netlink.netns_id(one.as_fd()).unwrap(), Some(7));
        assert_eq!(netlink.netns_id(two.as_fd()).unwrap(), Some(0));
        assert_eq!(netlink.netns_ids().unwrap(), [0, 7]);
        let three = another();
        assert_eq!(netlink.assign_netns_id(three.as_fd(), Some(7)).unwrap_err().kind(), Kind::Exists);
        assert_eq!(netlink.assign_netns_id(one.as_fd(), Some(8)).unwrap_err().kind(), Kind::Exists);
        let null = std::fs::File::open("/dev/null").unwrap();
        assert!(netlink.netns_id(null.as_fd()).is_err());
    });
}

#[test]
fn mistakes_are_told_in_the_kernels_words() {
    world("mistakes_are_told_in_the_kernels_words", || {
        let mut netlink = Netlink::open().unwrap();
        netlink.create_link(&NewLink::new("veth0", veth("veth1"))).unwrap();
        let cases: [(&str, taru_stdx::Result<()>, Kind); 6] = [
            (
                "create veth link `veth0`: RTM_NEWLINK: File exists",
                netlink.create_link(&NewLink::new("veth0", veth("veth9"))),
                Kind::Exists,
            ),
            ("find link `nope`: RTM_GETLINK: No such device", netlink.link("nope").map(drop), Kind::NotFound),
            (
                "create bridge link `much-too-long-a-name`: use `much-too-long-a-name` as the name of a link",
                netlink.create_link(&NewLink::new("much-too-long-a-name", LinkKind::Bridge)),
                Kind::Invalid,
            ),
            ("set link 99 up: RTM_NEWLINK: No such device", netlink.set_link_up(99), Kind::NotFound),
            (
                "delete link 1: RTM_DELLINK: Operation not supported",
                netlink.delete_link(1),
                Kind::Unsupported,
            ),
            (
                "create bridge link `br0`: RTM_NEWLINK: mtu less than device minimum: Invalid argument",
                netlink.create_link(&NewLink { mtu: Some(4), ..NewLink::new("br0", LinkKind::Bridge) }),
                Kind::Invalid,
            ),
        ];
        for (text, result, kind) in cases {
            let e = result.unwrap_err();
            assert_eq!((e.chain().to_string().as_str(), e.kind()), (text, kind));
        }
    });
}

/// A veth pair here with an address of every sort, one end called `name`.
fn furnished(netlink: &mut Netlink, name: &str) {
    netlink
        .create_link(&NewLink { mtu: Some(1400), ..NewLink::new(name, veth(&format!("{name}-peer"))) })
        .unwrap();
    for command in [
        format!("link set {name} up address 02:00:00:00:00:11"),
        format!("address add 10.0.0.2/24 dev {name}"),
        format!("address add 10.0.0.3/24 dev {name} label {name}:b"),
        format!("address add 10.3.0.1 peer 10.3.0.2 dev {name}"),
        format!("address add 169.254.7.7/16 dev {name} scope link"),
        format!("address add 10.4.0.1/24 dev {name} valid_lft 1000 preferred_lft 1000"),
        format!("address add fd00::2/64 dev {name} nodad"),
    ] {
        ip(&command);
    }
}

/// What of [`furnished`] is permanent and global.
const KEPT: [&str; 4] = ["10.3.0.1/32", "10.0.0.2/24", "10.0.0.3/24", "fd00::2/64"];

#[test]
fn a_device_moves_with_its_permanent_global_addresses() {
    world("a_device_moves_with_its_permanent_global_addresses", || {
        let mut netlink = Netlink::open().unwrap();
        let there = another();
        // The index is taken in the target, so that the link must get another one.
        furnished(&mut netlink, "dev0");
        let index = netlink.link("dev0").unwrap().index;
        let mut other = Netlink::open_in(there.as_fd()).unwrap();
        while other.find_link(&format!("v{index}")).unwrap().is_none() {
            let count = other.links().unwrap().len();
            let next = format!("v{}", other.links().unwrap()[count - 1].index + 1);
            other.create_link(&NewLink::new(&next, LinkKind::Bridge)).unwrap();
        }

        let moved = move_device("dev0", there.as_fd(), Some("net1")).unwrap();
        assert_eq!(moved.name, "net1");
        assert_eq!(netlink.find_link("dev0").unwrap(), None);
        let shown = ip_in(&there, "address show net1");
        let mut addresses = addresses_by_ip(&shown);
        addresses.sort();
        let mut kept = KEPT;
        kept.sort_unstable();
        assert_eq!(addresses, kept);
        assert_eq!((&shown[0]["mtu"], &shown[0]["address"]), (&1400.into(), &"02:00:00:00:00:11".into()));
        assert!(shown[0]["flags"].as_array().unwrap().contains(&"UP".into()));
        let info = shown[0]["addr_info"].as_array().unwrap();
        let label = |local: &str| info.iter().find(|a| a["local"] == local).unwrap()["label"].clone();
        assert_eq!((label("10.0.0.2"), label("10.0.0.3")), ("net1".into(), "net1:b".into()));
    });
}

#[test]
fn devices_move_all_or_none() {
    world("devices_move_all_or_none", || {
        let mut netlink = Netlink::open().unwrap();
        let there = another();
        for name in ["dev0", "dev1"] {
            furnished(&mut netlink, name);
        }
        let mut other = Netlink::open_in(there.as_fd()).unwrap();
        other.create_link(&NewLink::new("eth0", LinkKind::Bridge)).unwrap();

        // All mistakes are told at once, and nothing has moved.
        let device = |name, new_name| Device { name, new_name };
        let list = [device("dev0", Some("eth0")), device("nope", None), device("dev1", Some("a b"))];
        let e = move_devices(&list, there.as_fd()).unwrap_err();
        assert_eq!(
            e.to_string(),
            "move device `dev0`: the target network namespace has a link named `eth0`; \
             move device `nope`: find link `nope`: RTM_GETLINK: No such device; \
             move device `dev1`: use `a b` as the name of a link"
        );
        assert_eq!(e.kind(), Kind::Exists);
        assert!(netlink.find_link("dev0").unwrap().is_some());
        // Two that want one name.
        let e = move_devices(&[device("dev0", Some("x")), device("dev1", Some("x"))], there.as_fd());
        assert_eq!(e.unwrap_err().kind(), Kind::Exists);
        // The kernel refuses the second only when it is tried: the first comes back, as it was.
        let e =
            move_devices(&[device("dev0", Some("x")), device("lo", Some("y"))], there.as_fd()).unwrap_err();
        assert_eq!(e.kind(), Kind::Invalid, "{e:?}");
        assert_eq!(other.find_link("x").unwrap(), None);
        assert_eq!(addresses_by_ip(&ip("address show dev0")).len(), KEPT.len());
        assert!(netlink.link("dev0").unwrap().is_up());

        // A template takes the first free number; a name taken there need not be free here.
        let moved =
            move_devices(&[device("dev0", Some("eth%d")), device("dev1", Some("eth%d"))], there.as_fd());
        let names: Vec<_> = moved.unwrap().into_iter().map(|m| m.name).collect();
        assert_eq!(names, ["eth1", "eth2"]);
    });
}

#[test]
fn a_visit_ends_at_home() {
    world("a_visit_ends_at_home", || {
        let there = another();
        let id = |fd: &OwnedFd| {
            use std::os::unix::fs::MetadataExt;
            std::fs::File::from(fd.try_clone().unwrap()).metadata().unwrap().ino()
        };
        let home = id(&netns::current().unwrap());
        let visited = netns::inside(there.as_fd(), netns::current).unwrap();
        assert_eq!(id(&visited), id(&there));
        assert_eq!(id(&netns::current().unwrap()), home);
        let failed = netns::inside(there.as_fd(), || Err::<(), _>(taru_stdx::Error::invalid("no")));
        assert_eq!(failed.unwrap_err().chain().to_string(), "no");
        assert_eq!(id(&netns::current().unwrap()), home);
    });
}
