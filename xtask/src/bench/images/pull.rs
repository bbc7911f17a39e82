//! From a registry to files.

use taru_stdx::Result;

use super::disk;
use super::engines::Engines;
use super::setting::{Bench, Peers};
use crate::bench::measure::Case;
use crate::bench::table::{self, Row};

const MIB: f64 = (1 << 20) as f64;

/// Each image into an empty store, unpacked.
pub(super) fn pull(bench: &Bench) -> Result<()> {
    let e = &bench.engines;
    for (image, what) in [("one", "one layer"), ("twelve", "12 layers, 300 MB"), ("small", "50 000 files")] {
        let name = bench.registry.name(image);
        let cases = [
            e.fresh().then(e.taru("taru-%n", &["pull", "--quiet", &name])),
            bench
                .durably(e.fresh(), e.podman("podman-%n", &["pull", "--quiet", "--tls-verify=false", &name])),
            bench
                .durably(
                    e.fresh().then(e.containerd("ctr-%n")).then(e.settle()),
                    e.ctr("ctr-%n", &["images", "pull", "--plain-http", &name]),
                )
                .then(e.end_containerd("ctr-%n")),
        ];
        let s = bench.measure.run(&cases)?;
        let row = Peers {
            ours: &s[0],
            podman: Some([&s[1], &s[2]]),
            containerd: Some([&s[3], &s[4]]),
            buildah: None,
        };
        row.print(&format!("pull, {what}"));
        let daemon = Engines::containerd_peak().map(|peak| Row::mebibytes(peak / 1024.0));
        let (ours, podman) = (Row::peak(&s[0]), Row::peak(&s[1]));
        table::print_some(
            &format!("its peak memory, {what}"),
            &[Some(&ours), Some(&podman), daemon.as_ref(), None],
        );
    }
    Ok(())
}

/// The last layer of another image is all that is fetched and written, or is not.
pub(super) fn shared(bench: &Bench) -> Result<()> {
    let e = &bench.engines;
    let (first, second) = (bench.registry.name("twelve"), bench.registry.name("sibling"));
    let pulls = [
        ("taru", e.taru("taru", &["pull", "--quiet", &first]), e.taru("taru", &["pull", "--quiet", &second])),
        (
            "podman",
            e.podman("podman", &["pull", "--quiet", "--tls-verify=false", &first]),
            e.podman("podman", &["pull", "--quiet", "--tls-verify=false", &second]),
        ),
    ];
    let (mut fetched, mut written) = (Vec::new(), Vec::new());
    for (engine, first, second) in pulls {
        bench.measure.once(&first)?;
        let (received, used) = (disk::received()?, disk::used(&e.store(engine))?);
        bench.measure.once(&second)?;
        fetched.push(Row::mebibytes((disk::received()? - received) as f64 / MIB));
        written.push(Row::mebibytes(disk::used(&e.store(engine))?.saturating_sub(used) as f64 / MIB));
    }
    for (what, rows) in [("fetched", fetched), ("written", written)] {
        table::print_some(
            &format!("{what} for a second image, 11 of 12 layers shared"),
            &[rows.first(), rows.get(1), None, None],
        );
    }
    bench.empty()
}

/// Layers whose blobs are there, beside the same blobs decompressed into nothing, and unpacked by GNU tar, which verifies
/// nothing, hashes nothing and does it in one directory for all layers. Once more with layers that are images of erofs.
pub(super) fn unpack(bench: &Bench) -> Result<()> {
    let e = &bench.engines;
    for image in ["one", "twelve", "small"] {
        let name = bench.registry.name(image);
        bench.measure.once(&e.taru("taru", &["pull", "--quiet", &name]))?;
        let store = e.store("taru");
        // The driver is chosen with the first layer.
        bench.measure.once(&Case::shell(&format!("rm -rf {store}/snapshot")))?;
        let copy = format!("cp -a {store} {}", e.store("taru-%n"));
        let is_layer = "[ \"$(head -c 2 $blob | od -An -tx1)\" = ' 1f 8b' ]";
        let decompress = format!(
            "for blob in {store}/content/blobs/sha256/*; do ! {is_layer} || gzip -dc $blob; done > /dev/null"
        );
        let into = e.store("tar-%n");
        let untar = format!(
            "mkdir {into}; for blob in {store}/content/blobs/sha256/*; do ! {is_layer} || tar -xzf $blob -C {into}; done"
        );
        let copied = || e.fresh().then(Case::shell(&copy)).then(e.settle()).untimed();
        let cases = [
            copied().then(e.taru("taru-%n", &["pull", "--quiet", &name])),
            copied().then(e.taru_with("erofs", "taru-%n", &["pull", "--quiet", &name])),
            Case::shell(&decompress),
            e.fresh().then(Case::shell(&untar)).then(e.sync()),
        ];
        let s = bench.measure.run(&cases)?;
        for (ours, with) in [(&s[0], ""), (&s[1], ", `TARU_STORAGE_DRIVER=erofs`")] {
            println!(
                "| unpack alone, `{image}`{with} | {}; `gzip -dc` alone: {} ({:.2}x); `tar -xz` and `sync -f`: {} ({:.2}x) | | | |",
                Row::seconds(ours),
                Row::seconds(&s[2]),
                ours.median() / s[2].median(),
                Row::seconds(&s[3]),
                ours.median() / s[3].median()
            );
        }
        bench.empty()?;
    }
    Ok(())
}
