//! Any text as a name, a digest or a platform: refused, or written again and read as the same; a name is a safe path.

#![no_main]

use libfuzzer_sys::fuzz_target;
use taru_oci::{Digest, Platform, Reference};

fuzz_target!(|text: &str| {
    if let Ok(name) = text.parse::<Reference>() {
        assert_eq!(name.to_string().parse::<Reference>().ok().as_ref(), Some(&name));
        assert_eq!(name.familiar().parse::<Reference>().ok().as_ref(), Some(&name));
        assert!(name.repository().split('/').all(|part| !part.is_empty() && !part.starts_with('.')));
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
    }
    if let Ok(platform) = text.parse::<Platform>() {
        assert_eq!(platform.to_string().parse::<Platform>().ok().as_ref(), Some(&platform));
    }
});
