//! Layers that are packed: the blob is what the tar says, and nothing else.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use taru_archive::{LayerWriter, StoredLayer};
use taru_oci::media::Compression;
use taru_testkit::image::digest;

use crate::world::World;

fn pack(world: &World, tar: &[u8], compression: Compression, piece: usize) -> StoredLayer {
    let lease = world.content.lease("test").unwrap();
    let mut writer = LayerWriter::new(&world.content, &lease, compression).unwrap();
    for part in tar.chunks(piece) {
        writer.write_all(part).unwrap();
    }
    writer.finish().unwrap()
}

/// The blob through a program of the host.
fn through(program: &str, world: &World, layer: &StoredLayer) -> Vec<u8> {
    let (file, size) = world.content.open_blob(&layer.descriptor.digest).unwrap();
    assert_eq!(size, layer.descriptor.size);
    let done = Command::new(program).arg("-dc").stdin(file).stdout(Stdio::piped()).output().unwrap();
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

#[test]
fn other_programs_unpack_it_and_pieces_do_not_matter() {
    let world = World::new();
    let mut state = 1u32;
    let noise: Vec<u8> = (0..2_500_000)
        .map(|n| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if n % 3 == 0 { (state >> 24) as u8 } else { 7 }
        })
        .collect();
    // No byte, one, a block, one more than a block, several blocks.
    for length in [0, 1, 1 << 20, (1 << 20) + 1, noise.len()] {
        let tar = &noise[..length];
        for (compression, program) in
            [(Compression::None, "cat"), (Compression::Gzip, "gzip"), (Compression::Zstd, "zstd")]
        {
            let layer = pack(&world, tar, compression, 1 << 20);
            assert_eq!(layer.diff_id.to_string(), digest(tar), "{program} {length}");
            assert_eq!(layer.size, length as u64);
            let plain = match compression {
                Compression::None => {
                    let mut bytes = Vec::new();
                    let (mut file, _) = world.content.open_blob(&layer.descriptor.digest).unwrap();
                    file.read_to_end(&mut bytes).unwrap();
                    bytes
                }
                _ => through(program, &world, &layer),
            };
            assert!(plain == tar, "{program} {length}");
            assert_eq!(layer, pack(&world, tar, compression, 777_777), "{program} {length}: other pieces");
        }
    }
}

#[test]
fn a_layer_that_is_given_up_leaves_nothing() {
    let world = World::new();
    {
        let lease = world.content.lease("test").unwrap();
        let mut writer = LayerWriter::new(&world.content, &lease, Compression::Gzip).unwrap();
        writer.write_all(&vec![1; 5 << 20]).unwrap();
    }
    assert_eq!(world.left(), (0, 0, 0));
}
