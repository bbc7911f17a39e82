//! Images as files: what docker save writes, OCI archives, root file systems of other tools.

mod decompress;
mod load;
mod pack;
mod path;
mod save;
mod tar;

pub use load::{Loaded, load, load_directory};
pub use pack::{LayerWriter, StoredLayer, store_layer};
pub use save::{Format, save, save_directory};
