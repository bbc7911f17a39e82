//! `taru login` and `taru search`: registries themselves, not images.

use taru_oci::reference::DEFAULT_REGISTRY;
use taru_registry::{Client, Credentials, Found};
use taru_stdx::Result;

/// The registry that `typed` means: without the scheme and path that other tools want, Docker's if there is nothing.
pub fn registry(typed: Option<&str>) -> &str {
    let Some(typed) = typed else { return DEFAULT_REGISTRY };
    let host = typed.strip_prefix("https://").or_else(|| typed.strip_prefix("http://")).unwrap_or(typed);
    match host.split('/').next().unwrap_or(host) {
        "index.docker.io" | "registry-1.docker.io" => DEFAULT_REGISTRY,
        host => host,
    }
}

/// Keeps a password for `registry`, if it accepts it.
///
/// # Errors
/// As [`Client::login`].
pub fn login(client: &Client, registry: &str, user: String, password: String) -> Result<()> {
    client.login(registry, &Credentials::Password { user, password })
}

/// What is searched for, and where: `REGISTRY/TERM`, or a term alone on docker.io.
pub fn split(typed: &str) -> (&str, &str) {
    match typed.split_once('/') {
        Some((host, term)) if host.contains(['.', ':']) || host == "localhost" => {
            (registry(Some(host)), term)
        }
        _ => (DEFAULT_REGISTRY, typed),
    }
}

/// Searches; names are such that `taru pull` takes them.
///
/// # Errors
/// As [`Client::search`].
pub fn search(client: &Client, typed: &str, limit: usize) -> Result<Vec<Found>> {
    let (registry, term) = split(typed);
    let mut found = client.search(registry, term, limit)?;
    if registry != DEFAULT_REGISTRY {
        for one in &mut found {
            one.name = format!("{registry}/{}", one.name);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_what_people_mean() {
        for (typed, meant) in [
            (None, "docker.io"),
            (Some("https://index.docker.io/v1/"), "docker.io"),
            (Some("quay.io"), "quay.io"),
            (Some("http://localhost:5000/"), "localhost:5000"),
        ] {
            assert_eq!(registry(typed), meant);
        }
        assert_eq!(split("debian"), ("docker.io", "debian"));
        assert_eq!(split("team/app"), ("docker.io", "team/app"));
        assert_eq!(split("quay.io/team/app"), ("quay.io", "team/app"));
        assert_eq!(split("localhost/x"), ("localhost", "x"));
        assert_eq!(split("localhost:5000/"), ("localhost:5000", ""));
    }
}
