//! What a name as typed may mean, and the client that is asked for it.

use taru_oci::Reference;
use taru_registry::{Client, Policy, Settings};
use taru_stdx::{Context, Result};

/// The client of registries, set up as this user's and this host's files say.
///
/// # Errors
/// A file of settings cannot be read or understood.
pub(crate) fn client() -> Result<Client> {
    Ok(Client::new(Settings::of_host()?))
}

/// What images must be signed with to be accepted, as this user's and this host's files say; without any, nothing.
///
/// # Errors
/// A file that cannot be read or understood.
pub(crate) fn policy() -> Result<Policy> {
    Policy::of_host()
}

/// The full names that `typed` may mean, in the order in which they are tried: a short name's alias, or the name in
/// each registry that the host's files list for names without one; else Docker's.
///
/// # Errors
/// [`taru_stdx::Kind::Invalid`] if it is no name at all.
pub(crate) fn candidates(client: &Client, typed: &str) -> Result<Vec<Reference>> {
    client.settings().registries.names(typed).context(|| format!("find image `{}`", typed.escape_debug()))
}
