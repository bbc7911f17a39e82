//! What the namespace tools (`unshare`, `enter`, `chroot`, `idmap`) share: accounts, id maps, deputy
//! processes, and the last step into the program.

pub mod accounts;
pub mod deputy;
pub mod maps;
pub mod persist;
pub mod program;
