//! The parent of one container: terminal, log, exit status.
