//! The client against a real registry: Debian's `docker-registry`, filled by skopeo.

mod pull;
mod support;
