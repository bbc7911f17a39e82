//! What tests share: sandboxes, tiny root file systems, a probe program, the leak check.
