//! The OCI container life cycle as a library.
