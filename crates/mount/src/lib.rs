//! Mount objects: file systems, binds, overlays, id-mapped mounts, propagation, mountinfo.
