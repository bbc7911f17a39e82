//! Whether the kernel can run programs of another processor: an interpreter is registered with binfmt_misc
//! (Documentation/admin-guide/binfmt-misc.rst), as qemu-user-static does.

use std::path::Path;

use taru_oci::Platform;
use taru_stdx::fs::read_bounded;

/// Where the registered interpreters are listed, each a file.
const REGISTERED: &str = "/proc/sys/fs/binfmt_misc";

/// Whether an interpreter for the processor of `platform` is registered and enabled.
pub fn is_interpreted(platform: &Platform) -> bool {
    let name = match (platform.architecture.as_str(), platform.variant.as_deref()) {
        ("amd64", _) => "x86_64",
        ("386", _) => "i386",
        ("arm64", _) => "aarch64",
        ("ppc64le", _) => "ppc64le",
        (other, _) => other,
    };
    // Emulators register under such names by convention; the kernel's own 32-bit support needs none.
    if platform.architecture == "386" && std::env::consts::ARCH == "x86_64" {
        return true;
    }
    let path = Path::new(REGISTERED).join(format!("qemu-{name}"));
    read_bounded(&path, 4096).is_ok_and(|text| text.starts_with(b"enabled"))
}
