//! The use cases of `taru run` and its siblings: a library over a state directory, with no daemon.
//!
//! ```text
//! STATE  /var/lib/taru, $XDG_DATA_HOME/taru, or --root DIR          0711
//! ├── taru.db               0600  the records (store)
//! ├── content/              0700  images as they came (taru_content)
//! ├── snapshot/             0711  their layers as directories (taru_snapshot)
//! └── containers/ID/        0711  one a container that outlives its command
//!     ├── log, log.1 ..     0600  what it wrote (taru_supervise::log)
//!     ├── exit              0600  how it ended (taru_supervise::exit)
//!     └── upper/, work/           with --keep: what it changed in its root
//! RUN    /run/taru, $XDG_RUNTIME_DIR/taru, or DIR/run: nothing in it is worth keeping over a reboot
//! ├── host/N/               the skeleton of the `host` root, owned by host id N (host_root)
//! ├── runtime/              the state of taru-runtime: its --root
//! └── containers/ID/        0711  one a container that runs
//!     ├── config.json       0600  the bundle
//!     ├── rootfs/           where its root is mounted, in its own mount namespace only
//!     ├── supervisor        0600  who watches it (taru_supervise::facts)
//!     ├── health            0600  whether it is well, if that is checked (taru_supervise::health)
//!     └── control           0600  the supervisor's socket
//! ```
//!
//! Directories are 0711: ids cannot be listed by others, and a container whose root is an ordinary
//! user of the host can reach its own root file system through them.
//!
//! The order of acts is what makes a kill at any instant harmless: the record comes before the first
//! directory and goes after the last, and what runs is never read from a record but asked of the
//! kernel (reconcile).

use std::path::Path;

use taru_runtime::state::Process;
use taru_stdx::{Context, Error, Result};
use told::Detail;

pub mod attach;
pub mod bundle;
pub mod check;
pub mod commit;
pub mod config;
pub mod copy;
pub mod dirs;
pub mod exec;
pub mod export;
pub mod guardian;
pub mod health;
pub mod health_report;
pub mod host_etc;
pub mod host_root;
pub mod idmap;
pub mod image;
pub mod inside;
pub mod memory;
pub mod names;
pub mod prepare;
pub mod reconcile;
pub mod record;
pub mod run;
pub mod runtime;
pub mod step;
pub mod stop;
pub mod store;
pub mod told;
pub mod user;
pub mod whole_file;

/// The state directory, opened by one process.
#[derive(Debug)]
pub struct Engine {
    /// Where everything lies.
    pub dirs: dirs::Dirs,
    /// The records.
    pub store: store::Store,
    /// The runtime.
    pub runtime: runtime::Runtime,
    /// Who runs this process.
    pub caller: idmap::Caller,
    /// This process, as the one that starts containers.
    pub starter: store::Starter,
    /// What only images need.
    pub(crate) lazy: image::Lazy,
    /// How a process of ours that ends alone, between clone and execve, says why.
    pub report: fn(&Error),
    /// Who is told of each step.
    pub say: told::Say,
}

impl Engine {
    /// Opens the state directory `root`, or this user's own, making it if there is none.
    ///
    /// # Errors
    /// No directory, no database or no runtime.
    pub fn open(root: Option<&Path>, report: fn(&Error), say: told::Say) -> Result<Engine> {
        let caller = idmap::Caller::current();
        let dirs = dirs::Dirs::choose(root, caller.uid)?;
        dirs::ensure(dirs.state())?;
        let store = store::Store::open(dirs.state())?;
        let runtime = runtime::Runtime::find(dirs.runtime(), say)?;
        say(Detail::Every, &format!("state in `{}`", dirs.state().display()));
        let starter =
            store::Starter { process: Process::of_pid(taru_sys::process::getpid().0)?, boot: boot_id()? };
        Ok(Engine { dirs, store, runtime, caller, starter, lazy: image::Lazy::default(), report, say })
    }
}

impl Engine {
    /// Forgets a container whose directories are gone, and lets go of its image.
    ///
    /// # Errors
    /// The records cannot be written.
    pub(crate) fn delete(&mut self, record: &record::Record, durable: bool) -> Result<()> {
        self.store.delete(&record.id, durable)?;
        image::tree::unhold(self, record)
    }
}

/// The kernel's name for this boot.
fn boot_id() -> Result<String> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let text = taru_stdx::fs::read_bounded(path, 256)?;
    Ok(String::from_utf8(text).context(|| format!("read `{}`", path.display()))?.trim_end().to_owned())
}
