//! Any text as mount options: refused, or attributes that a kernel could take: never set and cleared at once, but
//! for the access time modes, which are cleared to be set.

#![no_main]

use libfuzzer_sys::fuzz_target;
use taru_mount::{Attr, idmap, options};

fuzz_target!(|text: &str| {
    drop(idmap::parse(text).map(|map| idmap::check(&map)));
    let Ok(options) = options::parse(text.split('\n')) else { return };
    let times = Attr::ATIME;
    assert!(!options.set.without(times).intersects(options.clear.without(times)));
    assert!(!options.recursive_set.without(times).intersects(options.recursive_clear.without(times)));
    assert!(!options.set.intersects(times) || options.clear.contains(times));
});
