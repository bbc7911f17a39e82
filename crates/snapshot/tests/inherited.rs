//! What else the program has open does not reach the child that reads foreign bytes. Alone in its process: another test's
//! children would have the descriptor, too.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

mod common;

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::sync::Mutex;

use common::{Scratch, Tar, blob, is_root, store};
use taru_oci::Digest;
use taru_snapshot::Unpack;
use taru_sys::fd;

#[test]
fn no_other_descriptor_reaches_the_worker() {
    if !is_root("no_other_descriptor_reaches_the_worker") {
        return;
    }
    let scratch = Scratch::new();
    let store = store(&scratch.0);
    let (from, to) = fd::pipe().unwrap();
    fd::set_nonblocking(from.as_fd(), true).unwrap();
    fd::set_cloexec(to.as_fd(), false).unwrap();
    let tar = Tar::new().file("a", &vec![7; 1 << 20]).end();
    let diff_id = Digest::of(&tar);
    let layer = Unpack { chain: diff_id.clone(), parent: None, diff_id, blob: blob(&tar).into() };
    // Once the worker reports, it does not end before it is told what directories inherit: it is alive in here.
    let open = Mutex::new(Some(to));
    let seen = Mutex::new(Vec::new());
    store
        .unpack(&[layer], &|_, _| {
            if let Some(to) = open.lock().unwrap().take() {
                drop(to);
                let end = File::from(from.try_clone().unwrap()).read(&mut [0]);
                seen.lock().unwrap().push(end.map_err(|e| e.kind()));
            }
        })
        .unwrap();
    // The pipe's end: nobody has its other side any more.
    assert_eq!(*seen.lock().unwrap(), [Ok(0)]);
}
