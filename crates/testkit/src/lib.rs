//! What tests share: sandboxes, tiny root file systems, a probe program, the leak check.
//!
//! A black-box test of an OCI runtime is a function over a [`Sandbox`]:
//!
//! ```no_run
//! # #[allow(clippy::needless_doctest_main)]
//! #[test]
//! fn exit_status_is_the_programs() {
//!     taru_testkit::sandbox(|sandbox| {
//!         let bundle = sandbox.bundle().sh("exit 7");
//!         assert_eq!(sandbox.runtime().run(&bundle).status, 7);
//!     });
//! }
//! ```
//!
//! Each test runs in namespaces of its own (mount, network, PID, UTS, IPC) with an empty `/run`, so
//! that what a runtime leaves behind is seen exactly, and goes away with the test; see [`sandbox()`].
//! The runtime under test is `TARU_TEST_RUNTIME` (a path, or a name in `PATH`), or else the
//! `taru-runtime` built beside the test.

mod bundle;
mod decoy;
mod disk;
mod grant;
pub mod image;
mod leak;
mod memory;
mod namespaces;
mod outcome;
mod probe;
mod process;
mod reach;
pub mod registry;
mod runtime;
mod sandbox;

pub use bundle::Bundle;
pub use decoy::Decoy;
pub use disk::Disk;
pub use grant::Grant;
pub use leak::{Leaks, Snapshot};
pub use memory::MemoryGroup;
pub use namespaces::in_namespaces;
pub use outcome::{peer_note, skip};
pub use probe::probe;
pub use process::{Invocation, Output, Running, eventually};
pub use runtime::{Container, Family, Runtime};
pub use sandbox::{Sandbox, sandbox, sandbox_with_peers};
