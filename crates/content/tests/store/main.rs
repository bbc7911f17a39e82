//! The store's promises, on the real file system.

mod names;
mod support;
mod writing;
