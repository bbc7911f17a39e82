//! The images that everybody is given, made once, the same on every machine but for Debian's packages.
//!
//! ```text
//! target/bench/images/
//!   one, twelve, sibling, small     OCI image layouts: one Debian-like layer; twelve layers and 300 MB; the same but for
//!                                   the topmost layer; 50 000 small files
//!   added/                          what a container changes before it is committed
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use taru_stdx::{Context, Result};

use crate::{archive, workspace};

/// The release that the Debian-like image is of.
const SUITE: &str = "bookworm";
/// Every file's time, in seconds since 1970.
const EPOCH: &str = "1700000000";
/// There when all images are.
const DONE: &str = "made";

/// The names of the images.
pub(super) const IMAGES: [&str; 4] = ["one", "twelve", "sibling", "small"];

/// The directory of the images; made where it is not there.
pub(super) fn ensure() -> Result<PathBuf> {
    let dir = workspace::target().join("bench/images");
    if dir.join(DONE).exists() {
        return Ok(dir);
    }
    remove(&dir)?;
    create(&dir)?;
    eprintln!("bench: making the images in {}", dir.display());
    debian(&dir)?;
    image(&dir, "one", &[dir.join("debian.tar")])?;
    let mut layers = Vec::new();
    for n in 0..13 {
        layers.push(synthetic(
            &dir,
            &format!("layer{n}"),
            &Shape { seed: n, dirs: 10, files: 50, size: 50 << 10 },
        )?);
    }
    image(&dir, "twelve", &layers[..12])?;
    layers.swap_remove(11);
    image(&dir, "sibling", &layers)?;
    let small = synthetic(&dir, "layer", &Shape { seed: 99, dirs: 500, files: 100, size: 1 << 10 })?;
    image(&dir, "small", &[small])?;
    files(&dir.join("added"), &Shape { seed: 100, dirs: 20, files: 100, size: 10 << 10 })?;
    for entry in fs::read_dir(&dir).context(|| format!("list `{}`", dir.display()))?.flatten() {
        if entry.path().extension().is_some_and(|e| e == "tar") {
            remove(&entry.path())?;
        }
    }
    let done = dir.join(DONE);
    fs::write(&done, "").context(|| format!("write `{}`", done.display()))?;
    Ok(dir)
}

/// Debian's minimal root, or where its packages are out of reach a synthetic tree around busybox.
fn debian(dir: &Path) -> Result<()> {
    let tar = dir.join("debian.tar");
    let made = archive::mirror().and_then(|mirror| {
        workspace::check(
            Command::new("mmdebstrap")
                .args(["--quiet", "--mode=root", "--variant=minbase", SUITE])
                .arg(&tar)
                .arg(mirror)
                .env("SOURCE_DATE_EPOCH", EPOCH)
                .stdin(Stdio::null())
                .stdout(Stdio::null()),
        )
    });
    let Err(error) = made else { return Ok(()) };
    eprintln!("bench: no Debian image, a synthetic one in its place: {}", error.chain());
    let tree = dir.join("debian");
    files(&tree.join("usr/share"), &Shape { seed: 98, dirs: 600, files: 10, size: 25 << 10 })?;
    create(&tree.join("bin"))?;
    for name in ["true", "sh", "mkdir", "cp", "ls", "cat"] {
        let to = tree.join("bin").join(name);
        fs::copy("/bin/busybox", &to).context(|| format!("copy `/bin/busybox` to `{}`", to.display()))?;
    }
    pack(&tree, &tar)
}

/// What a synthetic tree is like.
struct Shape {
    /// Another one for each tree.
    seed: u64,
    dirs: u32,
    /// In each directory.
    files: u32,
    /// Bytes of each file on average.
    size: u64,
}

fn synthetic(dir: &Path, name: &str, shape: &Shape) -> Result<PathBuf> {
    let (tree, tar) = (dir.join(name), dir.join(format!("{name}.tar")));
    files(&tree, shape)?;
    pack(&tree, &tar)?;
    Ok(tar)
}

/// Writes the tree: half of each file is noise, half is words, so that it compresses as programs and texts do.
fn files(tree: &Path, shape: &Shape) -> Result<()> {
    let mut state = shape.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    // xorshift64 (Marsaglia 2003): the same everywhere.
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut content = Vec::new();
    for d in 0..shape.dirs {
        let dir = tree.join(format!("srv/{}/{d}", shape.seed));
        create(&dir)?;
        for f in 0..shape.files {
            content.clear();
            let size = shape.size / 2 + next() % shape.size;
            while (content.len() as u64) < size {
                for _ in 0..8 {
                    content.extend(next().to_le_bytes());
                }
                for _ in 0..8 {
                    content.extend(format!("word{:03} ", next() % 500).bytes());
                }
            }
            content.truncate(size as usize);
            let path = dir.join(format!("file{f}"));
            fs::write(&path, &content).context(|| format!("write `{}`", path.display()))?;
        }
    }
    Ok(())
}

/// Packs the tree and removes it.
fn pack(tree: &Path, tar: &Path) -> Result<()> {
    let mut pack = Command::new("tar");
    pack.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX"]);
    pack.arg(format!("--mtime=@{EPOCH}")).arg("-C").arg(tree).arg("-cf").arg(tar).arg(".");
    workspace::check(&mut pack)?;
    remove(tree)
}

/// An image of these layers, each packed by gzip, as an OCI layout.
fn image(dir: &Path, name: &str, layers: &[PathBuf]) -> Result<()> {
    let umoci = |words: &[&str]| {
        let mut command = Command::new("umoci");
        command.args(words).current_dir(dir).stdout(Stdio::null());
        workspace::check(&mut command)
    };
    let tagged = format!("{name}:1");
    umoci(&["init", "--layout", name])?;
    umoci(&["new", "--image", &tagged])?;
    for layer in layers {
        umoci(&["raw", "add-layer", "--image", &tagged, &layer.display().to_string()])?;
    }
    umoci(&["config", "--image", &tagged, "--config.cmd", "/bin/sh", "--config.env", "PATH=/usr/bin:/bin"])?;
    umoci(&["gc", "--layout", name])
}

fn create(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).context(|| format!("create `{}`", dir.display()))
}

fn remove(path: &Path) -> Result<()> {
    workspace::check(Command::new("rm").arg("-rf").arg(path))
}
