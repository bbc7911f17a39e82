//! Which extended attributes belong to a file of an image.

/// The attribute that makes a directory opaque in overlays mounted with `userxattr`.
pub(crate) const OPAQUE: &str = "user.overlay.opaque";
/// The one that does so in overlays mounted without it.
pub(crate) const TRUSTED_OPAQUE: &str = "trusted.overlay.opaque";
const ACCESS_ACL: &[u8] = b"system.posix_acl_access";
/// What new files in a directory inherit.
pub(crate) const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";

/// Attributes that are kept: file capabilities, ACLs and users' own. Overlay's marks would change what other
/// layers mean; the rest (`security.*`, `trusted.*`) belongs to the host.
pub fn is_kept(attribute: &[u8]) -> bool {
    match attribute {
        b"security.capability" | ACCESS_ACL | DEFAULT_ACL => true,
        _ => attribute.starts_with(b"user.") && !attribute.starts_with(b"user.overlay."),
    }
}

/// Whether it names users and groups.
pub(crate) fn is_acl(attribute: &[u8]) -> bool {
    matches!(attribute, ACCESS_ACL | DEFAULT_ACL)
}
