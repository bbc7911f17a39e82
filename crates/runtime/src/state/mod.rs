//! What the runtime remembers of a container between two of its commands.
//!
//! ```text
//! ROOT/                 0700; /run/taru/runtime, or $XDG_RUNTIME_DIR/taru/runtime: a reboot clears it, as it clears the processes
//! └── ID/               0700, made exclusively: whoever makes it owns the id. Its flock(2) is the container's lock
//!     ├── state.json    0600, replaced whole: `State`, version 1
//!     ├── config.json   0600, the bundle's document as it was at `create`, for exec and the hooks of delete
//!     └── start.sock    there from `create` to `start`: what `start` connects to; a container with it is `created`
//! ```
//!
//! * The record holds facts that do not change by themselves. What does (does init run? is it frozen?)
//!   is asked of the kernel each time: [`Record::status`]. A record can so never be stale.
//! * A process is named by pid **and** start time ([`Process`]); a recycled pid is nobody's init.
//! * `create` holds the lock from the first to the last act, `delete` while it removes. A directory whose
//!   lock is free and that has no finished record was left by a killed `create`: the next `create` of that id
//!   takes it over if it is empty of facts, `delete --force` removes it in any case.
//! * A lock is that of the container that was looked at, never of another that has its id by now, and its record is read
//!   again with it: [`Record::lock`].
//! * A record that cannot be read harms only its own container: [`Store::list`] reports it and goes on.

mod id;
mod lock;
mod process;
mod record;
mod store;

pub use id::check_id;
pub use lock::Lock;
pub use process::Process;
pub use record::{CgroupRecord, Record, ResctrlRecord, State, Status};
pub use store::{Listed, Reservation, Store};
