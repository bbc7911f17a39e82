//! Any text as a profile: it is refused, or it compiles to a program that the kernel's verifier would take.

#![no_main]

use libfuzzer_sys::fuzz_target;
use taru_seccomp::{Arch, MAX_INSTRUCTIONS, Profile, compile_for};

const RETURN: u16 = 0x06;

fuzz_target!(|text: &str| {
    let Ok(Some(profile)) = Profile::parse(text) else { return };
    assert_eq!(Profile::parse(&profile.to_json()).ok().flatten().as_ref(), Some(&profile));
    for native in Arch::all() {
        let Ok(program) = compile_for(&profile, native) else { continue };
        let filters = program.filters();
        assert!(filters.len() <= MAX_INSTRUCTIONS);
        assert!(filters.last().is_some_and(|last| last.code == RETURN));
        for (at, filter) in filters.iter().enumerate() {
            let (yes, no) = match filter.code {
                // Unconditional, conditional, and the rest, which goes on to the next.
                0x05 => (filter.k as usize, filter.k as usize),
                0x15 | 0x25 | 0x35 => (usize::from(filter.jt), usize::from(filter.jf)),
                RETURN => continue,
                _ => (0, 0),
            };
            assert!(at + 1 + yes < filters.len() && at + 1 + no < filters.len());
        }
    }
});
