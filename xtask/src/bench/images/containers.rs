//! Containers of an image, and images of containers: `run` and `build`.

use taru_stdx::Result;

use super::disk;
use super::same::Same;
use super::setting::{Bench, Peers};
use crate::bench::measure::{Case, Sample};
use crate::bench::table::{self, Row};

/// The whole command, beside the runtime alone on the same bundle.
pub(super) fn run(bench: &Bench) -> Result<()> {
    let e = &bench.engines;
    let name = bench.registry.name("one");
    bench.measure.once(&e.keep_run_in_memory("taru"))?;
    bench.fill(&name)?;
    let bundle = Same::of(e, &name)?;
    let state = e.run("runtime");
    let cases = [
        e.taru("taru", &["run", "--rm", &name, "/bin/true"]),
        e.podman("podman", &["run", "--rm", "--network", "none", &name, "/bin/true"]),
        bundle.make().untimed().then(Case::new(
            &bench.runtime,
            &["--root", &state, "run", "--bundle", &bundle.path(), "same-%n"],
        )),
    ];
    let measure = bench.measure.rounds(bench.measure.count().max(20));
    let s = measure.run(&cases)?;
    let cells = [Row::time(&s[0]), Row::time(&s[1])];
    table::print_some("`run --rm IMAGE true`", &[Some(&cells[0]), Some(&cells[1]), None, None]);
    println!(
        "| of which `taru-runtime run` | {} ({:.2}x) | | | |",
        Row::time(&s[2]),
        s[0].median() / s[2].median()
    );
    bench.empty()
}

pub(super) fn build(bench: &Bench) -> Result<()> {
    let e = &bench.engines;
    let name = bench.registry.name("one");
    let context = disk::context(&name, &bench.dir.join("added"), e.lasting.join("context"))?;
    let ours = |store| e.taru(store, &["build", "--quiet", "-t", "localhost/built:1", &context]);
    let words = ["bud", "--layers", "--quiet", "--network", "host", "-t", "localhost/built:1", &context];
    let theirs = |store| e.buildah(store, &words);
    let row = |s: &[Sample], what: &str| {
        let row = Peers { ours: &s[0], podman: None, containerd: None, buildah: Some([&s[1], &s[2]]) };
        row.print(&format!("build of ten steps, {what}"));
    };
    let [taru, _, buildah] = bench.pulls("-%n", &name);
    let cold = [
        e.fresh().then(taru).then(e.settle()).untimed().then(ours("taru-%n")),
        bench.durably(e.fresh().then(buildah).then(e.settle()), theirs("buildah-%n")),
    ];
    row(&bench.measure.run(&cold)?, "cold");
    bench.fill(&name)?;
    bench.measure.once(&ours("taru").then(theirs("buildah")))?;
    let cached = [e.settle().then(ours("taru")), bench.durably(e.settle(), theirs("buildah"))];
    row(&bench.measure.run(&cached)?, "cached");
    bench.empty()
}
