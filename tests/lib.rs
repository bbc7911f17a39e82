//! Black-box tests of the executables; each directory here is one test executable.
//!
//! They run any OCI runtime: `TARU_TEST_RUNTIME=runc cargo test -p taru-tests --test oci`.
