//! Where packages come from: what this host's apt says, asked of apt itself, so that every form of its files is understood.

use std::process::{Command, Stdio};

use super::request::{Distribution, Request, is_mirror};

/// One index that apt knows: apt-get(8), indextargets.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    origin: String,
    label: String,
    place: String,
    codename: String,
    suite: String,
    release: String,
}

const FORMAT: &str = "$(ORIGIN)|$(LABEL)|$(REPO_URI)|$(CODENAME)|$(SUITE)|$(RELEASE)";

/// The lines of sources.list for the image; none: the program knows the distribution's well-known mirror.
pub(super) fn lines(request: &Request) -> Vec<String> {
    let asked = Command::new("apt-get")
        .args(["indextargets", "--format", FORMAT, "Created-By: Packages"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    // No apt here: then this host has no mirror either.
    let text = asked.map(|done| String::from_utf8_lossy(&done.stdout).into_owned()).unwrap_or_default();
    choose(request, &targets(&text))
}

fn targets(text: &str) -> Vec<Target> {
    let line = |line: &str| {
        let [origin, label, place, codename, suite, release] =
            line.split('|').collect::<Vec<_>>().try_into().ok()?;
        let own = str::to_owned;
        is_mirror(place).then(|| Target {
            origin: own(origin),
            label: own(label),
            place: own(place),
            codename: own(codename),
            suite: own(suite),
            release: own(release),
        })
    };
    text.lines().filter_map(line).collect()
}

fn choose(request: &Request, targets: &[Target]) -> Vec<String> {
    let components = request.components.join(" ");
    let line = |place: &str, suite: &str| format!("deb {place} {suite} {components}");
    if let Some(mirror) = &request.mirror {
        return vec![line(mirror, &request.suite)];
    }
    // Before the first `apt-get update` nothing is known of an archive but its place.
    let name = request.distribution.origin();
    let is_ours = |t: &&Target| match t.origin.as_str() {
        "" => t.place.trim_end_matches('/').ends_with(&format!("/{}", name.to_lowercase())),
        origin => origin == name,
    };
    let ours: Vec<&Target> = targets.iter().filter(is_ours).collect();
    let suites =
        [request.suite.clone(), format!("{}-updates", request.suite), format!("{}-security", request.suite)];
    let is_of = |t: &Target, suite: &str| t.codename == *suite || t.suite == *suite || t.release == *suite;
    let mut lines = Vec::new();
    for suite in &suites {
        for target in ours.iter().filter(|t| is_of(t, suite)) {
            let line = line(&target.place, suite);
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    // Without the suite itself its updates are of no use.
    if ours.iter().any(|t| is_of(t, &request.suite)) {
        return lines;
    }
    // Another suite of the same archive.
    let main = ours.iter().find(|t| t.label.is_empty() || t.label == name);
    match (main, request.distribution) {
        (Some(target), _) => vec![line(&target.place, &request.suite)],
        (None, Distribution::Debian) => vec![line("http://deb.debian.org/debian", &request.suite)],
        (None, Distribution::Ubuntu) => vec![line("http://archive.ubuntu.com/ubuntu", &request.suite)],
    }
}

/// The proxies that this host's apt has, as variables of the environment (apt.conf(5), apt-transport-http(1)).
pub(super) fn proxies() -> Vec<(&'static str, String)> {
    let asked = Command::new("apt-config")
        .args(["shell", "HTTP", "Acquire::http::Proxy", "HTTPS", "Acquire::https::Proxy"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let text = asked.map(|done| String::from_utf8_lossy(&done.stdout).into_owned()).unwrap_or_default();
    parse_proxies(&text)
}

/// Lines `NAME='VALUE'`.
fn parse_proxies(text: &str) -> Vec<(&'static str, String)> {
    let line = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let value = value.trim_matches('\'');
        let name = match name {
            "HTTP" => "http_proxy",
            "HTTPS" => "https_proxy",
            _ => return None,
        };
        (!value.is_empty() && value != "DIRECT").then(|| (name, value.to_owned()))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Bootstrap;
    use super::*;

    const HOST: &str = "Debian|Debian|http://mirror.example/debian/|bookworm|oldstable|bookworm\n\
                        Debian|Debian|http://mirror.example/debian/|bookworm-updates|oldstable-updates|bookworm-updates\n\
                        Debian|Debian-Security|http://mirror.example/security/|bookworm-security|oldstable-security|bookworm-security\n\
                        Other|Other|https://other.example|x|x|x\n";

    fn lines(what: &str, host: &str) -> Vec<String> {
        choose(&Request::new(what, &Bootstrap::default()).unwrap(), &targets(host))
    }

    #[test]
    fn the_hosts_own_mirror_comes_first() {
        assert_eq!(
            lines("debian:bookworm", HOST),
            [
                "deb http://mirror.example/debian/ bookworm main",
                "deb http://mirror.example/debian/ bookworm-updates main",
                "deb http://mirror.example/security/ bookworm-security main",
            ]
        );
        assert_eq!(lines("debian:trixie", HOST), ["deb http://mirror.example/debian/ trixie main"]);
        assert_eq!(lines("debian:trixie", ""), ["deb http://deb.debian.org/debian trixie main"]);
        assert_eq!(lines("ubuntu:noble", HOST), ["deb http://archive.ubuntu.com/ubuntu noble main"]);
        let unknown = "||http://m.example/debian/||||\n||http://m.example/debian/|||bookworm\n";
        assert_eq!(lines("debian:bookworm", unknown), ["deb http://m.example/debian/ bookworm main"]);
    }

    #[test]
    fn proxies_of_apt() {
        assert_eq!(
            parse_proxies("HTTP='http://p:3128'\nHTTPS='DIRECT'\n"),
            [("http_proxy", "http://p:3128".to_owned())]
        );
    }
}
