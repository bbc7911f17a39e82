//! Blobs by digest, names, leases and garbage collection: an OCI image layout on disk.
