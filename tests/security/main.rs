//! Attacks on an OCI runtime, each by its number in docs/security.md (T..).
//!
//! The rule of the decoy: every attack aims at a [`taru_testkit::Decoy`] or a harmless file, and the test
//! asserts that content, mode, owner and listing are unchanged. An attack that the runtime refuses has
//! failed as well as one that it renders harmless; what counts is what was touched. Each attack is also
//! tried on runc and crun where installed, to know that it is one; what they do is reported.

mod descriptors;
mod executable;
mod identity;
mod paths;
mod races;
mod untrusted;
