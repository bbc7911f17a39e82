//! A client of image registries: resolve, authenticate, fetch, push.
//!
//! ```text
//! resolve(reference) ──> manifest or index, verified ──> fetch_document(config) ──> blob(layer): a stream that mends itself
//! ```
//! Blocking, and used by as many threads as one likes. Specifications: OCI distribution 1.1
//! (<https://github.com/opencontainers/distribution-spec>), Docker's registry API v2, its token authentication, and the files
//! that docker, podman and skopeo go by (docs/registry.md lists them).
//!
//! **Registries are strangers.** Whatever they send is bounded and verified before it is used; where they lead is checked; their words
//! reach a terminal without control characters; every wait ends within a second when [`Settings::cancel`] is set; credentials
//! go to nobody but whom they are for, and into no error.

mod accept;
mod address;
mod blob;
mod body;
mod cancel;
mod challenge;
mod client;
mod conf;
mod connection;
mod credentials;
mod download;
mod endpoint;
mod fault;
#[cfg(test)]
mod fuzz;
mod helper;
mod http;
mod identity;
mod list;
mod login;
mod message;
mod near;
mod policy;
mod proxy;
mod pubkey;
mod push;
mod referrers;
mod resolve;
mod search;
mod settings;
mod signature;
mod socket;
mod tls;
mod token;
mod upload;
mod url;

pub use blob::{BlobReader, Verified, error_of};
pub use client::Client;
pub use conf::Registries;
pub use credentials::{Credentials, Keyring};
pub use download::Download;
pub use http::Source;
pub use policy::Policy;
pub use proxy::Proxies;
pub use push::Pushed;
pub use resolve::Resolved;
pub use search::Found;
pub use settings::Settings;
