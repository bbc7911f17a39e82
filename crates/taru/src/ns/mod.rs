//! What the namespace tools (`unshare`, `enter`, `chroot`, `idmap`) share: accounts, id maps, helper
//! processes, and the last step into the program.

pub mod accounts;
pub mod helper;
pub mod maps;
pub mod persist;
pub mod program;
