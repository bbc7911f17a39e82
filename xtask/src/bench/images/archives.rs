//! Images into files and out of them, and out of containers.

use taru_stdx::Result;

use super::setting::{Bench, Peers};

pub(super) fn save(bench: &Bench) -> Result<()> {
    let e = &bench.engines;
    let name = bench.registry.name("twelve");
    bench.fill(&name)?;
    let out = e.store("%n.tar");
    for (ours, theirs) in [("oci", "oci-archive"), ("docker", "docker-archive")] {
        let to = format!("{theirs}:{out}");
        let cases = [
            e.fresh().then(e.taru("taru", &["save", "--format", ours, "-o", &out, &name])),
            bench.durably(
                e.fresh(),
                e.podman("podman", &["save", "--quiet", "--format", theirs, "-o", &out, &name]),
            ),
            bench.durably(e.fresh(), e.buildah("buildah", &["push", "--quiet", &name, &to])),
        ];
        let s = bench.measure.run(&cases)?;
        Peers::of_files(&s).print(&format!("save, 12 layers, as {theirs}"));
    }
    bench.empty()
}

pub(super) fn load(bench: &Bench) -> Result<()> {
    let e = &bench.engines;
    let name = bench.registry.name("twelve");
    bench.measure.once(&e.taru("taru", &["pull", "--quiet", &name]))?;
    let file = e.store("saved.tar");
    bench.measure.once(&e.taru("taru", &["save", "--format", "docker", "-o", &file, &name]))?;
    let from = format!("docker-archive:{file}");
    let cases = [
        e.fresh().then(e.taru("taru-%n", &["load", "--quiet", "-i", &file])),
        bench.durably(e.fresh(), e.podman("podman-%n", &["load", "--quiet", "-i", &file])),
        bench.durably(e.fresh(), e.buildah("buildah-%n", &["pull", "--quiet", &from])),
    ];
    let s = bench.measure.run(&cases)?;
    Peers::of_files(&s).print("load, 12 layers, of a docker-archive");
    bench.empty()
}

/// A container in which 2000 files were added, 20 MB.
pub(super) fn commit(bench: &Bench) -> Result<()> {
    let e = &bench.engines;
    let name = bench.registry.name("one");
    let added = bench.dir.join("added").display().to_string();
    let image = "localhost/bench:1";
    let (taru, podman, buildah) = ("taru-%n", "podman-%n", "buildah-%n");
    let [ours, podmans, buildahs] = bench.pulls("-%n", &name);
    let cases = [
        e.fresh()
            .then(ours)
            .then(e.taru(taru, &["run", "--keep", "--name", "c", &name, "/bin/true"]))
            .then(e.taru(taru, &["cp", &added, "c:/opt"]))
            .then(e.settle())
            .untimed()
            .then(e.taru(taru, &["commit", "c", image])),
        bench.durably(
            e.fresh()
                .then(podmans)
                .then(e.podman(podman, &["create", "--name", "c", "--network", "none", &name, "/bin/true"]))
                .then(e.podman(podman, &["cp", &added, "c:/opt"]))
                .then(e.settle()),
            e.podman(podman, &["commit", "--quiet", "c", image]),
        ),
        bench.durably(
            e.fresh()
                .then(buildahs)
                .then(e.buildah(buildah, &["from", "--quiet", "--name", "c", &name]))
                .then(e.buildah(buildah, &["copy", "--quiet", "c", &added, "/opt/added"]))
                .then(e.settle()),
            e.buildah(buildah, &["commit", "--quiet", "c", image]),
        ),
    ];
    let s = bench.measure.run(&cases)?;
    Peers::of_files(&s).print("commit, 2000 new files, 20 MB");
    Ok(())
}
