//! Layers by hand, and the figures of unpacking:
//! `snapshot DIR unpack BLOB DIFF-ID [PARENT]`, `snapshot DIR decompress BLOB`.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use taru_oci::Digest;
use taru_snapshot::{DriverKind, Ids, Snapshots, Unpack};
use taru_stdx::{Context, Error, Result};

fn main() -> ExitCode {
    if let Some(code) = taru_snapshot::worker_main() {
        return code;
    }
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error.chain());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let open = |path: &str| File::open(path).context(|| format!("open `{path}`"));
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let start = Instant::now();
    match words[..] {
        [dir, "unpack", blob, diff_id, ref rest @ ..] => {
            let store = Snapshots::open(Path::new(dir), DriverKind::Overlay, Ids::Host)?;
            let diff_id: Digest = diff_id.parse()?;
            let parent = rest.first().map(|parent| parent.parse()).transpose()?;
            let chain = match &parent {
                None => diff_id.clone(),
                Some(parent) => Digest::of(format!("{parent} {diff_id}").as_bytes()),
            };
            let layer = Unpack { chain: chain.clone(), parent, diff_id, blob: open(blob)?.into() };
            store.unpack(&[layer], &|_, _| {})?;
            println!("{chain} {:?}", start.elapsed());
        }
        [_, "decompress", blob] => {
            let mut file = open(blob)?;
            let mut magic = [0; 4];
            file.read_exact(&mut magic).context(|| "read the blob")?;
            let file = open(blob)?;
            let mut plain: Box<dyn Read> = match magic[0] {
                0x1f => Box::new(flate2::read::MultiGzDecoder::new(file)),
                0x28 => Box::new(zstd::Decoder::new(file).context(|| "read the blob")?),
                _ => Box::new(file),
            };
            let mut buffer = vec![0; 256 << 10];
            let mut total = 0;
            loop {
                match plain.read(&mut buffer).context(|| "decompress")? {
                    0 => break,
                    n => total += n,
                }
            }
            println!("{total} {:?}", start.elapsed());
        }
        _ => return Err(Error::invalid("snapshot DIR unpack BLOB DIFF-ID [PARENT] | DIR decompress BLOB")),
    }
    Ok(())
}
