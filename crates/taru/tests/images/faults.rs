//! Crowds and kills: R19, R20, and a pull that is killed at every step.

use std::thread;

use taru_testkit::image::Tar;
use taru_testkit::registry::Registry;
use taru_testkit::{Invocation, sandbox};

use crate::world::{Taru, app, has, publish};

fn asked(registry: &Registry, digest: &str) -> usize {
    let log = registry.log();
    log.lines().filter(|line| line.contains("GET /v2/") && line.contains(&format!("/blobs/{digest}"))).count()
}

#[test]
fn of_many_runs_of_a_new_image_one_fetches_it() {
    sandbox(|sandbox| {
        let Some(registry) = Registry::start() else { return };
        let built = app("crowd").build();
        publish(sandbox, &registry, &built, "app:1");
        let name = registry.name("app:1");
        Taru::each(sandbox, |taru| {
            let before: Vec<usize> = built.layers.iter().map(|l| asked(&registry, &l.digest)).collect();
            let line = format!("run {name}");
            thread::scope(|scope| {
                let runs: Vec<_> = (0..sandbox.tries(12, 200)).map(|_| taru.invoke(&line).spawn()).collect();
                for run in runs {
                    scope.spawn(move || assert_eq!(run.wait().ok().stdout, "crowd\n"));
                }
            });
            for (layer, before) in built.layers.iter().zip(before) {
                let times = || asked(&registry, &layer.digest) - before;
                // The registry notes a request when all of its answer is on the way.
                taru_testkit::eventually("it is fetched", || times() > 0);
                assert_eq!(times(), 1, "R19: fetched once");
            }
            assert_eq!(taru.stored().iter().filter(|s| s.starts_with("snapshot/layers/")).count(), 2);
        });
    });
}

/// Some megabytes that no compression makes smaller.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1u64;
    let step = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..bytes).map(step).collect()
}

#[test]
fn a_pull_goes_on_when_another_of_the_same_layer_is_killed() {
    sandbox(|sandbox| {
        let Some(registry) = Registry::start() else { return };
        let large = || app("shared").layer(Tar::new().file("noise", noise(8 << 20), 0o644));
        let (one, two) = (large().build(), large().layer(Tar::new().file("two", "2\n", 0o644)).build());
        publish(sandbox, &registry, &one, "one:1");
        publish(sandbox, &registry, &two, "two:1");
        Taru::each(sandbox, |taru| {
            let pull = |name: &str| taru.invoke(&format!("pull -q {}", registry.name(name)));
            for _ in 0..sandbox.tries(3, 30) {
                let (mut first, second) = (pull("one:1").spawn(), pull("two:1").spawn());
                // Somewhere within: the layer's file is begun.
                taru_testkit::eventually("something is fetched", || {
                    first.try_status().is_some() || taru.stored().iter().any(|s| s.starts_with("content/"))
                });
                first.kill();
                drop(first);
                assert_eq!(second.wait().ok().text(), two.digest());
                assert_eq!(taru.taru(&format!("run {} cat /two", registry.name("two:1"))).ok().stdout, "2\n");
                taru.clear();
            }
        });
    });
}

#[test]
fn a_pull_that_is_killed_leaves_nothing_that_the_next_cannot_use() {
    sandbox(|sandbox| {
        let Some(registry) = Registry::start() else { return };
        if !has(sandbox, "strace") {
            return;
        }
        let built = app("survivor").build();
        publish(sandbox, &registry, &built, "app:1");
        let name = registry.name("app:1");
        let taru = Taru::new(sandbox);
        let line = format!("pull -q {name}");
        let killed = |call: &str, when: usize| {
            let inject = format!("inject={call}:signal=SIGKILL:when={when}");
            let trace = format!("trace={call}");
            let under = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            let pulled: Invocation = taru.invoke(&line).under(under);
            pulled.output().status != 0
        };
        let mut points = 0;
        for call in [
            "fsync",
            "fdatasync",
            "rename,renameat,renameat2",
            "mkdirat,mkdir",
            "pwrite64",
            "clone,clone3",
            "unlink,unlinkat",
        ] {
            // With few tries not each time, but from the first to the last.
            let step = sandbox.tries(4, 1).max(1);
            for when in (1..).step_by(step) {
                if !killed(call, when) {
                    break;
                }
                points += 1;
                assert!(when < 400, "{call}: it never gets through");
                if points % 2 == 0 {
                    taru.taru("store gc").succeeds();
                    if taru.names().is_empty() {
                        assert_eq!(taru.stored(), Vec::<String>::new(), "{call} {when}");
                    }
                }
                assert_eq!(taru.taru(&format!("run {name}")).ok().stdout, "survivor\n", "{call} {when}");
                taru.taru(&format!("image verify {name}")).succeeds();
                taru.clear();
            }
            taru.clear();
        }
        assert!(points >= 10, "{points}");
    });
}
