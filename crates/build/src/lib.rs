//! Images built from Dockerfiles.
