//! Any bytes as a mountinfo table: they are refused, or there is an entry a line.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|table: &[u8]| {
    let Ok(mounts) = taru_mount::mountinfo::parse(table) else { return };
    let lines = table.split(|&b| b == b'\n').filter(|line| !line.is_empty()).count();
    assert_eq!(mounts.len(), lines);
});
