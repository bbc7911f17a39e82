//! Where the files of a layer lie: in a directory, or in an image of erofs.
//!
//! An image is read through a mount that is attached nowhere: nobody else sees it, and it goes with its descriptor.

use std::path::{Path, PathBuf};

use taru_mount::{Attr, Mount};
use taru_rootdir::RootDir;
use taru_stdx::Result;

use crate::layout::{IMAGE, TREE};

/// The files of a layer, to be read, or to be stacked by an overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lower {
    /// They lie in this directory.
    Directory(PathBuf),
    /// They lie in this file, an image of erofs.
    Image(PathBuf),
}

impl Lower {
    /// Those of the layer in the directory `dir`.
    pub(crate) fn of(dir: &Path) -> Lower {
        let image = dir.join(IMAGE);
        if image.is_file() { Lower::Image(image) } else { Lower::Directory(dir.join(TREE)) }
    }

    /// The directory, or the file of the image.
    pub fn path(&self) -> &Path {
        let (Lower::Directory(path) | Lower::Image(path)) = self;
        path
    }

    /// Whether it is an image.
    pub fn is_image(&self) -> bool {
        matches!(self, Lower::Image(_))
    }

    /// The handle on the files: of an image, on a mount of its own.
    ///
    /// # Errors
    /// As open(2), or as [`Mount::image`].
    pub fn open(&self) -> Result<RootDir> {
        match self {
            Lower::Directory(path) => RootDir::open(path),
            Lower::Image(path) => {
                Mount::image(path, Attr::RDONLY | Attr::NOSUID | Attr::NODEV | Attr::NOEXEC)?.root()
            }
        }
    }
}
