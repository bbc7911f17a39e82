//! The disposable child alone: what tests of libraries, whose `main` is the test harness's, give to
//! `Snapshots::with_worker`. With arguments, a program that unpacks a layer, for faults to be injected into:
//! `taru-snapshot-worker DIR DIFF-ID BLOB [FIRST-SUBORDINATE-ID HOW-MANY]`.

use std::fs::File;
use std::path::Path;
use std::process::ExitCode;

use taru_oci::Digest;
use taru_snapshot::{DriverKind, IdMaps, Ids, Range, Snapshots, Unpack};
use taru_stdx::{Context, Error, Result};

fn main() -> ExitCode {
    if let Some(code) = taru_snapshot::worker_main() {
        return code;
    }
    match unpack(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error.chain());
            error.hints().iter().for_each(|hint| eprintln!("hint: {hint}"));
            ExitCode::FAILURE
        }
    }
}

fn unpack(arguments: &[String]) -> Result<()> {
    let [dir, diff_id, blob, rest @ ..] = arguments else {
        return Err(Error::invalid("unpack: DIR DIFF-ID BLOB [FIRST-SUBORDINATE-ID HOW-MANY]"));
    };
    let number = |text: &String| text.parse().context(|| format!("parse `{text}`"));
    let map = |own| -> Result<Vec<Range>> {
        let mut map = vec![Range::new(0, own, 1)];
        if let [first, length] = rest {
            map.push(Range::new(1, number(first)?, number(length)?));
        }
        Ok(map)
    };
    let (uid, gid) = (taru_sys::user::geteuid(), taru_sys::user::getegid());
    let ids = match uid {
        0 => Ids::Host,
        _ => Ids::Subordinate(IdMaps { uids: map(uid)?, gids: map(gid)? }),
    };
    let driver = DriverKind::of_store(Path::new(dir))?.unwrap_or(DriverKind::Overlay);
    let store = Snapshots::open(Path::new(dir), driver, ids)?;
    let diff_id: Digest = diff_id.parse()?;
    let blob = File::open(blob).context(|| format!("open `{blob}`"))?;
    let layer = Unpack { chain: diff_id.clone(), parent: None, diff_id: diff_id.clone(), blob: blob.into() };
    store.unpack(&[layer], &|_, _| {})?;
    let broken = store.check(&diff_id)?;
    if !broken.is_empty() {
        return Err(Error::invalid(format!("check the layer: {broken:?}")));
    }
    match &rest.is_empty() {
        true => Ok(()),
        false => store.remove_layer(&diff_id),
    }
}
