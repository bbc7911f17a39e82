//! Images as files: what docker save writes, OCI archives, root file systems of other tools.
