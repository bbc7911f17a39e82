//! The verbs of images against a real registry, skopeo and podman; as root and as an ordinary user, each test in a sandbox
//! with a leak check.
#![allow(clippy::unwrap_used, reason = "the functions around the tests are tests too")]

mod accounts;
mod archives;
mod bounded;
mod damage;
mod erofs;
mod faults;
mod files;
mod floods;
mod hostile;
mod interrupted;
mod layers;
mod mistakes;
mod power;
mod pull;
mod registry;
mod remove;
mod run;
mod users;
mod world;
