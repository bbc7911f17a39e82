//! Kernel parameters: only those that belong to a namespace of the container may be set.

use std::collections::BTreeMap;

use taru_sys::ns::Namespaces;

use super::namespaces::NamespacePlan;
use super::problems::Problems;

/// Parameters of the IPC namespace below `kernel.`; those below `fs.mqueue.` belong to it too.
const IPC: [&str; 9] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
    "kernel.auto_msgmni",
];

/// Decides on `sysctl`: paths below `/proc/sys` and values, or a problem for each that is not namespaced
/// or contradicts the field `domainname`.
pub(super) fn plan(
    sysctl: &BTreeMap<String, String>,
    domainname: Option<&str>,
    namespaces: &NamespacePlan,
    problems: &mut Problems,
) -> Vec<(String, String)> {
    let mut writes = Vec::with_capacity(sysctl.len());
    for (key, value) in sysctl {
        let dotted = dotted(key);
        let contradicts = dotted == "kernel.domainname" && domainname.is_some_and(|name| name != value);
        let refusal = if contradicts {
            Some("the field domainname says otherwise")
        } else {
            refusal(&dotted, value, namespaces)
        };
        match refusal {
            Some(reason) => {
                problems.invalid(format!("check linux.sysctl `{}`: {reason}", key.escape_default()))
            }
            // A dot inside a name (an interface `eth0.1`) is written as a slash in the dotted form.
            None => writes.push((format!("sys/{}", swap_dots_and_slashes(&dotted)), value.clone())),
        }
    }
    writes
}

/// sysctl(8) takes `a.b/c.d` and `a/b.c/d` alike: the first separator decides which is which.
fn dotted(key: &str) -> String {
    match key.find(['.', '/']).map(|at| key.as_bytes()[at]) {
        Some(b'/') => swap_dots_and_slashes(key),
        _ => key.to_owned(),
    }
}

fn swap_dots_and_slashes(key: &str) -> String {
    key.chars()
        .map(|c| match c {
            '.' => '/',
            '/' => '.',
            other => other,
        })
        .collect()
}

fn refusal(key: &str, value: &str, namespaces: &NamespacePlan) -> Option<&'static str> {
    let parts_ok = key.split('.').all(|part| !part.is_empty() && part != "/" && part != "//");
    let bytes_ok = key.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b));
    if !parts_ok || !bytes_ok || key.split('/').any(|p| p.is_empty()) {
        return Some("not the name of a kernel parameter");
    }
    if value.contains(['\0', '\n']) {
        return Some("the value holds a line break or NUL");
    }
    let needed = if IPC.contains(&key) || key.starts_with("fs.mqueue.") {
        (Namespaces::IPC, "it needs an ipc namespace of the container's own")
    } else if key.starts_with("net.") {
        (Namespaces::NETWORK, "it needs a network namespace of the container's own")
    } else if key == "kernel.domainname" {
        (Namespaces::UTS, "it needs a uts namespace of the container's own")
    } else if key == "kernel.hostname" {
        return Some("use the field hostname");
    } else if key.starts_with("user.") {
        (Namespaces::USER, "it needs a user namespace of the container's own")
    } else {
        return Some("it belongs to no namespace, so it would change the host");
    };
    (!namespaces.has(needed.0)).then_some(needed.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_namespaced_parameters_pass() {
        let namespaces = NamespacePlan { new: Namespaces::NETWORK | Namespaces::UTS, ..Default::default() };
        for (key, value, wanted) in [
            ("net.ipv4.ip_forward", "1", Some("sys/net/ipv4/ip_forward")),
            ("net/ipv4/conf/eth0.1/forwarding", "1", Some("sys/net/ipv4/conf/eth0.1/forwarding")),
            ("net.ipv4.conf.eth0/1.forwarding", "1", Some("sys/net/ipv4/conf/eth0.1/forwarding")),
            ("kernel.domainname", "x", Some("sys/kernel/domainname")),
            ("kernel.shmmax", "1", None),
            ("kernel.core_pattern", "|/x", None),
            ("net.ipv4.ip_forward", "1\n2", None),
            ("net/../kernel/core_pattern", "x", None),
            ("net...kernel.core_pattern", "x", None),
            ("net.//.x", "x", None),
            ("a+b", "c", None),
            ("kernel.hostname", "x", None),
            ("vm.swappiness", "1", None),
            ("", "", None),
        ] {
            let mut problems = Problems::default();
            let map = BTreeMap::from([(key.to_owned(), value.to_owned())]);
            let writes = plan(&map, None, &namespaces, &mut problems);
            assert_eq!(writes.first().map(|(path, _)| path.as_str()), wanted, "{key}");
            assert_eq!(problems.finish().is_ok(), wanted.is_some(), "{key}");
        }
    }

    #[test]
    fn two_domain_names_must_be_one() {
        let namespaces = NamespacePlan { new: Namespaces::UTS, ..Default::default() };
        for key in ["kernel.domainname", "kernel/domainname"] {
            for (field, is_fine) in [(None, true), (Some("x"), true), (Some("y"), false)] {
                let mut problems = Problems::default();
                let map = BTreeMap::from([(key.to_owned(), "x".to_owned())]);
                plan(&map, field, &namespaces, &mut problems);
                assert_eq!(problems.finish().is_ok(), is_fine, "{key} and {field:?}");
            }
        }
    }
}
