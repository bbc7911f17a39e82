//! Layers and root file systems: unpack, mount, compare, on overlay, directories and btrfs.
