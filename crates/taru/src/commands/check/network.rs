//! What kinds of links the kernel makes: tried in a network namespace that ends with the try.

use taru_netlink::{IpvlanMode, LinkKind, MacvlanMode, Netlink, NewLink};
use taru_stdx::{Kind, Result};
use taru_sys::ns::Namespaces;
use taru_sys::user;

use super::kernel::attempt;
use super::{Finding, State};

const VETH: LinkKind<'static> =
    LinkKind::Veth { peer: "taru-peer", peer_netns: None, peer_mac: None, peer_mtu: None };

pub(super) fn all() -> Vec<Finding> {
    let mut wanted = Namespaces::NETWORK;
    if user::geteuid() != 0 {
        wanted |= Namespaces::USER;
    }
    let mut all = vec![
        found("veth", attempt(wanted, || create(&NewLink::new("taru0", VETH)))),
        found("bridge", attempt(wanted, || create(&NewLink::new("taru0", LinkKind::Bridge)))),
    ];
    all.push(found(
        "macvlan",
        attempt(wanted, || {
            let parent = parent()?;
            create(&NewLink::new("taru1", LinkKind::Macvlan { parent, mode: MacvlanMode::Bridge }))
        }),
    ));
    all.push(found(
        "ipvlan",
        attempt(wanted, || {
            let parent = parent()?;
            create(&NewLink::new("taru1", LinkKind::Ipvlan { parent, mode: IpvlanMode::L2 }))
        }),
    ));
    all.push(found(
        "vlan",
        attempt(wanted, || {
            let parent = parent()?;
            create(&NewLink::new("taru1", LinkKind::Vlan { parent, id: 5 }))
        }),
    ));
    all.push(forwarding());
    all
}

fn create(link: &NewLink<'_>) -> Result<()> {
    Netlink::open()?.create_link(link)
}

/// A link to stand on: one end of a virtual cable, which more kernels have than dummy links.
fn parent() -> Result<u32> {
    create(&NewLink::new("taru0", VETH))?;
    Ok(Netlink::open()?.link("taru0")?.index)
}

fn found(name: &'static str, tried: Result<()>) -> Finding {
    let detail = match tried {
        Ok(()) => return Finding::yes("network", name, ""),
        Err(e) if e.kind() == Kind::Unsupported => {
            "the kernel has none, or its module is not loaded".to_owned()
        }
        Err(e) => e.chain().to_string(),
    };
    Finding::new("network", name, State::No, detail)
        .advice(format!("load the module, as root: modprobe {}", module(name)))
}

/// What modprobe(8) knows a kind of link by.
fn module(kind: &str) -> &str {
    if kind == "vlan" { "8021q" } else { kind }
}

fn forwarding() -> Finding {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let (v4, v6) = (read("/proc/sys/net/ipv4/ip_forward"), read("/proc/sys/net/ipv6/conf/all/forwarding"));
    let state = match (v4.as_str(), v6.as_str()) {
        ("1", "1") => State::Yes,
        ("1", _) | (_, "1") => State::Limited,
        _ => State::No,
    };
    let word = |v: &str| if v == "1" { "on" } else { "off" };
    Finding::new("network", "forwarding", state, format!("IPv4 {}, IPv6 {}", word(&v4), word(&v6)))
        .advice("to let containers reach other hosts, as root: sysctl net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
}
