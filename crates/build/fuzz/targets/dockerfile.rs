//! Any bytes as a Dockerfile: it is refused with its lines, or every stage of it can be made definite, in bounded time and memory.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(e) = taru_build::check("Dockerfile", bytes) {
        assert!(!e.chain().to_string().is_empty());
    }
});
