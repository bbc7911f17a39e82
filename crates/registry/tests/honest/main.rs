//! The client against a real registry: Debian's `docker-registry`, filled by skopeo.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod auth;
mod list;
mod policy;
mod pull;
mod push;
mod support;
mod token;
