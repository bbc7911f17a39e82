//! Path resolution confined to a root, and a procfs handle that can be trusted.
