//! T76, T77, T78: how much memory the worst archives cost. Each test has a process of its own, whose peak is read.

use std::io::Read;

use taru_stdx::Kind;
use taru_testkit::image::{Image, Pack, Tar};
use taru_testkit::in_namespaces;

use crate::world::World;

/// What a load may cost at most, in KiB.
const PEAK: u64 = 64 << 10;

/// A process's own namespaces are not needed for this, only a process.
const FRESH: &[&str] = &["--uts"];

/// Lowers the peak to what is used now (proc(5), clear_refs).
fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// `count` times 64 MiB of `byte` after `start`, compressed, a member each.
fn bomb(start: &[u8], byte: u8, count: usize) -> Vec<u8> {
    [Pack::Gzip.pack(start), Pack::Gzip.pack(&vec![byte; 64 << 20]).repeat(count)].concat()
}

#[test]
fn a_document_of_three_gigabytes_is_refused_by_its_header() {
    in_namespaces(FRESH, || {
        // What making the bombs costs is forgotten.
        let bombs = ["c.json", "manifest.json", "x"].map(|name| {
            let start = Tar::new().file(name, "", 0o644).claiming(3 << 30).unfinished();
            bomb(&start, b' ', 48)
        });
        forget_peak();
        for bytes in bombs {
            assert!(bytes.len() < 4 << 20);
            let world = World::new();
            let e = world.load(bytes).unwrap_err();
            assert_eq!(e.kind(), Kind::Limit, "{}", e.chain());
            assert_eq!(world.left(), (0, 0, 0));
        }
        assert!(peak() < PEAK, "{} KiB", peak());
    });
}

#[test]
fn a_large_layer_and_a_million_members_cost_no_memory() {
    in_namespaces(FRESH, || {
        let world = World::new();
        // A layer of 300 MB that is cut: it goes to the disk, and away again.
        let start = Tar::new().file("l", "", 0o644).claiming(8 << 30).unfinished();
        let layer = bomb(&start, 0, 5);
        let members = Pack::Gzip.pack(&[0; 512]).repeat(1_000_000);
        forget_peak();
        let before = peak();
        world.load(layer).unwrap_err();
        world.load(members).unwrap_err();
        assert!(peak() < before + PEAK, "{} KiB, {before} before", peak());
        assert_eq!(world.left(), (0, 0, 0));
    });
}

#[test]
fn saving_and_loading_a_large_image_costs_no_memory() {
    in_namespaces(FRESH, || {
        let world = World::new();
        {
            let content: Vec<u8> = (0..24_000_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
            let built = Image::new().layer(Tar::new().file("big", content, 0o644)).build();
            std::fs::write(world.dir().join("in.tar"), built.oci_archive(&["a:1"])).unwrap();
        }
        forget_peak();
        let before = peak();
        let lease = world.content.lease("test").unwrap();
        let file = std::fs::File::open(world.dir().join("in.tar")).unwrap();
        let loaded = taru_archive::load(file, &world.content, &lease).unwrap();
        let images = [(loaded[0].names.clone(), loaded[0].descriptor.clone())];
        for format in [taru_archive::Format::Oci, taru_archive::Format::Docker] {
            let mut out = std::fs::File::create(world.dir().join("out.tar")).unwrap();
            taru_archive::save(&mut out, &world.content, &images, format, &|_, _| None).unwrap();
            let file = std::fs::File::open(world.dir().join("out.tar")).unwrap();
            taru_archive::load(file.take(u64::MAX), &world.content, &lease).unwrap();
        }
        assert!(peak() < before + PEAK, "{} KiB, {before} before", peak());
    });
}

#[test]
fn saving_layers_side_by_side_costs_no_memory() {
    in_namespaces(FRESH, || {
        let world = World::new();
        let size = {
            let tar = |name: &str| {
                let content: Vec<u8> = (0..10_000_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
                Tar::new().file(name, content, 0o644).bytes()
            };
            let packs = [Pack::WideZstd, Pack::WideZstd, Pack::Gzip, Pack::Gzip, Pack::WideZstd];
            let names = ["a", "b", "c", "d", "e"];
            let image = packs
                .iter()
                .zip(names)
                .fold(Image::new(), |image, (pack, name)| image.layer_of(*pack, tar(name)));
            let built = image.build();
            std::fs::write(world.dir().join("in.tar"), built.oci_archive(&["a:1"])).unwrap();
            tar("a").len() as u64
        };
        let lease = world.content.lease("test").unwrap();
        let file = std::fs::File::open(world.dir().join("in.tar")).unwrap();
        let loaded = taru_archive::load(file, &world.content, &lease).unwrap();
        let images = [(loaded[0].names.clone(), loaded[0].descriptor.clone())];
        forget_peak();
        let before = peak();
        let save = |known: Option<u64>| {
            let mut out = std::fs::File::create(world.dir().join("out.tar")).unwrap();
            let sizes = move |_: &_, _: &_| known;
            taru_archive::save(&mut out, &world.content, &images, taru_archive::Format::Docker, &sizes)
                .unwrap();
        };
        save(None);
        std::fs::rename(world.dir().join("out.tar"), world.dir().join("measured.tar")).unwrap();
        save(Some(size));
        assert!(peak() < before + PEAK, "{} KiB, {before} before", peak());
        world.run(&["cmp", "out.tar", "measured.tar"]);
    });
}
